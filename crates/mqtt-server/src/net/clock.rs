//! The one place where the server reads a clock.

use std::time::{Duration, Instant};

use mqtt_session::Time;

/// A monotonic clock that starts with the server. A wall clock that jumps does not move it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_millis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The runtime's name for a point in time.
    pub(crate) fn instant(&self, time: Time) -> tokio::time::Instant {
        let far = Duration::from_secs(365 * 24 * 3600);
        let after = Duration::from_millis(time.as_millis());
        let instant = self.start.checked_add(after);
        instant.unwrap_or_else(|| self.start + far).into()
    }
}
