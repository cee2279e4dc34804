//! What falls due for sessions without a connection: delayed wills and the ends of sessions.

use std::{collections::BTreeMap, sync::Arc};

use mqtt_session::Time;
use parking_lot::Mutex;

use super::slot::Slot;

/// At most so many entries are worked off in one go, so that a hundred thousand wills at once do
/// not hold anybody up.
const BATCH: usize = 256;

/// Deadlines, earliest first.
///
/// An entry names the connection count of its session. Where the session has had another
/// connection since, the entry means nothing any more: nobody searches for it to take it out.
#[derive(Default)]
pub(crate) struct Schedule {
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_time: BTreeMap<(Time, u64), Entry>,
    last: u64,
}

/// Something that falls due for a session.
pub(crate) struct Entry {
    pub(crate) slot: Arc<Slot>,
    pub(crate) epoch: u64,
}

impl Schedule {
    /// Something about the session of `slot` is due at `due`: its will, or its end.
    pub(crate) fn add(&self, due: Time, slot: &Arc<Slot>, epoch: u64) {
        let mut entries = self.entries.lock();
        entries.last += 1;
        let key = (due, entries.last);
        entries.by_time.insert(key, Entry { slot: slot.clone(), epoch });
    }

    /// What is due at `now`, at most a batch of it.
    pub(crate) fn due(&self, now: Time) -> Vec<Entry> {
        let mut entries = self.entries.lock();
        let mut due = Vec::new();
        while due.len() < BATCH {
            match entries.by_time.first_entry() {
                Some(first) if first.key().0 <= now => due.push(first.remove()),
                _ => break,
            }
        }
        due
    }

    /// When the next entry is due.
    pub(crate) fn next(&self) -> Option<Time> {
        self.entries.lock().by_time.first_key_value().map(|((due, _), _)| *due)
    }
}
