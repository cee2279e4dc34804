//! The statements of MQTT 3.1.1, by section.

mod behaviour;
mod connect;
mod connect_payload;
mod framing;
mod publish;
mod subscribe;
mod text;

use crate::catalogue::OF_THE_CLIENT;
use crate::harness::test::Test;
use crate::websocket;

/// Every test of this table.
pub(crate) fn tests() -> Vec<Test> {
    [
        text::TESTS,
        framing::TESTS,
        connect::TESTS,
        connect_payload::TESTS,
        publish::TESTS,
        subscribe::TESTS,
        behaviour::TESTS,
        websocket::STATEMENTS,
    ]
    .concat()
}

/// Statements without a test here, by reason.
pub(crate) const WAITING: &[(&str, &[&str])] = &[
    (
        OF_THE_CLIENT,
        &[
            "MQTT-2.3.1-2",
            "MQTT-2.3.1-3",
            "MQTT-3.1.2-23",
            "MQTT-3.1.3-7",
            "MQTT-3.14.4-1",
            "MQTT-3.14.4-2",
            "MQTT-4.5.0-2",
            "MQTT-4.6.0-2",
            "MQTT-4.6.0-3",
            "MQTT-6.0.0-3",
            "MQTT-7.1.2-1",
        ],
    ),
    ("needs a fail point in the store", &["MQTT-4.8.0-2"]),
    ("a statement about the product, not about its packets", &["MQTT-7.0.0-1"]),
];
