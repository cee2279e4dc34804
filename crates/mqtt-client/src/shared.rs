//! What the handles of a connection and its task both see.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use mqtt_packet::Version;
use mqtt_session::Connected;
use tokio::sync::watch;

use crate::{
    Loss, SessionState, Stats,
    bell::Bell,
    queue::{Capacity, Queue},
    unmatched::Unmatched,
};

/// One connection's shared state.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) version: Version,
    pub(crate) connected: Connected,
    pub(crate) capacity: Capacity,
    pub(crate) bell: Arc<Bell>,
    pub(crate) unmatched: Unmatched,
    /// Set once, when the connection is over.
    pub(crate) loss: watch::Sender<Option<Loss>>,
    pub(crate) session: SessionState,
    slow: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        version: Version,
        connected: Connected,
        capacity: Capacity,
        session: SessionState,
        holds: bool,
    ) -> Self {
        let bell = Arc::new(Bell::default());
        let queue = Queue::new(capacity, bell.clone());
        Self {
            version,
            connected,
            capacity,
            bell,
            unmatched: Unmatched::new(queue, holds),
            loss: watch::Sender::new(None),
            session,
            slow: AtomicU64::new(0),
        }
    }

    pub(crate) fn queue(&self) -> Arc<Queue> {
        Queue::new(self.capacity, self.bell.clone())
    }

    pub(crate) fn count_slow(&self, messages: u64) {
        self.slow.fetch_add(messages, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            dropped_unmatched: self.unmatched.dropped(),
            dropped_slow: self.slow.load(Ordering::Relaxed),
        }
    }

    /// The connection is over.
    pub(crate) fn end(&self, loss: Loss) {
        self.loss.send_replace(Some(loss));
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.loss.borrow().is_some()
    }

    /// Why the connection is over; for those who noticed that the task is gone.
    pub(crate) fn loss(&self) -> Loss {
        self.loss.borrow().clone().unwrap_or(Loss::Stopped)
    }
}
