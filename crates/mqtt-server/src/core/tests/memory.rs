//! What happens while memory gets short, level by level.

use mqtt_packet::{Packet, PacketType, ReasonCode, Version};
use mqtt_session::DropReason;

use super::{
    client::Seen,
    hello::{hello, persistent},
    parts::MEMORY_BYTES,
    world::{Id, World},
};
use crate::core::memory::MemoryLevel;

/// Has the process use so many percent of what it may.
fn uses(world: &mut World, percent: u64) {
    world.broker.memory.set_resident(MEMORY_BYTES / 100 * percent);
    world.run();
}

fn last_ack(world: &mut World, client: Id) -> Option<ReasonCode> {
    world.seen(client).into_iter().rev().find_map(|seen| match seen {
        Seen::Ack(PacketType::PubAck, reason) => Some(reason),
        _ => None,
    })
}

fn connack(world: &mut World, client: Id) -> Option<ReasonCode> {
    world.seen(client).into_iter().find_map(|seen| match seen {
        Seen::ConnAck { reason, .. } => Some(reason),
        _ => None,
    })
}

/// A receiver that does not read, with more than 16 KiB waiting for it.
fn stuck(world: &mut World, filter: &str) -> Id {
    let receiver = world.connect(&hello(Version::V5, "stuck"));
    let publisher = world.connect(&hello(Version::V5, "filler"));
    world.subscribe(receiver, filter, 1);
    world.reads(receiver, false);
    for _ in 0..4 {
        world.publish(publisher, filter, &"x".repeat(5000), 0);
    }
    world.disconnect(publisher, ReasonCode::NORMAL_DISCONNECTION);
    receiver
}

#[test]
fn publishers_wait_earlier() {
    let mut world = World::with(|limits| {
        limits.output_bytes_max = 4096;
        limits.queue.high_water_bytes = 100_000;
    });
    let receiver = world.connect(&hello(Version::V5, "receiver"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(receiver, "t", 0);
    world.reads(receiver, false);
    let flood = |world: &mut World| {
        for _ in 0..8 {
            world.publish(publisher, "t", &"x".repeat(5000), 0);
        }
        world.client(publisher).unread()
    };
    assert_eq!(flood(&mut world), 0, "40 KB are below the mark");
    uses(&mut world, 61);
    assert!(flood(&mut world) > 0, "and above a quarter of it");
    world.reads(receiver, true);
    assert_eq!(world.messages(receiver).len(), 16, "nothing was lost");
}

#[test]
fn qos_0_is_dropped_for_who_is_behind_and_for_nobody_else() {
    let mut world = World::new();
    let receiver = stuck(&mut world, "t");
    let quick = world.connect(&hello(Version::V311, "quick"));
    world.subscribe(quick, "t", 1);
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    uses(&mut world, 76);
    world.publish(publisher, "t", "zero", 0);
    world.publish(publisher, "t", "one", 1);
    assert_eq!(world.texts(quick), ["zero", "one"]);
    assert_eq!(world.dropped(DropReason::Memory), 1);
    world.reads(receiver, true);
    let texts = world.texts(receiver);
    assert_eq!(texts.last().map(String::as_str), Some("one"), "QoS 1 still goes to who is behind");
    uses(&mut world, 50);
    world.publish(publisher, "t", "again", 0);
    assert_eq!(world.texts(receiver), ["again"]);
}

#[test]
fn a_session_in_memory_that_is_away_gets_no_more_and_the_publisher_is_told() {
    let mut world = World::new();
    let away = world.connect(&persistent(Version::V311, "away"));
    world.subscribe(away, "t", 1);
    world.disconnect(away, ReasonCode::NORMAL_DISCONNECTION);
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.publish(publisher, "t", "kept", 1);
    uses(&mut world, 76);
    world.publish(publisher, "t", "lost", 1);
    assert_eq!(last_ack(&mut world, publisher), Some(ReasonCode::QUOTA_EXCEEDED));
    assert_eq!(world.dropped(DropReason::Memory), 1);
    // It comes back, though memory is nearly used up, takes what it has, and gets all that comes.
    uses(&mut world, 90);
    let back = world.connect(&persistent(Version::V311, "away"));
    assert!(world.session_present(back));
    world.publish(publisher, "t", "live", 1);
    assert_eq!(last_ack(&mut world, publisher), Some(ReasonCode::SUCCESS));
    assert_eq!(world.texts(back), ["kept", "live"]);
}

#[test]
fn who_is_far_behind_gets_no_more_at_qos_1_either() {
    let mut world = World::new();
    let receiver = stuck(&mut world, "t");
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    uses(&mut world, 76);
    for _ in 0..60 {
        world.publish(publisher, "t", &"x".repeat(5000), 1);
    }
    let dropped = world.dropped(DropReason::Memory);
    assert!((1..30).contains(&dropped), "{dropped} of 300 KB, above 256 KiB");
    world.reads(receiver, true);
    assert_eq!(world.messages(receiver).len() as u64, 4 + 60 - dropped);
}

#[test]
fn a_session_on_the_disk_gets_everything() {
    let mut world = World::durable();
    let away = world.connect(&persistent(Version::V311, "away"));
    world.subscribe(away, "t", 1);
    world.disconnect(away, ReasonCode::NORMAL_DISCONNECTION);
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    uses(&mut world, 90);
    world.publish(publisher, "t", "kept", 1);
    let back = world.connect(&persistent(Version::V311, "away"));
    assert_eq!(world.texts(back), ["kept"]);
}

#[test]
fn no_other_topic_is_retained_but_those_that_are_change_and_go() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    world.retain(client, "old", "x");
    uses(&mut world, 76);
    world.publish_as(client, "new", "x", 1, true, Default::default());
    assert_eq!(last_ack(&mut world, client), Some(ReasonCode::QUOTA_EXCEEDED));
    world.publish_as(client, "old", "y", 1, true, Default::default());
    assert_eq!(last_ack(&mut world, client), Some(ReasonCode::NO_MATCHING_SUBSCRIBERS));
    world.publish_as(client, "old", &"y".repeat(1000), 1, true, Default::default());
    assert_eq!(last_ack(&mut world, client), Some(ReasonCode::QUOTA_EXCEEDED), "it takes more");
    world.retain(client, "old", "");
    assert_eq!(world.broker.retained.count().messages, 0);
    // What the server says about itself goes on.
    world.broker.publish_sys(world.now);
    world.subscribe(client, "$SYS/broker/memory/#", 0);
    let messages = world.messages(client);
    let said = |topic| messages.iter().find(|message| message.topic == topic);
    assert_eq!(said("$SYS/broker/memory/level").map(|message| &*message.payload), Some("2"));
    assert_eq!(said("$SYS/broker/memory/refused").map(|message| &*message.payload), Some("2"));
}

#[test]
fn who_has_few_subscriptions_may_have_more_for_longer() {
    let mut world = World::new();
    let many = world.connect(&hello(Version::V5, "many"));
    let older = world.connect(&hello(Version::V311, "older"));
    let few = world.connect(&hello(Version::V5, "few"));
    for number in 0..16 {
        assert_eq!(world.subscribe(many, &number.to_string(), 0), [0]);
        assert_eq!(world.subscribe(older, &number.to_string(), 0), [0]);
    }
    uses(&mut world, 86);
    assert_eq!(world.subscribe(many, "new", 0), [0x97]);
    assert_eq!(world.subscribe(older, "new", 0), [0x80]);
    assert_eq!(world.subscribe(many, "1", 1), [1], "one that is there may change");
    assert_eq!(world.unsubscribe(many, "1"), [0]);
    assert_eq!(world.subscribe(few, "new", 0), [0]);
    uses(&mut world, 96);
    assert_eq!(world.subscribe(few, "newer", 0), [0x97]);
}

#[test]
fn lasting_sessions_are_refused_and_clean_sessions_are_not() {
    let mut world = World::new();
    uses(&mut world, 86);
    let lasting = world.connect(&persistent(Version::V5, "lasting"));
    assert_eq!(connack(&mut world, lasting), Some(ReasonCode::QUOTA_EXCEEDED));
    let lasting = world.connect(&persistent(Version::V311, "lasting"));
    assert_eq!(connack(&mut world, lasting), Some(ReasonCode::SERVER_UNAVAILABLE));
    let clean = world.connect(&hello(Version::V311, "clean"));
    assert_eq!(connack(&mut world, clean), Some(ReasonCode::SUCCESS));
    world.send(clean, &Packet::PingReq);
    assert_eq!(world.seen(clean), [Seen::PingResp]);
}

#[test]
fn who_holds_much_and_does_not_move_is_closed_and_nobody_else() {
    let mut world = World::new();
    let receiver = stuck(&mut world, "t");
    let quick = world.connect(&hello(Version::V311, "quick"));
    world.subscribe(quick, "t", 0);
    // Half a large packet, and nothing more.
    let half = world.connect(&hello(Version::V5, "half"));
    world.say(half, &[&[0x30, 0x80, 0x80, 0x40][..], &[0; 30_000]].concat());
    uses(&mut world, 84);
    world.broker.watch_memory();
    world.broker.watch_memory();
    world.run();
    assert!(world.is_open(receiver), "below 85 % nobody is closed");
    uses(&mut world, 86);
    world.broker.watch_memory();
    world.run();
    assert!(world.is_open(receiver), "it has to be seen twice");
    world.broker.watch_memory();
    world.run();
    assert!(!world.is_open(receiver) && !world.is_open(half));
    assert!(world.seen(half).contains(&Seen::Disconnect(ReasonCode::QUOTA_EXCEEDED)));
    assert!(world.is_open(quick));
    assert_eq!(world.broker.memory.state().refused, 2);
}

#[test]
fn a_level_that_goes_down_lets_everything_happen_again() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    uses(&mut world, 99);
    assert_eq!(world.broker.memory.level(), MemoryLevel::Full);
    assert_eq!(world.subscribe(client, "t", 0), [0x97]);
    uses(&mut world, 10);
    assert_eq!(world.subscribe(client, "t", 0), [0]);
    world.retain(client, "t", "x");
    assert_eq!(world.texts(client), ["x"]);
    let lasting = world.connect(&persistent(Version::V5, "lasting"));
    assert!(!world.session_present(lasting));
}
