//! Places in the journal, and which of them were refused.

use std::collections::BTreeMap;

use mqtt_packet::ReasonCode;

/// A place in the journal: a group, and which part of it. What brings new messages may be refused
/// while the rest of its group is written, so each group has two parts.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Debug, Default)]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// What waits for nothing.
    pub(crate) const NONE: Self = Self(0);

    /// The place of a transaction in this group.
    pub(super) const fn new(group: u64, brings_messages: bool) -> Self {
        Self(group * 2 + brings_messages as u64)
    }

    /// The place of what its transaction says beside the messages.
    pub(crate) const fn beside_messages(self) -> Self {
        Self(self.0 & !1)
    }

    pub(super) const fn group(self) -> u64 {
        self.0 / 2
    }

    const fn brings_messages(self) -> bool {
        self.0 % 2 == 1
    }
}

/// What of a group was refused.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) enum Refused {
    /// What brought new messages: there was no room for them.
    Messages,
    All,
}

/// Groups that were refused, hardly ever any. Groups in a row are one entry, so that a disk that
/// stays full for a day takes no more room here than one that is full for a moment.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// By the first group: the last group, what was refused, and why.
    ranges: BTreeMap<u64, (u64, Refused, ReasonCode)>,
}

/// More entries than this are not remembered. What is asked for is nearly always the last of them.
const RANGES_MAX: usize = 4096;

impl Refusals {
    /// Remembers a group. Groups come in their order.
    pub(super) fn add(&mut self, group: u64, what: Refused, reason: ReasonCode) {
        if let Some(mut range) = self.ranges.last_entry() {
            let (last, before, why) = range.get_mut();
            if *last + 1 == group && (*before, *why) == (what, reason) {
                *last = group;
                return;
            }
        }
        self.ranges.insert(group, (group, what, reason));
        if self.ranges.len() > RANGES_MAX {
            self.ranges.pop_first();
        }
    }

    /// Why this place was refused, if it was.
    pub(super) fn reason(&self, ticket: Ticket) -> Option<ReasonCode> {
        let (_, (last, what, reason)) = self.ranges.range(..=ticket.group()).next_back()?;
        let is_meant = *what == Refused::All || ticket.brings_messages();
        (is_meant && ticket.group() <= *last).then_some(*reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: ReasonCode = ReasonCode::QUOTA_EXCEEDED;

    #[test]
    fn the_messages_of_a_group_are_refused_and_the_rest_is_not() {
        let mut refusals = Refusals::default();
        refusals.add(7, Refused::Messages, FULL);
        let messages = Ticket::new(7, true);
        assert_eq!(refusals.reason(messages), Some(FULL));
        assert_eq!(refusals.reason(messages.beside_messages()), None);
        assert_eq!(refusals.reason(Ticket::new(6, true)), None);
        assert_eq!(refusals.reason(Ticket::new(8, true)), None);
        refusals.add(9, Refused::All, FULL);
        assert_eq!(refusals.reason(Ticket::new(9, false)), Some(FULL));
    }

    #[test]
    fn a_disk_that_stays_full_takes_no_memory() {
        let mut refusals = Refusals::default();
        (1..100_000).for_each(|group| refusals.add(group, Refused::Messages, FULL));
        assert_eq!(refusals.ranges.len(), 1);
        (1..100_000).for_each(|group| refusals.add(group * 2, Refused::All, FULL));
        assert!(refusals.ranges.len() <= RANGES_MAX);
    }
}
