//! Sending retained messages for a new subscription, a page at a time.

use std::sync::Arc;

use mqtt_packet::QoS;
use mqtt_session::{Delivery, Level, Run, Time};
use mqtt_topics::{TopicFilter, TopicName, TopicNameRef};

use super::{
    connection::{Connection, Stage},
    journal::{Entry, Journal, Outcome, QueueTarget, Ticket, Transaction},
};

/// So many messages are fetched at once; the next page is fetched when these are on their way.
const PAGE: usize = 256;

/// Large messages are sent on before the page is full.
const PAGE_BYTES: usize = 256 * 1024;

/// Retained messages that a new subscription is still to be sent.
pub(super) struct Replay {
    pub(super) filter: TopicFilter,
    pub(super) granted: QoS,
    pub(super) identifiers: Option<Arc<[u32]>>,
    /// The last topic that was looked at.
    pub(super) after: Option<TopicName>,
    /// What was sent last goes through the journal; it is to be written first.
    pub(super) waits_for: Ticket,
    /// The client has to take what is in its queue first.
    pub(super) is_waiting: bool,
}

impl Replay {
    pub(super) const fn new(
        filter: TopicFilter,
        granted: QoS,
        identifiers: Option<Arc<[u32]>>,
    ) -> Self {
        let (after, waits_for, is_waiting) = (None, Ticket::NONE, false);
        Self { filter, granted, identifiers, after, waits_for, is_waiting }
    }
}

impl Connection {
    /// Goes on with replays as long as there is room: they are streamed, not collected.
    pub(super) fn poll_replays(&mut self, now: Time) {
        while self.room() > 0 && self.may_replay() {
            let Some(replays) = &mut self.replays else { return };
            let Some(replay) = replays.front_mut() else {
                self.replays = None;
                return;
            };
            let Stage::Open(client) = &self.stage else { return };
            let slot = client.slot.clone();
            // What the client is to acknowledge has to fit into its queue; the rest waits.
            let takes_room = replay.granted > QoS::AtMostOnce;
            let wanted = match takes_room {
                true => slot.reserve(PAGE, self.endpoint.held()),
                false => PAGE,
            };
            replay.is_waiting = wanted == 0;
            if replay.is_waiting {
                return;
            }
            let mut found = Vec::new();
            let mut stored = Transaction::new();
            let after = replay.after.as_ref().map(TopicName::as_ref);
            let filter = replay.filter.as_ref();
            let mut next = self.broker.retained.scan(filter, after, wanted, now, &mut found);
            next = cut_page(&mut found).or(next);
            let (granted, identifiers) = (replay.granted, replay.identifiers.clone());
            let is_over = next.is_none();
            replay.after = next;
            if is_over {
                replays.pop_front();
            }
            let mark = self.broker.authorizer.generation();
            let mut used = 0;
            for run in found {
                let topic = TopicNameRef::with_limit(run.topic(), usize::MAX);
                if !topic.is_ok_and(|topic| self.broker.may_receive(&slot, topic)) {
                    continue;
                }
                self.traffic.replayed += 1;
                // RETAIN is set, whatever the subscription asks for [MQTT-3.3.1-8].
                let (identifiers, retain) = (identifiers.clone(), true);
                if let Some(session) = slot.number
                    && run.qos().min(granted) != QoS::AtMostOnce
                {
                    let slot = slot.clone();
                    let is_reserved = true;
                    let target = QueueTarget {
                        session,
                        slot,
                        granted,
                        retain,
                        identifiers,
                        mark,
                        is_reserved,
                    };
                    used += 1;
                    stored.add(Entry::Publish { run, targets: vec![target] }, Level::Os);
                    continue;
                }
                self.done_mut().enqueued += 1;
                let delivery = Delivery { run, granted, retain, identifiers, mark, seq: None };
                self.endpoint.deliver(delivery, now);
            }
            if takes_room && slot.number.is_some() {
                slot.unreserve(u32::try_from(wanted - used).unwrap_or(u32::MAX));
            }
            if let Some(journal) = self.broker.journal.as_ref().filter(|_| !stored.is_empty()) {
                // Refused, they are counted; a retained message can be asked for again.
                let ticket = journal.append(stored, Some(&slot), now).unwrap_or_default();
                if let Some(replay) = self.replays.as_mut().and_then(|replays| replays.front_mut())
                {
                    replay.waits_for = ticket;
                }
            }
        }
    }

    /// Whether there is more to replay, what was replayed last is on its way, and it is not known that
    /// there is no room.
    pub(super) fn can_replay(&self) -> bool {
        let first = self.replays.as_ref().and_then(|replays| replays.front());
        self.may_replay() && first.is_none_or(|replay| !replay.is_waiting)
    }

    /// Whether there is more to replay, and what was replayed last is on its way.
    fn may_replay(&self) -> bool {
        let Some(replays) = &self.replays else { return false };
        let ticket = replays.front().map(|replay| replay.waits_for).unwrap_or_default();
        let is_over = |journal: &Journal| journal.outcome(ticket) != Outcome::Pending;
        self.broker.journal.as_deref().is_none_or(is_over)
    }
}

/// Leaves what is too much for a page. Returns the last topic of the page then.
fn cut_page(found: &mut Vec<Run>) -> Option<TopicName> {
    let mut bytes = 0;
    let fits = |run: &Run| {
        let before = bytes;
        bytes += run.len();
        before < PAGE_BYTES
    };
    let count = found.iter().map(fits).take_while(|fits| *fits).count();
    if count == found.len() {
        return None;
    }
    found.truncate(count);
    TopicName::with_limit(found.last()?.topic(), usize::MAX).ok()
}
