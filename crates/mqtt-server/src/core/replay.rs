//! Sending retained messages for new subscriptions, a page at a time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use mqtt_packet::QoS;
use mqtt_session::{Delivery, Level, Run, Time};
use mqtt_topics::{TopicFilterRef, TopicName, TopicNameRef};

use super::{
    connection::{Connection, Stage},
    journal::{Entry, Journal, Outcome, QueueTarget, Ticket, Transaction},
    slot::Slot,
    work::Work,
};

/// So many messages are fetched at once; the next page is fetched when these are on their way.
const PAGE: usize = 256;

/// Large messages are sent on before the page is full.
const PAGE_BYTES: usize = 256 * 1024;

/// What it costs to take a retained message out and to ask whether it may be received, in steps.
const MESSAGE_STEPS: usize = 8;

/// Retained messages that new subscriptions are still to be sent.
///
/// One subscription at a time is served; the others wait in the order in which they were made, each
/// once, so there are never more than the session has subscriptions. A subscription that is made anew
/// while it waits is served once, with the options it has then.
#[derive(Default)]
pub(super) struct Replays {
    current: Option<Replay>,
    /// Those that wait, by the number of their turn.
    waiting: BTreeMap<u64, (Arc<str>, Wanted)>,
    /// From the filters of those that wait to their turns.
    turns: HashMap<Arc<str>, u64>,
    last_turn: u64,
}

/// What a subscription asks for.
#[derive(Copy, Clone)]
pub(super) struct Wanted {
    pub(super) granted: QoS,
    pub(super) identifier: Option<u32>,
}

/// The subscription that is served.
struct Replay {
    filter: Arc<str>,
    granted: QoS,
    identifiers: Option<Arc<[u32]>>,
    /// The last topic that was looked at.
    after: Option<TopicName>,
    /// What was sent last goes through the journal; it is to be written first.
    waits_for: Ticket,
    /// The client has to take what is in its queue first.
    is_waiting: bool,
}

impl Replays {
    /// A subscription wants the retained messages that its filter matches.
    pub(super) fn ask(&mut self, filter: Arc<str>, wanted: Wanted) {
        if self.current.is_none() && self.waiting.is_empty() {
            self.current = Some(Replay::new(filter, wanted));
            return;
        }
        let turn = *self.turns.entry(filter.clone()).or_insert_with(|| {
            self.last_turn += 1;
            self.last_turn
        });
        self.waiting.insert(turn, (filter, wanted));
    }

    /// A subscription was removed: no more messages are sent for it [MQTT-3.10.4-2].
    pub(super) fn cancel(&mut self, filter: &str) {
        self.current.take_if(|current| *current.filter == *filter);
        if let Some(turn) = self.turns.remove(filter) {
            self.waiting.remove(&turn);
        }
    }

    /// Forgets some of those that wait; whether there are more.
    pub(super) fn shed(&mut self, count: usize) -> bool {
        self.current = None;
        for _ in 0..count {
            let Some((_, (filter, _))) = self.waiting.pop_first() else { break };
            self.turns.remove(&filter);
        }
        !self.waiting.is_empty()
    }

    /// The subscription that is served now.
    fn current(&mut self) -> Option<&mut Replay> {
        if self.current.is_none()
            && let Some((_, (filter, wanted))) = self.waiting.pop_first()
        {
            self.turns.remove(&filter);
            self.current = Some(Replay::new(filter, wanted));
        }
        self.current.as_mut()
    }

    /// What the subscription that is served waits for; `None` if there is none.
    fn waits_for(&self) -> Option<Ticket> {
        match &self.current {
            Some(current) => Some(current.waits_for),
            None if self.waiting.is_empty() => None,
            None => Some(Ticket::NONE),
        }
    }
}

impl Replay {
    fn new(filter: Arc<str>, wanted: Wanted) -> Self {
        Self {
            filter,
            granted: wanted.granted,
            identifiers: wanted.identifier.map(|identifier| [identifier].into()),
            after: None,
            waits_for: Ticket::NONE,
            is_waiting: false,
        }
    }
}

impl Connection {
    /// Goes on with replays as long as there is room and the turn lasts: they are streamed, not
    /// collected.
    pub(super) fn poll_replays(&mut self, now: Time) {
        let Stage::Open(client) = &self.stage else { return };
        if self.backlog.is_none() || self.has_request() {
            return;
        }
        // The other half is for what the client sends: it may be that it leaves.
        let mut work = client.fatigue.half();
        while self.room() > 0 && !work.is_over() && self.may_replay() {
            if !self.replay_page(&mut work, now) {
                break;
            }
        }
        self.tire(&work);
        self.backlog.take_if(|backlog| backlog.replays.waits_for().is_none());
    }

    /// Sends what the next page of a scan has found, however little that is. Returns false if the
    /// client has no room for it.
    fn replay_page(&mut self, work: &mut Work, now: Time) -> bool {
        let Stage::Open(client) = &self.stage else { return false };
        let slot = client.slot.clone();
        let Some(backlog) = &mut self.backlog else { return false };
        let Some(replay) = backlog.replays.current() else { return false };
        // What the client is to acknowledge has to fit into its queue; the rest waits.
        let takes_room = replay.granted > QoS::AtMostOnce;
        let wanted = match takes_room {
            true => slot.reserve(PAGE, self.endpoint.held()),
            false => PAGE,
        };
        replay.is_waiting = wanted == 0;
        if replay.is_waiting {
            return false;
        }
        let mut found = Vec::new();
        let next = TopicFilterRef::with_limit(&replay.filter, usize::MAX).ok().and_then(|filter| {
            let after = replay.after.as_ref().map(TopicName::as_ref);
            let page = self.broker.retained.scan(filter, after, wanted, now, &mut found);
            work.spend(page.visited);
            page.next
        });
        let next = cut_page(&mut found).or(next);
        work.spend(1 + found.len() * MESSAGE_STEPS);
        let (granted, identifiers) = (replay.granted, replay.identifiers.clone());
        let is_over = next.is_none();
        replay.after = next;
        if is_over {
            backlog.replays.current = None;
        }
        let (stored, used) = self.send_replay(&slot, found, granted, identifiers.as_ref(), now);
        if takes_room && slot.number.is_some() {
            slot.unreserve(u32::try_from(wanted.saturating_sub(used)).unwrap_or(u32::MAX));
        }
        if let Some(journal) = self.broker.journal.as_ref().filter(|_| !stored.is_empty()) {
            // Refused, they are counted; a retained message can be asked for again.
            let ticket = journal.append(stored, Some(&slot), now).unwrap_or_default();
            let replays = self.backlog.as_mut().map(|backlog| &mut backlog.replays);
            if let Some(replay) = replays.and_then(Replays::current) {
                replay.waits_for = ticket;
            }
        }
        true
    }

    /// Sends retained messages. Returns what has to go through the journal first, and how many messages
    /// that are.
    fn send_replay(
        &mut self,
        slot: &Arc<Slot>,
        found: Vec<Run>,
        granted: QoS,
        identifiers: Option<&Arc<[u32]>>,
        now: Time,
    ) -> (Transaction, usize) {
        let mut stored = Transaction::new();
        let mut used = 0;
        let mark = self.broker.authorizer.generation();
        for run in found {
            let topic = TopicNameRef::with_limit(run.topic(), usize::MAX);
            if !topic.is_ok_and(|topic| self.broker.may_receive(slot, topic)) {
                continue;
            }
            self.traffic.replayed += 1;
            // RETAIN is set, whatever the subscription asks for [MQTT-3.3.1-8].
            let (identifiers, retain) = (identifiers.cloned(), true);
            if let Some(session) = slot.number
                && run.qos().min(granted) != QoS::AtMostOnce
            {
                let slot = slot.clone();
                let is_reserved = true;
                let target =
                    QueueTarget { session, slot, granted, retain, identifiers, mark, is_reserved };
                used += 1;
                let (targets, taken) = (vec![target], None);
                stored.add(Entry::Publish { run, targets, taken }, Level::Os);
                continue;
            }
            self.done_mut().enqueued += 1;
            let delivery = Delivery { run, granted, retain, identifiers, mark, seq: None };
            self.endpoint.deliver(delivery, now);
        }
        (stored, used)
    }

    /// Whether there is more to replay, what was replayed last is on its way, and it is not known that
    /// there is no room.
    pub(super) fn can_replay(&self) -> bool {
        let current = self.backlog.as_ref().and_then(|backlog| backlog.replays.current.as_ref());
        self.may_replay() && current.is_none_or(|replay| !replay.is_waiting)
    }

    /// Whether there is more to replay, and what was replayed last is on its way.
    fn may_replay(&self) -> bool {
        let replays = self.backlog.as_ref().filter(|backlog| backlog.request.is_none());
        let Some(ticket) = replays.and_then(|backlog| backlog.replays.waits_for()) else {
            return false;
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { granted: QoS::AtMostOnce, identifier: None };

    fn order(replays: &mut Replays) -> Vec<String> {
        let mut order = Vec::new();
        while let Some(current) = replays.current() {
            order.push(current.filter.to_string());
            replays.current = None;
        }
        assert!(replays.turns.is_empty() && replays.waits_for().is_none());
        order
    }

    #[test]
    fn each_waits_once_in_the_order_in_which_they_came() {
        let mut replays = Replays::default();
        for filter in ["a", "b", "c", "b", "a", "a", "d"] {
            replays.ask(filter.into(), WANTED);
        }
        // The first one is served already, so it is served once more.
        assert_eq!(order(&mut replays), ["a", "b", "c", "a", "d"]);
    }

    #[test]
    fn what_is_cancelled_leaves_nothing_behind() {
        let mut replays = Replays::default();
        for filter in ["a", "b", "c", "b"] {
            replays.ask(filter.into(), WANTED);
        }
        for filter in ["a", "b", "x"] {
            replays.cancel(filter);
        }
        assert_eq!((replays.waiting.len(), replays.turns.len()), (1, 1));
        assert_eq!(order(&mut replays), ["c"]);
    }
}
