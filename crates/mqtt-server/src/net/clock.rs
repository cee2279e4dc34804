//! The one place where the server reads clocks.
//!
//! Everything goes by a monotonic clock that starts with the server. It goes on while the machine is
//! suspended, where the operating system counts that. The calendar is read when the server starts,
//! and looked at now and then for the store: whoever reads its deadlines later has to know how far
//! the calendar was set.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mqtt_session::{ClockMark, Time, WallClock};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The calendar is looked at so often.
pub(crate) const LOOK: Duration = Duration::from_secs(10);

/// A calendar that is off by more was set.
const SET_MILLIS: u64 = 1500;

/// A monotonic clock that starts with the server. A calendar that is set does not move it.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// How far the time since the machine was started is ahead of the runtime's clock: it grows
    /// while the machine is suspended.
    lead_at_start: u64,
    suspended_millis: AtomicU64,
    /// The store's time at the start.
    stored_at_start: u64,
    /// What the clocks showed when the calendar was set last, as far as that was noticed.
    mark: Mutex<ClockMark>,
}

/// How far the calendar was set.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct CalendarSet {
    /// Milliseconds; negative where it was set back.
    pub(crate) by_millis: i64,
    /// What the clocks show now.
    pub(crate) mark: ClockMark,
}

impl Clock {
    /// Goes on with the time of a store, if it knows what the clocks showed; begins with the
    /// calendar's otherwise.
    pub(crate) fn new(stored: Option<ClockMark>) -> Self {
        let (calendar_millis, boot) = (calendar_millis(), sys::boot_mark());
        let begin = ClockMark { stored_millis: calendar_millis, calendar_millis, boot };
        let mark = stored.map_or(begin, |stored| stored.later(calendar_millis, boot));
        Self {
            start: Instant::now(),
            lead_at_start: sys::lead_millis(),
            suspended_millis: AtomicU64::new(0),
            stored_at_start: mark.stored_millis,
            mark: Mutex::new(mark),
        }
    }

    /// How the clock stands to the time in which the store's deadlines are kept.
    pub(crate) const fn wall(&self) -> WallClock {
        WallClock { millis_at_zero: self.stored_at_start }
    }

    pub(crate) fn now(&self) -> Time {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let suspended = self.suspended_millis.load(Ordering::Relaxed);
        Time::from_millis(elapsed.saturating_add(suspended))
    }

    /// The runtime's name for a point in time.
    pub(crate) fn instant(&self, time: Time) -> Instant {
        let far = Duration::from_secs(365 * 24 * 3600);
        let suspended = self.suspended_millis.load(Ordering::Relaxed);
        let after = Duration::from_millis(time.as_millis().saturating_sub(suspended));
        self.start.checked_add(after).unwrap_or_else(|| self.start + far)
    }

    /// What the clocks show.
    pub(crate) fn mark(&self) -> ClockMark {
        let stored_millis = self.wall().millis(self.now());
        ClockMark { stored_millis, calendar_millis: calendar_millis(), boot: sys::boot_mark() }
    }

    /// Counts the time in which the machine was suspended, and tells if the calendar was set.
    pub(crate) fn look(&self) -> Option<CalendarSet> {
        let suspended = sys::lead_millis().saturating_sub(self.lead_at_start);
        // Both clocks are read one after the other: that is no suspension.
        if suspended >= SET_MILLIS {
            self.suspended_millis.fetch_max(suspended, Ordering::Relaxed);
        }
        let mark = self.mark();
        let mut last = self.mark.lock();
        let set = set_between(&last, mark)?;
        *last = mark;
        Some(set)
    }
}

/// How far the calendar was set between two looks.
fn set_between(last: &ClockMark, mark: ClockMark) -> Option<CalendarSet> {
    let passed = match (last.boot, mark.boot) {
        (Some(then), Some(now)) => now.millis.saturating_sub(then.millis),
        _ => mark.stored_millis.saturating_sub(last.stored_millis),
    };
    let expected = last.calendar_millis.saturating_add(passed);
    let by_millis = mark.calendar_millis.checked_signed_diff(expected).unwrap_or(i64::MAX);
    (by_millis.unsigned_abs() > SET_MILLIS).then_some(CalendarSet { by_millis, mark })
}

/// Milliseconds since 1970, as the calendar has it.
fn calendar_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    u64::try_from(millis).unwrap_or(u64::MAX)
}

#[cfg(target_os = "linux")]
mod sys {
    use mqtt_session::BootMark;
    use rustix::time::{ClockId, Timespec, clock_gettime};

    /// How long the machine has been running, and which of its starts that was.
    pub(super) fn boot_mark() -> Option<BootMark> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let digits: String = text.trim().chars().filter(|digit| *digit != '-').collect();
        let id = u128::from_str_radix(&digits, 16).ok()?.to_be_bytes();
        Some(BootMark { id, millis: millis(clock_gettime(ClockId::Boottime)) })
    }

    /// How far the time with suspensions is ahead of that without them.
    pub(super) fn lead_millis() -> u64 {
        let with = millis(clock_gettime(ClockId::Boottime));
        with.saturating_sub(millis(clock_gettime(ClockId::Monotonic)))
    }

    fn millis(time: Timespec) -> u64 {
        let secs = u64::try_from(time.tv_sec).unwrap_or_default();
        let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
        secs.saturating_mul(1000).saturating_add(nanos / 1_000_000)
    }
}

/// Nothing more is known here than the calendar and the runtime's clock.
#[cfg(not(target_os = "linux"))]
mod sys {
    use mqtt_session::BootMark;

    pub(super) fn boot_mark() -> Option<BootMark> {
        None
    }

    pub(super) fn lead_millis() -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use mqtt_session::BootMark;

    use super::*;

    const BOOT: [u8; 16] = [7; 16];

    fn mark(stored_millis: u64, calendar_millis: u64, boot_millis: u64) -> ClockMark {
        let boot = Some(BootMark { id: BOOT, millis: boot_millis });
        ClockMark { stored_millis, calendar_millis, boot }
    }

    #[test]
    fn a_calendar_that_was_set_is_noticed_and_one_that_runs_on_is_not() {
        const DAY: i64 = 86_400_000;
        let last = mark(0, 1_000_000_000, 5_000);
        for (calendar, by) in [
            (1_000_060_000, None),
            (1_000_061_000, None),
            (1_000_060_000 + DAY, Some(DAY)),
            (1_000_060_000 - DAY, Some(-DAY)),
            (0, Some(-1_000_060_000)),
        ] {
            let now = mark(60_000, u64::try_from(calendar).unwrap(), 65_000);
            let set = set_between(&last, now).map(|set| set.by_millis);
            assert_eq!(set, by, "{calendar}");
        }
    }

    #[test]
    fn a_suspended_machine_does_not_set_its_calendar() {
        let last = mark(0, 1_000_000, 5_000);
        let now = mark(3_600_000, 4_600_000, 3_605_000);
        assert_eq!(set_between(&last, now), None);
    }

    #[test]
    fn the_time_of_a_store_goes_on() {
        let boot = sys::boot_mark();
        let stored = ClockMark { stored_millis: 77, calendar_millis: 5, boot };
        let clock = Clock::new(Some(stored));
        let begin = clock.wall().millis_at_zero;
        match boot {
            Some(_) => assert!((77..60_000).contains(&begin), "{begin}"),
            None => assert!(begin > 1_000_000_000_000, "by the calendar: {begin}"),
        }
        assert_eq!(clock.look(), None);
        assert!(clock.mark().stored_millis >= begin);
    }
}
