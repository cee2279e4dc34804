//! A time in which the engine is closed because it could not go on, and when it is tried again.

use std::time::{Duration, Instant};

use mqtt_session::{StoreError, StoreErrorKind};

/// The first pause between two attempts to open the engine again.
const PAUSE_MIN: Duration = Duration::from_millis(250);

/// The longest pause: a lack that passes is noticed within this time.
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// The engine was well for so long: the next outage begins with short pauses again.
const WELL_AFTER: Duration = Duration::from_secs(30);

/// Why the engine is closed, and when it may be opened again.
#[derive(Debug)]
pub(crate) struct Outage {
    why: String,
    /// The group that is taken back before the engine is opened: it was refused.
    pub(crate) refused_group: Option<u64>,
    next_try: Instant,
}

/// How long to wait before the engine is opened again. Grows while it does not stay well.
#[derive(Debug)]
pub(crate) struct Backoff {
    pause: Duration,
    opened_at: Instant,
}

impl Outage {
    /// Begins an outage. The first attempt is made at once, unless the one before was just now.
    pub(crate) fn new(why: String, refused_group: Option<u64>, backoff: &mut Backoff) -> Self {
        let next_try = backoff.next_try();
        Self { why, refused_group, next_try }
    }

    /// Whether it is time to open the engine.
    pub(crate) fn is_due(&self) -> bool {
        Instant::now() >= self.next_try
    }

    /// The engine could not be opened, for this reason.
    pub(crate) fn goes_on(&mut self, why: String, backoff: &mut Backoff) {
        self.why = why;
        self.next_try = Instant::now() + backoff.longer();
    }

    /// What is answered meanwhile.
    pub(crate) fn error(&self, dir: &str) -> StoreError {
        StoreError {
            kind: StoreErrorKind::Full,
            what: format!(
                "the store in {dir} is closed for now, and is opened again by itself: {}",
                self.why
            ),
            source: None,
        }
    }
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { pause: Duration::ZERO, opened_at: Instant::now() }
    }

    /// The engine was opened.
    pub(crate) fn opened(&mut self) {
        self.opened_at = Instant::now();
    }

    fn next_try(&mut self) -> Instant {
        let now = Instant::now();
        if now.duration_since(self.opened_at) >= WELL_AFTER {
            self.pause = Duration::ZERO;
            return now;
        }
        let pause = self.pause;
        self.longer();
        now + pause
    }

    fn longer(&mut self) -> Duration {
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let mut backoff = Backoff::new();
        let first = Outage::new("no descriptors".to_owned(), Some(1), &mut backoff);
        assert!(first.is_due(), "the first attempt is made at once");
        let pauses: Vec<_> = (0..8).map(|_| backoff.longer().as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 8000, 8000, 8000]);
    }

    #[test]
    fn an_engine_that_does_not_stay_well_is_left_alone_for_a_while() {
        let mut backoff = Backoff::new();
        Outage::new("no descriptors".to_owned(), Some(1), &mut backoff);
        backoff.opened();
        assert!(!Outage::new("no descriptors".to_owned(), Some(1), &mut backoff).is_due());
        assert!(!backoff.pause.is_zero());
    }

    #[test]
    fn the_answer_says_what_is_missing() {
        let mut backoff = Backoff::new();
        let error = Outage::new("no descriptors".to_owned(), Some(1), &mut backoff).error("/data");
        assert_eq!(error.kind, StoreErrorKind::Full);
        assert!(error.what.contains("/data") && error.what.contains("no descriptors"));
    }
}
