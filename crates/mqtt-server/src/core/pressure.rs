//! Making a publisher wait: for receivers that are behind, and for the disk.
//!
//! QoS 0 has no acknowledgement to hold back, so its publisher is not read from until the receivers
//! have caught up. At QoS 1 and 2 the acknowledgement waits instead, and reading goes on: what the
//! client sends next may be the acknowledgements that let *its* queue drain. If it were not read
//! from, a circle of clients at QoS 1 could wait for each other for ever.
//!
//! Both have an end: a receiver that stays behind is marked slow, and nobody waits for it. How long a
//! publisher of QoS 0 waits for receivers that never catch up has an end as well, see
//! [`super::behind`].
//!
//! What tells of durable state waits for the journal as well. Only acknowledgements of messages
//! wait for receivers: PUBREL and PUBCOMP are what lets the client's own queue drain.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use mqtt_packet::{PacketId, QoS, ReasonCode};
use mqtt_session::{Run, ServerEndpoint, Time};

use super::{
    behind::Behind,
    journal::{Journal, Outcome, Refusable, Ticket},
    publish::Verdict,
    slot::{Slot, Waits},
};

/// The receivers that one publisher waits for, and the answers it is owed meanwhile.
#[derive(Default)]
pub(super) struct Pressure {
    /// Behind with QoS 0 messages.
    unread: Behind,
    /// Behind with QoS 1 and 2 messages.
    unanswered: Behind,
    due: Option<Box<Due>>,
}

/// What a client is owed.
#[derive(Default)]
struct Due {
    /// Acknowledgements of messages, in the order of the messages.
    owed: VecDeque<Owed<(Run, Verdict)>>,
    messages: u32,
    /// Everything else, in order.
    answers: VecDeque<Owed<Answer>>,
    /// What the last of all this waits for.
    last: Ticket,
}

/// Something that a client gets when a group of the journal is written.
struct Owed<T> {
    /// `None` until the transaction that it belongs to is appended.
    ticket: Option<Ticket>,
    /// Why the store did not even look at it.
    refused: Option<ReasonCode>,
    what: T,
}

/// An answer that waits for the journal alone.
pub(super) enum Answer {
    /// PUBREC for repeated messages, PUBREL, PUBCOMP.
    Packets(Bytes),
    SubAck(PacketId, Vec<u8>),
    UnsubAck(PacketId, Vec<u8>),
    /// None: only that too much of it does not wait at once.
    Nothing,
}

impl<T> Owed<T> {
    const fn new(ticket: Option<Ticket>, what: T) -> Self {
        Self { ticket, refused: None, what }
    }

    fn outcome(&self, journal: Option<&Journal>) -> Outcome {
        match (self.refused, self.ticket, journal) {
            (Some(reason), ..) => Outcome::Refused(reason),
            (None, None, _) => Outcome::Pending,
            (None, Some(ticket), Some(journal)) => journal.outcome(ticket),
            (None, Some(_), None) => Outcome::Safe,
        }
    }

    fn is_over(&self, journal: Option<&Journal>) -> bool {
        self.outcome(journal) != Outcome::Pending
    }

    /// Tells it how the transaction went that it belongs to, if that was not known.
    fn settle(&mut self, ticket: Ticket, refused: Option<ReasonCode>) -> bool {
        let is_new = self.ticket.is_none();
        if is_new {
            (self.ticket, self.refused) = (Some(ticket), refused);
        }
        is_new
    }
}

impl Due {
    /// Tells the newest answers how the transaction went that they belong to.
    fn settle(&mut self, refused: Option<ReasonCode>) {
        let last = self.last;
        let _ = self.owed.iter_mut().rev().all(|owed| owed.settle(last, refused));
        // Where there is no room for messages, what else their transaction says is written.
        let last = last.beside_messages();
        let _ = self.answers.iter_mut().rev().all(|owed| owed.settle(last, refused));
    }

    /// Pays what waits for receivers and the journal. The reason is why the connection cannot go on.
    fn pay_messages(
        &mut self,
        endpoint: &mut ServerEndpoint,
        journal: Option<&Journal>,
    ) -> Result<(), ReasonCode> {
        while let Some(owed) = self.owed.front() {
            let (run, verdict) = &owed.what;
            match owed.outcome(journal) {
                Outcome::Pending => break,
                // Before 5.0 there is no way to refuse a message but to close.
                Outcome::Refused(reason) if !is_v5(endpoint) => return Err(reason),
                Outcome::Refused(reason) => endpoint.acknowledge(run, reason),
                Outcome::Safe => tell(endpoint, run, verdict),
            }
            self.messages = self.messages.saturating_sub(run.count());
            self.owed.pop_front();
        }
        Ok(())
    }

    /// Pays what waits for the journal alone.
    fn pay_answers(
        &mut self,
        endpoint: &mut ServerEndpoint,
        journal: Option<&Journal>,
    ) -> Result<(), ReasonCode> {
        while let Some(owed) = self.answers.front() {
            match (owed.outcome(journal), &owed.what) {
                (Outcome::Pending, _) => break,
                (_, Answer::Nothing) => {}
                (Outcome::Refused(reason), _) => return Err(reason),
                (_, Answer::Packets(packets)) => endpoint.send_gated(packets.clone()),
                (_, Answer::SubAck(id, reasons)) => endpoint.suback(*id, reasons),
                (_, Answer::UnsubAck(id, reasons)) => endpoint.unsuback(*id, reasons),
            }
            self.answers.pop_front();
        }
        Ok(())
    }
}

impl Pressure {
    /// Where the receivers of messages with this QoS are noted.
    pub(super) fn receivers(&mut self, qos: QoS) -> &mut Behind {
        if qos == QoS::AtMostOnce { &mut self.unread } else { &mut self.unanswered }
    }

    /// Whether the publisher is not to be read from: because of QoS 0 messages, or because it does
    /// not wait for `owed_max` acknowledgements, as a client before 5.0 need not, or because too much
    /// waits for the disk.
    pub(super) fn stops_reading(&self, owed_max: u16, journal: Option<&Journal>) -> bool {
        let owes_too_much = |due: &Due| {
            due.messages >= u32::from(owed_max) || journal.is_some_and(Journal::is_overfull)
        };
        !self.unread.is_empty() || self.due.as_deref().is_some_and(owes_too_much)
    }

    /// Acknowledges a run, or keeps the acknowledgement until the receivers have caught up and what
    /// the run brought about is safe. The order stays that of the messages.
    pub(super) fn acknowledge(
        &mut self,
        run: &Run,
        verdict: Verdict,
        is_stored: bool,
        endpoint: &mut ServerEndpoint,
    ) {
        if run.qos() == QoS::AtMostOnce {
            if is_stored {
                self.owe(Answer::Nothing);
            }
            return;
        }
        let is_owed = self.due.as_ref().is_some_and(|due| !due.owed.is_empty());
        if !is_stored && self.unanswered.is_empty() && !is_owed {
            return tell(endpoint, run, &verdict);
        }
        let due = self.due.get_or_insert_default();
        due.messages += run.count();
        let ticket = (!is_stored).then_some(Ticket::default());
        due.owed.push_back(Owed::new(ticket, (run.clone(), verdict)));
    }

    /// Answers when what was appended, or is about to be, is safe.
    pub(super) fn owe(&mut self, answer: Answer) {
        self.due.get_or_insert_default().answers.push_back(Owed::new(None, answer));
    }

    /// The transaction was appended that the newest answers belong to; `None` if there was none to
    /// append: then they wait for the one before.
    pub(super) fn set_ticket(&mut self, ticket: Option<Ticket>) {
        if let Some(due) = &mut self.due {
            due.last = ticket.unwrap_or(due.last);
            due.settle(None);
        }
    }

    /// The journal did not take the transaction that the newest answers belong to.
    pub(super) fn refuse(&mut self, reason: ReasonCode) {
        if let Some(due) = &mut self.due {
            due.settle(Some(reason));
        }
    }

    /// Looks whether the receivers have caught up and the journal is written; if so, pays what is
    /// owed. The reason is why the connection cannot go on: it was promised what the store refused.
    pub(super) fn poll(
        &mut self,
        publisher: &Arc<Slot>,
        endpoint: &mut ServerEndpoint,
        journal: Option<&Journal>,
        now: Time,
    ) -> Result<(), ReasonCode> {
        self.unread.poll(publisher, Waits::Reading, now);
        self.unanswered.poll(publisher, Waits::Acks, now);
        let Some(due) = &mut self.due else { return Ok(()) };
        if self.unanswered.is_empty() {
            due.pay_messages(endpoint, journal)?;
        }
        due.pay_answers(endpoint, journal)?;
        self.due.take_if(|due| due.owed.is_empty() && due.answers.is_empty());
        Ok(())
    }

    /// The identifiers of QoS 2 messages that are not acknowledged, with what they wait for: an
    /// error if the store did not even look at them, `None` if their transaction is not appended.
    pub(super) fn unanswered(
        &self,
    ) -> impl Iterator<Item = (PacketId, Result<Option<Ticket>, ReasonCode>)> {
        let owed = self.due.iter().flat_map(|due| &due.owed);
        owed.filter(|owed| owed.what.0.qos() == QoS::ExactlyOnce).flat_map(|owed| {
            let waits_for = owed.refused.map_or(Ok(owed.ticket), Err);
            let ids = owed.what.0.frames().filter_map(|frame| frame.publish.packet_id);
            ids.map(move |id| (id, waits_for))
        })
    }

    /// The identifiers of QoS 2 messages that are not acknowledged and may be refused by full queues.
    pub(super) fn refusable(&self) -> Refusable {
        let owed = self.due.iter().flat_map(|due| &due.owed).filter(|owed| owed.refused.is_none());
        let owed = owed.filter(|owed| owed.what.0.qos() == QoS::ExactlyOnce);
        owed.filter_map(|owed| Some((&owed.what.0, owed.what.1.taken.as_ref()?)))
            .flat_map(|(run, taken)| {
                let ids = run.frames().filter_map(|frame| frame.publish.packet_id);
                (0..).zip(ids).map(|(place, id)| (id, place, taken.clone()))
            })
            .collect()
    }

    /// Whether something of what is owed can be paid.
    pub(super) fn is_due(&self, journal: Option<&Journal>) -> bool {
        let Some(due) = &self.due else { return false };
        let owed = due.owed.front().filter(|_| self.unanswered.is_empty());
        owed.is_some_and(|owed| owed.is_over(journal))
            || due.answers.front().is_some_and(|owed| owed.is_over(journal))
    }

    /// Whether nobody and nothing is waited for.
    pub(super) fn is_none(&self) -> bool {
        self.unread.is_empty() && self.unanswered.is_empty() && self.due.is_none()
    }

    /// Gives memory back that is needed no more.
    pub(super) fn shrink(&mut self, now: Time) {
        self.unread.shrink(now);
        self.unanswered.shrink(now);
    }

    /// When to look again, at the latest.
    pub(super) fn deadline(&self) -> Option<Time> {
        let unread = self.unread.deadline(Waits::Reading);
        mqtt_session::time::earliest(unread, self.unanswered.deadline(Waits::Acks))
    }
}

/// Acknowledges the messages of a run, and refuses those that no receiver's queue had room for. Before
/// 5.0 there is no way to say that but to close, which would not make room: they are acknowledged
/// [MQTT-3.3.5-2].
fn tell(endpoint: &mut ServerEndpoint, run: &Run, verdict: &Verdict) {
    let accepted = verdict.accepted(run);
    if accepted == run.count() || !is_v5(endpoint) {
        return endpoint.acknowledge(run, verdict.reason);
    }
    if let Some(first) = run.first(accepted) {
        endpoint.acknowledge(&first, verdict.reason);
    }
    endpoint.acknowledge(&run.without_first(accepted), ReasonCode::QUOTA_EXCEEDED);
}

fn is_v5(endpoint: &ServerEndpoint) -> bool {
    endpoint.negotiated().is_some_and(|negotiated| negotiated.version.is_v5())
}
