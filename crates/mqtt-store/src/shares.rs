//! How many entries need each message that is not in its entry.

use std::collections::{HashMap, HashSet};

use mqtt_session::SessionNumber;

/// What is kept in the keyspace of messages, and for how many entries.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    shared: HashMap<u64, u32>,
    apart: HashSet<(SessionNumber, u64)>,
}

/// What a group changes of it: applied when the group is kept, forgotten when it is not.
#[derive(Debug, Default)]
pub(crate) struct StagedShares {
    shared: HashMap<u64, u32>,
    apart: HashMap<(SessionNumber, u64), bool>,
    /// Entries of queues that are finished.
    finished: u64,
}

impl Shares {
    /// Counts an entry that shares a message.
    pub(crate) fn count_shared(&mut self, number: u64) {
        let count = self.shared.entry(number).or_default();
        *count = count.saturating_add(1);
    }

    /// Notes an entry whose messages are kept apart.
    pub(crate) fn note_apart(&mut self, session: SessionNumber, seq: u64) {
        self.apart.insert((session, seq));
    }

    /// Makes the changes of a group that is kept.
    pub(crate) fn apply(&mut self, staged: StagedShares) {
        for (number, count) in staged.shared {
            if count == 0 {
                self.shared.remove(&number);
            } else {
                self.shared.insert(number, count);
            }
        }
        for (place, is_apart) in staged.apart {
            if is_apart {
                self.apart.insert(place);
            } else {
                self.apart.remove(&place);
            }
        }
    }
}

impl StagedShares {
    /// Counts an entry that is finished.
    pub(crate) fn finish(&mut self) {
        self.finished += 1;
    }

    /// How many entries are finished.
    pub(crate) const fn finished(&self) -> u64 {
        self.finished
    }

    /// Counts entries that share a message.
    pub(crate) fn share(&mut self, base: &Shares, number: u64, places: usize) {
        let count = self.count(base, number);
        *count = count.saturating_add(u32::try_from(places).unwrap_or(u32::MAX));
    }

    /// Notes an entry whose messages are kept apart.
    pub(crate) fn keep_apart(&mut self, session: SessionNumber, seq: u64) {
        self.apart.insert((session, seq), true);
    }

    /// Takes an entry away from a message; whether nobody needs the message any more.
    pub(crate) fn release(&mut self, base: &Shares, number: u64) -> bool {
        let count = self.count(base, number);
        let was_last = *count == 1;
        *count = count.saturating_sub(1);
        was_last
    }

    /// Takes an entry away; whether its messages are kept apart.
    pub(crate) fn forget_apart(&mut self, base: &Shares, place: (SessionNumber, u64)) -> bool {
        if self.apart.is_empty() && base.apart.is_empty() {
            return false;
        }
        let is_apart = self.apart.get(&place).copied();
        let is_apart = is_apart.unwrap_or_else(|| base.apart.contains(&place));
        if is_apart {
            self.apart.insert(place, false);
        }
        is_apart
    }

    fn count(&mut self, base: &Shares, number: u64) -> &mut u32 {
        let before = || base.shared.get(&number).copied().unwrap_or_default();
        self.shared.entry(number).or_insert_with(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entry_takes_the_message_along() {
        let mut shares = Shares::default();
        let mut first = StagedShares::default();
        first.share(&shares, 7, 2);
        assert!(!first.release(&shares, 7), "one is left");
        shares.apply(first);

        let mut forgotten = StagedShares::default();
        assert!(forgotten.release(&shares, 7));
        drop(forgotten);

        let mut kept = StagedShares::default();
        assert!(kept.release(&shares, 7), "a group that was not kept changed nothing");
        shares.apply(kept);
        assert!(shares.shared.is_empty());
    }

    #[test]
    fn a_place_apart_is_forgotten_once() {
        let place = (SessionNumber(1), 9);
        let mut shares = Shares::default();
        let mut staged = StagedShares::default();
        staged.keep_apart(place.0, place.1);
        assert!(staged.forget_apart(&shares, place), "made and used up in one group");
        shares.apply(staged);
        assert!(!StagedShares::default().forget_apart(&shares, place));
    }
}
