//! The statements of MQTT 5.0, by section.

mod acks;
pub(crate) mod auth;
mod behaviour;
mod connack;
mod connect;
mod connect_payload;
mod limits;
mod publish;
mod publish_properties;
mod shared_subscriptions;
mod subscribe;
mod text;
mod unsubscribe;
mod will;

use crate::catalogue::OF_THE_CLIENT;
use crate::harness::test::Test;
use crate::websocket;

/// Every test of this table.
pub(crate) fn tests() -> Vec<Test> {
    [
        text::TESTS,
        connect::TESTS,
        connect_payload::TESTS,
        will::TESTS,
        connack::TESTS,
        publish::TESTS,
        publish_properties::TESTS,
        limits::TESTS,
        acks::TESTS,
        subscribe::TESTS,
        unsubscribe::TESTS,
        behaviour::TESTS,
        shared_subscriptions::TESTS,
        auth::TESTS,
        websocket::STATEMENTS,
    ]
    .concat()
}

/// Statements without a test here, by reason.
pub(crate) const WAITING: &[(&str, &[&str])] = &[(
    OF_THE_CLIENT,
    &[
        "MQTT-2.2.1-3",
        "MQTT-3.1.2-20",
        "MQTT-3.1.2-21",
        "MQTT-3.2.2-4",
        "MQTT-3.2.2-5",
        "MQTT-3.2.2-11",
        "MQTT-3.2.2-14",
        "MQTT-3.2.2-15",
        "MQTT-3.2.2-17",
        "MQTT-3.2.2-18",
        "MQTT-3.2.2-21",
        "MQTT-3.3.2-10",
        "MQTT-3.3.4-7",
        "MQTT-3.3.4-8",
        "MQTT-4.5.0-2",
        "MQTT-4.6.0-2",
        "MQTT-4.6.0-3",
        "MQTT-4.6.0-4",
        "MQTT-6.0.0-3",
    ],
)];
