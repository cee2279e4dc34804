//! Clients that take too long.

use mqtt_packet::{ReasonCode, Version};

use super::{client::Seen, hello::hello, world::World};

#[test]
fn a_silent_client_is_closed_after_one_and_a_half_times_its_keep_alive() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut world = World::new();
        let client = world.connect(&hello(version, "client").keep_alive(10));
        world.pass(14_999);
        assert!(world.is_open(client));
        world.pass(1);
        assert!(!world.is_open(client));
        let told = world.seen(client).contains(&Seen::Disconnect(ReasonCode::KEEP_ALIVE_TIMEOUT));
        assert_eq!(told, version.is_v5());
    }
}

#[test]
fn a_ping_keeps_a_client_alive_and_half_a_packet_does_not() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V311, "client").keep_alive(10));
    world.pass(14_000);
    world.say(client, &[0xC0, 0]);
    world.pass(14_000);
    assert!(world.is_open(client));
    world.say(client, &[0xC0]);
    world.pass(1_000);
    assert!(!world.is_open(client));
}

#[test]
fn messages_to_a_client_do_not_keep_it_alive() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client").keep_alive(10));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(client, "t", 0);
    for _ in 0..20 {
        world.pass(1_000);
        world.publish(publisher, "t", "x", 0);
    }
    assert!(!world.is_open(client));
}

#[test]
fn without_keep_alive_a_client_may_be_silent_for_ever() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V311, "client"));
    world.pass(1_000_000_000);
    assert!(world.is_open(client));
}

#[test]
fn the_server_may_set_a_keep_alive() {
    let mut world = World::with(|limits| limits.protocol.server_keep_alive_secs = Some(4));
    let client = world.connect(&hello(Version::V5, "client").keep_alive(1000));
    // Who cannot be told of it keeps to its own [MQTT-3.2.2-21].
    let older = [Version::V31, Version::V311]
        .map(|version| world.connect(&hello(version, &format!("{version:?}")).keep_alive(10)));
    world.pass(6_000);
    assert!(!world.is_open(client));
    world.pass(8_999);
    assert!(older.iter().all(|older| world.is_open(*older)));
    world.pass(1);
    assert!(!older.iter().any(|older| world.is_open(*older)));
}

#[test]
fn a_connection_without_connect_is_closed() {
    let mut world = World::new();
    let silent = world.open(&hello(Version::V5, "silent"));
    let slow = world.open(&hello(Version::V5, "slow"));
    let packet = hello(Version::V5, "slow").encode();
    for byte in packet.iter().take(9) {
        world.say(slow, &[*byte]);
        world.pass(1_000);
    }
    assert!(world.is_open(silent) && world.is_open(slow));
    world.pass(1_000);
    for client in [silent, slow] {
        assert_eq!(world.seen(client), [Seen::Closed]);
    }
}

#[test]
fn a_login_has_to_end_in_time() {
    let mut world = World::new();
    let mut hello = hello(Version::V5, "client");
    hello.properties.authentication_method = Some("toy");
    hello.properties.authentication_data = Some(b"hello");
    let client = world.connect(&hello);
    world.pass(10_000);
    assert!(!world.is_open(client));
}
