//! A store that fails: what is refused, what goes on, and what the next broker finds.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use mqtt_packet::{PacketType, ReasonCode, Version};
use mqtt_session::{
    Change, DropReason, Level, MemoryStore, QueuedMessage, SessionNumber, SessionStore, StoreError,
    StoreErrorKind, Stored,
};
use parking_lot::Mutex;

use super::{
    client::Seen,
    hello::{hello, persistent},
    world::{Id, World},
};

/// A store that can be made to fail.
#[derive(Default)]
pub(super) struct Fragile {
    inner: MemoryStore,
    pub(super) fails: AtomicU8,
    /// The next group tells that it is being written, and waits until it may go on.
    gate: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

impl Fragile {
    /// Writes a group, and lets this happen before it is known what becomes of it.
    fn write_while(self: &Arc<Self>, world: &mut World, happens: impl FnOnce(&mut World)) {
        let (enter, has_entered) = channel();
        let (go, may_go) = channel();
        *self.gate.lock() = Some((enter, may_go));
        let (broker, now) = (world.broker.clone(), world.now);
        let writer = thread::spawn(move || broker.journal.as_ref().unwrap().commit(now));
        has_entered.recv().unwrap();
        happens(world);
        go.send(()).unwrap();
        assert!(writer.join().unwrap());
    }
}

pub(super) const FULL: u8 = 1;
const FAILED: u8 = 2;
const PANICS: u8 = 3;
/// There is no room for new messages.
pub(super) const SHORT: u8 = 4;
/// Queues cannot be read for now.
pub(super) const BLIND: u8 = 5;

impl SessionStore for Fragile {
    fn load(&self, visit: &mut dyn FnMut(Stored)) -> Result<(), StoreError> {
        self.inner.load(visit)
    }

    fn commit(&self, changes: &[Change], level: Level) -> Result<(), StoreError> {
        let gate = self.gate.lock().take();
        if let Some((enter, may_go)) = gate {
            enter.send(()).unwrap();
            may_go.recv().unwrap();
        }
        let kind = match self.fails.load(Ordering::Relaxed) {
            FULL => StoreErrorKind::Full,
            FAILED => StoreErrorKind::Failed,
            PANICS => panic!("it was made to panic"),
            SHORT if changes.iter().any(brings_messages) => StoreErrorKind::Full,
            _ => return self.inner.commit(changes, level),
        };
        Err(made_to_fail(kind))
    }

    fn takes_messages(&self) -> bool {
        self.fails.load(Ordering::Relaxed) != SHORT
    }

    fn read(
        &self,
        session: SessionNumber,
        from: u64,
        bytes_max: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        if self.fails.load(Ordering::Relaxed) == BLIND {
            return Err(made_to_fail(StoreErrorKind::Full));
        }
        self.inner.read(session, from, bytes_max)
    }
}

fn made_to_fail(kind: StoreErrorKind) -> StoreError {
    StoreError { kind, what: "it was made to fail".to_owned(), source: None }
}

fn brings_messages(change: &Change) -> bool {
    matches!(change, Change::Enqueue { .. } | Change::Retain { message: Some(_), .. })
}

/// A world on a store that can fail, with a subscriber that is away and a publisher.
pub(super) fn fragile(version: Version) -> (World, Arc<Fragile>, Id) {
    let store = Arc::new(Fragile::default());
    let mut world = World::on(store.clone());
    let subscriber = world.connect(&persistent(Version::V5, "subscriber"));
    world.subscribe(subscriber, "t", 2);
    world.cut(subscriber);
    let publisher = world.connect(&hello(version, "publisher"));
    world.seen(publisher);
    (world, store, publisher)
}

/// The same, with a full store and a publisher that has a session in it.
fn full(version: Version) -> (World, Arc<Fragile>, Id) {
    let (mut world, store, _) = fragile(Version::V5);
    let publisher = world.connect(&persistent(version, "steady"));
    world.seen(publisher);
    store.fails.store(FULL, Ordering::Relaxed);
    (world, store, publisher)
}

#[test]
fn a_full_store_refuses_and_takes_again_when_there_is_room() {
    let (mut world, store, publisher) = fragile(Version::V5);
    world.publish(publisher, "t", "1", 1);
    store.fails.store(FULL, Ordering::Relaxed);
    world.publish(publisher, "t", "2", 1);
    world.publish(publisher, "t", "3", 2);
    world.publish(publisher, "t", "4", 0);
    world.publish(publisher, "elsewhere", "5", 1);
    let full = ReasonCode::QUOTA_EXCEEDED;
    assert_eq!(
        world.seen(publisher),
        [
            Seen::Ack(PacketType::PubAck, ReasonCode::SUCCESS),
            Seen::Ack(PacketType::PubAck, full),
            Seen::Ack(PacketType::PubRec, full),
            Seen::Ack(PacketType::PubAck, ReasonCode::NO_MATCHING_SUBSCRIBERS),
        ]
    );
    let newcomer = world.connect(&persistent(Version::V5, "newcomer"));
    assert!(matches!(world.seen(newcomer)[0], Seen::ConnAck { reason, .. } if reason == full));
    assert_eq!(world.dropped(DropReason::NotStored), 2);
    store.fails.store(0, Ordering::Relaxed);
    world.pass(1_000);
    world.publish(publisher, "t", "6", 1);
    let subscriber = world.connect(&persistent(Version::V5, "subscriber"));
    assert!(world.session_present(subscriber));
    assert_eq!(world.texts(subscriber), ["1", "6"]);
}

#[test]
fn a_qos_2_message_that_was_refused_is_taken_when_it_comes_again() {
    for leaves_first in [false, true] {
        let (mut world, store, publisher) = full(Version::V311);
        world.writes = !leaves_first;
        world.publish(publisher, "t", "once", 2);
        if leaves_first {
            world.cut(publisher);
        }
        world.write();
        world.run();
        assert!(!world.is_open(publisher), "before 5.0 there is no way to say no");
        world.writes = true;
        store.fails.store(0, Ordering::Relaxed);
        world.pass(1_000);
        let publisher = world.connect(&persistent(Version::V311, "steady"));
        assert!(world.session_present(publisher));
        world.say(publisher, b"\x3C\x09\x00\x01t\x00\x01once");
        let subscriber = world.connect(&persistent(Version::V5, "subscriber"));
        assert_eq!(world.texts(subscriber), ["once"], "{leaves_first}");
    }
}

#[test]
fn the_identifier_of_a_refused_message_is_not_kept_for_the_next_broker() {
    // The connection learns of the failed group, or it is gone before, or it never comes to know.
    for (leaves, learns) in [(true, false), (false, true), (false, false)] {
        let (mut world, store, publisher) = full(Version::V311);
        world.writes = false;
        world.publish(publisher, "t", "once", 2);
        if leaves {
            world.cut(publisher);
        }
        world.write();
        if learns {
            world.run();
        }
        // There is room again for what had happened, and the broker dies before its client is back.
        store.fails.store(0, Ordering::Relaxed);
        world.now = world.now.after_millis(1_000);
        assert!(world.write());
        let mut next = world.restart();
        let publisher = next.connect(&persistent(Version::V311, "steady"));
        assert!(next.session_present(publisher));
        next.say(publisher, b"\x3C\x09\x00\x01t\x00\x01once");
        let subscriber = next.connect(&persistent(Version::V5, "subscriber"));
        assert_eq!(next.texts(subscriber), ["once"], "leaves {leaves}, learns {learns}");
    }
}

#[test]
fn an_identifier_that_comes_after_the_failure_takes_no_refused_one_along() {
    let (mut world, store, publisher) = full(Version::V5);
    world.writes = false;
    world.say(publisher, b"\x34\x0B\x00\x01t\x00\x01\x00first");
    // The second is in the group after the one that fails, and names the first as well.
    store.write_while(&mut world, |world| {
        world.say(publisher, b"\x34\x0C\x00\x01t\x00\x02\x00second");
    });
    store.fails.store(0, Ordering::Relaxed);
    world.now = world.now.after_millis(1_000);
    assert!(world.write());
    let mut next = world.restart();
    let publisher = next.connect(&persistent(Version::V5, "steady"));
    next.say(publisher, b"\x3C\x0B\x00\x01t\x00\x01\x00first");
    let subscriber = next.connect(&persistent(Version::V5, "subscriber"));
    assert_eq!(next.texts(subscriber), ["second", "first"]);
}

#[test]
fn what_is_fetched_while_the_store_is_full_leaves_no_gap() {
    let (mut world, store, publisher) = fragile(Version::V5);
    let padding = "x".repeat(20_000);
    for number in 0..40 {
        world.publish(publisher, "t", &format!("{number:04}{padding}"), 1);
    }
    world.writes = false;
    let subscriber = world.connect(&persistent(Version::V5, "subscriber"));
    // The first page is there, and more is asked for in the group that fails.
    for _ in 0..3 {
        world.write();
        world.run();
    }
    store.fails.store(FULL, Ordering::Relaxed);
    world.publish(publisher, "t", &format!("lost{padding}"), 1);
    world.writes = true;
    world.run();
    store.fails.store(0, Ordering::Relaxed);
    world.pass(1_000);
    for number in 40..43 {
        world.publish(publisher, "t", &format!("{number:04}{padding}"), 1);
    }
    let texts = world.texts(subscriber);
    assert!(texts.iter().enumerate().all(|(n, text)| text.starts_with(&format!("{n:04}"))));
    assert_eq!(texts.len(), 43);
}

#[test]
fn whoever_waits_for_a_group_that_breaks_down_is_told_at_once() {
    let (mut world, store, publisher) = fragile(Version::V5);
    world.writes = false;
    store.fails.store(PANICS, Ordering::Relaxed);
    world.publish(publisher, "t", "1", 1);
    let broker = world.broker.clone();
    let journal = broker.journal.as_ref().unwrap();
    let written = catch_unwind(AssertUnwindSafe(|| journal.commit(world.now)));
    assert!(written.is_err());
    journal.break_down();
    world.run();
    let failed = Seen::Ack(PacketType::PubAck, ReasonCode::UNSPECIFIED_ERROR);
    assert_eq!(world.seen(publisher), [failed]);
    // What was in the group went down with it, uncounted.
    std::mem::forget(world);
}

#[test]
fn a_failed_disk_is_final_and_qos_0_goes_on() {
    let (mut world, store, publisher) = fragile(Version::V311);
    let reader = world.connect(&hello(Version::V311, "reader"));
    world.subscribe(reader, "#", 0);
    store.fails.store(FAILED, Ordering::Relaxed);
    world.publish(publisher, "t", "1", 1);
    // Before 5.0 there is no way to say no.
    assert!(!world.is_open(publisher));
    store.fails.store(0, Ordering::Relaxed);
    world.pass(60_000);
    let publisher = world.connect(&hello(Version::V5, "another"));
    world.seen(publisher);
    world.publish(publisher, "t", "2", 1);
    world.publish(publisher, "t", "3", 0);
    let failed = Seen::Ack(PacketType::PubAck, ReasonCode::UNSPECIFIED_ERROR);
    assert_eq!(world.seen(publisher), [failed]);
    assert_eq!(world.texts(reader), ["1", "2", "3"]);
    let mut next = world.restart();
    let subscriber = next.connect(&persistent(Version::V5, "subscriber"));
    assert!(next.session_present(subscriber));
    assert_eq!(next.texts(subscriber), Vec::<String>::new());
}

/// [E13] A session whose end the store does not take is over all the same, and so are the others.
#[test]
fn sessions_expire_while_the_store_takes_nothing() {
    let (mut world, store, _) = fragile(Version::V5);
    for (name, expiry_secs) in [("first", 5), ("second", 6), ("later", 100)] {
        let client = world.connect(&hello(Version::V5, name).expiry(expiry_secs));
        world.cut(client);
    }
    let before = world.broker.registry.len();
    store.fails.store(FULL, Ordering::Relaxed);
    world.pass(5_000);
    assert_eq!(world.broker.registry.len(), before - 1);
    world.pass(1_000);
    assert_eq!(world.broker.registry.len(), before - 2);
    store.fails.store(0, Ordering::Relaxed);
    world.pass(1_000);
    let mut next = world.restart();
    for (name, is_there) in [("first", false), ("second", false), ("later", true)] {
        let client = next.connect(&persistent(Version::V5, name));
        assert_eq!(next.session_present(client), is_there, "{name}");
    }
}
