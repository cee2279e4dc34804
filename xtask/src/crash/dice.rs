//! Random numbers from a seed: the same seed throws the same dice.

use std::time::Duration;

/// What is added before each throw (splitmix64).
const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// A sequence of numbers that only the seed decides.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// The sequence of this seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A sequence of its own for whoever has this number.
    pub(super) fn of(&self, number: u64) -> Self {
        Self(mix(self.0 ^ mix(number)))
    }

    /// A number below `bound`; 0 if there is none.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN_GAMMA);
        mix(self.0).checked_rem(bound).unwrap_or(0)
    }

    /// Whether something happens that happens once in `times` times.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A duration from `shortest` to `longest`, in milliseconds.
    pub(super) fn millis(&mut self, shortest: u64, longest: u64) -> Duration {
        let range = longest.saturating_sub(shortest).saturating_add(1);
        Duration::from_millis(shortest.saturating_add(self.below(range)))
    }
}

/// Spreads a number over all bits.
pub(super) fn mix(number: u64) -> u64 {
    let mut mixed = number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_throws_the_same_dice_again() {
        let throw = |seed| {
            let mut dice = Dice::new(seed);
            [dice.below(1000), dice.below(1000), dice.below(1000)]
        };
        assert_eq!(throw(7), throw(7));
        assert_ne!(throw(7), throw(8));
    }

    #[test]
    fn a_duration_stays_in_its_range() {
        let mut dice = Dice::new(1);
        let range = Duration::from_millis(100)..=Duration::from_millis(300);
        assert!((0..1000).all(|_| range.contains(&dice.millis(100, 300))));
    }
}
