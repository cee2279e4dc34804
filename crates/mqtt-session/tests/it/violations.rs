//! A server that breaks the protocol, as its client sees it.

use mqtt_packet::{QoS, Version};
use mqtt_session::{ClientEvent, ConnectOptions, DropReason};

use crate::pair::{Pair, connected};

/// What a client says to these bytes, as the first that it hears.
fn first(version: Version, bytes: &[u8]) -> Option<&'static str> {
    let mut pair = Pair::new(ConnectOptions::new(version, "client"));
    pair.open();
    pair.say_to_client(bytes);
    assert_eq!(pair.client.is_closed(), pair.client_failure().is_some());
    pair.client_failure()
}

/// What a connected 5.0 client says to these bytes.
fn open(bytes: &[u8]) -> Option<&'static str> {
    let mut pair = connected(Version::V5);
    pair.say_to_client(bytes);
    // U5-079: the server is told, and the connection closed.
    let said_why = !pair.client.output().is_empty();
    assert_eq!(said_why, pair.client_failure().is_some());
    pair.client_failure()
}

/// A CONNACK 0x00 with these properties.
fn connack(properties: &[u8]) -> Vec<u8> {
    let len = u8::try_from(properties.len()).unwrap();
    [&[0x20, len + 3, 0, 0, len], properties].concat()
}

#[test]
fn a_property_that_connack_may_have_once_is_there_twice() {
    let once: [(&[u8], &str); 14] = [
        (&[0x11, 0, 0, 0, 1], "U5-026"),
        (&[0x21, 0, 1], "U5-027"),
        (&[0x24, 1], "U5-028"),
        (&[0x25, 1], "U5-030"),
        (&[0x27, 0, 0, 1, 0], "U5-032"),
        (&[0x12, 0, 1, b'a'], "U5-034"),
        (&[0x22, 0, 1], "U5-035"),
        (&[0x1F, 0, 1, b'a'], "U5-036"),
        (&[0x28, 1], "U5-037"),
        (&[0x29, 1], "U5-039"),
        (&[0x2A, 1], "U5-041"),
        (&[0x13, 0, 1], "U5-043"),
        (&[0x1A, 0, 1, b'a'], "U5-044"),
        (&[0x1C, 0, 1, b'a'], "U5-045"),
    ];
    for (property, rule) in once {
        assert_eq!(first(Version::V5, &connack(property)), None, "{rule}");
        assert_eq!(first(Version::V5, &connack(&property.repeat(2))), Some(rule));
    }
    // These two need a method in CONNECT as well, but the format is looked at first.
    assert_eq!(first(Version::V5, &connack(&[0x15, 0, 1, b'a'].repeat(2))), Some("U5-046"));
    assert_eq!(first(Version::V5, &connack(&[0x16, 0, 1, b'a'].repeat(2))), Some("U5-047"));
}

#[test]
fn a_property_of_connack_is_out_of_range() {
    let bad: [(&[u8], &str); 7] = [
        (&[0x21, 0, 0], "U5-027"),
        (&[0x24, 2], "U5-028"),
        (&[0x25, 2], "U5-030"),
        (&[0x27, 0, 0, 0, 0], "U5-032"),
        (&[0x28, 2], "U5-037"),
        (&[0x29, 2], "U5-039"),
        (&[0x2A, 2], "U5-041"),
    ];
    for (property, rule) in bad {
        assert_eq!(first(Version::V5, &connack(property)), Some(rule));
    }
}

#[test]
fn a_connack_that_cannot_be() {
    // Session present after a clean start; reserved flags; something else than CONNACK first.
    assert_eq!(first(Version::V311, &[0x20, 2, 1, 0]), Some("MQTT-3.2.2-2"));
    assert_eq!(first(Version::V311, &[0x20, 2, 2, 0]), Some("MQTT-3.2.2-1"));
    assert_eq!(first(Version::V311, &[0xD0, 0]), Some("MQTT-3.2.0-1"));
    assert_eq!(open(&connack(&[])), Some("MQTT-3.2.0-2"));
    // 3.1 has no use for the byte of flags (D31-05).
    assert_eq!(first(Version::V31, &[0x20, 2, 1, 0]), None);
}

#[test]
fn packets_that_a_server_may_not_send() {
    assert_eq!(open(&[0xC0, 0]), Some("MQTT-4.13.1-1"));
    assert_eq!(open(&[0x82, 7, 0, 1, 0, 0, 1, b'a', 0]), Some("MQTT-4.13.1-1"));
    // SUBACK for nothing, DISCONNECT with a session expiry or a client's reason.
    assert_eq!(open(&[0x90, 4, 0, 1, 0, 0]), Some("MQTT-2.2.1-6"));
    assert_eq!(open(&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 1]), Some("MQTT-3.14.2-2"));
    assert_eq!(open(&[0xE0, 1, 0x04]), Some("MQTT-3.14.2-1"));
    assert_eq!(open(&[0xE0, 1, 0x8B]), None);
    let mut pair = connected(Version::V311);
    pair.say_to_client(&[0xE0, 0]);
    assert_eq!(pair.client_failure(), Some("MQTT-3.14.0-1"));
}

#[test]
fn subscription_identifiers_have_to_be_known() {
    // U5-054, U5-056
    let publish = |id: u8| [0x30, 6, 0, 1, b'a', 2, 0x0B, id];
    assert_eq!(open(&publish(0)), Some("U5-054"));
    assert_eq!(open(&publish(7)), Some("U5-056"));
    let mut pair = connected(Version::V5);
    pair.subscribe("a", Some(7));
    pair.say_to_client(&publish(7));
    assert_eq!(pair.client_failure(), None);
    assert_eq!(pair.at_client.len(), 1);
}

#[test]
fn problem_information_that_was_switched_off() {
    // U5-016
    let mut options = ConnectOptions::new(Version::V5, "client");
    options.request_problem_information = false;
    let mut pair = Pair::new(options.clone());
    pair.connect();
    pair.publish(QoS::AtLeastOnce, "x");
    pair.server_acknowledges = false;
    pair.run();
    let puback = [0x40, 8, 0, 1, 0, 4, 0x1F, 0, 1, b'a'];
    pair.say_to_client(&puback);
    assert_eq!(pair.client_failure(), Some("U5-016"));
    // On PUBLISH and DISCONNECT it is permitted.
    let mut pair = Pair::new(options);
    pair.connect();
    pair.say_to_client(&[0xE0, 6, 0x8B, 4, 0x1F, 0, 1, b'a']);
    assert_eq!(pair.client_failure(), None);
}

#[test]
fn reasons_in_words_stand_once() {
    let suback = |properties: &[u8]| {
        let len = u8::try_from(properties.len()).unwrap();
        [&[0x90, len + 4, 0, 1, len], properties, &[0]].concat()
    };
    let reason = [0x1F, 0, 1, b'a'];
    assert_eq!(open(&suback(&reason.repeat(2))), Some("U5-068"));
    let mut unsuback = suback(&reason.repeat(2));
    unsuback[0] = 0xB0;
    assert_eq!(open(&unsuback), Some("U5-070"));
    let reference = [0x1C, 0, 1, b'a'];
    let disconnect = [&[0xE0, 10, 0x9D, 8][..], &reference, &reference].concat();
    assert_eq!(open(&disconnect), Some("U5-074"));
}

#[test]
fn suback_has_one_reason_for_each_filter() {
    // [MQTT-3.8.4-6]
    let mut pair = connected(Version::V5);
    let filters = [("a", mqtt_packet::SubscriptionOptions::default())];
    pair.client.subscribe(&filters, None, &[], pair.now).unwrap();
    pair.say_to_client(&[0x90, 5, 0, 1, 0, 0, 0]);
    assert_eq!(pair.client_failure(), Some("MQTT-3.8.4-6"));
}

#[test]
fn a_packet_above_the_clients_maximum_closes() {
    // U5-012
    let mut options = ConnectOptions::new(Version::V5, "client");
    options.maximum_packet_size = 64;
    let mut pair = Pair::new(options);
    pair.connect();
    pair.say_to_client(&[0x30, 63]);
    assert!(pair.client_failure().is_some());
}

#[test]
fn aliases_up_to_the_maximum_are_accepted() {
    // [MQTT-3.3.2-10]
    let mut options = ConnectOptions::new(Version::V5, "client");
    options.topic_alias_maximum = 5;
    let mut pair = Pair::new(options);
    pair.connect();
    let publish = |alias: u8| [0x30, 7, 0, 1, b'a', 3, 0x23, 0, alias];
    pair.say_to_client(&[publish(1), publish(5)].concat());
    assert_eq!((pair.at_client.len(), pair.client_failure()), (2, None));
    pair.say_to_client(&publish(6));
    assert_eq!(pair.client_failure(), Some("MQTT-3.3.2-9"));
}

#[test]
fn a_server_that_leaves_says_why() {
    let mut pair = connected(Version::V5);
    pair.publish(QoS::AtMostOnce, "lost");
    pair.say_to_client(&[0xE0, 6, 0x8B, 4, 0x1F, 0, 1, b'a']);
    let Some(ClientEvent::Disconnected(disconnected)) = pair.client_events.last() else {
        panic!("{:?}", pair.client_events)
    };
    assert_eq!(disconnected.reason_string.as_deref(), Some("a"));
    assert!(pair.client.is_closed());
    pair.keep_sessions();
    assert_eq!(pair.client_ledger.dropped(DropReason::ConnectionLost), 1);
}
