//! Messages that expire while they wait, and who sees to that [MQTT-3.3.2-5].
//!
//! A message with a Message Expiry Interval that is left for a session puts the session on the
//! schedule, once for each second in which something of it expires. Then whoever has the messages
//! looks: the inbox here, the owner of a connection for what it holds, the journal for what is in the
//! store. A full queue does not wait for that: what has expired makes room at once.

use std::sync::Arc;

use mqtt_session::{Level, Time, time::earliest};
use mqtt_topics::TopicName;

use super::{
    broker::Broker,
    connection::Connection,
    journal::{Entry, Transaction},
    slot::Slot,
};

/// So many retained messages are removed in one go.
const RETAINED_MAX: usize = 1024;

impl Broker {
    /// Removes retained messages that have expired, here and in the store, at most some of them.
    /// Returns whether there were any.
    pub(super) fn expire_retained(&self, now: Time) -> bool {
        let mut expired = Vec::new();
        let next = self.retained.expire(now, RETAINED_MAX, &mut expired);
        let any = !expired.is_empty();
        self.forget_retained(expired, now);
        if let Some(due) = next {
            self.schedule.look_at_retained(due);
        }
        any
    }

    /// Has the retained messages of topics removed from the store, as they have expired.
    pub(super) fn forget_retained(&self, topics: Vec<TopicName>, now: Time) {
        let mut transaction = Transaction::new();
        for topic in topics {
            transaction.add(Entry::ForgetRetained { topic }, Level::Memory);
        }
        self.append(transaction, now);
    }

    /// Removes messages of a session that have expired, or has them removed.
    pub(super) fn expire_messages(&self, slot: &Arc<Slot>, now: Time) {
        let (next, is_online) = {
            let mut state = slot.lock();
            if state.ended {
                return;
            }
            let is_online = state.inbox.is_online();
            state.looks |= is_online;
            let here = state.inbox.look(now);
            let there = match &mut state.session {
                // Kept here by nobody but us.
                Some(session) if !is_online => {
                    let mut done = mqtt_session::Ledger::default();
                    let next = session.expire(&mut done, now);
                    let held = session.held();
                    state.inbox.report(done, held);
                    next
                }
                _ => None,
            };
            (earliest(here, there), is_online)
        };
        if is_online {
            slot.wake();
        }
        if let Some(due) = next {
            self.look_at(slot, due);
        }
        if let Some(session) = slot.number {
            let mut transaction = Transaction::new();
            transaction.add(Entry::Expire { session, slot: slot.clone() }, Level::Memory);
            self.append(transaction, now);
        }
    }

    /// Puts the session on the schedule, as a message of it expires at `due`.
    pub(super) fn look_at(&self, slot: &Arc<Slot>, due: Time) {
        if let Some(at) = slot.look_at(due) {
            self.schedule.look(at, slot);
        }
    }
}

impl Connection {
    /// Drops messages that have expired while they waited for the window, here and in the inbox.
    pub(super) fn expire(&mut self, slot: &Arc<Slot>, now: Time) {
        let mut expired = std::collections::VecDeque::new();
        let behind = {
            let mut state = slot.lock();
            state.inbox.take_expired_stored(now, &mut expired);
            state.inbox.stored_expiry()
        };
        for delivery in expired {
            if self.endpoint.skip(&delivery) {
                self.done_mut().expired += u64::from(delivery.count());
            }
        }
        if let Some(due) = earliest(self.endpoint.expire(now), behind) {
            self.broker.look_at(slot, due);
        }
    }
}
