//! Sessions: how they outlive connections, and whose they are.

use mqtt_packet::{DisconnectProperties, Packet, ReasonCode, Version};
use mqtt_session::DropReason;

use super::{
    client::Seen,
    hello::{Hello, hello, persistent},
    world::World,
};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

fn refused(world: &mut World, client: super::world::Id) -> Option<ReasonCode> {
    match world.seen(client).first() {
        Some(Seen::ConnAck { reason, .. }) => Some(*reason),
        _ => None,
    }
}

#[test]
fn a_queue_waits_in_order_while_the_client_is_away() {
    for version in VERSIONS {
        let mut world = World::new();
        let client = world.connect(&persistent(version, "client"));
        let publisher = world.connect(&hello(Version::V5, "publisher"));
        world.subscribe(client, "t", 2);
        world.cut(client);
        for (number, qos) in [1, 2, 0, 1, 2].into_iter().enumerate() {
            world.publish(publisher, "t", &number.to_string(), qos);
        }
        let client = world.connect(&persistent(version, "client"));
        assert_eq!(world.texts(client), ["0", "1", "3", "4"], "{version}");
        assert_eq!(world.dropped(DropReason::Offline), 1);
    }
}

#[test]
fn what_was_not_acknowledged_comes_again_with_dup_and_in_order() {
    let mut world = World::new();
    let client = world.connect(&persistent(Version::V311, "client"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(client, "t", 1);
    world.client(client).answers = false;
    world.publish(publisher, "t", "1", 1);
    world.publish(publisher, "t", "2", 1);
    let first = world.messages(client);
    world.cut(client);
    world.publish(publisher, "t", "3", 1);
    let client = world.connect(&persistent(Version::V311, "client"));
    let again = world.messages(client);
    let told: Vec<_> = again.iter().map(|m| (m.payload.as_str(), m.dup)).collect();
    assert_eq!(told, [("1", true), ("2", true), ("3", false)]);
    assert_eq!(again[0].packet_id, first[0].packet_id);
}

#[test]
fn the_queue_has_a_limit_and_the_newest_are_lost() {
    let mut world = World::with(|limits| limits.queue.messages_max = 3);
    let client = world.connect(&persistent(Version::V5, "client"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(client, "t", 1);
    world.cut(client);
    for number in 0..5 {
        world.publish(publisher, "t", &number.to_string(), 1);
    }
    assert_eq!(world.dropped(DropReason::QueueFull), 2);
    let client = world.connect(&persistent(Version::V5, "client"));
    assert_eq!(world.texts(client), ["0", "1", "2"]);
}

#[test]
fn the_queue_has_a_limit_in_bytes() {
    let mut world = World::with(|limits| limits.queue.bytes_max = 10_000);
    let client = world.connect(&persistent(Version::V5, "client"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(client, "t", 1);
    world.cut(client);
    let payload = "x".repeat(1000);
    for _ in 0..20 {
        world.publish(publisher, "t", &payload, 1);
    }
    let client = world.connect(&persistent(Version::V5, "client"));
    let kept = world.messages(client).len();
    assert!((9..=10).contains(&kept), "{kept} were kept");
    assert_eq!(world.dropped(DropReason::QueueFull), 20 - kept as u64);
}

#[test]
fn a_session_ends_with_its_connection_unless_it_asked_for_more() {
    for version in VERSIONS {
        let mut world = World::new();
        let client = world.connect(&hello(version, "client"));
        world.subscribe(client, "t", 1);
        world.disconnect(client, ReasonCode::NORMAL_DISCONNECTION);
        assert_eq!(world.broker.registry.len(), 0);
        assert_eq!(world.broker.routing.subscriptions(), 0);
        let again = world.connect(&Hello { clean: false, ..hello(version, "client") });
        assert!(!world.session_present(again));
    }
}

#[test]
fn a_session_expires() {
    let mut world = World::new();
    let stays = Hello { clean: false, ..hello(Version::V5, "client").expiry(10) };
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    for (away_millis, expected) in [(9_999, true), (10_000, false)] {
        let client = world.connect(&stays.clone().clean());
        world.subscribe(client, "t", 1);
        world.cut(client);
        world.publish(publisher, "t", "x", 1);
        world.pass(away_millis);
        let again = world.connect(&stays);
        assert_eq!(world.session_present(again), expected);
        assert_eq!(world.messages(again).len(), usize::from(expected));
    }
    assert_eq!(world.dropped(DropReason::SessionEnded), 1);
}

#[test]
fn a_disconnect_may_change_the_expiry() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client").expiry(1000));
    let properties =
        DisconnectProperties { session_expiry_interval: Some(5), ..Default::default() };
    let reason = ReasonCode::NORMAL_DISCONNECTION;
    world.send(client, &Packet::Disconnect(mqtt_packet::Disconnect { reason, properties }));
    assert_eq!(world.broker.registry.len(), 1);
    world.pass(5_000);
    assert_eq!(world.broker.registry.len(), 0);
}

#[test]
fn a_clean_start_throws_the_old_session_away() {
    let mut world = World::new();
    let client = world.connect(&persistent(Version::V5, "client"));
    world.subscribe(client, "t", 1);
    world.cut(client);
    world.publish_from_nowhere("t", "x");
    let again = world.connect(&persistent(Version::V5, "client").clean());
    assert!(!world.session_present(again));
    assert_eq!(world.messages(again), []);
    assert_eq!(world.dropped(DropReason::SessionEnded), 1);
    assert_eq!(world.broker.routing.subscriptions(), 0);
}

#[test]
fn a_takeover_leaves_one_connection_with_the_session() {
    for (old, new) in VERSIONS.into_iter().flat_map(|o| VERSIONS.map(|n| (o, n))) {
        let mut world = World::new();
        let first = world.connect(&persistent(old, "client"));
        world.subscribe(first, "t", 1);
        let second = world.connect(&persistent(new, "client"));
        assert!(!world.is_open(first) && world.is_open(second));
        assert_eq!(world.session_present(second), new != Version::V31, "3.1 cannot say it");
        let told = world.seen(first).contains(&Seen::Disconnect(ReasonCode::SESSION_TAKEN_OVER));
        assert_eq!(told, old == Version::V5);
        world.publish(second, "t", "x", 1);
        assert_eq!(world.texts(second), ["x"]);
        assert_eq!(world.messages(first), []);
    }
}

#[test]
fn a_takeover_hands_on_what_the_old_connection_did_not_acknowledge() {
    let mut world = World::new();
    let first = world.connect(&persistent(Version::V5, "client"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(first, "t", 2);
    world.reads(first, false);
    for (number, qos) in [1, 2, 1].into_iter().enumerate() {
        world.publish(publisher, "t", &number.to_string(), qos);
    }
    let second = world.connect(&persistent(Version::V5, "client"));
    assert_eq!(world.texts(second), ["0", "1", "2"]);
}

#[test]
fn of_many_takeovers_at_once_one_connection_is_left() {
    let mut world = World::new();
    let all: Vec<_> = (0..20).map(|_| world.begin(&persistent(Version::V5, "client"))).collect();
    world.run();
    assert_eq!(all.iter().filter(|client| world.is_open(**client)).count(), 1);
    assert_eq!(world.broker.registry.len(), 1);
}

#[test]
fn a_takeover_of_a_client_that_does_not_read() {
    let mut world = World::new();
    let first = world.connect(&persistent(Version::V5, "client"));
    world.reads(first, false);
    let second = world.connect(&persistent(Version::V5, "client"));
    assert!(world.session_present(second));
}

#[test]
fn nobody_resumes_a_session_of_another_identity() {
    // B32
    for version in [Version::V311, Version::V5] {
        let mut world = World::new();
        let alice = world.connect(&persistent(version, "phone").user("alice"));
        let publisher = world.connect(&hello(Version::V5, "publisher"));
        world.subscribe(alice, "t", 1);
        world.cut(alice);
        world.publish(publisher, "t", "for alice", 1);
        let bob = world.connect(&persistent(version, "phone").user("bob"));
        assert_eq!(refused(&mut world, bob), Some(ReasonCode::NOT_AUTHORIZED));
        assert!(!world.is_open(bob));
        let alice = world.connect(&persistent(version, "phone").user("alice"));
        assert!(world.session_present(alice));
        assert_eq!(world.texts(alice), ["for alice"]);
    }
}

#[test]
fn nobody_wipes_or_kicks_another_identity() {
    // B40
    let mut world = World::new();
    let alice = world.connect(&persistent(Version::V5, "phone").user("alice"));
    world.subscribe(alice, "t", 1);
    let bob = world.connect(&hello(Version::V5, "phone").user("bob"));
    let nobody = world.connect(&hello(Version::V5, "phone"));
    for intruder in [bob, nobody] {
        assert_eq!(refused(&mut world, intruder), Some(ReasonCode::NOT_AUTHORIZED));
    }
    world.publish(alice, "t", "still here", 1);
    assert_eq!(world.texts(alice), ["still here"]);
}

#[test]
fn a_client_without_identifier_is_given_one() {
    let mut world = World::new();
    let clients = [0, 1].map(|_| world.connect(&hello(Version::V5, "")));
    let ids = clients.map(|client| match world.seen(client).pop() {
        Some(Seen::ConnAck { assigned, .. }) => assigned.unwrap(),
        other => panic!("{other:?}"),
    });
    assert_ne!(ids[0], ids[1]);
    // It may come back with what it was given.
    let again = world.connect(&hello(Version::V5, &ids[0]));
    assert!(world.is_open(again) && !world.is_open(clients[0]));
}

#[test]
fn older_versions_may_leave_the_identifier_out_only_where_they_say() {
    let mut world = World::new();
    let clean = world.connect(&hello(Version::V311, ""));
    assert!(world.is_open(clean));
    for refused in [Hello { clean: false, ..hello(Version::V311, "") }, hello(Version::V31, "")] {
        let client = world.connect(&refused);
        let seen = world.seen(client);
        let bad = ReasonCode::CLIENT_IDENTIFIER_NOT_VALID;
        assert!(matches!(seen[..], [Seen::ConnAck { reason, .. }, Seen::Closed] if reason == bad));
    }
}

#[test]
fn there_is_room_for_so_many_sessions() {
    let mut world = World::with(|limits| limits.sessions_max = 1);
    let first = world.connect(&persistent(Version::V5, "first"));
    let second = world.connect(&hello(Version::V5, "second"));
    assert_eq!(refused(&mut world, second), Some(ReasonCode::QUOTA_EXCEEDED));
    world.cut(first);
    let first = world.connect(&persistent(Version::V5, "first"));
    assert!(world.session_present(first));
}

#[test]
fn a_session_may_change_its_version() {
    for (old, new) in [(Version::V311, Version::V5), (Version::V5, Version::V311)] {
        let mut world = World::new();
        let client = world.connect(&persistent(old, "client"));
        let publisher = world.connect(&hello(old, "publisher"));
        world.subscribe(client, "t", 2);
        world.client(client).answers = false;
        world.publish(publisher, "t", "in flight", 1);
        world.cut(client);
        world.messages(client);
        world.publish(publisher, "t", "queued", 2);
        let client = world.connect(&persistent(new, "client"));
        world.publish(publisher, "t", "live", 0);
        assert_eq!(world.texts(client), ["in flight", "queued", "live"]);
    }
}

#[test]
fn a_server_that_stops_takes_nobody_in() {
    let mut world = World::new();
    world.broker.is_stopping.store(true, std::sync::atomic::Ordering::Relaxed);
    let late = world.connect(&hello(Version::V5, "late"));
    assert_eq!(refused(&mut world, late), Some(ReasonCode::SERVER_UNAVAILABLE));
}

#[test]
fn the_server_has_the_last_word_on_the_expiry() {
    for version in VERSIONS {
        let mut world = World::with(|limits| limits.session_expiry_max_secs = 10);
        let client = world.connect(&persistent(version, "client"));
        world.cut(client);
        world.pass(9_999);
        assert_eq!(world.broker.registry.len(), 1);
        world.pass(1);
        assert_eq!(world.broker.registry.len(), 0, "{version}");
    }
}

#[test]
fn another_broker_takes_a_session_up_where_it_was() {
    let mut world = World::durable();
    let client = world.connect(&persistent(Version::V5, "client").user("alice"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(client, "+", 2);
    world.client(client).answers = false;
    world.publish(publisher, "t", "in flight", 2);
    world.cut(client);
    world.publish(publisher, "t", "queued", 1);
    let mut next = world.restart();
    let bob = next.connect(&persistent(Version::V5, "client").user("bob"));
    assert_eq!(refused(&mut next, bob), Some(ReasonCode::NOT_AUTHORIZED));
    let client = next.connect(&persistent(Version::V5, "client").user("alice"));
    assert!(next.session_present(client));
    next.publish(client, "t", "live", 0);
    assert_eq!(next.texts(client), ["in flight", "queued", "live"]);
}
