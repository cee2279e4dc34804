//! The store against the one in memory, under random changes.

use std::collections::BTreeMap;

use mqtt_packet::{PacketId, QoS};
use mqtt_session::{
    Change, FinishedEntry, Level, MemoryStore, Progress, SessionNumber, SessionStore, Settled,
    StoredWill, Wire,
};
use mqtt_store::{Store, StoreOptions};
use mqtt_testkit::Seeded;

use crate::harness::{Scratch, loaded, message, place, session, subscription};

/// A server that does what comes to its mind, within the contract.
struct World {
    seeded: Seeded,
    sessions: BTreeMap<u64, Queue>,
    next_session: u64,
    next_shared: u64,
}

#[derive(Default)]
struct Queue {
    next_seq: u64,
    entries: Vec<FinishedEntry>,
}

const TOPICS: [&str; 4] = ["a", "a/b", "c", "$x/y"];

impl World {
    fn new(seed: u64) -> Self {
        let seeded = Seeded::new(seed);
        Self { seeded, sessions: BTreeMap::new(), next_session: 1, next_shared: 1 }
    }

    fn group(&mut self) -> Vec<Change> {
        (0..self.seeded.below(12)).filter_map(|_| self.change()).collect()
    }

    fn change(&mut self) -> Option<Change> {
        match self.seeded.below(20) {
            0 | 1 => Some(self.begin()),
            2 => self.end(),
            3 => self.pick().map(|number| self.park(number)),
            4 | 5 => {
                let filter = *self.seeded.pick(&TOPICS)?;
                self.pick().map(|number| Change::Subscribe(subscription(number, filter)))
            }
            6 => {
                let filter = (*self.seeded.pick(&TOPICS)?).into();
                self.pick()
                    .map(|number| Change::Unsubscribe { session: SessionNumber(number), filter })
            }
            7 => self.received(),
            8 => Some(self.retain()),
            9..14 => self.progress(),
            _ => self.enqueue(),
        }
    }

    fn pick(&mut self) -> Option<u64> {
        let numbers: Vec<u64> = self.sessions.keys().copied().collect();
        self.seeded.pick(&numbers).copied()
    }

    fn begin(&mut self) -> Change {
        let number = self.next_session;
        self.next_session += 1;
        self.sessions.insert(number, Queue { next_seq: 1, entries: Vec::new() });
        Change::Session(session(number))
    }

    fn end(&mut self) -> Option<Change> {
        let number = self.pick()?;
        self.sessions.remove(&number);
        Some(Change::End(SessionNumber(number)))
    }

    fn park(&mut self, number: u64) -> Change {
        let mut parked = session(number);
        parked.parked_at_millis = Some(self.seeded.next());
        parked.will =
            Some(StoredWill { message: self.message(), expiry_secs: None, delay_secs: 5 });
        Change::Session(parked)
    }

    fn received(&mut self) -> Option<Change> {
        let ids =
            (0..self.seeded.below(4)).filter_map(|_| PacketId::new(self.seeded.byte().into()));
        let ids = ids.collect();
        Some(Change::Received { session: SessionNumber(self.pick()?), ids })
    }

    fn retain(&mut self) -> Change {
        let topic = TOPICS[self.seeded.below(TOPICS.len())].into();
        let message = (self.seeded.below(3) > 0).then(|| self.message());
        Change::Retain { topic, message }
    }

    fn message(&mut self) -> mqtt_session::StoredMessage {
        let len = [1, 20, 90, 300, 5000][self.seeded.below(5)];
        let mut message = message((0..len).map(|_| self.seeded.byte()).collect());
        message.count = 1 + u32::try_from(self.seeded.below(9)).unwrap();
        message.qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][self.seeded.below(2)];
        message.wire = [Wire::V3, Wire::V5][self.seeded.below(2)];
        message.expires_at_millis = (self.seeded.below(2) == 0).then(|| self.seeded.next());
        message
    }

    fn enqueue(&mut self) -> Option<Change> {
        let message = self.message();
        let mut numbers: Vec<u64> =
            (0..=self.seeded.below(4)).filter_map(|_| self.pick()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let shared = (numbers.len() > 1).then_some(self.next_shared);
        self.next_shared += 1;
        let places = numbers.iter().map(|number| {
            let queue = self.sessions.get_mut(number).unwrap();
            let mut place = place(*number, queue.next_seq);
            queue.entries.push(FinishedEntry { seq: queue.next_seq, shared });
            queue.next_seq += u64::from(message.count);
            place.identifiers = (number % 2 == 0).then(|| [3, 70_000].into());
            place
        });
        let places: Vec<_> = places.collect();
        (!places.is_empty()).then_some(Change::Enqueue { message, shared, places })
    }

    fn progress(&mut self) -> Option<Change> {
        let number = self.pick()?;
        let queue = self.sessions.get_mut(&number)?;
        let count = self.seeded.below(queue.entries.len() + 1);
        let finished: Vec<_> = queue.entries.drain(..count).collect();
        let head = queue.entries.first().map_or(queue.next_seq, |entry| entry.seq);
        let settled = vec![(head + 1, Settled::Done), (head + 3, Settled::Released)];
        let progress = Progress { head, sent: head + 4, settled };
        Some(Change::Progress { session: SessionNumber(number), progress, finished })
    }
}

fn assert_same(world: &mut World, store: &Store, model: &MemoryStore) {
    assert_eq!(loaded(store), loaded(model));
    for (number, queue) in &world.sessions {
        let from = world.seeded.below(usize::try_from(queue.next_seq).unwrap()) as u64;
        for (from, bytes_max) in [(0, usize::MAX), (from, 400), (from, 1)] {
            let session = SessionNumber(*number);
            assert_eq!(
                store.read(session, from, bytes_max).unwrap(),
                model.read(session, from, bytes_max).unwrap(),
            );
        }
    }
}

/// Small tables and small messages apart, so that a short test meets all ways to keep something.
fn cramped() -> StoreOptions {
    let mut options = StoreOptions::default();
    options.memtable_bytes = 64 * 1024;
    options.apart_bytes = 256;
    options
}

fn compare(seed: u64, groups: usize) {
    let scratch = Scratch::new();
    let model = MemoryStore::default();
    let mut world = World::new(seed);
    let mut store = Store::open(scratch.path(), cramped()).unwrap();
    for group in 0..groups {
        let changes = world.group();
        let level = [Level::Memory, Level::Os, Level::Disk][world.seeded.below(3)];
        store.commit(&changes, level).unwrap();
        model.commit(&changes, level).unwrap();
        if group % 40 == 39 {
            assert_same(&mut world, &store, &model);
        }
        if world.seeded.below(100) == 0 {
            drop(store);
            store = Store::open(scratch.path(), cramped()).unwrap();
            assert_eq!(store.report().cut, None);
            assert_same(&mut world, &store, &model);
        }
    }
}

#[test]
fn random_changes_are_kept_like_in_memory() {
    for seed in 0..4 {
        compare(seed, 400);
    }
}

#[test]
fn nothing_is_left_of_messages_that_nobody_waits_for() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path(), cramped()).unwrap();
    let mut world = World::new(9);
    for _ in 0..200 {
        store.commit(&world.group(), Level::Os).unwrap();
    }
    let ends = world.sessions.keys().map(|number| Change::End(SessionNumber(*number)));
    store.commit(&ends.collect::<Vec<_>>(), Level::Os).unwrap();
    let topics = TOPICS.map(|topic| Change::Retain { topic: topic.into(), message: None });
    store.commit(&topics, Level::Os).unwrap();
    assert_eq!(loaded(&store), []);
    assert_eq!(store.messages_kept().unwrap(), 0);
}
