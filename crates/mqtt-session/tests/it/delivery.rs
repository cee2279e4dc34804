//! Messages of all three QoS, both ways, in all versions.

use mqtt_packet::{QoS, ReasonCode, Version};

use crate::pair::{connected, message};

const ALL: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

#[test]
fn every_qos_arrives_once_in_both_directions() {
    for version in Version::ALL {
        let mut pair = connected(version);
        for (number, qos) in ALL.into_iter().enumerate() {
            pair.publish(qos, &number.to_string());
            pair.deliver(qos, &number.to_string());
        }
        pair.run();
        assert_eq!(pair.texts_at_server(), ["0", "1", "2"], "{version}");
        assert_eq!(pair.texts_at_client(), ["0", "1", "2"], "{version}");
        let qos: Vec<_> = pair.at_server.iter().map(|message| message.qos).collect();
        assert_eq!(qos, ALL);
        let success = ReasonCode::SUCCESS;
        assert_eq!(pair.answered(), [(2, success), (3, success)]);
        assert_eq!(pair.client.held().messages, 0);
        pair.assert_balanced();
    }
}

#[test]
fn order_is_kept_within_a_qos_behind_a_small_window() {
    let mut pair = connected(Version::V5);
    pair.client.abandon();
    pair.server_config.receive_maximum = 3;
    pair.options.receive_maximum = 2;
    pair.connect();
    for number in 0..20 {
        pair.publish(QoS::AtLeastOnce, &number.to_string());
        pair.deliver(QoS::ExactlyOnce, &number.to_string());
    }
    pair.run();
    let expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(pair.texts_at_server(), expected);
    assert_eq!(pair.texts_at_client(), expected);
    pair.assert_balanced();
}

#[test]
fn no_more_than_receive_maximum_is_in_flight() {
    // [MQTT-3.3.4-7], [MQTT-3.3.4-9]
    let mut pair = connected(Version::V5);
    pair.client.abandon();
    pair.server_config.receive_maximum = 3;
    pair.options.receive_maximum = 2;
    pair.connect();
    (pair.server_acknowledges, pair.client_acknowledges) = (false, false);
    for number in 0..10 {
        pair.publish(QoS::AtLeastOnce, &number.to_string());
        pair.deliver(QoS::AtLeastOnce, &number.to_string());
    }
    pair.run();
    assert_eq!((pair.at_server.len(), pair.at_client.len()), (3, 2));
    assert_eq!((pair.server_failure(), pair.client_failure()), (None, None));
    pair.assert_balanced();
}

#[test]
fn a_full_window_does_not_hold_back_other_packets() {
    // [MQTT-3.3.4-8]
    let mut pair = connected(Version::V5);
    pair.client.abandon();
    pair.server_config.receive_maximum = 1;
    pair.connect();
    pair.server_acknowledges = false;
    pair.publish(QoS::AtLeastOnce, "first");
    pair.publish(QoS::AtLeastOnce, "second");
    pair.publish(QoS::AtMostOnce, "third");
    pair.subscribe("a/b", None);
    assert_eq!(pair.texts_at_server(), ["first", "third"]);
    assert!(pair.down.iter().any(|(first, _)| *first == 0x90), "no SUBACK");
}

#[test]
fn packet_identifiers_in_use_are_not_given_again() {
    // [MQTT-2.2.1-3]: all of them at once, and again after they are free.
    let mut pair = connected(Version::V311);
    pair.client_config.send_window_max = u16::MAX;
    pair.client.abandon();
    pair.connect();
    pair.server_acknowledges = false;
    for _ in 0..65_536 {
        pair.publish(QoS::AtLeastOnce, "");
    }
    pair.run();
    let mut ids: Vec<_> = pair.at_server.iter().filter_map(|message| message.packet_id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((pair.at_server.len(), ids.len()), (65_535, 65_535));
    pair.assert_balanced();
}

#[test]
fn a_refusal_ends_the_delivery_and_is_told() {
    // [MQTT-4.3.3-4]: PUBREC with 0x80 or more is not followed by PUBREL.
    let mut pair = connected(Version::V5);
    pair.server_reason = ReasonCode::QUOTA_EXCEEDED;
    let first = pair.publish(QoS::AtLeastOnce, "1");
    let second = pair.publish(QoS::ExactlyOnce, "2");
    pair.run();
    let quota = ReasonCode::QUOTA_EXCEEDED;
    assert_eq!(pair.answered(), [(first, quota), (second, quota)]);
    assert!(!pair.up.iter().any(|(first, _)| first >> 4 == 6), "a PUBREL");
    pair.assert_balanced();
}

#[test]
fn acknowledgements_keep_the_order_of_their_messages() {
    // [MQTT-4.6.0-2], [MQTT-4.6.0-3], [MQTT-4.6.0-4]
    let mut pair = connected(Version::V5);
    for number in 0..50 {
        let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        pair.deliver(qos, &number.to_string());
        pair.publish(QoS::ExactlyOnce, &number.to_string());
    }
    pair.run();
    for packet in [0x40, 0x50, 0x62] {
        let ids: Vec<_> = pair.up.iter().filter(|(first, _)| *first == packet).collect();
        let numbers: Vec<_> =
            ids.iter().map(|(_, body)| u16::from_be_bytes([body[0], body[1]])).collect();
        assert!(numbers.len() >= 25 && numbers.is_sorted(), "{packet:02X}: {numbers:?}");
    }
}

#[test]
fn aliases_shorten_topics_in_both_directions() {
    // [MQTT-3.2.2-17], [MQTT-3.1.2-26]
    let mut pair = connected(Version::V5);
    pair.client.abandon();
    pair.options.topic_alias_maximum = 1;
    pair.connect();
    (pair.up, pair.down) = (Vec::new(), Vec::new());
    for payload in ["1", "2", "3"] {
        for topic in ["a/long/topic", "another/topic"] {
            pair.publish_run(message(topic, payload, QoS::AtLeastOnce)).unwrap();
            pair.deliver_run(message(topic, payload, QoS::AtLeastOnce));
        }
    }
    pair.run();
    for got in [&pair.at_server, &pair.at_client] {
        let topics: Vec<_> = got.iter().map(|message| message.topic.as_str()).collect();
        assert_eq!(topics, ["a/long/topic", "another/topic"].repeat(3));
    }
    let empty = |packets: &[(u8, bytes::Bytes)]| {
        packets.iter().filter(|(first, body)| first >> 4 == 3 && body.starts_with(&[0, 0])).count()
    };
    // The server has 64 aliases, the client one.
    assert_eq!((empty(&pair.up), empty(&pair.down)), (4, 2));
    pair.assert_balanced();
}

#[test]
fn a_server_that_announces_no_aliases_gets_none() {
    // [MQTT-3.2.2-18]
    let mut pair = connected(Version::V5);
    pair.client.abandon();
    pair.server_config.topic_alias_maximum = 0;
    pair.connect();
    pair.publish_run(message("a/long/topic", "1", QoS::AtMostOnce)).unwrap();
    pair.publish_run(message("a/long/topic", "2", QoS::AtMostOnce)).unwrap();
    pair.run();
    assert_eq!(pair.texts_at_server(), ["1", "2"]);
    assert_eq!(pair.server_failure(), None);
}

#[test]
fn a_client_sees_the_properties_as_they_came() {
    let mut pair = connected(Version::V5);
    pair.client.abandon();
    pair.options.topic_alias_maximum = 5;
    pair.connect();
    pair.subscribe("#", Some(7));
    pair.client_events.clear();
    // Expiry 60 s, alias 3, identifier 7, user property a=b.
    let properties = [0x02, 0, 0, 0, 60, 0x23, 0, 3, 0x0B, 7, 0x26, 0, 1, b'a', 0, 1, b'b'];
    let mut packet = vec![0x30, 0, 0, 3, b'a', b'/', b'b', 17];
    packet.extend(properties);
    packet[1] = u8::try_from(packet.len() - 2).unwrap();
    pair.say_to_client(&packet);
    let [mqtt_session::ClientEvent::Message(run)] = &pair.client_events[..] else {
        panic!("{:?}", pair.client_events)
    };
    let properties = run.properties();
    assert_eq!(run.topic(), "a/b");
    assert_eq!(properties.message_expiry_interval, Some(60));
    assert_eq!(properties.subscription_identifiers.iter().collect::<Vec<_>>(), [7]);
    assert_eq!(properties.user_properties.iter().collect::<Vec<_>>(), [("a", "b")]);
    assert_eq!(properties.topic_alias, None);
}
