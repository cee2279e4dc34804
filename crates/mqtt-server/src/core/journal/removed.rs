//! Messages that were removed from the middle of a queue: they expired, or made room.

use std::{collections::BTreeMap, ops::Range};

/// The numbers of removed messages behind a queue's head. Nobody gives such a number again; a sender
/// passes it over.
#[derive(Debug, Default)]
pub(super) struct Removed {
    /// The first number of each range, and the one behind it. Ranges do not touch.
    ranges: BTreeMap<u64, u64>,
    count: u64,
}

impl Removed {
    /// How many there are.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Adds numbers of which none is in here.
    pub(super) fn add(&mut self, mut range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        self.count += range.end - range.start;
        let before =
            self.ranges.range(..range.start).next_back().map(|(start, end)| (*start, *end));
        if let Some((start, _)) = before.filter(|(_, end)| *end == range.start) {
            range.start = start;
        }
        if let Some(end) = self.ranges.remove(&range.end) {
            range.end = end;
        }
        self.ranges.insert(range.start, range.end);
    }

    /// How many of these numbers are in here.
    pub(super) fn overlap(&self, range: &Range<u64>) -> u64 {
        let mut count = 0;
        for (start, end) in self.ranges.range(..range.end).rev() {
            if *end <= range.start {
                break;
            }
            count += end.min(&range.end) - start.max(&range.start);
        }
        count
    }

    /// Whether this number is in here.
    pub(super) fn contains(&self, number: u64) -> bool {
        self.overlap(&(number..number + 1)) > 0
    }

    /// Takes the first range out if it begins at `number`; returns its end.
    pub(super) fn take_at(&mut self, number: u64) -> Option<u64> {
        let end = self.ranges.remove(&number)?;
        self.count -= end - number;
        Some(end)
    }

    /// Forgets all numbers before this one.
    pub(super) fn forget_before(&mut self, number: u64) {
        while let Some(first) = self.ranges.first_entry()
            && *first.key() < number
        {
            let (start, end) = first.remove_entry();
            self.count -= end.min(number) - start;
            if end > number {
                self.ranges.insert(number, end);
            }
        }
    }

    /// Forgets this number and all behind it.
    pub(super) fn forget_from(&mut self, number: u64) {
        while let Some(last) = self.ranges.last_entry()
            && *last.get() > number
        {
            let (start, end) = last.remove_entry();
            self.count -= end - start.max(number);
            if start < number {
                self.ranges.insert(start, number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_grow_together_and_shrink_from_both_ends() {
        let mut removed = Removed::default();
        for number in [5, 7, 6, 20, 9, 8] {
            removed.add(number..number + 1);
        }
        assert_eq!((removed.count(), removed.ranges.len()), (6, 2));
        assert_eq!(removed.overlap(&(0..7)), 2);
        assert_eq!(removed.overlap(&(8..21)), 3);
        assert!(removed.contains(9) && !removed.contains(10));
        removed.forget_before(7);
        assert_eq!((removed.count(), removed.overlap(&(0..100))), (4, 4));
        removed.forget_from(9);
        assert_eq!((removed.count(), removed.overlap(&(0..100))), (2, 2));
        assert_eq!(removed.take_at(8), None);
        assert_eq!(removed.take_at(7), Some(9));
        assert_eq!(removed.count(), 0);
    }
}
