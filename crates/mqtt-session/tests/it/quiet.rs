//! Keep alive, from both sides.

use mqtt_packet::{QoS, ReasonCode, Version};
use mqtt_session::ClientEvent;

use crate::pair::{Pair, connected};

fn keep_alive(secs: u16) -> Pair {
    let mut pair = connected(Version::V5);
    pair.client.abandon();
    pair.options.keep_alive_secs = secs;
    pair.connect();
    (pair.up, pair.down) = (Vec::new(), Vec::new());
    pair
}

fn pings(pair: &Pair) -> usize {
    pair.up.iter().filter(|(first, _)| *first == 0xC0).count()
}

#[test]
fn an_idle_client_pings_before_the_keep_alive_runs_out() {
    // [MQTT-3.1.2-20]
    let mut pair = keep_alive(10);
    for _ in 0..100 {
        pair.pass(1_000);
    }
    assert!((10..=20).contains(&pings(&pair)), "{}", pings(&pair));
    assert!(pair.client.is_open() && pair.server.is_open());
}

#[test]
fn the_servers_keep_alive_wins() {
    // [MQTT-3.1.2-21], [MQTT-3.2.2-21]
    let mut pair = connected(Version::V5);
    pair.client.abandon();
    pair.server_config.server_keep_alive_secs = Some(2);
    pair.connect();
    assert_eq!(pair.connack().unwrap().keep_alive_secs, 2);
    pair.pass(1_999);
    assert_eq!(pings(&pair), 1);
}

#[test]
fn a_client_that_only_publishes_at_qos_0_still_listens_for_life() {
    let mut pair = keep_alive(10);
    for _ in 0..20 {
        pair.publish(QoS::AtMostOnce, "x");
        pair.pass(1_000);
    }
    assert!(pings(&pair) > 0);
}

#[test]
fn without_a_keep_alive_nobody_pings_and_nobody_gives_up() {
    let mut pair = keep_alive(0);
    pair.pass(10_000_000);
    assert_eq!(pings(&pair), 0);
    assert!(pair.client.is_open() && pair.server.is_open());
}

#[test]
fn a_silent_client_is_given_up_after_one_and_a_half_keep_alives() {
    // [MQTT-3.1.2-22]
    let mut pair = keep_alive(10);
    let start = pair.now;
    pair.client.abandon();
    assert_eq!(pair.server.poll_timeout(), Some(start.after_millis(15_000)));
    pair.pass(14_999);
    assert!(pair.server.is_open());
    // A part of a packet does not count.
    pair.say_to_server(&[0x30, 10, 0]);
    pair.pass(1);
    assert_eq!(pair.server_failure(), Some(("MQTT-3.1.2-22", ReasonCode::KEEP_ALIVE_TIMEOUT)));
}

#[test]
fn a_silent_server_is_given_up() {
    let mut pair = keep_alive(10);
    pair.server.abandon();
    pair.pass(7_500);
    assert!(pair.client.is_open());
    pair.pass(9_999);
    assert!(pair.client.is_open());
    pair.pass(1);
    assert!(matches!(pair.client_events.last(), Some(ClientEvent::Failed(_))));
    assert!(pair.client.is_closed());
}

#[test]
fn a_client_that_does_not_read_does_not_blame_the_server() {
    let mut pair = keep_alive(10);
    pair.server.abandon();
    for _ in 0..30 {
        pair.client.hold_input(pair.now);
        pair.pass(5_000);
    }
    assert!(pair.client.is_open());
}
