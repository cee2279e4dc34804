//! What falls due for sessions: delayed wills and their ends, while they have no connection, and
//! messages that expire.

use std::{collections::BTreeMap, sync::Arc, task::Waker};

use mqtt_session::{Time, time::earliest};
use parking_lot::Mutex;

use super::{legacy::Legacy, slot::Slot};

/// Deadlines, earliest first.
///
/// An entry names the connection count of its session. Where the session has had another
/// connection since, the entry means nothing any more: nobody searches for it to take it out.
#[derive(Default)]
pub(crate) struct Schedule {
    entries: Mutex<Entries>,
    /// Woken when something was added that is due before everything else.
    pub(crate) housekeeper: Mutex<Option<Waker>>,
}

#[derive(Default)]
struct Entries {
    by_time: BTreeMap<(Time, u64), Entry>,
    last: u64,
    /// When to look for retained messages that have expired.
    retained: Option<Time>,
}

/// Something that falls due for a session.
pub(crate) struct Entry {
    pub(crate) slot: Arc<Slot>,
    pub(crate) what: Due,
}

/// What falls due.
pub(crate) enum Due {
    /// A will, or the end of the session since the connection of this number.
    Session(u64),
    /// Messages that may have expired.
    Messages,
    /// Messages of a session that ended, for the other members of its shared subscriptions.
    HandOn(Arc<Legacy>),
}

impl Schedule {
    /// Something about the session of `slot` is due at `due`: its will, or its end.
    pub(crate) fn add(&self, due: Time, slot: &Arc<Slot>, epoch: u64) {
        self.insert(due, Entry { slot: slot.clone(), what: Due::Session(epoch) });
    }

    /// At `due` somebody has to look for expired messages of the session of `slot`.
    pub(crate) fn look(&self, due: Time, slot: &Arc<Slot>) {
        self.insert(due, Entry { slot: slot.clone(), what: Due::Messages });
    }

    /// Messages of a session that ended are there for others.
    pub(crate) fn hand_on(&self, slot: &Arc<Slot>, legacy: Arc<Legacy>) {
        self.insert(Time::ZERO, Entry { slot: slot.clone(), what: Due::HandOn(legacy) });
    }

    /// A retained message expires at `due`. Those of one second are looked for once.
    pub(crate) fn look_at_retained(&self, due: Time) {
        let at = Time::from_millis(due.as_millis().div_ceil(1000).saturating_mul(1000));
        let is_first = {
            let mut entries = self.entries.lock();
            if entries.retained.is_some_and(|known| known <= at) {
                return;
            }
            let is_first = entries.next().is_none_or(|next| at < next);
            entries.retained = Some(at);
            is_first
        };
        if is_first {
            self.wake();
        }
    }

    /// Whether it is time to look for expired retained messages: once.
    pub(crate) fn take_retained(&self, now: Time) -> bool {
        self.entries.lock().retained.take_if(|due| *due <= now).is_some()
    }

    fn insert(&self, due: Time, entry: Entry) {
        let is_first = {
            let mut entries = self.entries.lock();
            entries.last += 1;
            let key = (due, entries.last);
            let is_first = entries.next().is_none_or(|next| due < next);
            entries.by_time.insert(key, entry);
            is_first
        };
        if is_first {
            self.wake();
        }
    }

    /// There is something to be worked off at once.
    pub(crate) fn wake(&self) {
        let housekeeper = self.housekeeper.lock().take();
        if let Some(waker) = housekeeper {
            waker.wake();
        }
    }

    /// The first of what is due at `now`.
    pub(crate) fn next_due(&self, now: Time) -> Option<Entry> {
        let mut entries = self.entries.lock();
        let first = entries.by_time.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    /// When the next entry is due.
    pub(crate) fn next(&self) -> Option<Time> {
        self.entries.lock().next()
    }
}

impl Entries {
    fn next(&self) -> Option<Time> {
        let first = self.by_time.first_key_value().map(|((due, _), _)| *due);
        earliest(first, self.retained)
    }
}
