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

/// How the caller's monotonic clock stands to the time in which a store keeps deadlines, for what
/// outlives the process: see [`ClockMark`].
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub struct WallClock {
    /// The store's time at [`Time::ZERO`], in milliseconds since 1970.
    pub millis_at_zero: u64,
}

impl WallClock {
    /// Milliseconds of the store's time at `time`.
    #[must_use]
    pub const fn millis(self, time: Time) -> u64 {
        self.millis_at_zero.saturating_add(time.as_millis())
    }

    /// The point `millis` in the store's time; the start of the clock for all that is before it.
    #[must_use]
    pub const fn time(self, millis: u64) -> Time {
        Time::from_millis(millis.saturating_sub(self.millis_at_zero))
    }
}

/// What the clocks showed at one moment, for a store whose deadlines outlive the process.
///
/// A store counts in a time of its own: it began as the calendar's, goes on by the machine's
/// monotonic clock while a server runs, and by the best that is known while none does. So a
/// calendar that is set, forward or back, moves no deadline.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub struct ClockMark {
    /// The store's time, in milliseconds since 1970.
    pub stored_millis: u64,
    /// What the calendar showed, in milliseconds since 1970.
    pub calendar_millis: u64,
    /// How long the machine ran, where that is known.
    pub boot: Option<BootMark>,
}

/// How long a machine has been running.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub struct BootMark {
    /// Which start of the machine it is.
    pub id: [u8; 16],
    /// Milliseconds since then, with those in which it was suspended.
    pub millis: u64,
}

impl ClockMark {
    /// The same clocks later, as far as they tell: the store's time goes on by what the machine ran,
    /// if it was not started anew, and else by the calendar; never back.
    #[must_use]
    pub fn later(&self, calendar_millis: u64, boot: Option<BootMark>) -> Self {
        let ran = match (self.boot, boot) {
            (Some(then), Some(now)) if then.id == now.id => now.millis.checked_sub(then.millis),
            _ => None,
        };
        let passed = ran.unwrap_or_else(|| calendar_millis.saturating_sub(self.calendar_millis));
        let stored_millis = self.stored_millis.saturating_add(passed);
        Self { stored_millis, calendar_millis, boot }
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
    fn a_stores_time_goes_on_by_the_machine_while_it_runs_and_else_by_the_calendar() {
        const DAY: u64 = 86_400_000;
        let boot = |id, millis| Some(BootMark { id: [id; 16], millis });
        let mark = |calendar_millis, boot| ClockMark { stored_millis: 7, calendar_millis, boot };
        for (before, calendar, now, passed) in [
            // The calendar was set forward, and back, while the machine ran on.
            (mark(0, boot(1, 500)), 50 * DAY, boot(1, 1500), 1000),
            (mark(50 * DAY, boot(1, 500)), 0, boot(1, 1500), 1000),
            // The machine was started anew, once with a clock that had lost its time.
            (mark(DAY, boot(1, 500)), 3 * DAY, boot(2, 100), 2 * DAY),
            (mark(DAY, boot(1, 500)), 0, boot(2, 100), 0),
            // Another machine's, or one that does not tell.
            (mark(DAY, boot(1, 500)), 2 * DAY, boot(1, 400), DAY),
            (mark(DAY, None), 2 * DAY, boot(1, 400), DAY),
        ] {
            let after = before.later(calendar, now);
            let expected =
                ClockMark { stored_millis: 7 + passed, calendar_millis: calendar, boot: now };
            assert_eq!(after, expected);
        }
    }

    #[test]
    fn the_earliest_of_two_deadlines() {
        let (one, two) = (Time::from_millis(1), Time::from_millis(2));
        assert_eq!(earliest(Some(two), Some(one)), Some(one));
        assert_eq!(earliest(None, Some(two)), Some(two));
        assert_eq!(earliest(None, None), None);
    }
}
