//! What large sessions and connections leave behind, taken away a page at a time.
//!
//! A million subscriptions take seconds to be taken out of the routing. Nobody waits for that: a
//! session that is over is found by nobody, wherever its subscriptions still stand.

use std::{collections::VecDeque, sync::Arc};

use mqtt_topics::SubscriptionFilter;
use parking_lot::Mutex;

use super::{backlog::Backlog, broker::Broker, slot::Slot, subscriptions::Filters};
use crate::routing::SubscriberId;

/// So many subscriptions are taken out at once: about half a millisecond.
const PAGE: usize = 128;

/// What is left to be taken away, oldest first.
#[derive(Default)]
pub(super) struct Sweep(Mutex<VecDeque<Leftover>>);

enum Leftover {
    /// The filters of a session that is over.
    Filters(SubscriberId, Filters),
    /// What a connection did not come to.
    Backlog(Box<Backlog>),
}

impl Leftover {
    /// Takes a page away; whether there is more.
    fn sweep(&mut self, broker: &Broker) -> bool {
        match self {
            Self::Filters(subscriber, filters) => {
                let page: Vec<_> = filters.take(PAGE).collect();
                broker.forget(*subscriber, &page);
                filters.len() > 0
            }
            Self::Backlog(backlog) => backlog.replays.shed(PAGE),
        }
    }
}

impl Broker {
    /// Takes the subscriptions of a session that is over out of the routing: a page now, and what is
    /// more than that when nobody else has anything to do.
    pub(super) fn unroute_all(&self, slot: &Slot, mut filters: Filters) {
        for filter in filters.by_ref().take(PAGE) {
            self.unroute(slot, &filter);
        }
        if filters.len() > 0 {
            self.leave(Leftover::Filters(slot.id, filters));
        }
    }

    /// Drops what a connection did not come to.
    pub(super) fn drop_backlog(&self, mut backlog: Box<Backlog>) {
        backlog.request = None;
        if backlog.replays.shed(PAGE) {
            self.leave(Leftover::Backlog(backlog));
        }
    }

    fn leave(&self, leftover: Leftover) {
        self.sweep.0.lock().push_back(leftover);
        self.schedule.wake();
    }

    /// Whether there is something to be taken away.
    pub(crate) fn has_leftovers(&self) -> bool {
        !self.sweep.0.lock().is_empty()
    }

    /// Takes a page of what is left away.
    pub(super) fn sweep(&self) {
        let Some(mut leftover) = self.sweep.0.lock().pop_front() else { return };
        if leftover.sweep(self) {
            // Behind the others: a session of ten filters does not wait for one of a million.
            self.sweep.0.lock().push_back(leftover);
        }
    }

    /// Takes some filters of a session that is over out of the routing.
    fn forget(&self, subscriber: SubscriberId, filters: &[Arc<str>]) {
        let levels_max = self.limits.protocol.topic_levels_max;
        let filters = filters
            .iter()
            .filter_map(|filter| SubscriptionFilter::parse_with_limit(filter, levels_max).ok());
        let filters: Vec<_> = filters.collect();
        self.routing.forget(subscriber, &filters);
    }
}
