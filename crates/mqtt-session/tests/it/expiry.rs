//! Message Expiry Interval.

use mqtt_packet::{QoS, Version};
use mqtt_session::ClientEvent;

use crate::pair::{Pair, connected, message, persistent};

/// The interval in the last PUBLISH that the server sent; it is the first property.
fn interval(pair: &Pair) -> Option<u32> {
    let publishes = pair.down.iter().filter(|(first, _)| first >> 4 == 3);
    let (first, body) = publishes.last().unwrap();
    let publish = mqtt_packet::Publish::parse(*first, body, Version::V5).unwrap();
    publish.properties.message_expiry_interval
}

fn expiring(pair: &Pair, qos: QoS, secs: u32) -> mqtt_session::Run {
    message("topic", "payload", qos).with_expiry(Some(pair.now.after_secs(secs)))
}

#[test]
fn the_receiver_is_told_what_is_left() {
    // [MQTT-3.3.2-6]
    let mut pair = persistent(Version::V5);
    pair.cut();
    let run = expiring(&pair, QoS::AtLeastOnce, 100);
    pair.deliver_run(run);
    pair.now = pair.now.after_millis(30_500);
    pair.connect();
    assert_eq!(interval(&pair), Some(70));
    pair.assert_balanced();
}

#[test]
fn what_expired_in_the_queue_is_not_sent_but_counted() {
    // [MQTT-3.3.2-5]
    let mut pair = persistent(Version::V5);
    pair.cut();
    let run = expiring(&pair, QoS::AtLeastOnce, 100);
    pair.deliver_run(run);
    pair.deliver(QoS::AtLeastOnce, "stays");
    pair.now = pair.now.after_secs(100);
    pair.connect();
    assert_eq!(pair.texts_at_client(), ["stays"]);
    assert_eq!(pair.inbox.ledger().expired, 1);
    pair.assert_balanced();
}

#[test]
fn a_message_that_was_sent_does_not_expire_and_keeps_its_interval() {
    let mut pair = persistent(Version::V5);
    pair.client_acknowledges = false;
    let run = expiring(&pair, QoS::AtLeastOnce, 100);
    pair.deliver_run(run);
    pair.run();
    for (later, left) in [(40, 60), (60, 1)] {
        pair.cut();
        pair.now = pair.now.after_secs(later);
        pair.connect();
        assert_eq!(interval(&pair), Some(left));
    }
    assert_eq!(pair.inbox.ledger().expired, 0);
    pair.assert_balanced();
}

#[test]
fn a_client_hears_of_its_message_that_expired_behind_the_window() {
    let mut pair = connected(Version::V5);
    pair.client.abandon();
    pair.server_config.receive_maximum = 1;
    pair.connect();
    pair.server_acknowledges = false;
    pair.publish(QoS::AtLeastOnce, "first");
    let run = expiring(&pair, QoS::AtLeastOnce, 5);
    let mark = pair.publish_run(run).unwrap();
    pair.run();
    pair.pass(5_000);
    let acknowledgement = [0x40, 2, 0, 1];
    pair.say_to_client(&acknowledgement);
    let lost = pair.client_events.iter().find_map(|event| match event {
        ClientEvent::Lost(lost) => Some((lost.mark, lost.reason)),
        _ => None,
    });
    assert_eq!(lost, Some((mark, None)));
    pair.assert_balanced();
}
