//! The last moments of a connection: everything is written, and the client has to read it.
//!
//! A socket that is closed while bytes of the client are unread, or come later, is reset, and the
//! kernel throws away what the client has not read yet: the DISCONNECT that says why it was closed.
//! So only the sending side is shut down, and what the client still sends is read and dropped until
//! it closes its own side. That is bounded in time, in bytes, and in connections.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use mqtt_session::Time;
use tokio::sync::futures::OwnedNotified;

use crate::{limits::Limits, server::Shared};

/// How long every connection may linger.
const SHORT_MILLIS: u64 = 500;

/// One connection that waits for its client to close.
pub(crate) struct Linger {
    until: Time,
    /// What is still read. After that the client's own window stops it.
    bytes_left: usize,
    /// Whether it may ask for a place when its time is over.
    may_stay: bool,
    place: Option<Place>,
}

/// One of the places for connections that linger long, given back when it is dropped.
struct Place {
    shared: Arc<Shared>,
    stopping: Pin<Box<OwnedNotified>>,
}

impl Linger {
    /// Begins. Who `was_let_in` may linger long, as long as there is a place.
    pub(crate) fn new(limits: &Limits, was_let_in: bool, now: Time) -> Self {
        Self {
            until: now.after_millis(limits.linger_millis.min(SHORT_MILLIS)),
            bytes_left: limits.linger_bytes_max,
            may_stay: was_let_in && limits.linger_millis > SHORT_MILLIS,
            place: None,
        }
    }

    /// For a client that takes nothing: there is nothing to wait for.
    pub(crate) const fn none(now: Time) -> Self {
        Self { until: now, bytes_left: 0, may_stay: false, place: None }
    }

    /// When to look again, at the latest.
    pub(crate) const fn until(&self) -> Time {
        self.until
    }

    /// Whether bytes of the client are to be read and dropped.
    pub(crate) const fn reads(&self) -> bool {
        self.bytes_left > 0
    }

    /// Bytes of the client were dropped.
    pub(crate) const fn dropped(&mut self, bytes: usize) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
    }

    /// Whether its time is over.
    pub(crate) fn poll_over(
        &mut self,
        shared: &Arc<Shared>,
        now: Time,
        cx: &mut Context<'_>,
    ) -> bool {
        if now >= self.until
            && std::mem::take(&mut self.may_stay)
            && let Some(place) = Place::take(shared)
        {
            let more = shared.broker.limits.linger_millis.saturating_sub(SHORT_MILLIS);
            self.until = self.until.after_millis(more);
            self.place = Some(place);
        }
        let stops = |place: &mut Place| place.poll_stopping(cx).is_ready();
        if self.place.as_mut().is_some_and(stops) {
            self.place = None;
            self.until = self.until.min(now.after_millis(SHORT_MILLIS));
        }
        now >= self.until
    }
}

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let taken = shared.lingering.fetch_add(1, Ordering::Relaxed);
        // From here on it is given back whatever happens.
        let stopping = Box::pin(shared.stopping.clone().notified_owned());
        let place = Self { shared: shared.clone(), stopping };
        (taken < shared.broker.limits.lingering_max).then_some(place)
    }

    fn poll_stopping(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Whoever comes too late for the call finds the flag, which is set before it.
        if self.shared.broker.is_stopping.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        self.stopping.as_mut().poll(cx)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.lingering.fetch_sub(1, Ordering::Relaxed);
    }
}
