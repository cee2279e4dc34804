//! What a client keeps of a session between two connections.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mqtt_session::{Session, Time};

/// The client's half of a session: messages that were not finally acknowledged, and identifiers of
/// received QoS 2 messages. It lives in memory; a clone is another handle of the same state.
///
/// [`Client::session`](crate::Client::session) gives the handle, and
/// [`Options::resume`](crate::Options::resume) takes it into the next connection. While a
/// connection lasts the state is with the connection; it comes back at the end, and also when
/// connecting fails.
#[derive(Clone)]
pub struct SessionState(Arc<Slot>);

struct Slot {
    client_id: String,
    kept: Mutex<Option<Kept>>,
}

/// The state itself.
pub(crate) struct Kept {
    pub(crate) session: Session,
    pub(crate) clock: Clock,
    /// The number of the last message of QoS 1 or 2.
    pub(crate) last_mark: u64,
}

impl SessionState {
    /// A handle of a session that begins, or that some connection has.
    pub(crate) fn new(client_id: &str) -> Self {
        Self(Arc::new(Slot { client_id: client_id.to_owned(), kept: Mutex::new(None) }))
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        // Nothing panics while it holds the lock.
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self) -> Option<Kept> {
        self.kept().take()
    }

    pub(crate) fn put(&self, kept: Kept) {
        *self.kept() = Some(kept);
    }

    /// The client identifier that the session belongs to.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.0.client_id
    }

    /// Whether no connection has the state, so that it can be resumed.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.kept().is_some()
    }

    /// How many messages are unfinished: they go out again when the session is resumed. 0 while a
    /// connection has the state.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.kept().as_ref().map_or(0, |kept| kept.session.unfinished_messages())
    }
}

impl fmt::Debug for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionState")
            .field("client_id", &self.client_id())
            .field("is_free", &self.is_free())
            .finish_non_exhaustive()
    }
}

/// The clock that a session's deadlines are counted on.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// What tells two processes apart that never meet.
    pub(crate) fn since_epoch() -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    pub(crate) fn now(self) -> Time {
        Time::from_millis(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The runtime's name for a point on this clock.
    pub(crate) fn instant(self, time: Time) -> tokio::time::Instant {
        // A deadline beyond the clock's end is as good as none: a year from now will do.
        let far = Duration::from_secs(365 * 24 * 3600);
        let after = Duration::from_millis(time.as_millis());
        let instant = self.0.checked_add(after).unwrap_or_else(|| Instant::now() + far);
        tokio::time::Instant::from_std(instant)
    }
}
