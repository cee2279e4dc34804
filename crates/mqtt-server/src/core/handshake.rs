//! From CONNECT to an open session: who the client is, and which session is its own.

use std::{
    sync::{Arc, atomic::Ordering},
    task::Waker,
};

use mqtt_auth::{Exchange, Step};
use mqtt_packet::{ReasonCode, Version};
use mqtt_session::{Accept, ConnectRequest, DropReason, Gate, Session, Time, WillRequest};
use mqtt_topics::TopicNameRef;

use super::{
    arrive::{Arrival, Arrived},
    cause::Cause,
    connection::{Client, Connection, Renewal, Stage},
    connection_log::Names,
    journal::{Entry, Outcome, Ticket, Transaction},
    login::{Admitted, Credentials, LoginAnswer, LoginJob, LoginStamp},
    slot::Slot,
    work::Fatigue,
};

/// CONNECT came, the authenticator is asked.
pub(super) struct LoggingIn {
    pub(super) request: Box<ConnectRequest>,
    pub(super) credentials: Credentials,
    pub(super) assigned: bool,
    pub(super) exchange: Option<Box<dyn Exchange>>,
    pub(super) job: Option<LoginJob>,
    pub(super) stamp: LoginStamp,
    /// Since when the client has waited for its turn to be asked about: its own time stands still.
    pub(super) waits_since: Option<Time>,
}

/// The client may have its session, once nobody else has it.
pub(super) struct Arriving {
    pub(super) request: Box<ConnectRequest>,
    pub(super) credentials: Credentials,
    pub(super) assigned: bool,
    pub(super) admitted: Admitted,
    pub(super) expiry_secs: u32,
    pub(super) stamp: LoginStamp,
}

/// The session that a client found.
struct Found {
    session: Box<Session>,
    present: bool,
    epoch: u64,
    after: Ticket,
}

/// The client has its session, and that is being written down.
pub(super) struct Opening {
    pub(super) session: Box<Session>,
    present: bool,
    assigned: bool,
    requested_expiry_secs: u32,
    data: Option<Vec<u8>>,
    ticket: Ticket,
}

impl Connection {
    /// CONNECT came: checks what needs no authenticator, and asks it.
    pub(super) fn connect(&mut self, request: Box<ConnectRequest>) {
        let limits = &self.broker.limits;
        let mut client_id: Arc<str> = request.client_id.as_str().into();
        let assigned = client_id.is_empty();
        if assigned {
            // 3.1 knows no empty identifier, 3.1.1 only with Clean Session [MQTT-3.1.3-8].
            let permitted = match request.version {
                Version::V31 => false,
                Version::V311 => request.clean_start,
                Version::V5 => true,
            };
            if !permitted {
                return self.refuse_unnamed(Cause::ClientId, &request);
            }
            client_id = format!("auto-{:032x}", (self.broker.entropy)()).into();
        } else if client_id.len() > limits.client_id_bytes_max {
            return self.refuse_unnamed(Cause::ClientId, &request);
        }
        let credentials = Credentials {
            client_id,
            user_name: request.user_name.as_deref().map(Into::into),
            password: request.password.as_deref().map(Into::into),
        };
        let stamp = self.broker.login_stamp();
        let exchange = match &request.authentication_method {
            None => None,
            Some(method) => match self.broker.authenticator.exchange(method) {
                Some(exchange) => {
                    let data = request.authentication_data.clone().unwrap_or_default();
                    Some((exchange, data))
                }
                None => return self.refuse_unnamed(Cause::AuthMethod, &request),
            },
        };
        let job = Some(self.job(&credentials, exchange));
        self.stage = Stage::LoggingIn(Box::new(LoggingIn {
            request,
            credentials,
            assigned,
            exchange: None,
            job,
            stamp,
            waits_since: None,
        }));
    }

    pub(super) fn job(
        &self,
        credentials: &Credentials,
        exchange: Option<(Box<dyn Exchange>, Vec<u8>)>,
    ) -> LoginJob {
        LoginJob {
            authenticator: self.broker.authenticator.clone(),
            exchange,
            credentials: credentials.clone(),
            peer: self.peer.clone(),
        }
    }

    /// AUTH came: the next step of an exchange, or the first of a re-authentication.
    pub(super) fn auth(&mut self, again: bool, data: Vec<u8>) {
        let (credentials, exchange) = match &mut self.stage {
            Stage::LoggingIn(logging_in) => {
                (logging_in.credentials.clone(), logging_in.exchange.take())
            }
            Stage::Open(client) => {
                let Some(renewal) = &mut client.renewal else {
                    return self.leave(Cause::StrayAuth);
                };
                let exchange = match again {
                    true => {
                        renewal.stamp = self.broker.login_stamp();
                        self.broker.authenticator.exchange(&renewal.method)
                    }
                    false => renewal.exchange.take(),
                };
                (renewal.credentials.clone(), exchange)
            }
            _ => return,
        };
        let Some(exchange) = exchange else {
            return self.leave(Cause::StrayAuth);
        };
        let job = Some(self.job(&credentials, Some((exchange, data))));
        match &mut self.stage {
            Stage::LoggingIn(logging_in) => logging_in.job = job,
            Stage::Open(client) => {
                if let Some(renewal) = &mut client.renewal {
                    renewal.job = job;
                }
            }
            _ => {}
        }
    }

    /// A question for the authenticator, once. Its answer goes to [`Connection::handle_answer`].
    pub(crate) fn poll_login(&mut self) -> Option<LoginJob> {
        match &mut self.stage {
            Stage::LoggingIn(logging_in) => {
                let job = logging_in.job.take()?;
                // An authenticator that hashes is asked in turns, and waiting for them has its own
                // bound. For others the client's time goes on, as it did.
                logging_in.waits_since = job.authenticator.is_blocking().then_some(self.now);
                Some(job)
            }
            Stage::Open(client) => client.renewal.as_mut()?.job.take(),
            _ => None,
        }
    }

    /// The authenticator answered.
    pub(crate) fn handle_answer(&mut self, answer: LoginAnswer, now: Time) {
        let LoginAnswer { step, exchange } = answer;
        if let Stage::LoggingIn(logging_in) = &mut self.stage
            && let Some(since) = logging_in.waits_since.take()
        {
            self.endpoint.extend_handshake(now.millis_since(since));
        }
        match (&mut self.stage, step) {
            (Stage::LoggingIn(logging_in), Step::Continue(data)) => {
                logging_in.exchange = exchange;
                self.endpoint.challenge(&data);
            }
            (Stage::LoggingIn(_), Step::Refused(refusal)) => self.refuse(Cause::Login(refusal)),
            (Stage::LoggingIn(_), Step::Done { identity, data }) => {
                let old = std::mem::replace(&mut self.stage, Stage::Gone);
                if let Stage::LoggingIn(logging_in) = old {
                    self.admit(*logging_in, Admitted { identity, data });
                }
            }
            (Stage::Open(client), Step::Continue(data)) => {
                if let Some(renewal) = &mut client.renewal {
                    renewal.exchange = exchange;
                }
                self.endpoint.challenge(&data);
            }
            (Stage::Open(client), Step::Done { identity, data })
                if identity == client.slot.identity =>
            {
                client.stamp = client.renewal.as_ref().map_or(client.stamp, |it| it.stamp);
                self.endpoint.reauthenticated(&data.unwrap_or_default());
            }
            // Another identity does not get this one's session [MQTT-4.12.1-2].
            (Stage::Open(_), _) => self.leave(Cause::Renewal),
            _ => {}
        }
        self.note_end(now);
    }

    pub(super) fn admit(&mut self, logging_in: LoggingIn, admitted: Admitted) {
        let LoggingIn { request, credentials, assigned, stamp, .. } = logging_in;
        let expiry_secs =
            request.session_expiry_secs.min(self.broker.limits.session_expiry_max_secs);
        let subject =
            mqtt_auth::Subject { client_id: &credentials.client_id, identity: &admitted.identity };
        if let Some(will) = &request.will {
            let (topic, message) = (will.message.topic(), &will.message);
            let permitted = TopicNameRef::with_limit(topic, usize::MAX).is_ok_and(|topic| {
                self.broker.may_publish(subject, topic, message.qos(), message.retain())
            });
            if !permitted {
                self.stage = Stage::Handshake;
                return self.refuse_unnamed(Cause::Will, &request);
            }
        }
        let arriving = Arriving { request, credentials, assigned, admitted, expiry_secs, stamp };
        self.stage = Stage::Arriving(Box::new(arriving));
    }

    /// Tries to get the session; `waker` is woken when it is worth another try.
    pub(crate) fn poll_arrival(&mut self, waker: Option<&Waker>, now: Time) {
        let Stage::Arriving(arriving) = &self.stage else { return };
        if self.broker.is_stopping.load(Ordering::Relaxed) {
            // CONNACK knows no reason of its own for that.
            return self.refuse(Cause::Unavailable);
        }
        let arrival = Arrival {
            client_id: &arriving.credentials.client_id,
            admitted: &arriving.admitted,
            clean_start: arriving.request.clean_start,
            expiry_secs: arriving.expiry_secs,
            address: self.peer.address.map(|address| address.ip()),
        };
        match self.broker.arrive(&arrival, waker, now) {
            Arrived::Later => {}
            Arrived::Refused(cause) => self.refuse(cause),
            Arrived::Owner { slot, session, present, epoch, after } => {
                let old = std::mem::replace(&mut self.stage, Stage::Gone);
                if let Stage::Arriving(arriving) = old {
                    self.open(*arriving, slot, Found { session, present, epoch, after }, now);
                }
            }
        }
        self.note_end(now);
    }

    /// The session is the client's. Where that has to be written down, CONNACK waits for it.
    fn open(&mut self, arriving: Arriving, slot: Arc<Slot>, found: Found, now: Time) {
        let Arriving { request, credentials, assigned, admitted, expiry_secs, stamp } = arriving;
        let Found { session, present, epoch, after } = found;
        if let Some(negotiated) = self.endpoint.negotiated() {
            slot.set_peer(negotiated.wire(), negotiated.maximum_packet_size);
        }
        let written =
            self.write_arrival(&slot, epoch, after, expiry_secs, request.will.as_ref(), now);
        self.stage = Stage::Open(Box::new(Client {
            slot,
            epoch,
            has_left: false,
            is_bridge: request.is_bridge,
            fatigue: Fatigue::default(),
            will: request.will.map(Box::new),
            expiry_secs,
            rules: 0,
            stamp,
            renewal: request.authentication_method.map(|method| {
                let method = method.into();
                Box::new(Renewal { credentials, method, exchange: None, job: None, stamp })
            }),
            opening: Some(Box::new(Opening {
                session,
                present,
                assigned,
                requested_expiry_secs: request.session_expiry_secs,
                data: admitted.data,
                ticket: written.unwrap_or_default(),
            })),
        }));
        match written {
            Ok(_) => self.poll_opening(now),
            Err(reason) => self.refuse_opening(Cause::NotStored(reason), now),
        }
    }

    /// Writes down that a client has its session; answers what CONNACK has to wait for.
    fn write_arrival(
        &self,
        slot: &Arc<Slot>,
        epoch: u64,
        after: Ticket,
        expiry_secs: u32,
        will: Option<&WillRequest>,
        now: Time,
    ) -> Result<Ticket, ReasonCode> {
        let Some(journal) = &self.broker.journal else { return Ok(Ticket::default()) };
        let mut transaction = Transaction::new();
        let level = self.broker.durability.level;
        if let Some(session) = slot.number {
            let stored = slot.stored(session, expiry_secs, None, will, journal.clock);
            transaction.add(Entry::Session(stored), level);
            transaction.add(Entry::Open { session, slot: slot.clone(), epoch }, level);
        } else if after != Ticket::default() {
            transaction.add(Entry::Sync, level);
        } else {
            return Ok(after);
        }
        journal.append(transaction, Some(slot), now)
    }

    /// Whether CONNACK waits for the journal.
    pub(super) fn is_opening(&self) -> bool {
        matches!(&self.stage, Stage::Open(client) if client.opening.is_some())
    }

    /// Whether it does not have to wait any more.
    pub(super) fn is_opened(&self) -> bool {
        let Stage::Open(client) = &self.stage else { return false };
        let Some(opening) = &client.opening else { return false };
        self.outcome(client, opening) != Outcome::Pending
    }

    fn outcome(&self, client: &Client, opening: &Opening) -> Outcome {
        let Some(journal) = &self.broker.journal else { return Outcome::Safe };
        match journal.outcome(opening.ticket) {
            Outcome::Safe
                if client.slot.number.is_some() && client.slot.lock().session.is_none() =>
            {
                Outcome::Pending
            }
            outcome => outcome,
        }
    }

    /// Lets the client in, if what CONNACK says is written.
    pub(super) fn poll_opening(&mut self, now: Time) {
        let Stage::Open(client) = &self.stage else { return };
        let Some(opening) = &client.opening else { return };
        let leave = client.slot.lock().leave;
        match (leave, self.outcome(client, opening)) {
            (Some(cause), _) => self.refuse_opening(cause, now),
            (None, Outcome::Refused(reason)) => {
                self.refuse_opening(Cause::NotStored(reason), now);
            }
            (None, Outcome::Pending) => {}
            (None, Outcome::Safe) => self.let_in(now),
        }
    }

    fn refuse_opening(&mut self, cause: Cause, now: Time) {
        self.note_refused(cause.refused(), &cause.why());
        self.endpoint.refuse(cause.why());
        self.note_end(now);
    }

    fn let_in(&mut self, now: Time) {
        let Stage::Open(client) = &mut self.stage else { return };
        let Some(mut opening) = client.opening.take() else { return };
        self.broker.clients.fetch_add(1, Ordering::Relaxed);
        let gate = match (&self.broker.journal, client.slot.number) {
            (None, _) => Gate::Open,
            (Some(_), None) => Gate::Repeats,
            (Some(_), Some(_)) => Gate::Closed,
        };
        let (found, unsettled) = {
            let mut state = client.slot.lock();
            (state.session.take(), state.unsettled.take())
        };
        if let Some(found) = found {
            opening.session.continue_from(found.progress());
        }
        if let Some(journal) = &self.broker.journal {
            // They were appended before this session was opened again, so it is known by now.
            for (id, ticket) in unsettled.into_iter().flat_map(|unsettled| *unsettled) {
                if matches!(journal.outcome(ticket), Outcome::Refused(_)) {
                    opening.session.take_back(id);
                }
            }
        }
        // The last moment before what waits is sent: the rules may have changed since it was left.
        let broker = &self.broker;
        client.rules = broker.authorizer.generation();
        let done = self.done.get_or_insert_default();
        opening.session.retain_pending(done, DropReason::NotAuthorized, |delivery| {
            delivery.mark == client.rules || broker.may_deliver(&client.slot, delivery)
        });
        let client_id = client.slot.client_id.clone();
        let session_present = opening.present;
        let accept = Accept {
            session: *opening.session,
            session_present,
            assigned_client_id: opening.assigned.then_some(&*client_id),
            session_expiry_secs: client.expiry_secs,
            requested_session_expiry_secs: opening.requested_expiry_secs,
            authentication_data: opening.data.as_deref(),
            response_information: None,
            gate,
        };
        self.endpoint.accept(accept, now);
        self.note_connected(session_present);
        self.note_end(now);
    }

    pub(super) fn refuse(&mut self, cause: Cause) {
        self.note_refused(cause.refused(), &cause.why());
        self.endpoint.refuse(cause.why());
        self.stage = Stage::Gone;
    }

    /// Refuses a client whose names are in its CONNECT alone.
    fn refuse_unnamed(&mut self, cause: Cause, request: &ConnectRequest) {
        let client_id = Some(request.client_id.as_str());
        let names = Names { client_id, user: request.user_name.as_deref() };
        self.note_refused_as(cause.refused(), &cause.why(), names);
        self.endpoint.refuse(cause.why());
        self.stage = Stage::Gone;
    }
}
