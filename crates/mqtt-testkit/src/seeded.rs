//! Randomness that a seed repeats.

/// A small generator (xorshift*): the same seed gives the same numbers on every machine.
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// The generator of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        // The state must not be 0, and small seeds should not look alike.
        Self((seed ^ 0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `end`; 0 where `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end as u64).max(1)).unwrap_or_default()
    }

    /// Any byte.
    pub const fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let numbers = |seed| {
            let mut seeded = Seeded::new(seed);
            std::array::from_fn::<_, 8, _>(|_| seeded.below(1000))
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
    }

    #[test]
    fn every_number_below_the_end_comes_up() {
        let mut seeded = Seeded::new(7);
        let seen: std::collections::HashSet<_> = (0..200).map(|_| seeded.below(5)).collect();
        assert_eq!(seen.len(), 5);
    }
}
