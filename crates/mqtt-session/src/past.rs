//! What earlier connections did with messages that come from a disk.

use std::collections::VecDeque;

use crate::{
    delivery::Delivery,
    store::{Progress, Settled},
};

/// What became of messages in earlier connections, as far as they are not here again.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// No message from this one on was sent.
    sent: u64,
    settled: VecDeque<(u64, Settled)>,
    /// The last message that is not sent at all. Messages are skipped in their order, when all before
    /// them are sent, skipped or waiting.
    skipped: Option<u64>,
}

/// What became of one message in an earlier connection.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Fate {
    Unsent,
    Sent,
    Released,
    Done,
}

impl From<Progress> for Past {
    fn from(progress: Progress) -> Self {
        Self { sent: progress.sent, settled: progress.settled.into(), skipped: None }
    }
}

impl Past {
    /// What became of a message. Asked for one after the other: what is before is forgotten.
    pub(crate) fn fate(&mut self, number: u64) -> Fate {
        while self.settled.front().is_some_and(|(settled, _)| *settled < number) {
            self.settled.pop_front();
        }
        match self.settled.front() {
            Some((settled, Settled::Done)) if *settled == number => Fate::Done,
            Some((settled, Settled::Released)) if *settled == number => Fate::Released,
            _ if number < self.sent => Fate::Sent,
            _ => Fate::Unsent,
        }
    }

    /// A message will not be sent. Answers false if that was known.
    pub(crate) fn skip(&mut self, number: u64) -> bool {
        let place = self.settled.partition_point(|(settled, _)| *settled < number);
        let is_known = self.settled.get(place).is_some_and(|(settled, _)| *settled == number);
        if !is_known {
            self.settled.insert(place, (number, Settled::Done));
        }
        self.skipped = self.skipped.max(Some(number));
        !is_known
    }

    /// Whether a message was sent, or is settled: it does not expire any more.
    pub(crate) fn is_known(&self, number: u64) -> bool {
        let is_settled = || self.settled.binary_search_by_key(&number, |(settled, _)| *settled);
        number < self.sent || is_settled().is_ok()
    }

    /// The last message that is not sent at all.
    pub(crate) const fn last_skipped(&self) -> Option<u64> {
        self.skipped
    }

    /// Messages of a delivery that are not known to be finished; everything before `next` is.
    pub(crate) fn unfinished(&self, delivery: &Delivery, next: u64) -> usize {
        let count = delivery.count() as usize;
        let Some(first) = delivery.seq else { return count };
        let numbers = first.get()..first.get() + u64::from(delivery.count());
        let done =
            |settled: &&(u64, Settled)| numbers.contains(&settled.0) && settled.1 == Settled::Done;
        let before = next.clamp(numbers.start, numbers.end) - numbers.start;
        let behind = self.settled.iter().filter(done).count();
        count.saturating_sub(behind + usize::try_from(before).unwrap_or(usize::MAX))
    }

    /// Whether nothing is left to be said of messages from `next` on.
    pub(crate) fn is_over(&self, next: u64) -> bool {
        next >= self.sent && self.settled.back().is_none_or(|(number, _)| *number < next)
    }

    /// No message from this one on was sent.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// What is settled from `next` on.
    pub(crate) fn settled_from(&self, next: u64) -> impl Iterator<Item = (u64, Settled)> {
        self.settled.iter().copied().filter(move |(number, _)| *number >= next)
    }
}
