//! A store that lives as long as the process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mqtt_packet::PacketId;

use super::{
    Change, FinishedEntry, Level, Progress, QueuePlace, QueuedMessage, SessionNumber, SessionStore,
    StoreError, Stored, StoredMessage, StoredSession, StoredSubscription,
};
use crate::time::ClockMark;

/// Keeps everything in memory: it survives the server, not the process. For tests, and for whoever
/// stops a server and starts another in the same process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    sessions: BTreeMap<SessionNumber, StoredSession>,
    subscriptions: BTreeMap<(SessionNumber, Arc<str>), StoredSubscription>,
    queues: BTreeMap<(SessionNumber, u64), Entry>,
    progress: BTreeMap<SessionNumber, Progress>,
    received: BTreeMap<SessionNumber, Vec<PacketId>>,
    retained: BTreeMap<Arc<str>, StoredMessage>,
    clock: Option<ClockMark>,
}

#[derive(Debug)]
struct Entry {
    place: QueuePlace,
    /// Shared by reference, so the number means nothing here.
    message: Arc<StoredMessage>,
    shared: Option<u64>,
}

impl MemoryStore {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere leaves the maps whole: each change is one call.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn queue(&self, session: SessionNumber, from: u64) -> impl Iterator<Item = &Entry> {
        self.queues.range((session, from)..=(session, u64::MAX)).map(|(_, entry)| entry)
    }

    fn apply(&mut self, change: &Change) {
        match change.clone() {
            Change::Session(session) => {
                self.sessions.insert(session.number, session);
            }
            Change::End(number) => self.end(number),
            Change::Subscribe(subscription) => {
                let key = (subscription.session, subscription.filter.clone());
                self.subscriptions.insert(key, subscription);
            }
            Change::Unsubscribe { session, filter } => {
                self.subscriptions.remove(&(session, filter));
            }
            Change::Enqueue { message, shared, places } => {
                let message = Arc::new(message);
                for place in places {
                    let key = (place.session, place.seq);
                    self.queues.insert(key, Entry { place, message: message.clone(), shared });
                }
            }
            Change::Progress { session, progress, finished } => {
                self.progress.insert(session, progress);
                for FinishedEntry { seq, .. } in finished {
                    self.queues.remove(&(session, seq));
                }
            }
            Change::Received { session, ids } => {
                self.received.insert(session, ids);
            }
            Change::Retain { topic, message: Some(message) } => {
                self.retained.insert(topic, message);
            }
            Change::Retain { topic, message: None } => {
                self.retained.remove(&topic);
            }
        }
    }

    fn end(&mut self, number: SessionNumber) {
        self.sessions.remove(&number);
        self.progress.remove(&number);
        self.received.remove(&number);
        self.subscriptions.retain(|(session, _), _| *session != number);
        self.queues.retain(|(session, _), _| *session != number);
    }
}

impl SessionStore for MemoryStore {
    fn load(&self, visit: &mut dyn FnMut(Stored)) -> Result<(), StoreError> {
        let kept = self.kept();
        kept.sessions.values().cloned().map(Stored::Session).for_each(&mut *visit);
        kept.subscriptions.values().cloned().map(Stored::Subscription).for_each(&mut *visit);
        for (session, progress) in &kept.progress {
            visit(Stored::Progress(*session, progress.clone()));
        }
        for (session, ids) in &kept.received {
            visit(Stored::Received(*session, ids.clone()));
        }
        for entry in kept.queues.values() {
            visit(Stored::Queued {
                session: entry.place.session,
                seq: entry.place.seq,
                count: entry.message.count,
                bytes: entry.message.frames.len() as u64,
                shared: entry.shared,
                expires_at_millis: entry.message.expires_at_millis,
            });
        }
        for (topic, message) in &kept.retained {
            visit(Stored::Retained { topic: topic.clone(), message: message.clone() });
        }
        Ok(())
    }

    fn commit(&self, changes: &[Change], _level: Level) -> Result<(), StoreError> {
        let mut kept = self.kept();
        changes.iter().for_each(|change| kept.apply(change));
        Ok(())
    }

    fn read(
        &self,
        session: SessionNumber,
        from: u64,
        bytes_max: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        let mut bytes = 0;
        let kept = self.kept();
        let page = kept.queue(session, from).take_while(|entry| {
            let fits = bytes < bytes_max;
            bytes += entry.message.frames.len();
            fits
        });
        Ok(page
            .map(|entry| QueuedMessage {
                place: entry.place.clone(),
                message: StoredMessage::clone(&entry.message),
                shared: entry.shared,
            })
            .collect())
    }

    fn clock(&self) -> Option<ClockMark> {
        self.kept().clock
    }

    fn note_clock(&self, mark: ClockMark) {
        self.kept().clock = Some(mark);
    }
}
