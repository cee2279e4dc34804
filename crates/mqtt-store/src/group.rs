//! Turns the changes of a group into one write of the engine.

use std::collections::HashMap;

use bytes::Bytes;
use fjall::{Keyspace, OwnedWriteBatch, Slice, UserKey};
use mqtt_session::{Change, FinishedEntry, QueuePlace, SessionNumber, StoredMessage};

use crate::{
    fault::Fault,
    key,
    keyspaces::{Keyspaces, MARK_KEY},
    record::{
        Body, Entry, GroupMark, encode_entry, encode_progress, encode_received, encode_retained,
        encode_session, encode_subscription,
    },
    shares::{Shares, StagedShares},
};

/// A group that is ready to be written. The last write of a key is the one that counts.
pub(crate) struct Group {
    /// What the engine writes.
    pub(crate) batch: OwnedWriteBatch,
    /// What the group changes of the shares when it is kept.
    pub(crate) shares: StagedShares,
}

impl Group {
    /// The group of these changes.
    pub(crate) fn build(
        keyspaces: &Keyspaces,
        shares: &Shares,
        apart_bytes: usize,
        mark: GroupMark,
        changes: &[Change],
    ) -> Result<Self, Fault> {
        let batch =
            OwnedWriteBatch::with_capacity(keyspaces.database.clone(), 2 * changes.len() + 1);
        let group = Self { batch, shares: StagedShares::default() };
        let earlier = None;
        let mut builder = Builder {
            keyspaces,
            base: shares,
            apart_bytes,
            changes,
            group,
            earlier,
            record: Vec::new(),
        };
        builder.group.batch.insert(&keyspaces.marks, MARK_KEY, mark.encode());
        for (index, change) in changes.iter().enumerate() {
            builder.change(index, change)?;
        }
        Ok(builder.group)
    }
}

struct Builder<'a> {
    keyspaces: &'a Keyspaces,
    base: &'a Shares,
    apart_bytes: usize,
    changes: &'a [Change],
    group: Group,
    /// Which changes of the group made something that the end of a session has to take away again.
    earlier: Option<HashMap<SessionNumber, Vec<usize>>>,
    record: Vec<u8>,
}

impl Builder<'_> {
    fn change(&mut self, index: usize, change: &Change) -> Result<(), Fault> {
        let keyspaces = self.keyspaces;
        match change {
            Change::Session(session) => {
                encode_session(&mut self.record, session);
                self.put(&keyspaces.sessions, key::session(session.number));
            }
            Change::End(session) => self.end(index, *session)?,
            Change::Subscribe(subscription) => {
                encode_subscription(&mut self.record, subscription);
                let key = key::subscription(subscription.session, &subscription.filter);
                self.put(&keyspaces.subscriptions, key);
            }
            Change::Unsubscribe { session, filter } => {
                self.remove(&keyspaces.subscriptions, key::subscription(*session, filter));
            }
            Change::Enqueue { message, shared, places } => {
                self.enqueue(message, *shared, places);
            }
            Change::Progress { session, progress, finished } => {
                encode_progress(&mut self.record, progress);
                self.put(&keyspaces.progress, key::session(*session));
                finished.iter().for_each(|entry| self.finish(*session, *entry));
            }
            Change::Received { session, ids } => {
                encode_received(&mut self.record, ids);
                self.put(&keyspaces.received, key::session(*session));
            }
            Change::Retain { topic, message: Some(message) } => {
                encode_retained(&mut self.record, topic, message);
                self.put(&keyspaces.retained, key::retained(topic));
            }
            Change::Retain { topic, message: None } => {
                self.remove(&keyspaces.retained, key::retained(topic));
            }
        }
        Ok(())
    }

    fn enqueue(&mut self, message: &StoredMessage, shared: Option<u64>, places: &[QueuePlace]) {
        if let Some(number) = shared {
            self.put_packets(key::shared(number), message);
            self.group.shares.share(self.base, number, places.len());
        }
        for place in places {
            let key = key::entry(place.session, place.seq);
            let body = match shared {
                Some(number) => Body::Shared(number, message),
                None if message.frames.len() > self.apart_bytes => {
                    self.put_packets(key, message);
                    self.group.shares.keep_apart(place.session, place.seq);
                    Body::Apart(message)
                }
                None => Body::Inline(message),
            };
            encode_entry(&mut self.record, place, &body);
            self.put(&self.keyspaces.queues, key);
        }
    }

    fn finish(&mut self, session: SessionNumber, entry: FinishedEntry) {
        self.remove(&self.keyspaces.queues, key::entry(session, entry.seq));
        self.group.shares.finish();
        match entry.shared {
            Some(number) => self.release(number),
            None => self.forget_apart(session, entry.seq),
        }
    }

    fn release(&mut self, number: u64) {
        if self.group.shares.release(self.base, number) {
            self.remove(&self.keyspaces.messages, key::shared(number));
        }
    }

    fn forget_apart(&mut self, session: SessionNumber, seq: u64) {
        if self.group.shares.forget_apart(self.base, (session, seq)) {
            self.remove(&self.keyspaces.messages, key::entry(session, seq));
        }
    }

    /// Takes away what is kept of a session, and what this group made of it before.
    ///
    /// An entry that this group has already finished is still seen in the database, so the entries
    /// are taken from both and what the group finished is left out.
    fn end(&mut self, index: usize, session: SessionNumber) -> Result<(), Fault> {
        let keyspaces = self.keyspaces;
        let mut entries = HashMap::new();
        for item in keyspaces.queues.range(key::entry(session, 0)..=key::entry(session, u64::MAX)) {
            let (key, record) = item.into_inner()?;
            let (_, seq) = key::entry_of(&key).ok_or(Fault::Record("a key of a queue"))?;
            let entry = Entry::decode(&record).ok_or(Fault::Record("an entry of a queue"))?;
            entries.insert(seq, entry.shared());
        }
        let mut filters = Vec::new();
        for item in keyspaces.subscriptions.prefix(key::session(session)) {
            filters.push(item.key()?);
        }
        self.replay(index, session, &mut entries);
        for (seq, shared) in entries {
            self.finish(session, FinishedEntry { seq, shared });
        }
        filters.into_iter().for_each(|key| self.remove(&keyspaces.subscriptions, key));
        for keyspace in [&keyspaces.sessions, &keyspaces.progress, &keyspaces.received] {
            self.remove(keyspace, key::session(session));
        }
        Ok(())
    }

    /// Goes through what the group did with a session before its end.
    fn replay(
        &mut self,
        index: usize,
        session: SessionNumber,
        entries: &mut HashMap<u64, Option<u64>>,
    ) {
        let changes = self.changes;
        let earlier = self.earlier.get_or_insert_with(|| by_session(changes));
        let earlier = earlier.get(&session).cloned().unwrap_or_default();
        let earlier = earlier.into_iter().take_while(|earlier| *earlier < index);
        for change in earlier.filter_map(|earlier| changes.get(earlier)) {
            match change {
                Change::Enqueue { shared, places, .. } => {
                    let places = places.iter().filter(|place| place.session == session);
                    entries.extend(places.map(|place| (place.seq, *shared)));
                }
                Change::Progress { finished, .. } => {
                    for entry in finished {
                        entries.remove(&entry.seq);
                    }
                }
                Change::Subscribe(subscription) => {
                    let key = key::subscription(session, &subscription.filter);
                    self.remove(&self.keyspaces.subscriptions, key);
                }
                Change::End(_) => entries.clear(),
                _ => {}
            }
        }
    }

    /// Keeps the packets of a message outside of its entries.
    fn put_packets(&mut self, key: impl Into<UserKey>, message: &StoredMessage) {
        self.group.batch.insert(&self.keyspaces.messages, key, packets(&message.frames));
    }

    fn put(&mut self, keyspace: &Keyspace, key: impl Into<UserKey>) {
        self.group.batch.insert(keyspace, key, Slice::from(self.record.as_slice()));
    }

    fn remove(&mut self, keyspace: &Keyspace, key: impl Into<UserKey>) {
        self.group.batch.remove(keyspace, key);
    }
}

/// Packets as the engine takes them. Large parts of what was read from a publisher are kept as they
/// are; small ones are copied, so that they do not keep alive all that was read with them.
fn packets(frames: &Bytes) -> Slice {
    const SMALL: usize = 16 * 1024;
    if frames.len() < SMALL { Slice::from(&**frames) } else { Slice::from(frames.clone()) }
}

/// Which changes of a group the end of a session has to know of.
fn by_session(changes: &[Change]) -> HashMap<SessionNumber, Vec<usize>> {
    let mut map: HashMap<SessionNumber, Vec<usize>> = HashMap::new();
    for (index, change) in changes.iter().enumerate() {
        match change {
            Change::Enqueue { places, .. } => {
                for place in places {
                    map.entry(place.session).or_default().push(index);
                }
            }
            Change::Progress { session, finished, .. } if !finished.is_empty() => {
                map.entry(*session).or_default().push(index);
            }
            Change::Subscribe(subscription) => {
                map.entry(subscription.session).or_default().push(index);
            }
            Change::End(session) => map.entry(*session).or_default().push(index),
            _ => {}
        }
    }
    map
}
