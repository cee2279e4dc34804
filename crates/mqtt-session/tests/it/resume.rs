//! What a session carries from one connection to the next.

use mqtt_packet::{QoS, ReasonCode, Version};

use crate::pair::{Pair, Received, connected, persistent};

fn ids(messages: &[Received]) -> Vec<(Option<u16>, bool)> {
    messages.iter().map(|message| (message.packet_id, message.dup)).collect()
}

#[test]
fn unacknowledged_messages_go_out_again_with_dup_in_old_order() {
    // [MQTT-4.4.0-1], [MQTT-3.3.1-1]
    for version in Version::ALL {
        let mut pair = persistent(version);
        (pair.server_acknowledges, pair.client_acknowledges) = (false, false);
        for number in 0..3 {
            pair.publish(QoS::AtLeastOnce, &number.to_string());
            pair.deliver(QoS::AtLeastOnce, &number.to_string());
        }
        pair.run();
        assert_eq!(ids(&pair.at_server), [(Some(1), false), (Some(2), false), (Some(3), false)]);
        let before = (pair.texts_at_server(), pair.texts_at_client());
        pair.cut();
        pair.assert_balanced();
        (pair.at_server, pair.at_client) = (Vec::new(), Vec::new());
        (pair.server_acknowledges, pair.client_acknowledges) = (true, true);
        pair.connect();
        assert_eq!(ids(&pair.at_server), [(Some(1), true), (Some(2), true), (Some(3), true)]);
        assert_eq!(ids(&pair.at_client), [(Some(1), true), (Some(2), true), (Some(3), true)]);
        assert_eq!((pair.texts_at_server(), pair.texts_at_client()), before);
        assert_eq!(pair.client.held().messages, 0);
        pair.assert_balanced();
    }
}

#[test]
fn what_was_not_sent_goes_out_behind_what_was() {
    let mut pair = small_window(2);
    pair.server_acknowledges = false;
    for number in 0..5 {
        pair.publish(QoS::ExactlyOnce, &number.to_string());
    }
    pair.run();
    pair.cut();
    pair.at_server.clear();
    pair.server_acknowledges = true;
    pair.connect();
    // The first two were handed on before; the server only acknowledges them.
    assert_eq!(pair.texts_at_server(), ["2", "3", "4"]);
    assert_eq!(pair.answered().len(), 5);
    pair.assert_balanced();
}

#[test]
fn what_goes_out_again_keeps_to_the_window_of_the_new_connection() {
    // [MQTT-3.3.4-7], [MQTT-3.3.4-9]
    let mut pair = persistent(Version::V5);
    pair.server_acknowledges = false;
    for number in 0..4 {
        pair.publish(QoS::AtLeastOnce, &number.to_string());
    }
    pair.run();
    pair.cut();
    pair.at_server.clear();
    pair.server_config.receive_maximum = 1;
    pair.connect();
    assert_eq!(ids(&pair.at_server), [(Some(1), true)]);
    for id in 1..=4 {
        pair.say_to_client(&[0x40, 2, 0, id]);
    }
    assert_eq!(pair.answered().len(), 4);
    pair.assert_balanced();
}

fn small_window(receive_maximum: u16) -> Pair {
    let mut pair = persistent(Version::V5);
    pair.cut();
    pair.server_config.receive_maximum = receive_maximum;
    pair.connect();
    pair
}

#[test]
fn only_pubrel_is_sent_again_once_the_receiver_has_the_message() {
    // [MQTT-4.4.0-1]
    let mut pair = persistent(Version::V311);
    let mark = pair.publish(QoS::ExactlyOnce, "once");
    pair.deliver(QoS::ExactlyOnce, "once");
    // Cut behind both PUBRECs: find the length that lets PUBREL out and no PUBCOMP in.
    let publishes = 2 * (2 + 2 + 4 + 2 + 4) - 2;
    pair.bytes_left = publishes + 2 * 4;
    pair.run();
    assert!(!pair.client.is_open());
    pair.assert_balanced();
    let before = (pair.at_server.len(), pair.at_client.len());
    (pair.up, pair.down) = (Vec::new(), Vec::new());
    pair.connect();
    assert_eq!((pair.at_server.len(), pair.at_client.len()), before);
    let first = |packets: &[(u8, bytes::Bytes)]| packets.get(1).map(|(first, _)| *first);
    assert_eq!(first(&pair.up), Some(0x62));
    assert_eq!(first(&pair.down), Some(0x62));
    assert_eq!(pair.answered(), [(mark, ReasonCode::SUCCESS)]);
    pair.assert_balanced();
}

#[test]
fn a_server_that_lost_the_session_gets_the_messages_as_new() {
    // [MQTT-3.2.2-5]
    for version in Version::ALL {
        let mut pair = persistent(version);
        pair.server_acknowledges = false;
        pair.publish(QoS::AtLeastOnce, "1");
        pair.publish(QoS::ExactlyOnce, "2");
        pair.run();
        pair.cut();
        pair.server_session = None;
        pair.at_server.clear();
        pair.server_acknowledges = true;
        pair.connect();
        assert!(!pair.connack().unwrap().session_present);
        // 3.1 cannot say that there is none, so its client has to assume that there is (D31-05).
        let dup = version == Version::V31;
        assert_eq!(ids(&pair.at_server), [(Some(1), dup), (Some(2), dup)], "{version}");
        assert_eq!(pair.answered().len(), 2);
        pair.assert_balanced();
    }
}

#[test]
fn a_message_that_the_lost_session_had_is_not_sent_again() {
    let mut pair = persistent(Version::V5);
    let mark = pair.publish(QoS::ExactlyOnce, "once");
    // PUBLISH and PUBREC, and nothing of PUBREL.
    pair.bytes_left = 2 + 2 + 2 + 2 + 1 + 4 + 4;
    pair.run();
    pair.server_session = None;
    pair.connect();
    assert_eq!(pair.texts_at_server(), ["once"]);
    assert_eq!(pair.answered(), [(mark, ReasonCode::SUCCESS)]);
    pair.assert_balanced();
}

#[test]
fn qos_0_that_is_not_written_is_lost_and_counted() {
    let mut pair = connected(Version::V5);
    pair.publish(QoS::AtMostOnce, "lost");
    pair.deliver(QoS::AtMostOnce, "lost");
    pair.bytes_left = 3;
    pair.run();
    let dropped =
        |ledger: &mqtt_session::Ledger| ledger.dropped(mqtt_session::DropReason::ConnectionLost);
    assert_eq!((dropped(&pair.client_ledger), dropped(&pair.inbox.ledger())), (1, 1));
    pair.assert_balanced();
}
