//! The receivers that one publisher waits for, and how much patience it has with them.
//!
//! A receiver that reads, but slowly, is waited for as long as it takes: that is back-pressure. One
//! that does not read is waited for until it is marked slow. But whoever does not read may come again
//! under another name, and be waited for anew. So the publisher has an allowance: what it waited for
//! receivers that never caught up is counted, and comes back at a sixteenth of the time that passes.
//! Without an allowance it waits for a receiver only as long as that is on its way to catch up.
//!
//! All this is about QoS 0, where who waits is not read from. Acknowledgements of QoS 1 and 2 wait for
//! a receiver as long as it goes on, for nothing that it was promised may be lost.
//!
//! A publisher of small messages does not fill anybody's queue. It is not held up by one that others
//! have filled, as long as that is not too long.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use mqtt_session::{InboxLimits, Time};

use super::slot::{Slot, Waits};
use crate::routing::SubscriberId;

/// A receiver that is not on its way to catch up is given up by an impatient publisher after so long,
/// in milliseconds.
const GRACE_MILLIS: u64 = 200;

/// Of what a publisher waited in vain, one part of so many comes back with the time that passes.
const RECOVERY: u64 = 16;

/// A publisher that leaves no more than this part of the high-water mark in a second is not held up.
const SMALL: u64 = 8;

/// But above this part of what a queue may hold, everybody is.
const LONG: usize = 4;

/// So many receivers that were given up are remembered before those are forgotten that need not be.
const GIVEN_UP: usize = 64;

/// Receivers that are behind, each once. Nearly always there are none, and it is one word.
#[derive(Default)]
pub(crate) struct Behind(Option<Box<Watched>>);

struct Watched {
    limits: InboxLimits,
    waiting: HashMap<SubscriberId, Wait, RandomState>,
    given_up: HashMap<SubscriberId, GivenUp, RandomState>,
    patience: Patience,
}

/// What a publisher has just left with a receiver.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Left {
    pub(crate) bytes: usize,
    /// What it waits with, if it waits.
    pub(crate) waits: Waits,
}

/// A receiver that is waited for.
struct Wait {
    slot: Arc<Slot>,
    /// The number of its connection: another one has not caught up, it is another one.
    epoch: u64,
    since: Time,
    /// What its connection had sent then, in bytes.
    sent: u64,
    /// When an impatient publisher asks whether it is on its way.
    look_at: Time,
}

/// A receiver that is not waited for any more.
struct GivenUp {
    epoch: u64,
    /// Then it is marked slow, or has caught up.
    until: Time,
}

/// What a slot says of its receiver.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) epoch: u64,
    /// It is behind, and has not been so for too long.
    pub(crate) is_pressing: bool,
    /// It is gone, or marked slow.
    pub(crate) is_lost: bool,
    /// Bytes that wait for it.
    pub(crate) bytes: usize,
    /// Bytes that its connection has sent so far.
    pub(crate) sent: u64,
}

/// How long a publisher has waited in vain, and how much it left with receivers that are behind. Both
/// are forgotten in time.
struct Patience {
    now: Time,
    /// In parts of a millisecond, so that it can be forgotten by the millisecond.
    waited: u64,
    /// In thousandths of a byte, for the same reason.
    left: u64,
}

impl Behind {
    /// A receiver is behind that the publisher just left this run with.
    pub(crate) fn add(&mut self, slot: &Arc<Slot>, left: Left, limits: &InboxLimits, now: Time) {
        let watched = self.0.get_or_insert_with(|| Box::new(Watched::new(*limits, now)));
        if !watched.waiting.contains_key(&slot.id) {
            watched.add(slot, left, now);
        }
    }

    /// Lets those go that have caught up or are lost, and those that patience has run out with.
    pub(super) fn poll(&mut self, publisher: &Arc<Slot>, waits: Waits, now: Time) {
        if let Some(watched) = &mut self.0 {
            watched.poll(publisher, waits, now);
        }
    }

    /// When to look again, at the latest.
    pub(super) fn deadline(&self, waits: Waits) -> Option<Time> {
        let watched = self.0.as_ref()?;
        watched.waiting.values().filter_map(|wait| watched.deadline(wait, waits)).min()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|watched| watched.waiting.is_empty())
    }

    /// Gives memory back if there is nothing to be remembered.
    pub(super) fn shrink(&mut self, now: Time) {
        self.0.take_if(|watched| watched.waiting.is_empty() && watched.is_rested(now));
    }
}

impl Watched {
    fn new(limits: InboxLimits, now: Time) -> Self {
        let patience = Patience { now, waited: 0, left: 0 };
        Self { limits, waiting: HashMap::default(), given_up: HashMap::default(), patience }
    }

    fn add(&mut self, slot: &Arc<Slot>, left: Left, now: Time) {
        let Standing { epoch, bytes, sent, .. } = slot.standing(left.waits, now);
        if let (Waits::Reading, limits) = (left.waits, &self.limits) {
            self.patience.pass(limits, now);
            let given_up = self.given_up.get(&slot.id);
            let is_given_up = given_up.is_some_and(|it| it.epoch == epoch && now < it.until);
            let is_short = bytes < limits.bytes_max / LONG;
            if is_given_up || (is_short && self.patience.is_small(left.bytes, limits)) {
                return;
            }
        }
        let look_at = now.after_millis(GRACE_MILLIS);
        self.waiting.insert(slot.id, Wait { slot: slot.clone(), epoch, since: now, sent, look_at });
    }

    fn poll(&mut self, publisher: &Arc<Slot>, waits: Waits, now: Time) {
        let Self { limits, waiting, given_up, patience } = self;
        patience.pass(limits, now);
        waiting.retain(|id, wait| {
            let standing = wait.slot.holds_back(publisher, waits, now);
            if waits == Waits::Acks {
                return standing.is_pressing;
            }
            let took = now.millis_since(wait.since);
            if standing.is_lost || standing.epoch != wait.epoch {
                patience.charge(took, limits);
                return false;
            }
            if !standing.is_pressing || patience.allowance(limits) > took || now < wait.look_at {
                return standing.is_pressing;
            }
            if wait.is_on_its_way(standing.sent, took, limits) {
                wait.look_at = now.after_millis(GRACE_MILLIS);
                return true;
            }
            patience.charge(took, limits);
            let until = now.after_millis(limits.slow_after_millis);
            given_up.insert(*id, GivenUp { epoch: standing.epoch, until });
            false
        });
        if given_up.len() > GIVEN_UP {
            given_up.retain(|_, it| now < it.until);
        }
    }

    /// When a receiver is slow, or patience with it has run out.
    fn deadline(&self, wait: &Wait, waits: Waits) -> Option<Time> {
        let given_up_at = wait.slot.given_up_at(waits);
        if waits == Waits::Acks {
            return given_up_at;
        }
        let allowance = self.patience.allowance(&self.limits);
        let look_at = wait.look_at.max(wait.since.after_millis(allowance));
        mqtt_session::time::earliest(given_up_at, Some(look_at))
    }

    fn is_rested(&mut self, now: Time) -> bool {
        self.patience.pass(&self.limits, now);
        self.given_up.retain(|_, it| now < it.until);
        self.patience.waited == 0 && self.patience.left == 0 && self.given_up.is_empty()
    }
}

impl Wait {
    /// Whether the receiver takes half of what it would have to, in order to be down to half of the
    /// high-water mark before it is marked slow.
    fn is_on_its_way(&self, sent: u64, took: u64, limits: &InboxLimits) -> bool {
        let high_water = u64::try_from(limits.high_water_bytes).unwrap_or(u64::MAX);
        let wanted = (high_water / 4).saturating_mul(took) / limits.slow_after_millis.max(1);
        sent.saturating_sub(self.sent) >= wanted.max(1)
    }
}

impl Patience {
    /// Time passes, and what was is forgotten.
    fn pass(&mut self, limits: &InboxLimits, now: Time) {
        let passed = now.millis_since(self.now);
        self.now = now;
        self.waited = self.waited.saturating_sub(passed);
        self.left = self.left.saturating_sub(passed.saturating_mul(small(limits)));
    }

    /// The publisher has waited so long in vain, in milliseconds.
    fn charge(&mut self, took: u64, limits: &InboxLimits) {
        let waited = self.waited.saturating_add(took.saturating_mul(RECOVERY));
        // Nobody owes more than all of it: several may have been waited for at once.
        self.waited = waited.min(limits.slow_after_millis.saturating_mul(RECOVERY));
    }

    /// How long the publisher would wait in vain now, in milliseconds.
    fn allowance(&self, limits: &InboxLimits) -> u64 {
        limits.slow_after_millis.saturating_sub(self.waited.div_ceil(RECOVERY))
    }

    /// Whether so little was left with receivers that are behind that nobody has to wait for it. If so,
    /// these bytes are counted too.
    fn is_small(&mut self, bytes: usize, limits: &InboxLimits) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let left = self.left.saturating_add(bytes.saturating_mul(1000));
        let is_small = left <= small(limits).saturating_mul(1000);
        if is_small {
            self.left = left;
        }
        is_small
    }
}

/// How many bytes a small publisher leaves in a second, or thousandths of them in a millisecond.
fn small(limits: &InboxLimits) -> u64 {
    u64::try_from(limits.high_water_bytes).unwrap_or(u64::MAX) / SMALL
}
