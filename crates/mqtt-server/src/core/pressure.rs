//! Making a publisher wait for receivers that are behind.
//!
//! QoS 0 has no acknowledgement to hold back, so its publisher is not read from until the receivers
//! have caught up. At QoS 1 and 2 the acknowledgement waits instead, and reading goes on: what the
//! client sends next may be the acknowledgements that let *its* queue drain. If it were not read
//! from, a circle of clients at QoS 1 could wait for each other for ever.
//!
//! Both have an end: a receiver that stays behind is marked slow, and nobody waits for it.

use std::{collections::VecDeque, sync::Arc};

use mqtt_packet::{QoS, ReasonCode};
use mqtt_session::{Run, ServerEndpoint, Time};

use super::slot::Slot;

/// The receivers that one publisher waits for, and the acknowledgements it is owed meanwhile.
#[derive(Default)]
pub(super) struct Pressure {
    /// Behind with QoS 0 messages.
    unread: Behind,
    /// Behind with QoS 1 and 2 messages.
    unanswered: Behind,
    owed: Option<Box<VecDeque<(Run, ReasonCode)>>>,
    owed_messages: u32,
}

/// Receivers that are behind, each once. Nearly always there are none, and it is one word.
#[derive(Default)]
pub(crate) struct Behind(Option<Box<Vec<Arc<Slot>>>>);

impl Behind {
    pub(crate) fn add(&mut self, slot: &Arc<Slot>) {
        let slots = self.0.get_or_insert_default();
        if !slots.iter().any(|held| held.id == slot.id) {
            slots.push(slot.clone());
        }
    }

    fn slow_at(&self) -> Option<Time> {
        self.0.as_ref()?.iter().filter_map(|slot| slot.slow_at()).min()
    }

    const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn retain(&mut self, keep: impl FnMut(&Arc<Slot>) -> bool) {
        let Some(slots) = &mut self.0 else { return };
        slots.retain(keep);
        if slots.is_empty() {
            self.0 = None;
        }
    }
}

impl Pressure {
    /// Where the receivers of messages with this QoS are noted.
    pub(super) fn receivers(&mut self, qos: QoS) -> &mut Behind {
        if qos == QoS::AtMostOnce { &mut self.unread } else { &mut self.unanswered }
    }

    /// Whether the publisher is not to be read from: because of QoS 0 messages, or because it does
    /// not wait for `owed_max` acknowledgements, as a client before 5.0 need not.
    pub(super) fn stops_reading(&self, owed_max: u16) -> bool {
        !self.unread.is_empty() || self.owed_messages >= u32::from(owed_max)
    }

    /// Acknowledges a run, or keeps the acknowledgement until the receivers have caught up. The
    /// order stays that of the messages.
    pub(super) fn acknowledge(
        &mut self,
        run: &Run,
        reason: ReasonCode,
        endpoint: &mut ServerEndpoint,
    ) {
        if run.qos() == QoS::AtMostOnce {
            return;
        }
        if self.unanswered.is_empty() && self.owed.is_none() {
            return endpoint.acknowledge(run, reason);
        }
        self.owed_messages += run.count();
        self.owed.get_or_insert_default().push_back((run.clone(), reason));
    }

    /// Looks whether the receivers have caught up; if so, pays what is owed.
    pub(super) fn poll(&mut self, publisher: &Arc<Slot>, endpoint: &mut ServerEndpoint, now: Time) {
        for behind in [&mut self.unread, &mut self.unanswered] {
            behind.retain(|slot| slot.holds_back(publisher, now));
        }
        if self.unanswered.is_empty() {
            self.owed_messages = 0;
            for (run, reason) in self.owed.take().into_iter().flat_map(|owed| *owed) {
                endpoint.acknowledge(&run, reason);
            }
        }
    }

    /// Whether nobody is waited for.
    pub(super) fn is_none(&self) -> bool {
        self.unread.is_empty() && self.unanswered.is_empty()
    }

    /// When to look again, at the latest.
    pub(super) fn deadline(&self) -> Option<Time> {
        mqtt_session::time::earliest(self.unread.slow_at(), self.unanswered.slow_at())
    }
}
