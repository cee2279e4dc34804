//! What one side announced binds the other.

use mqtt_packet::{QoS, ReasonCode, SubscriptionOptions, Version};
use mqtt_session::{DropReason, RequestError, Run};

use crate::pair::{Pair, connected, message, parts};

fn limited(change: impl FnOnce(&mut Pair)) -> Pair {
    let mut pair = connected(Version::V5);
    pair.cut();
    (pair.client_session, pair.server_session) = (None, None);
    change(&mut pair);
    pair.connect();
    pair
}

fn retained() -> Run {
    mqtt_session::Run::from_message(&mqtt_session::MessageParts {
        topic: "a",
        payload: b"",
        properties: &[],
        qos: QoS::AtMostOnce,
        retain: true,
        packet_id: None,
        expires_at: None,
    })
    .unwrap()
}

#[test]
fn a_publish_above_the_servers_limits_is_an_error_and_not_sent() {
    // [MQTT-3.2.2-11], [MQTT-3.2.2-14], [MQTT-3.2.2-15]
    let mut pair = limited(|pair| {
        pair.server_config.maximum_qos = QoS::AtLeastOnce;
        pair.server_config.retain_available = false;
        pair.server_config.maximum_packet_size = 64;
    });
    let too_much = pair.publish_run(message("a", "", QoS::ExactlyOnce));
    assert_eq!(too_much, Err(RequestError::QosNotSupported { maximum: QoS::AtLeastOnce }));
    assert_eq!(pair.publish_run(retained()), Err(RequestError::RetainNotSupported));
    let payload = "x".repeat(60);
    let too_large = pair.publish_run(message("a", &payload, QoS::AtMostOnce));
    assert_eq!(too_large, Err(RequestError::PacketTooLarge { len: 66, maximum: 64 }));
    pair.run();
    assert!(pair.at_server.is_empty() && pair.server.is_open());
    // What just fits is taken, also where an alias would not.
    pair.publish_run(message("abcdef", &payload[..53], QoS::AtMostOnce)).unwrap();
    pair.run();
    assert_eq!(pair.at_server.len(), 1);
    pair.assert_balanced();
}

#[test]
fn a_server_without_filters_of_a_kind_is_not_asked_for_them() {
    let mut pair = limited(|pair| {
        pair.server_config.wildcards_available = false;
        pair.server_config.shared_subscriptions_available = false;
        pair.server_config.subscription_identifiers_available = false;
    });
    let mut subscribe = |filter: &str, identifier| {
        let filters = [(filter, SubscriptionOptions::default())];
        pair.client.subscribe(&filters, identifier, &[], pair.now).err()
    };
    assert_eq!(subscribe("a/+", None), Some(RequestError::WildcardsNotSupported));
    assert_eq!(subscribe("$share/g/a", None), Some(RequestError::SharedNotSupported));
    assert_eq!(subscribe("a", Some(1)), Some(RequestError::IdentifiersNotSupported));
    assert!(matches!(subscribe("a/#/b", None), Some(RequestError::Topic(_))));
    assert_eq!(subscribe("a", None), None);
}

#[test]
fn no_local_and_shares_do_not_go_together() {
    // [MQTT-3.8.3-4]
    let mut pair = connected(Version::V5);
    let options = SubscriptionOptions { no_local: true, ..SubscriptionOptions::default() };
    let refused = pair.client.subscribe(&[("$share/g/a", options)], None, &[], pair.now);
    assert_eq!(refused, Err(RequestError::NoLocalShared));
}

#[test]
fn older_versions_have_no_place_for_properties() {
    let mut pair = connected(Version::V311);
    let with_property = parts("a", "", QoS::AtMostOnce, &[0x01, 1]);
    assert!(matches!(pair.publish_run(with_property), Err(RequestError::NotInVersion { .. })));
    let options = SubscriptionOptions { retain_as_published: true, ..Default::default() };
    let refused = pair.client.subscribe(&[("a", options)], None, &[], pair.now);
    assert!(matches!(refused, Err(RequestError::NotInVersion { .. })));
    assert_eq!(
        pair.client.reauthenticate(b"", pair.now),
        Err(RequestError::NoAuthenticationMethod)
    );
}

#[test]
fn a_message_above_the_clients_maximum_is_dropped_not_sent() {
    // [MQTT-3.1.2-24], [MQTT-3.1.2-25]
    let mut pair = limited(|pair| pair.options.maximum_packet_size = 64);
    pair.deliver(QoS::AtLeastOnce, &"x".repeat(64));
    pair.deliver(QoS::AtMostOnce, &"x".repeat(64));
    pair.deliver(QoS::AtLeastOnce, "small");
    pair.run();
    assert_eq!(pair.texts_at_client(), ["small"]);
    assert_eq!(pair.inbox.ledger().dropped(DropReason::PacketTooLarge), 2);
    pair.assert_balanced();
}

#[test]
fn a_packet_above_the_servers_maximum_is_refused_from_its_header() {
    let mut pair = limited(|pair| pair.server_config.maximum_packet_size = 64);
    pair.say_to_server(&[0x30, 63]);
    let expected = ("U5-033", ReasonCode::PACKET_TOO_LARGE);
    assert_eq!(pair.server_failure(), Some(expected));
}

#[test]
fn a_client_above_receive_maximum_is_told_so() {
    // [MQTT-3.3.4-7]
    let mut pair = limited(|pair| pair.server_config.receive_maximum = 2);
    // QoS 2 counts until PUBREL, although PUBREC was sent.
    let publish = |first: u8, id: u8| [first, 6, 0, 1, b'a', 0, id, 0];
    pair.say_to_server(&[publish(0x34, 1), publish(0x34, 2)].concat());
    pair.say_to_server(&publish(0x32, 3));
    let (_, reason) = pair.server_failure().unwrap();
    assert_eq!(reason, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);
    assert_eq!(pair.at_server.len(), 2);
}
