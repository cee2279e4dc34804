//! The one place where the server reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mqtt_session::{Time, WallClock};
use tokio::time::Instant;

/// A monotonic clock that starts with the server. A wall clock that jumps does not move it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// How the clock stands to the calendar. A calendar that is set anew later changes nothing.
    pub(crate) fn wall(&self) -> WallClock {
        let start = SystemTime::now().checked_sub(self.start.elapsed());
        let since = start.and_then(|start| start.duration_since(UNIX_EPOCH).ok());
        let millis = since.map_or(0, |since| since.as_millis());
        WallClock { millis_at_zero: u64::try_from(millis).unwrap_or(u64::MAX) }
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_millis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The runtime's name for a point in time.
    pub(crate) fn instant(&self, time: Time) -> Instant {
        let far = Duration::from_secs(365 * 24 * 3600);
        let after = Duration::from_millis(time.as_millis());
        self.start.checked_add(after).unwrap_or_else(|| self.start + far)
    }
}
