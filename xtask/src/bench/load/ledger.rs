//! Whether every message of a stream arrived, once and in order.

use std::collections::BTreeMap;

/// The sequence numbers that one receiver saw of one stream.
///
/// The straight path is one compare and one increment. Gaps are kept as ranges, so that a late
/// message can be told from one that came twice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    next: u64,
    /// Start and end of every range that was skipped and has not come since.
    gaps: BTreeMap<u64, u64>,
    pub(crate) duplicated: u64,
    pub(crate) disordered: u64,
}

impl Ledger {
    /// Notes the arrival of one message.
    #[inline]
    pub(crate) fn arrived(&mut self, sequence: u64) {
        if sequence == self.next {
            self.next += 1;
        } else {
            self.arrived_out_of_turn(sequence);
        }
    }

    /// One more than the latest message that came.
    #[inline]
    pub(crate) const fn progress(&self) -> u64 {
        self.next
    }

    /// Messages that never came although a later one did.
    pub(crate) fn skipped(&self) -> u64 {
        self.gaps.iter().map(|(start, end)| end - start).sum()
    }

    /// Messages behind the latest one that came, of a stream that sent `sent`.
    pub(crate) const fn behind(&self, sent: u64) -> u64 {
        sent.saturating_sub(self.next)
    }

    #[cold]
    fn arrived_out_of_turn(&mut self, sequence: u64) {
        if sequence > self.next {
            self.gaps.insert(self.next, sequence);
            self.next = sequence + 1;
            return;
        }
        let gap = self.gaps.range(..=sequence).next_back().map(|(start, end)| (*start, *end));
        match gap {
            Some((start, end)) if sequence < end => {
                self.disordered += 1;
                self.split(start, end, sequence);
            }
            _ => self.duplicated += 1,
        }
    }

    fn split(&mut self, start: u64, end: u64, sequence: u64) {
        self.gaps.remove(&start);
        if start < sequence {
            self.gaps.insert(start, sequence);
        }
        if sequence + 1 < end {
            self.gaps.insert(sequence + 1, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(sequences: &[u64]) -> Ledger {
        let mut ledger = Ledger::default();
        sequences.iter().for_each(|sequence| ledger.arrived(*sequence));
        ledger
    }

    #[test]
    fn a_whole_stream_is_clean() {
        let ledger = after(&[0, 1, 2, 3]);
        assert_eq!(
            (ledger.skipped() + ledger.behind(4), ledger.duplicated, ledger.disordered),
            (0, 0, 0)
        );
    }

    #[test]
    fn losses_within_and_at_the_end_are_told_apart() {
        let ledger = after(&[0, 1, 4, 5]);
        assert_eq!((ledger.skipped(), ledger.behind(8)), (2, 2));
    }

    #[test]
    fn a_late_message_is_disordered_and_a_second_one_is_a_duplicate() {
        let ledger = after(&[0, 4, 2, 2, 0]);
        assert_eq!((ledger.skipped(), ledger.duplicated, ledger.disordered), (2, 2, 1));
    }
}
