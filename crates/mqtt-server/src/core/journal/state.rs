//! What the store lets the journal do, and what is said about it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mqtt_packet::ReasonCode;
use mqtt_session::{StoreError, Time};

use super::{Entry, Journal, Pending, RETRY_MILLIS};

/// What the store lets us do.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub(super) enum State {
    #[default]
    Ready,
    /// There is no room for new messages; all else is written. Looked at again at this time.
    Short(Time),
    /// Nothing can be written for now; a group is tried again at this time.
    Full(Time),
    /// The disk failed, for good.
    Failed,
}

impl State {
    /// Why everything is refused, if it is.
    pub(super) fn refuses(self, now: Time) -> Option<ReasonCode> {
        match self {
            Self::Ready | Self::Short(_) => None,
            // The first that comes after a while is a try.
            Self::Full(retry) => (now < retry).then_some(ReasonCode::QUOTA_EXCEEDED),
            Self::Failed => Some(ReasonCode::UNSPECIFIED_ERROR),
        }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Ready => 0,
            Self::Short(_) => 1,
            Self::Full(_) => 2,
            Self::Failed => 3,
        }
    }
}

/// Keeps the log short: trouble is told of when it begins, and its end if its beginning was. A store
/// that goes to and fro is told of once in a while.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// When trouble was told of last, in milliseconds from 1 on; 0 for never.
    last: AtomicU64,
    is_told: AtomicBool,
}

/// Trouble is told of no more often than this.
const TELLING_MILLIS: u64 = 10_000;

impl Telling {
    /// Whether a change between these states is to be told of now.
    pub(super) fn is_due(&self, before: State, after: State, now: Time) -> bool {
        if before.rank() == after.rank() {
            return false;
        }
        if after == State::Ready {
            return self.is_told.swap(false, Ordering::Relaxed);
        }
        let millis = now.millis_since(Time::ZERO) + 1;
        let last = self.last.load(Ordering::Relaxed);
        let is_due = last == 0 || millis.saturating_sub(last) >= TELLING_MILLIS;
        // The end of it all is always told of.
        if is_due || after == State::Failed {
            self.last.store(millis, Ordering::Relaxed);
            self.is_told.store(true, Ordering::Relaxed);
            return true;
        }
        false
    }
}

impl Journal {
    /// Whether the store lacks room for new messages. What would make it larger in another way, a
    /// new session or subscription, is better refused then.
    pub(crate) fn lacks_room(&self) -> bool {
        self.lacks_room.load(Ordering::Relaxed)
    }

    /// Whether new messages may be tried: the store is asked again after a while.
    pub(super) fn look_for_room(&self, now: Time) -> bool {
        let State::Short(look) = self.pending.lock().state else { return true };
        if now < look {
            return false;
        }
        if self.store.takes_messages() {
            self.recover(now);
            return true;
        }
        let mut pending = self.pending.lock();
        self.set_state(&mut pending, State::Short(now.after_millis(RETRY_MILLIS)));
        false
    }

    /// The messages of a group were refused, and the rest was written.
    pub(super) fn run_short(&self, error: &StoreError, now: Time) {
        self.meter.failures.fetch_add(1, Ordering::Relaxed);
        let state = State::Short(now.after_millis(RETRY_MILLIS));
        let mut pending = self.pending.lock();
        let before = pending.state;
        self.set_state(&mut pending, state);
        drop(pending);
        if self.telling.is_due(before, state, now) {
            tracing::error!(%error, "the store is short of room: new durable messages are refused");
        }
    }

    /// The store takes everything again.
    pub(super) fn recover(&self, now: Time) {
        let mut pending = self.pending.lock();
        let before = pending.state;
        if !matches!(before, State::Short(_) | State::Full(_)) {
            return;
        }
        self.set_state(&mut pending, State::Ready);
        // A group, for what has waited for room.
        pending.entries.push(Entry::Sync);
        drop(pending);
        if self.telling.is_due(before, State::Ready, now) {
            tracing::info!("the store goes on: durable messages are taken again");
        }
    }

    pub(super) fn set_state(&self, pending: &mut Pending, state: State) {
        pending.state = state;
        self.lacks_room.store(state.rank() > 0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_goes_to_and_fro_is_told_of_once_in_a_while() {
        let telling = Telling::default();
        let full = |millis| State::Full(Time::from_millis(millis));
        let at = Time::from_millis;
        assert!(telling.is_due(State::Ready, full(1), at(0)));
        assert!(!telling.is_due(full(1), full(2), at(60_000)), "nothing has changed");
        assert!(telling.is_due(full(2), State::Ready, at(61_000)));
        assert!(telling.is_due(State::Ready, full(3), at(62_000)));
        assert!(telling.is_due(full(3), State::Ready, at(62_000)));
        assert!(!telling.is_due(State::Ready, full(3), at(63_000)), "to and fro");
        assert!(!telling.is_due(full(3), State::Ready, at(63_000)));
        assert!(telling.is_due(full(3), State::Failed, at(64_000)));
    }
}
