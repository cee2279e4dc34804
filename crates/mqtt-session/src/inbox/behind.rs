//! For how long publishers wait for a receiver that is behind.
//!
//! ```text
//!          mark reached                    below half of it
//! keeps up ───────────> behind ─────────────────────────────> keeps up
//!                         │  QoS 0: after `slow_after`: slow, loses QoS 0 messages
//!                         │  QoS 1, 2: nothing finished in `slow_after`, or behind for
//!                         └  `behind_max`: stuck, until it goes on or has caught up
//! ```

use super::InboxLimits;
use crate::time::Time;

/// A receiver that has not caught up since it reached the high-water mark.
#[derive(Debug)]
pub(super) struct Behind {
    since: Time,
    /// The mark that it reached, in bytes.
    pub(super) mark: usize,
    /// When the span of time began in which it has to finish something.
    watched_since: Time,
    has_progressed: bool,
    pub(super) is_slow: bool,
    is_stuck: bool,
}

impl Behind {
    pub(super) const fn new(mark: usize, now: Time) -> Self {
        Self {
            since: now,
            mark,
            watched_since: now,
            has_progressed: false,
            is_slow: false,
            is_stuck: false,
        }
    }

    /// The receiver finished messages.
    pub(super) const fn progress(&mut self) {
        self.has_progressed = true;
    }

    /// Whether publishers of QoS 0 wait for it.
    pub(super) fn stops_reading(&mut self, limits: &InboxLimits, now: Time) -> bool {
        self.is_slow |= now.millis_since(self.since) >= limits.slow_after_millis;
        !self.is_slow
    }

    /// Whether acknowledgements at QoS 1 and 2 wait for it.
    pub(super) fn defers_acks(&mut self, limits: &InboxLimits, now: Time) -> bool {
        if now.millis_since(self.watched_since) >= limits.slow_after_millis {
            let is_late = now.millis_since(self.since) >= limits.behind_max_millis;
            self.is_stuck = is_late || !self.has_progressed;
            (self.watched_since, self.has_progressed) = (now, false);
        }
        !self.is_stuck
    }

    /// When a publisher of QoS 0 that waits should look again, at the latest.
    pub(super) fn slow_at(&self, limits: &InboxLimits) -> Option<Time> {
        (!self.is_slow).then(|| self.since.after_millis(limits.slow_after_millis))
    }

    /// When a publisher whose acknowledgements wait should look again, at the latest.
    pub(super) fn stuck_at(&self, limits: &InboxLimits) -> Option<Time> {
        (!self.is_stuck).then(|| self.watched_since.after_millis(limits.slow_after_millis))
    }
}
