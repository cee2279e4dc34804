//! From an accepted login to a session: a new one, an old one, or one that another connection has.

use std::{
    sync::{Arc, atomic::Ordering},
    task::Waker,
};

use mqtt_packet::ReasonCode;
use mqtt_session::{Session, Time};

use super::{
    broker::Broker,
    cause::Cause,
    journal::{Ticket, Transaction},
    login::Admitted,
    memory::MemoryLevel,
    slot::{Slot, SlotState},
    work::Work,
};

/// So many sessions end for one newcomer at most: others may take the room that they leave.
const EVICTIONS_MAX: u32 = 4;

/// A client that may have its session.
pub(crate) struct Arrival<'a> {
    pub(crate) client_id: &'a Arc<str>,
    pub(crate) admitted: &'a Admitted,
    pub(crate) clean_start: bool,
    pub(crate) expiry_secs: u32,
    /// Where the client is, if its transport says.
    pub(crate) address: Option<std::net::IpAddr>,
}

/// What came of an [`Arrival`].
pub(crate) enum Arrived {
    /// The session is the connection's.
    Owner {
        slot: Arc<Slot>,
        session: Box<Session>,
        present: bool,
        epoch: u64,
        /// The end of the session before, which has to be safe first.
        after: Ticket,
    },
    /// Another connection has the session and was told to go: try again when woken.
    Later,
    Refused(Cause),
}

impl Broker {
    /// Gives a client its session. Decided under the lock of the client identifier's shard, so that
    /// two connections at once cannot both get it.
    pub(crate) fn arrive(
        self: &Arc<Self>,
        arrival: &Arrival<'_>,
        waker: Option<&Waker>,
        now: Time,
    ) -> Arrived {
        let mut after = Ticket::default();
        let mut evictions = 0;
        loop {
            let Some(mut shard) = self.registry.shard(arrival.client_id) else {
                return Arrived::Refused(Cause::Unavailable);
            };
            let Some(slot) = shard.find(arrival.client_id).cloned() else {
                if !self.has_room_for(arrival) {
                    drop(shard);
                    evictions += 1;
                    if evictions <= EVICTIONS_MAX && self.evict_session(now) {
                        continue;
                    }
                    self.registry.quota.refused.fetch_add(1, Ordering::Relaxed);
                    return Arrived::Refused(Cause::Sessions);
                }
                // What room there is belongs to those who drain their queues. Who takes the place
                // of a session makes none.
                let is_one_more = arrival.expiry_secs > 0 && after == Ticket::default();
                if is_one_more && self.lacks_room() {
                    return Arrived::Refused(Cause::NotStored(ReasonCode::QUOTA_EXCEEDED));
                }
                if arrival.expiry_secs > 0 && self.memory.still_refuses(MemoryLevel::Refuse) {
                    return Arrived::Refused(Cause::Memory);
                }
                let id = self.registry.next_id();
                if let Some(cause) = self.claim_session(id, arrival) {
                    return Arrived::Refused(cause);
                }
                let slot = Arc::new(Slot::new(
                    id,
                    arrival.client_id.clone(),
                    arrival.admitted.identity.clone(),
                    self.inbox_limits(),
                    self.journal
                        .as_ref()
                        .filter(|_| arrival.expiry_secs > 0)
                        .map(|j| j.next_session()),
                ));
                let taken = take(&slot, &mut slot.lock(), arrival, false, after);
                self.registry.insert(&mut shard, &slot);
                return taken;
            };
            // A session belongs to who made it: checked before anything of it is touched.
            if slot.identity != arrival.admitted.identity {
                return Arrived::Refused(Cause::Identity);
            }
            let mut state = slot.lock();
            if state.inbox.is_online() {
                drop(state);
                drop(shard);
                if slot.ask_to_leave(Cause::TakenOver, waker) {
                    return Arrived::Later;
                }
                continue;
            }
            let is_over = state.ended || state.expires_at.is_some_and(|due| due <= now);
            if !arrival.clean_start && !is_over {
                return take(&slot, &mut state, arrival, true, after);
            }
            let epoch = state.epoch;
            drop(state);
            drop(shard);
            after = after.max(self.end_with_will(&slot, epoch, now));
        }
    }

    /// Ends a session; a will that still waited is due now [MQTT-3.1.2-8]. Does nothing if another
    /// connection was faster and has the session.
    pub(super) fn end_with_will(&self, slot: &Arc<Slot>, epoch: u64, now: Time) -> Ticket {
        let mut transaction = Transaction::new();
        let will = {
            let mut state = slot.lock();
            if state.is_abandoned(epoch) { state.will.take() } else { None }
        };
        if let Some(will) = will {
            let mut work = Work::default();
            self.publish_will(slot, &will.0.published(now), &mut work, now, &mut transaction);
        }
        self.append(transaction, now);
        let ticket = self.end_abandoned(slot, epoch);
        if slot.lock().ended {
            // A session that ended long ago may still stand in the table.
            self.registry.remove(slot);
        }
        ticket
    }
}

/// Makes the connection the owner. The shard is locked, so nobody else is at it.
fn take(
    slot: &Arc<Slot>,
    state: &mut SlotState,
    arrival: &Arrival<'_>,
    present: bool,
    after: Ticket,
) -> Arrived {
    state.epoch += 1;
    state.expiry_secs = arrival.expiry_secs;
    state.expires_at = None;
    // Back in time: the will is not published [MQTT-3.1.3-9].
    state.will = None;
    state.inbox.go_online();
    let session = state.session.take().unwrap_or_default();
    Arrived::Owner { slot: slot.clone(), session, present, epoch: state.epoch, after }
}
