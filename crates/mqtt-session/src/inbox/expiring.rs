//! Which messages of an inbox expire, and when.

use std::collections::BTreeSet;

use crate::time::Time;

/// The deadlines of an inbox, earliest first. There is none for messages that do not expire.
#[derive(Debug, Default)]
pub(super) struct Expiring {
    /// Deadlines, with the number of the delivery.
    deadlines: BTreeSet<(Time, u64)>,
    /// The number of the first delivery in the queue.
    first: u64,
    /// Deliveries that expired and left an empty place in the queue.
    pub(super) empty: usize,
    /// When somebody will look.
    looked_at: Option<Time>,
}

impl Expiring {
    /// The delivery at this place of the queue expires.
    pub(super) fn add(&mut self, due: Time, place: usize) {
        self.deadlines.insert((due, self.first + place as u64));
    }

    /// Takes the place of a delivery that has expired.
    pub(super) fn pop(&mut self, now: Time) -> Option<usize> {
        let first = self.deadlines.first().filter(|(due, _)| *due <= now).copied()?;
        self.deadlines.remove(&first);
        usize::try_from(first.1 - self.first).ok()
    }

    /// The first delivery of the queue was taken, with its deadline.
    pub(super) fn take_first(&mut self, due: Option<Time>) {
        if let Some(due) = due {
            self.deadlines.remove(&(due, self.first));
        }
        self.first += 1;
    }

    /// The queue is another one; what expires in it is added anew.
    pub(super) fn clear(&mut self) {
        self.deadlines.clear();
        self.empty = 0;
    }

    /// When the next message expires.
    pub(super) fn next(&self) -> Option<Time> {
        self.deadlines.first().map(|(due, _)| *due)
    }

    /// When to look for expired messages, if nobody would look early enough. Messages that expire in
    /// the same second are looked for once.
    pub(super) fn look_at(&mut self, due: Time) -> Option<Time> {
        let at = Time::from_millis(due.as_millis().div_ceil(1000).saturating_mul(1000));
        let is_new = self.looked_at.is_none_or(|known| at < known);
        is_new.then(|| *self.looked_at.insert(at))
    }

    /// Somebody looks now.
    pub(super) const fn looked(&mut self) {
        self.looked_at = None;
    }

    /// Whether there is nothing to be kept.
    pub(super) fn is_over(&self) -> bool {
        self.deadlines.is_empty() && self.empty == 0 && self.looked_at.is_none()
    }
}
