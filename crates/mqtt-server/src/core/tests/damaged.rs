//! A store in which messages are damaged: each costs itself, and is counted.

use std::{collections::HashSet, sync::Arc};

use mqtt_packet::Version;
use mqtt_session::{
    Change, DropReason, Level, MemoryStore, QueuedMessage, SessionNumber, SessionStore, StoreError,
    Stored,
};
use parking_lot::Mutex;

use super::{
    hello::{hello, persistent},
    world::{Id, World},
};

/// A store that cannot read some entries of queues.
#[derive(Default)]
struct Damaged {
    inner: MemoryStore,
    /// The numbers of what cannot be read when a page is.
    pages: Mutex<HashSet<u64>>,
    /// The numbers of what is not even found when a broker starts.
    loads: Mutex<HashSet<u64>>,
}

impl SessionStore for Damaged {
    fn load(&self, visit: &mut dyn FnMut(Stored)) -> Result<(), StoreError> {
        let lost = self.loads.lock();
        self.inner.load(&mut |stored| match stored {
            Stored::Queued { seq, .. } if lost.contains(&seq) => {}
            stored => visit(stored),
        })
    }

    fn commit(&self, changes: &[Change], level: Level) -> Result<(), StoreError> {
        self.inner.commit(changes, level)
    }

    fn read(
        &self,
        session: SessionNumber,
        from: u64,
        bytes_max: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        let lost = self.pages.lock();
        let mut page = self.inner.read(session, from, bytes_max)?;
        page.retain(|queued| !lost.contains(&queued.place.seq));
        Ok(page)
    }
}

/// A subscriber that is away and has six messages waiting.
fn six_waiting(version: Version) -> (World, Arc<Damaged>, Id) {
    let store = Arc::new(Damaged::default());
    let mut world = World::on(store.clone());
    let subscriber = world.connect(&persistent(version, "subscriber"));
    world.subscribe(subscriber, "t", 2);
    world.cut(subscriber);
    let publisher = world.connect(&hello(version, "publisher"));
    for (text, qos) in [("1", 1), ("2", 2), ("3", 1), ("4", 2), ("5", 1), ("6", 2)] {
        world.publish(publisher, "t", text, qos);
    }
    world.seen(publisher);
    (world, store, publisher)
}

#[test]
fn a_damaged_message_costs_itself_wherever_it_is_in_the_queue() {
    for version in [Version::V311, Version::V5] {
        for lost in [vec![1], vec![3, 4], vec![6], vec![1, 6], vec![5, 6], vec![1, 2, 3, 4, 5, 6]] {
            let (mut world, store, publisher) = six_waiting(version);
            store.pages.lock().extend(&lost);
            let subscriber = world.connect(&persistent(version, "subscriber"));
            assert!(world.session_present(subscriber));
            let left: Vec<_> = (1..=6).filter(|number| !lost.contains(number)).collect();
            let texts: Vec<_> = left.iter().map(ToString::to_string).collect();
            assert_eq!(world.texts(subscriber), texts);
            assert_eq!(world.dropped(DropReason::Damaged), lost.len() as u64);
            world.publish(publisher, "t", "7", 1);
            assert_eq!(world.texts(subscriber), ["7"], "it goes on, without {lost:?}");
            world.cut(subscriber);
            world.assert_balanced();

            // They are over: nobody is asked to read them again.
            store.pages.lock().clear();
            let mut next = world.restart();
            let subscriber = next.connect(&persistent(version, "subscriber"));
            assert_eq!(next.texts(subscriber), Vec::<String>::new());
            next.assert_balanced();
        }
    }
}

#[test]
fn what_is_not_there_when_a_broker_starts_is_passed_over() {
    for lost in [vec![1, 2], vec![3, 4], vec![5, 6], vec![1, 2, 3, 4, 5, 6]] {
        let (world, store, _) = six_waiting(Version::V5);
        store.pages.lock().extend(&lost);
        store.loads.lock().extend(&lost);
        let mut next = world.restart();
        let subscriber = next.connect(&persistent(Version::V5, "subscriber"));
        let left = (1..=6).filter(|number| !lost.contains(number));
        assert_eq!(next.texts(subscriber), left.map(|n| n.to_string()).collect::<Vec<_>>());
        // It may have expired: the store says what it has lost.
        assert_eq!(next.dropped(DropReason::Damaged), 0);
    }
}
