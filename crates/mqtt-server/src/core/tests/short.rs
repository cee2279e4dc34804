//! A store without room for new messages: they are refused, and queues are drained all the same.

use std::sync::{Arc, atomic::Ordering};

use mqtt_packet::{PacketType, ReasonCode, Version};
use mqtt_session::DropReason;

use super::{
    client::Seen,
    fragile::{BLIND, FULL, Fragile, SHORT, fragile},
    hello::{hello, persistent},
    world::{Id, World},
};

const NO_ROOM: ReasonCode = ReasonCode::QUOTA_EXCEEDED;

/// A subscriber with messages that is away, a publisher, and then no room for more.
fn short() -> (World, Arc<Fragile>, Id) {
    let (mut world, store, publisher) = fragile(Version::V5);
    for text in ["1", "2", "3"] {
        world.publish(publisher, "t", text, 1);
    }
    world.seen(publisher);
    store.fails.store(SHORT, Ordering::Relaxed);
    (world, store, publisher)
}

fn ack(reason: ReasonCode) -> Seen {
    Seen::Ack(PacketType::PubAck, reason)
}

#[test]
fn a_receiver_takes_its_messages_while_publishers_are_refused() {
    let (mut world, store, publisher) = short();
    // One group has the refused message, the resume, and what is acknowledged.
    world.writes = false;
    world.publish(publisher, "t", "4", 1);
    let subscriber = world.connect(&persistent(Version::V5, "subscriber"));
    world.writes = true;
    world.run();
    assert_eq!(world.seen(publisher), [ack(NO_ROOM)]);
    assert!(world.session_present(subscriber));
    assert_eq!(world.texts(subscriber), ["1", "2", "3"]);
    world.publish(publisher, "t", "5", 2);
    assert_eq!(world.seen(publisher), [Seen::Ack(PacketType::PubRec, NO_ROOM)]);
    assert_eq!(world.dropped(DropReason::NotStored), 2);
    // What was acknowledged is so for the next broker.
    let mut next = world.restart();
    let subscriber = next.connect(&persistent(Version::V5, "subscriber"));
    assert_eq!(next.texts(subscriber), Vec::<String>::new());
    store.fails.store(0, Ordering::Relaxed);
}

#[test]
fn a_client_that_publishes_and_drains_is_served_as_far_as_there_is_room() {
    let (mut world, store, _) = short();
    let both = world.connect(&persistent(Version::V5, "subscriber"));
    assert_eq!(world.texts(both), ["1", "2", "3"]);
    // PUBLISH at QoS 1, and PUBREL of an identifier that is unknown: PUBCOMP waits for the group.
    world.say(both, b"\x32\x07\x00\x01t\x00\x09\x00x\x62\x02\x00\x07");
    assert!(world.is_open(both), "the refusal of a message closes nothing");
    let seen = world.seen(both);
    assert!(seen.contains(&ack(NO_ROOM)), "{seen:?}");
    assert!(seen.iter().any(|seen| matches!(seen, Seen::Ack(PacketType::PubComp, _))), "{seen:?}");
    store.fails.store(0, Ordering::Relaxed);
}

#[test]
fn nothing_else_that_grows_is_begun() {
    let (mut world, store, publisher) = short();
    let known = world.connect(&persistent(Version::V5, "subscriber"));
    world.publish(publisher, "t", "4", 1);
    world.seen(publisher);
    let newcomer = world.connect(&persistent(Version::V5, "newcomer"));
    let seen = world.seen(newcomer);
    assert!(matches!(seen[0], Seen::ConnAck { reason, .. } if reason == NO_ROOM), "{seen:?}");
    let passing = world.connect(&hello(Version::V5, "passing"));
    assert!(!world.session_present(passing), "nothing is kept of it");
    assert_eq!(world.subscribe(known, "more", 1), [NO_ROOM.0]);
    assert_eq!(world.subscribe(known, "t", 1), [1], "it has this one");
    assert_eq!(world.subscribe(passing, "more", 1), [1]);
    let before = world.broker.registry.len();
    store.fails.store(0, Ordering::Relaxed);
    world.pass(1_000);
    assert_eq!(world.broker.registry.len(), before);
    assert_eq!(world.subscribe(known, "more", 1), [1]);
    let newcomer = world.connect(&persistent(Version::V5, "newcomer"));
    assert!(!world.session_present(newcomer));
}

#[test]
fn a_retained_message_that_was_seen_is_kept_when_there_is_room() {
    let (mut world, store, publisher) = short();
    world.retain(publisher, "a", "seen");
    world.retain(publisher, "b", "refused at once");
    world.retain(publisher, "a", "");
    world.pass(500);
    store.fails.store(0, Ordering::Relaxed);
    world.pass(1_000);
    world.retain(publisher, "c", "taken");
    let mut next = world.restart();
    let reader = next.connect(&hello(Version::V5, "reader"));
    next.subscribe(reader, "#", 0);
    assert_eq!(next.texts(reader), ["taken"]);

    let (mut world, store, publisher) = short();
    world.retain(publisher, "a", "seen");
    store.fails.store(0, Ordering::Relaxed);
    world.pass(1_000);
    let mut next = world.restart();
    let reader = next.connect(&hello(Version::V5, "reader"));
    next.subscribe(reader, "#", 0);
    assert_eq!(next.texts(reader), ["seen"], "it is in memory, so it is on the disk as well");
}

#[test]
fn a_queue_that_cannot_be_read_for_now_is_read_later() {
    let (mut world, store, _) = short();
    store.fails.store(BLIND, Ordering::Relaxed);
    let subscriber = world.connect(&persistent(Version::V5, "subscriber"));
    assert!(world.session_present(subscriber));
    assert_eq!(world.texts(subscriber), Vec::<String>::new());
    assert!(world.is_open(subscriber));
    store.fails.store(0, Ordering::Relaxed);
    world.pass(1_000);
    assert_eq!(world.texts(subscriber), ["1", "2", "3"]);
}

#[test]
fn a_journal_that_stops_does_not_wait_for_a_store_that_takes_nothing() {
    let (mut world, store, publisher) = short();
    store.fails.store(FULL, Ordering::Relaxed);
    world.publish(publisher, "t", "4", 1);
    let subscriber = world.connect(&persistent(Version::V5, "subscriber"));
    world.cut(subscriber);
    let broker = world.broker.clone();
    let journal = broker.journal.as_ref().unwrap();
    journal.stop(world.now);
    let mut attempts = 0;
    let now = std::cell::Cell::new(world.now);
    // Each look at the clock is late enough for the next attempt.
    let clock = || now.replace(now.get().after_millis(110));
    while journal.wait(clock) {
        journal.commit(now.get());
        attempts += 1;
        assert!(attempts < 100, "it never ends");
    }
    assert!(attempts > 2, "it does not give up at once");
    store.fails.store(0, Ordering::Relaxed);
}
