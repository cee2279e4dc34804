//! Wills.

use mqtt_packet::{DisconnectProperties, Packet, PacketType, ReasonCode, Version};

use super::{
    client::Seen,
    hello::{Hello, hello, persistent},
    parts::Act,
    world::{Id, World},
};

/// A world with somebody who waits for wills.
fn watched() -> (World, Id) {
    let mut world = World::new();
    let watcher = world.connect(&hello(Version::V5, "watcher"));
    world.subscribe(watcher, "will", 1);
    (world, watcher)
}

fn delayed(delay_secs: u32, expiry_secs: u32) -> Hello {
    let hello =
        hello(Version::V5, "client").expiry(expiry_secs).will_to("will", "gone", delay_secs);
    Hello { clean: false, ..hello }
}

#[test]
fn an_abrupt_end_publishes_the_will() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let (mut world, watcher) = watched();
        let client = world.connect(&hello(version, "client").will("gone"));
        world.cut(client);
        let message = world.message(watcher);
        assert_eq!((message.payload.as_str(), message.qos), ("gone", 1));
    }
}

#[test]
fn a_normal_disconnect_takes_the_will_away() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let (mut world, watcher) = watched();
        let client = world.connect(&hello(version, "client").will("gone"));
        world.disconnect(client, ReasonCode::NORMAL_DISCONNECTION);
        assert!(!world.is_open(client));
        assert_eq!(world.messages(watcher), []);
    }
}

#[test]
fn a_disconnect_may_ask_for_the_will() {
    let (mut world, watcher) = watched();
    let client = world.connect(&hello(Version::V5, "client").will("gone"));
    world.disconnect(client, ReasonCode::DISCONNECT_WITH_WILL);
    assert_eq!(world.texts(watcher), ["gone"]);
}

#[test]
fn a_violation_publishes_the_will() {
    let (mut world, watcher) = watched();
    let client = world.connect(&hello(Version::V5, "client").will("gone"));
    world.say(client, &[0xF3, 0]);
    assert!(!world.is_open(client));
    assert_eq!(world.texts(watcher), ["gone"]);
}

#[test]
fn a_delayed_will_waits() {
    let (mut world, watcher) = watched();
    let client = world.connect(&delayed(10, 60));
    world.cut(client);
    world.pass(9_999);
    assert_eq!(world.messages(watcher), []);
    world.pass(1);
    assert_eq!(world.texts(watcher), ["gone"]);
}

#[test]
fn coming_back_in_time_takes_the_will_away() {
    let (mut world, watcher) = watched();
    let client = world.connect(&delayed(10, 60));
    world.cut(client);
    world.pass(5_000);
    let again = world.connect(&Hello { will: None, ..delayed(10, 60) });
    assert!(world.session_present(again));
    world.pass(60_000);
    assert_eq!(world.messages(watcher), []);
}

#[test]
fn a_new_session_publishes_the_will_of_the_old_one() {
    let (mut world, watcher) = watched();
    let client = world.connect(&delayed(10, 60));
    world.cut(client);
    world.connect(&Hello { will: None, ..delayed(10, 60) }.clean());
    assert_eq!(world.texts(watcher), ["gone"]);
    world.pass(20_000);
    assert_eq!(world.messages(watcher), []);
}

#[test]
fn the_end_of_the_session_comes_before_a_longer_delay() {
    let (mut world, watcher) = watched();
    let client = world.connect(&delayed(1000, 5));
    world.cut(client);
    world.pass(4_999);
    assert_eq!(world.messages(watcher), []);
    world.pass(1);
    assert_eq!(world.texts(watcher), ["gone"]);
}

#[test]
fn a_disconnect_that_ends_the_session_sends_the_will_at_once() {
    let (mut world, watcher) = watched();
    let client = world.connect(&delayed(10, 60));
    let properties =
        DisconnectProperties { session_expiry_interval: Some(0), ..Default::default() };
    let reason = ReasonCode::DISCONNECT_WITH_WILL;
    world.send(client, &Packet::Disconnect(mqtt_packet::Disconnect { reason, properties }));
    assert_eq!(world.texts(watcher), ["gone"]);
}

#[test]
fn a_takeover_publishes_a_will_without_delay_only() {
    let (mut world, watcher) = watched();
    world.connect(&persistent(Version::V5, "prompt").will("prompt"));
    world.connect(&persistent(Version::V5, "patient").will_to("will", "patient", 5));
    for id in ["prompt", "patient"] {
        let again = world.connect(&persistent(Version::V5, id));
        assert!(world.session_present(again));
    }
    world.pass(10_000);
    assert_eq!(world.texts(watcher), ["prompt"]);
}

#[test]
fn a_will_that_is_not_permitted_refuses_the_connection() {
    let (mut world, watcher) = watched();
    world.rules.forbid(Act::Publish, "will");
    let client = world.connect(&hello(Version::V5, "client").will("gone"));
    assert!(matches!(
        world.seen(client)[..],
        [Seen::ConnAck { reason: ReasonCode::NOT_AUTHORIZED, .. }, Seen::Closed]
    ));
    assert_eq!(world.messages(watcher), []);
}

#[test]
fn a_will_whose_right_was_taken_away_is_not_published() {
    let (mut world, watcher) = watched();
    let client = world.connect(&hello(Version::V5, "client").will("gone"));
    world.rules.forbid(Act::Publish, "will");
    world.cut(client);
    assert_eq!(world.messages(watcher), []);
    assert_eq!(world.broker.totals().traffic.denied, 1);
}

#[test]
fn a_will_below_dollar_sys_is_not_permitted() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client").will_to("$SYS/x", "lies", 0));
    assert!(!world.is_open(client));
}

#[test]
fn a_retained_will_is_retained() {
    let mut world = World::new();
    let mut hello = hello(Version::V311, "client").will("gone");
    if let Some(will) = &mut hello.will {
        will.retain = true;
    }
    let client = world.connect(&hello);
    world.cut(client);
    let later = world.connect(&super::hello::hello(Version::V311, "later"));
    world.subscribe(later, "will", 0);
    assert!(world.message(later).retain);
}

#[test]
fn the_will_comes_once_whatever_follows() {
    let (mut world, watcher) = watched();
    let client = world.connect(&delayed(2, 10));
    world.cut(client);
    world.pass(60_000);
    assert_eq!(world.texts(watcher), ["gone"]);
    assert_eq!(world.broker.registry.len(), 1, "the watcher alone");
    assert!(!world.seen(watcher).contains(&Seen::Ack(PacketType::PubAck, ReasonCode::SUCCESS)));
}

#[test]
fn the_will_of_a_user_who_was_removed_while_the_server_was_away_is_not_published() {
    let mut world = World::durable();
    for user in ["alice", "bob"] {
        let hello = persistent(Version::V5, user).user(user).will_to("will", user, 10);
        let client = world.connect(&hello);
        world.cut(client);
    }
    let mut next = world.restart();
    next.rules.remove_from_the_start("alice");
    let watcher = next.connect(&hello(Version::V5, "watcher"));
    next.subscribe(watcher, "will", 0);
    next.pass(20_000);
    assert_eq!(next.texts(watcher), ["bob"]);
    assert_eq!(next.broker.totals().traffic.denied, 1);
}
