//! How much a connection reads at once.

/// The first read of a connection, and one of a client that sends little, brings at most so many
/// bytes.
pub(crate) const MIN: usize = 2 * 1024;

/// It is doubled so many times at most: 256 KiB.
const DOUBLINGS_MAX: u8 = 7;

/// Grows and shrinks with what comes.
#[derive(Copy, Clone, Debug)]
pub(crate) struct ReadSize {
    doublings: u8,
    /// The last read got less than a quarter of what it asked for.
    was_short: bool,
}

impl ReadSize {
    pub(crate) const fn new() -> Self {
        Self { doublings: 0, was_short: false }
    }

    /// How many bytes to ask for.
    pub(crate) const fn bytes(self) -> usize {
        MIN << self.doublings
    }

    /// Learns from a read; answers whether it got all that it asked for. One short read says little,
    /// for it may have got what a full one left.
    pub(crate) fn learn(&mut self, read: usize) -> bool {
        let is_full = read >= self.bytes();
        let is_short = read < self.bytes() / 4;
        if is_full {
            self.doublings = (self.doublings + 1).min(DOUBLINGS_MAX);
        } else if is_short && self.was_short {
            self.doublings = self.doublings.saturating_sub(1);
        }
        self.was_short = is_short;
        is_full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many reads it takes for all that is there.
    fn reads(size: &mut ReadSize, mut there: usize) -> usize {
        let mut reads = 1;
        while size.bytes() <= there {
            there -= size.bytes();
            assert!(size.learn(size.bytes()));
            reads += 1;
        }
        if there > 0 {
            assert!(!size.learn(there));
        }
        reads
    }

    #[test]
    fn what_comes_again_and_again_is_read_at_once() {
        for there in [1, 2_047, 2_048, 2_049, 4_100, 8_192, 8_200, 65_537, 200_000] {
            let mut size = ReadSize::new();
            for _ in 0..10 {
                reads(&mut size, there);
            }
            assert!((0..10).all(|_| reads(&mut size, there) == 1), "{there}");
        }
    }

    #[test]
    fn a_client_that_sends_little_again_has_small_reads_again() {
        let mut size = ReadSize::new();
        reads(&mut size, 10_000_000);
        assert_eq!(size.bytes(), 256 * 1024);
        for _ in 0..10 {
            reads(&mut size, 100);
        }
        assert_eq!(size.bytes(), MIN);
    }
}
