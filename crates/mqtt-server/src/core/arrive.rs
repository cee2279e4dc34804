//! From an accepted login to a session: a new one, an old one, or one that another connection has.

use std::{sync::Arc, task::Waker};

use mqtt_packet::ReasonCode;
use mqtt_session::{Session, Time};

use super::{broker::Broker, login::Admitted, slot::Slot};

/// A client that may have its session.
pub(crate) struct Arrival<'a> {
    pub(crate) client_id: &'a Arc<str>,
    pub(crate) admitted: &'a Admitted,
    pub(crate) clean_start: bool,
    pub(crate) expiry_secs: u32,
}

/// What came of an [`Arrival`].
pub(crate) enum Arrived {
    /// The session is the connection's.
    Owner {
        slot: Arc<Slot>,
        session: Session,
        present: bool,
        epoch: u64,
    },
    /// Another connection has the session and was told to go: try again when woken.
    Later,
    Refused(ReasonCode),
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
        loop {
            let Some(mut shard) = self.registry.shard(arrival.client_id) else {
                return Arrived::Refused(ReasonCode::UNSPECIFIED_ERROR);
            };
            let Some(slot) = shard.get(arrival.client_id).cloned() else {
                if self.registry.len() >= self.limits.sessions_max {
                    return Arrived::Refused(ReasonCode::QUOTA_EXCEEDED);
                }
                let slot = Arc::new(Slot::new(
                    self.registry.next_id(),
                    arrival.client_id.clone(),
                    arrival.admitted.identity.clone(),
                    self.inbox_limits(),
                ));
                let taken = take(&slot, arrival, false);
                self.registry.insert(&mut shard, &slot);
                return taken;
            };
            // A session belongs to who made it: checked before anything of it is touched.
            if slot.identity != arrival.admitted.identity {
                return Arrived::Refused(ReasonCode::NOT_AUTHORIZED);
            }
            let (online, over) = {
                let state = slot.lock();
                let over = state.ended || state.expires_at.is_some_and(|due| due <= now);
                (state.inbox.is_online(), over)
            };
            if online {
                drop(shard);
                slot.ask_to_leave(ReasonCode::SESSION_TAKEN_OVER, waker);
                return Arrived::Later;
            }
            if !arrival.clean_start && !over {
                return take(&slot, arrival, true);
            }
            drop(shard);
            self.end_with_will(&slot, now);
        }
    }

    /// Ends a session; a will that still waited is due now [MQTT-3.1.2-8].
    fn end_with_will(&self, slot: &Arc<Slot>, now: Time) {
        let will = slot.lock().will.take();
        if let Some((will, _)) = will {
            self.publish_will(slot, &will.published(now), now);
        }
        self.end_session(slot);
        // A session that ended long ago may still stand in the table.
        self.registry.remove(slot);
    }
}

/// Makes the connection the owner. The shard is locked, so nobody else is at it.
fn take(slot: &Arc<Slot>, arrival: &Arrival<'_>, present: bool) -> Arrived {
    let mut state = slot.lock();
    state.epoch += 1;
    state.expiry_secs = arrival.expiry_secs;
    state.expires_at = None;
    // Back in time: the will is not published [MQTT-3.1.3-9].
    state.will = None;
    state.inbox.go_online();
    let session = state.session.take().unwrap_or_default();
    Arrived::Owner { slot: slot.clone(), session, present, epoch: state.epoch }
}
