//! Time as an argument.

use std::{fmt, num::NonZeroU64};

/// A point on the caller's monotonic clock, in milliseconds since a start that the caller chose.
///
/// Nothing in this crate reads a clock: every call that needs the time is handed one of these.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Time(
    /// Milliseconds and 1, so that an `Option<Time>` is no larger: many are kept.
    NonZeroU64,
);

impl Time {
    /// The start of the clock.
    pub const ZERO: Self = Self(NonZeroU64::MIN);

    /// The point `millis` milliseconds behind the start of the clock.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self::ZERO.after_millis(millis)
    }

    /// Milliseconds since the start of the clock.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0.get() - 1
    }

    /// The point `secs` seconds later; stays at the end of time instead of wrapping.
    #[must_use]
    pub const fn after_secs(self, secs: u32) -> Self {
        // A u32 of seconds fits a u64 of milliseconds with room to spare.
        self.after_millis(secs as u64 * 1000)
    }

    /// The point `millis` milliseconds later; stays at the end of time instead of wrapping.
    #[must_use]
    pub const fn after_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to here; 0 where `earlier` is later.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }
}

impl Default for Time {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Time").field(&self.as_millis()).finish()
    }
}

/// How the caller's monotonic clock stands to the calendar, for what outlives the process.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub struct WallClock {
    /// What the calendar showed at [`Time::ZERO`], in milliseconds since 1970.
    pub millis_at_zero: u64,
}

impl WallClock {
    /// Milliseconds since 1970 at `time`.
    #[must_use]
    pub const fn millis(self, time: Time) -> u64 {
        self.millis_at_zero.saturating_add(time.as_millis())
    }

    /// The point `millis` milliseconds after 1970; the start of the clock for all that is before it.
    #[must_use]
    pub const fn time(self, millis: u64) -> Time {
        Time::from_millis(millis.saturating_sub(self.millis_at_zero))
    }
}

/// The earlier of two deadlines, of which either may be missing.
#[must_use]
pub fn earliest(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_time_does_not_wrap() {
        let end = Time::from_millis(u64::MAX);
        assert_eq!(end.after_secs(u32::MAX), end);
        assert_eq!(Time::ZERO.millis_since(end), 0);
    }

    #[test]
    fn the_earliest_of_two_deadlines() {
        let (one, two) = (Time::from_millis(1), Time::from_millis(2));
        assert_eq!(earliest(Some(two), Some(one)), Some(one));
        assert_eq!(earliest(None, Some(two)), Some(two));
        assert_eq!(earliest(None, None), None);
    }
}
