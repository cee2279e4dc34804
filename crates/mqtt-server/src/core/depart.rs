//! From a connection that ended to a session without one, or to no session.

use std::sync::Arc;

use mqtt_packet::PacketId;
use mqtt_session::{
    Level, Session, SessionNumber, StoredSession, StoredWill, Time, WallClock, WillRequest,
};

use super::{
    broker::{Broker, Totals},
    connection::Connection,
    journal::{Entry, Outcome, Transaction, Unsettled},
    pressure::Pressure,
    slot::{Report, Slot},
    work::Work,
};

/// What is left of a connection.
pub(crate) struct Left {
    pub(crate) session: Session,
    pub(crate) report: Report,
    /// The will, if it is to be published.
    pub(crate) will: Option<WillRequest>,
    pub(crate) expiry_secs: u32,
    /// Whether the client was let in. Only then the session was told how far it is.
    pub(crate) was_let_in: bool,
    /// Identifiers of QoS 2 messages of which nobody knows yet whether the store takes them; without
    /// a ticket if they are in what is appended last.
    pub(crate) unsettled: Unsettled,
}

impl Broker {
    /// Takes the session back from its connection. A will that is still there is published, now or
    /// after its delay [MQTT-3.1.2-8]; the session ends, now or after its expiry interval.
    /// `transaction` is what the connection has not appended yet.
    pub(crate) fn depart(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        epoch: u64,
        left: Left,
        mut transaction: Transaction,
        now: Time,
    ) {
        let Left { mut session, mut report, will, expiry_secs, was_let_in, unsettled } = left;
        let delay_secs = will.as_ref().map_or(0, |will| will.delay_secs.min(expiry_secs));
        let waits = delay_secs > 0;
        let (later, at_once) = if waits { (will, None) } else { (None, will) };
        if let Some(will) = at_once {
            let mut work = Work::default();
            self.publish_will(slot, &will.published(now), &mut work, now, &mut transaction);
        }
        if expiry_secs > 0
            && let (Some(journal), Some(number)) = (&self.journal, slot.number)
        {
            let will = later.as_ref();
            let parked_at = Some(journal.clock.millis(now));
            let stored = slot.stored(number, expiry_secs, parked_at, will, journal.clock);
            transaction.add(Entry::Session(stored), Level::Memory);
            park(number, &mut session, was_let_in, &unsettled, &mut transaction);
        }
        if slot.number.is_some() {
            report.held = session.held();
        }
        // Before anybody can take the session up: what the next connection writes comes behind it.
        let appended = self.append(transaction, now);
        let mut traffic = report.traffic;
        let (waiting, deadlines) = {
            let mut state = slot.lock();
            state.inbox.report(report.done, report.held);
            traffic += state.take_traffic();
            state.inbox.go_offline();
            if slot.number.is_some() && expiry_secs > 0 {
                state.inbox.forget_stored();
            }
            state.inbox.shrink();
            session.shrink();
            // A session whose messages are all in the store is often nothing else.
            let is_elsewhere = slot.number.is_some() && session.is_empty();
            state.session = (!is_elsewhere).then(|| Box::new(session));
            for (id, ticket) in unsettled {
                state.unsettled.get_or_insert_default().push((id, ticket.unwrap_or(appended)));
            }
            state.expiry_secs = expiry_secs;
            state.expires_at = match expiry_secs {
                // Over for everybody, whatever the time is where they are.
                0 => Some(Time::ZERO),
                u32::MAX => None,
                secs => Some(now.after_secs(secs)),
            };
            state.will = later.map(|will| Box::new((will, now.after_secs(delay_secs))));
            let deadlines = [state.will.as_ref().map(|will| will.1), state.expires_at];
            (state.take_waiting(), deadlines)
        };
        self.retire(slot, Totals { traffic, ..Totals::default() });
        if expiry_secs == 0 {
            self.end_abandoned(slot, epoch);
        } else {
            if let Some(away) = &self.away {
                away.add(slot, epoch, self.registry.len());
            }
            for due in deadlines.into_iter().flatten() {
                self.schedule(due, slot, epoch);
            }
        }
        waiting.wake();
    }
}

/// Writes down how a session was left whose queue is in the store, and forgets the queue here.
fn park(
    number: SessionNumber,
    session: &mut Session,
    was_let_in: bool,
    unsettled: &Unsettled,
    transaction: &mut Transaction,
) {
    if let Some(ids) = session.take_received() {
        let unsettled = unsettled.clone();
        let refusable = Vec::new();
        let received = Entry::Received { session: number, ids, unsettled, refusable };
        transaction.add(received, Level::Memory);
    }
    let progress = was_let_in.then(|| session.progress());
    session.forget_messages();
    transaction.add(Entry::Park { session: number, progress }, Level::Memory);
}

impl Slot {
    /// What the store keeps of the session beside its messages.
    pub(crate) fn stored(
        &self,
        number: SessionNumber,
        expiry_secs: u32,
        parked_at_millis: Option<u64>,
        will: Option<&WillRequest>,
        clock: WallClock,
    ) -> StoredSession {
        StoredSession {
            number,
            client_id: self.client_id.clone(),
            user_name: self.identity.user_name().map(Into::into),
            expiry_secs,
            parked_at_millis,
            will: will.map(|will| StoredWill::new(will, clock)),
        }
    }
}

impl Connection {
    /// The QoS 2 messages that were not acknowledged because the store refused them, and those that
    /// it has not decided on.
    pub(super) fn undone(&self, pressure: &Pressure) -> (Vec<PacketId>, Unsettled) {
        let (mut refused, mut unsettled) = (Vec::new(), Vec::new());
        // Of these no queue has taken anything, once it is known.
        let full = pressure.refusable().into_iter().filter_map(|(id, place, taken)| {
            (taken.load(std::sync::atomic::Ordering::Relaxed) <= place).then_some(id)
        });
        let full: Vec<_> = full.collect();
        let Some(journal) = &self.broker.journal else { return (full, unsettled) };
        for (id, waits_for) in pressure.unanswered() {
            match waits_for.map(|ticket| (ticket, ticket.map(|ticket| journal.outcome(ticket)))) {
                Err(_) | Ok((_, Some(Outcome::Refused(_)))) => refused.push(id),
                Ok((_, Some(Outcome::Safe))) => refused.extend(full.contains(&id).then_some(id)),
                Ok((ticket, _)) => unsettled.push((id, ticket)),
            }
        }
        (refused, unsettled)
    }
}
