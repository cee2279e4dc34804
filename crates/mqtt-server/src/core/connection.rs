//! One client's connection: the endpoint of `mqtt-session`, and what the server makes of its events.
//!
//! ```text
//! Handshake ── CONNECT ──> LoggingIn ── admitted ──> Arriving ── session is ours ──> Open ──> Gone
//!                            │    ▲                     │
//!                            └AUTH┘                     └── another connection has to go first
//! ```
//!
//! The contract: after each `handle_*`, run what [`Connection::poll_login`] asks for, call
//! [`Connection::poll_deliveries`], and write the output. Nothing here waits.

use std::{collections::VecDeque, sync::Arc, task::Waker};

use bytes::BytesMut;
use mqtt_auth::{Exchange, Step};
use mqtt_packet::{ReasonCode, Version};
use mqtt_session::{
    Accept, ConnectRequest, Delivery, DropReason, Ledger, Output, Run, RunSpan, ServerEndpoint,
    ServerEvent, Time, Violation, WillRequest,
};
use mqtt_topics::TopicNameRef;

use super::{
    arrive::{Arrival, Arrived},
    broker::{Broker, ConnectionCount},
    login::{Admitted, Credentials, LoginAnswer, LoginJob, Peer, refusal_reason},
    replay::Replay,
    route::{Route, RouteCache},
    slot::{Report, Slot},
    traffic::Traffic,
};

/// One client's connection, without I/O.
pub(crate) struct Connection {
    pub(super) broker: Arc<Broker>,
    pub(super) endpoint: ServerEndpoint,
    peer: Peer,
    pub(super) stage: Stage,
    /// One for each QoS, as the access rules may tell them apart.
    routes: [RouteCache; 3],
    pub(super) traffic: Traffic,
    /// What happened to messages on this side of the endpoint.
    pub(super) done: Ledger,
    /// Receivers that are behind: nothing is read until they have caught up.
    blocked: Vec<Arc<Slot>>,
    pub(super) replays: VecDeque<Replay>,
    taken: VecDeque<Delivery>,
    /// The time of the last call.
    pub(super) now: Time,
    _count: ConnectionCount,
}

pub(super) enum Stage {
    Handshake,
    LoggingIn(Box<LoggingIn>),
    Arriving(Box<Arriving>),
    Open(Box<Client>),
    Gone,
}

pub(super) struct LoggingIn {
    request: Box<ConnectRequest>,
    credentials: Credentials,
    assigned: bool,
    exchange: Option<Box<dyn Exchange>>,
    job: Option<LoginJob>,
}

pub(super) struct Arriving {
    request: Box<ConnectRequest>,
    credentials: Credentials,
    assigned: bool,
    admitted: Admitted,
    expiry_secs: u32,
}

/// A client with its session.
pub(super) struct Client {
    pub(super) slot: Arc<Slot>,
    epoch: u64,
    will: Option<WillRequest>,
    expiry_secs: u32,
    credentials: Credentials,
    method: Option<Box<str>>,
    exchange: Option<Box<dyn Exchange>>,
    job: Option<LoginJob>,
}

impl Connection {
    pub(crate) fn new(broker: Arc<Broker>, peer: Peer, count: ConnectionCount, now: Time) -> Self {
        Self {
            endpoint: ServerEndpoint::new(broker.limits.protocol, now),
            broker,
            peer,
            stage: Stage::Handshake,
            routes: Default::default(),
            traffic: Traffic::default(),
            done: Ledger::default(),
            blocked: Vec::new(),
            replays: VecDeque::new(),
            taken: VecDeque::new(),
            now,
            _count: count,
        }
    }

    /// Whether bytes should be read now. Not while a receiver is behind: its publishers wait. A
    /// connection that may not read still writes, so that no circle of waiting can close.
    pub(crate) fn wants_input(&mut self, now: Time) -> bool {
        if let Stage::Open(client) = &self.stage
            && !self.blocked.is_empty()
        {
            self.blocked.retain(|slot| slot.holds_back(&client.slot, now));
            // While nothing was read, the client could not be heard.
            self.endpoint.renew_keep_alive(now);
        }
        self.blocked.is_empty()
            && self.endpoint.wants_input()
            && self.endpoint.output().len() < 2 * self.broker.limits.output_bytes_max
    }

    /// Takes whole packets out of `buf` and does what they ask for.
    pub(crate) fn handle_input(&mut self, buf: &mut BytesMut, now: Time) {
        self.now = now;
        let before = buf.len();
        self.endpoint.handle_input(buf, now);
        self.traffic.bytes_received += (before - buf.len()) as u64;
        let mut joined: Option<(RunSpan, Route)> = None;
        while let Some(event) = self.endpoint.poll_event(now) {
            if let ServerEvent::Span(span) = event {
                let route = self.route(&span);
                let joins = joined
                    .as_mut()
                    .is_some_and(|(run, first)| first.goes_with(&route) && run.join(&span));
                if !joins {
                    self.publish_span(joined.replace((span, route)), now);
                }
                continue;
            }
            self.publish_span(joined.take(), now);
            self.handle_event(event, now);
        }
        self.publish_span(joined, now);
        self.note_end(now);
    }

    fn route(&mut self, span: &RunSpan) -> Route {
        let Self { broker, endpoint, routes, stage, .. } = self;
        let topic = endpoint.span_topic(span);
        let Stage::Open(client) = stage else { return Route::nowhere() };
        let Some(routes) = routes.get_mut(usize::from(span.qos().bits())) else {
            return Route::nowhere();
        };
        routes.route(topic, broker.generations(), || {
            let name = std::str::from_utf8(topic).ok();
            let name = name.and_then(|name| TopicNameRef::with_limit(name, usize::MAX).ok());
            let Some(name) = name else { return Route::nowhere() };
            if !broker.may_publish(client.slot.subject(), name, span.qos(), false) {
                return Route::nowhere();
            }
            let receivers = broker.receivers(Some(client.slot.id), name);
            Route { allowed: true, receivers: Arc::new(receivers) }
        })
    }

    fn publish_span(&mut self, joined: Option<(RunSpan, Route)>, now: Time) {
        let Some((span, route)) = joined else { return };
        let Some(run) = self.endpoint.run(&span) else { return };
        self.traffic.published += u64::from(run.count());
        let reason = if route.allowed {
            let Self { broker, traffic, blocked, .. } = self;
            broker.hand_out(&run, &route.receivers, now, traffic, blocked)
        } else {
            self.traffic.denied += u64::from(run.count());
            ReasonCode::NOT_AUTHORIZED
        };
        self.endpoint.acknowledge(&run, reason);
    }

    /// A message that stands alone: retained, or with properties of its own.
    fn publish_message(&mut self, run: &Run, now: Time) {
        let Stage::Open(client) = &self.stage else { return };
        self.traffic.published += 1;
        let topic = TopicNameRef::with_limit(run.topic(), usize::MAX);
        let allowed = topic.is_ok_and(|topic| {
            self.broker.may_publish(client.slot.subject(), topic, run.qos(), run.retain())
        });
        let reason = if !allowed {
            self.traffic.denied += 1;
            ReasonCode::NOT_AUTHORIZED
        } else if run.retain() && self.broker.retain(run).is_err() {
            self.traffic.denied += 1;
            ReasonCode::QUOTA_EXCEEDED
        } else if let Ok(topic) = topic {
            let Self { broker, traffic, blocked, .. } = self;
            let receivers = broker.receivers(Some(client.slot.id), topic);
            broker.hand_out(run, &receivers, now, traffic, blocked)
        } else {
            ReasonCode::TOPIC_NAME_INVALID
        };
        self.endpoint.acknowledge(run, reason);
    }

    fn handle_event(&mut self, event: ServerEvent, now: Time) {
        match event {
            ServerEvent::Connect(request) => self.connect(request),
            ServerEvent::Auth { again, data } => self.auth(again, data),
            ServerEvent::Span(_) => {}
            ServerEvent::Message(run) => self.publish_message(&run, now),
            ServerEvent::Subscribe(body) => self.subscribe(&body),
            ServerEvent::Unsubscribe(body) => self.unsubscribe(&body),
            ServerEvent::Disconnect { reason, session_expiry_secs } => {
                if let Stage::Open(client) = &mut self.stage {
                    if reason == ReasonCode::NORMAL_DISCONNECTION {
                        // The will is gone for good [MQTT-3.14.4-3].
                        client.will = None;
                    }
                    if let Some(secs) = session_expiry_secs {
                        client.expiry_secs = secs.min(self.broker.limits.session_expiry_max_secs);
                    }
                }
            }
            ServerEvent::Failed(violation) => self.log(&violation),
        }
    }

    fn log(&self, violation: &Violation) {
        let peer = self.peer.address;
        let client_id = match &self.stage {
            Stage::Open(client) => Some(&*client.slot.client_id),
            _ => None,
        };
        if self.broker.log_limit.permits(peer, self.now) {
            tracing::info!(?peer, client_id, %violation, "closed a connection");
        }
    }

    /// CONNECT came: checks what needs no authenticator, and asks it.
    fn connect(&mut self, request: Box<ConnectRequest>) {
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
                return self.refuse(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
            }
            client_id = format!("auto-{:032x}", (self.broker.entropy)()).into();
        } else if client_id.len() > limits.client_id_bytes_max {
            return self.refuse(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
        }
        let credentials = Credentials {
            client_id,
            user_name: request.user_name.as_deref().map(Into::into),
            password: request.password.as_deref().map(Into::into),
        };
        let exchange = match &request.authentication_method {
            None => None,
            Some(method) => match self.broker.authenticator.exchange(method) {
                Some(exchange) => {
                    let data = request.authentication_data.clone().unwrap_or_default();
                    Some((exchange, data))
                }
                None => return self.refuse(ReasonCode::BAD_AUTHENTICATION_METHOD),
            },
        };
        let job = Some(self.job(&credentials, exchange));
        let logging_in = LoggingIn { request, credentials, assigned, exchange: None, job };
        self.stage = Stage::LoggingIn(Box::new(logging_in));
    }

    fn job(
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
    fn auth(&mut self, again: bool, data: Vec<u8>) {
        let (credentials, exchange) = match &mut self.stage {
            Stage::LoggingIn(logging_in) => {
                (logging_in.credentials.clone(), logging_in.exchange.take())
            }
            Stage::Open(client) if again => {
                let method = client.method.as_deref().unwrap_or_default();
                (client.credentials.clone(), self.broker.authenticator.exchange(method))
            }
            Stage::Open(client) => (client.credentials.clone(), client.exchange.take()),
            _ => return,
        };
        let Some(exchange) = exchange else {
            return self.leave(ReasonCode::PROTOCOL_ERROR);
        };
        let job = Some(self.job(&credentials, Some((exchange, data))));
        match &mut self.stage {
            Stage::LoggingIn(logging_in) => logging_in.job = job,
            Stage::Open(client) => client.job = job,
            _ => {}
        }
    }

    /// A question for the authenticator, once. Its answer goes to [`Connection::handle_answer`].
    pub(crate) fn poll_login(&mut self) -> Option<LoginJob> {
        match &mut self.stage {
            Stage::LoggingIn(logging_in) => logging_in.job.take(),
            Stage::Open(client) => client.job.take(),
            _ => None,
        }
    }

    /// The authenticator answered.
    pub(crate) fn handle_answer(&mut self, answer: LoginAnswer, now: Time) {
        let LoginAnswer { step, exchange } = answer;
        match (&mut self.stage, step) {
            (Stage::LoggingIn(logging_in), Step::Continue(data)) => {
                logging_in.exchange = exchange;
                self.endpoint.challenge(&data);
            }
            (Stage::LoggingIn(_), Step::Refused(refusal)) => self.refuse(refusal_reason(refusal)),
            (Stage::LoggingIn(_), Step::Done { identity, data }) => {
                let old = std::mem::replace(&mut self.stage, Stage::Gone);
                if let Stage::LoggingIn(logging_in) = old {
                    self.admit(*logging_in, Admitted { identity, data });
                }
            }
            (Stage::Open(client), Step::Continue(data)) => {
                client.exchange = exchange;
                self.endpoint.challenge(&data);
            }
            (Stage::Open(client), Step::Done { identity, data })
                if identity == client.slot.identity =>
            {
                self.endpoint.reauthenticated(&data.unwrap_or_default());
            }
            // Another identity does not get this one's session [MQTT-4.12.1-2].
            (Stage::Open(_), _) => self.leave(ReasonCode::NOT_AUTHORIZED),
            _ => {}
        }
        self.note_end(now);
    }

    fn admit(&mut self, logging_in: LoggingIn, admitted: Admitted) {
        let LoggingIn { request, credentials, assigned, .. } = logging_in;
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
                return self.refuse(ReasonCode::NOT_AUTHORIZED);
            }
        }
        let arriving = Arriving { request, credentials, assigned, admitted, expiry_secs };
        self.stage = Stage::Arriving(Box::new(arriving));
    }

    /// Tries to get the session; `waker` is woken when it is worth another try.
    pub(crate) fn poll_arrival(&mut self, waker: Option<&Waker>, now: Time) {
        let Stage::Arriving(arriving) = &self.stage else { return };
        if self.broker.is_stopping.load(std::sync::atomic::Ordering::Relaxed) {
            // CONNACK knows no reason of its own for that.
            return self.refuse(ReasonCode::SERVER_UNAVAILABLE);
        }
        let arrival = Arrival {
            client_id: &arriving.credentials.client_id,
            admitted: &arriving.admitted,
            clean_start: arriving.request.clean_start,
            expiry_secs: arriving.expiry_secs,
        };
        match self.broker.arrive(&arrival, waker, now) {
            Arrived::Later => {}
            Arrived::Refused(reason) => self.refuse(reason),
            Arrived::Owner { slot, mut session, present, epoch } => {
                let generation = self.broker.authorizer.generation();
                session.retain_pending(&mut self.done, DropReason::NotAuthorized, |delivery| {
                    delivery.mark == generation || self.broker.may_deliver(&slot, delivery)
                });
                let old = std::mem::replace(&mut self.stage, Stage::Gone);
                if let Stage::Arriving(arriving) = old {
                    self.open(*arriving, slot, session, present, epoch, now);
                }
            }
        }
        self.note_end(now);
    }

    fn open(
        &mut self,
        arriving: Arriving,
        slot: Arc<Slot>,
        session: mqtt_session::Session,
        present: bool,
        epoch: u64,
        now: Time,
    ) {
        let Arriving { request, credentials, assigned, admitted, expiry_secs } = arriving;
        if let Some(negotiated) = self.endpoint.negotiated() {
            slot.set_wire(negotiated.wire());
        }
        let client_id = credentials.client_id.clone();
        self.stage = Stage::Open(Box::new(Client {
            slot,
            epoch,
            will: request.will,
            expiry_secs,
            method: request.authentication_method.map(Into::into),
            credentials,
            exchange: None,
            job: None,
        }));
        let accept = Accept {
            session,
            session_present: present,
            assigned_client_id: assigned.then_some(&*client_id),
            session_expiry_secs: expiry_secs,
            requested_session_expiry_secs: request.session_expiry_secs,
            authentication_data: admitted.data.as_deref(),
            response_information: None,
        };
        self.endpoint.accept(accept, now);
    }

    fn refuse(&mut self, reason: ReasonCode) {
        self.endpoint.refuse(reason);
        self.stage = Stage::Gone;
        let peer = self.peer.address;
        if self.broker.log_limit.permits(peer, self.now) {
            tracing::info!(?peer, %reason, "refused a connection");
        }
    }

    fn leave(&mut self, reason: ReasonCode) {
        self.endpoint.disconnect(reason);
    }

    /// Moves messages from the session's inbox towards the socket, as far as there is room.
    pub(crate) fn poll_deliveries(&mut self, now: Time) {
        self.now = now;
        loop {
            let Stage::Open(client) = &self.stage else { return };
            let slot = client.slot.clone();
            let room = self.room();
            let mut taken = std::mem::take(&mut self.taken);
            let leave = slot.exchange(self.report(), &mut taken, room);
            if let Some(reason) = leave {
                // What was just taken goes on with the session, but for QoS 0.
                taken.drain(..).for_each(|delivery| self.endpoint.deliver(delivery, now));
                self.leave(reason);
                return self.note_end(now);
            }
            if taken.is_empty() {
                self.taken = taken;
                break;
            }
            let generation = self.broker.authorizer.generation();
            for delivery in taken.drain(..) {
                if delivery.mark == generation {
                    self.endpoint.deliver(delivery, now);
                } else {
                    self.deliver_checked(&slot, &delivery, now);
                }
            }
            self.taken = taken;
        }
        self.poll_replays(now);
    }

    /// The access rules have changed since the messages were left: each is asked for again.
    fn deliver_checked(&mut self, slot: &Slot, delivery: &Delivery, now: Time) {
        for frame in delivery.run.frames() {
            let single = Delivery { run: delivery.run.with_frame(&frame), ..delivery.clone() };
            if self.broker.may_deliver(slot, &single) {
                self.endpoint.deliver(single, now);
            } else {
                self.done.drop_messages(DropReason::NotAuthorized, 1);
            }
        }
    }

    /// How many bytes may be taken from the inbox now.
    pub(super) fn room(&self) -> usize {
        let waiting = self.endpoint.output().len() + self.endpoint.held().bytes;
        self.broker.limits.output_bytes_max.saturating_sub(waiting)
    }

    fn report(&mut self) -> Report {
        let mut done = self.endpoint.take_done();
        done += std::mem::take(&mut self.done);
        Report { done, held: self.endpoint.held(), traffic: std::mem::take(&mut self.traffic) }
    }

    /// What waits for the socket.
    pub(crate) fn output(&self) -> &Output {
        self.endpoint.output()
    }

    /// The socket took `bytes`.
    pub(crate) fn advance_output(&mut self, bytes: usize) {
        self.traffic.bytes_sent += bytes as u64;
        self.endpoint.advance_output(bytes);
    }

    /// Whether nothing is left but to write the output and to close.
    pub(crate) fn is_closed(&self) -> bool {
        self.endpoint.is_closed()
    }

    /// Whether the client has its session: whoever wants it to go tells the session's owner.
    pub(crate) const fn has_session(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    /// The server stops before the client has a session.
    pub(crate) fn handle_stopping(&mut self, now: Time) {
        match &self.stage {
            Stage::Handshake => self.handle_gone(now),
            Stage::LoggingIn(_) | Stage::Arriving(_) => self.refuse(ReasonCode::SERVER_UNAVAILABLE),
            Stage::Open(_) | Stage::Gone => {}
        }
    }

    /// The transport is gone.
    pub(crate) fn handle_gone(&mut self, now: Time) {
        self.endpoint.abandon();
        self.note_end(now);
    }

    /// When [`Connection::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        if self.blocked.is_empty() {
            return self.endpoint.poll_timeout();
        }
        self.blocked.iter().filter_map(|slot| slot.slow_at()).min()
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Time) {
        if !self.blocked.is_empty() {
            // Not the client's time is up, but that of the receivers that it waits for.
            return;
        }
        if let Some(event) = self.endpoint.handle_timeout(now) {
            self.handle_event(event, now);
            self.note_end(now);
        }
    }

    /// The driver is about to sleep; `waker` wakes it. Answers false if there is something to do.
    pub(crate) fn sleep(&mut self, waker: &Waker) -> bool {
        if let Stage::Open(client) = &self.stage {
            let room = self.room();
            if room > 0 && !self.replays.is_empty() {
                return false;
            }
            if !client.slot.sleep(waker, room > 0) {
                return false;
            }
        }
        self.endpoint.shrink();
        if self.taken.is_empty() {
            self.taken.shrink_to(0);
        }
        true
    }

    /// If the connection is over, gives the session back and sees to the will. Does nothing before
    /// that, nor a second time.
    fn note_end(&mut self, now: Time) {
        if !self.endpoint.is_closed() {
            return;
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Gone);
        let Stage::Open(client) = stage else { return };
        self.blocked.clear();
        self.replays.clear();
        self.routes.iter_mut().for_each(RouteCache::clear);
        let Client { slot, epoch, will, expiry_secs, .. } = *client;
        let (session, done) = self.endpoint.take_session().unwrap_or_default();
        let mut report = self.report();
        report.done += done;
        report.held = session.held();
        self.broker.depart(&slot, epoch, session, report, will, expiry_secs, now);
    }
}

impl Drop for Connection {
    /// A connection that is dropped in the middle leaves its session in order all the same.
    fn drop(&mut self) {
        self.handle_gone(self.now);
    }
}

impl Route {
    fn nowhere() -> Self {
        Self { allowed: false, receivers: Arc::default() }
    }

    /// Whether messages of both routes may travel in one run.
    fn goes_with(&self, other: &Self) -> bool {
        self.allowed == other.allowed && Arc::ptr_eq(&self.receivers, &other.receivers)
    }
}
