//! One client's connection: the endpoint of `mqtt-session`, and what the server makes of its events.
//!
//! ```text
//! Handshake ── CONNECT ──> LoggingIn ── admitted ──> Arriving ── session is ours ──> Open ──> Gone
//!                            │    ▲                     │
//!                            └AUTH┘                     └── another connection has to go first
//! ```
//!
//! The contract: after each `handle_*`, run what [`Connection::poll_login`] asks for, call
//! [`Connection::take_deliveries`], and write the output. Nothing here waits.
//!
//! A turn of the task begins with [`Connection::begin_turn`]. What one turn has no time for stays, and
//! [`Connection::is_resting`] says that others should run before the next (see [`super::work`]).

use std::{
    collections::VecDeque,
    num::NonZeroU32,
    sync::{Arc, atomic::Ordering},
    task::Waker,
};

use bytes::BytesMut;
use mqtt_auth::Exchange;
use mqtt_packet::{QoS, ReasonCode};
use mqtt_session::{
    Delivery, DropReason, Ledger, Level, Output, Run, RunSpan, ServerEndpoint, ServerEvent, Time,
    WillRequest, time::earliest,
};
use mqtt_topics::TopicNameRef;

use super::{
    backlog::{Backlog, Request},
    broker::{Broker, ConnectionCount},
    cause::Cause,
    depart::Left,
    foreign::Foreign,
    handshake::{Arriving, LoggingIn, Opening},
    journal::{Entry, Transaction},
    login::{Credentials, LoginJob, LoginStamp, Peer},
    pressure::{Answer, Pressure},
    publish::Verdict,
    refusals::Refused,
    route::{NOWHERE, Routes},
    slot::{Exchanged, Report, Slot},
    traffic::Traffic,
    work::{Fatigue, Work},
};

/// What the packets between two events cost that bring none, such as acknowledgements, in steps.
const PAUSE_STEPS: usize = 1024;

/// One client's connection, without I/O.
pub(crate) struct Connection {
    pub(super) broker: Arc<Broker>,
    pub(super) endpoint: ServerEndpoint,
    pub(super) peer: Peer,
    pub(super) stage: Stage,
    /// Nothing before the first message.
    routes: Option<Box<Routes>>,
    pub(super) traffic: Traffic,
    /// What happened to messages on this side of the endpoint.
    pub(super) done: Option<Box<Ledger>>,
    /// Receivers that are behind, and what they hold up.
    pub(super) pressure: Pressure,
    pub(super) backlog: Option<Box<Backlog>>,
    /// Room for what is taken from the inbox, kept while the connection is busy.
    taken: Option<Box<VecDeque<Delivery>>>,
    /// What is to be written to the journal together with what was worked off last.
    pub(super) transaction: Transaction,
    /// The time of the last call.
    pub(super) now: Time,
    _count: ConnectionCount,
}

pub(super) enum Stage {
    Handshake,
    LoggingIn(Box<LoggingIn>),
    Arriving(Box<Arriving>),
    Open(Box<Client>),
    /// Over, because the client sent DISCONNECT.
    Left,
    /// Over for another reason, after it was let in.
    Ended,
    /// Over before it was let in.
    Gone,
}

/// A client with its session.
pub(super) struct Client {
    pub(super) slot: Arc<Slot>,
    pub(super) epoch: u64,
    pub(super) has_left: bool,
    /// A bridge that cannot say in its subscriptions what it wants of them.
    pub(super) is_bridge: bool,
    pub(super) fatigue: Fatigue,
    pub(super) will: Option<Box<WillRequest>>,
    pub(super) expiry_secs: u32,
    /// The generation of the access rules that what waits for the client's window was checked
    /// against.
    pub(super) rules: u64,
    /// From before its identity was verified, or was found to stand.
    pub(super) stamp: LoginStamp,
    /// Nothing, and so no password, for a client that cannot authenticate again.
    pub(super) renewal: Option<Box<Renewal>>,
    /// CONNACK waits for the journal.
    pub(super) opening: Option<Box<Opening>>,
}

/// What re-authentication needs of a client that logged in with a method [MQTT-4.12.1-1].
pub(super) struct Renewal {
    pub(super) credentials: Credentials,
    pub(super) method: Box<str>,
    pub(super) exchange: Option<Box<dyn Exchange>>,
    pub(super) job: Option<LoginJob>,
    /// From before it began.
    pub(super) stamp: LoginStamp,
}

impl Connection {
    pub(crate) fn new(broker: Arc<Broker>, peer: Peer, count: ConnectionCount, now: Time) -> Self {
        Self {
            endpoint: ServerEndpoint::new(broker.protocol.clone(), now),
            broker,
            peer,
            stage: Stage::Handshake,
            routes: None,
            traffic: Traffic::default(),
            done: None,
            pressure: Pressure::default(),
            backlog: None,
            taken: None,
            transaction: Transaction::new(),
            now,
            _count: count,
        }
    }

    /// Whether bytes should be read now. A connection that may not read still writes, so that no
    /// circle of waiting can close.
    pub(crate) fn wants_input(&self) -> bool {
        self.endpoint.wants_input() && !self.is_unheard()
    }

    /// Whether the client cannot be heard: its bytes are not read because of receivers that are
    /// behind, or because it has to take some of its own first.
    fn is_unheard(&self) -> bool {
        self.is_output_full() || self.is_stopped()
    }

    fn is_output_full(&self) -> bool {
        self.endpoint.output().len() >= 2 * self.broker.limits.output_bytes_max
    }

    /// Looks whether the receivers that the client waits for have caught up.
    fn poll_pressure(&mut self, now: Time) {
        if self.is_unheard() {
            // Its Keep Alive begins when its bytes are read again; until then it has to take what it
            // is sent, within the write timeout.
            self.endpoint.renew_keep_alive(now);
        }
        if self.pressure.is_none() {
            return;
        }
        let Stage::Open(client) = &self.stage else { return };
        let journal = self.broker.journal.as_deref();
        let paid = self.pressure.poll(&client.slot, &mut self.endpoint, journal, now);
        if let Err(reason) = paid {
            self.leave(Cause::NotStored(reason));
        }
    }

    /// Appends what was worked off to the journal, and everything that depends on it is owed until
    /// it is written.
    pub(super) fn flush(&mut self, now: Time) {
        let (Some(journal), Stage::Open(client)) = (&self.broker.journal, &self.stage) else {
            return;
        };
        if self.has_request() {
            // What a packet brings about is written together.
            return;
        }
        let gated = self.endpoint.take_gated();
        if let Some(session) = client.slot.number {
            let level = if gated.is_empty() { Level::Memory } else { self.broker.durability.level };
            if let Some(progress) = self.endpoint.take_progress() {
                self.transaction.add(Entry::Progress { session, progress }, level);
            }
            if let Some(mut ids) = self.endpoint.take_received() {
                let level = self.broker.durability.level;
                let (refused, unsettled) = self.undone(&self.pressure);
                ids.retain(|id| !refused.contains(id));
                let refusable = self.pressure.refusable();
                let received = Entry::Received { session, ids, unsettled, refusable };
                self.transaction.add(received, level);
            }
        }
        if !gated.is_empty() {
            self.pressure.owe(Answer::Packets(gated));
        }
        if self.transaction.is_empty() {
            return self.pressure.set_ticket(None);
        }
        let transaction = std::mem::replace(&mut self.transaction, Transaction::new());
        let waiter = transaction.is_awaited().then_some(&client.slot);
        match journal.append(transaction, waiter, now) {
            Ok(ticket) if waiter.is_some() => self.pressure.set_ticket(Some(ticket)),
            // As safe as it was asked to be, that is in memory.
            Ok(_) => self.pressure.set_ticket(None),
            Err(reason) => self.pressure.refuse(reason),
        }
    }

    /// A turn of the task begins.
    pub(crate) fn begin_turn(&mut self) {
        if let Stage::Open(client) = &mut self.stage {
            client.fatigue.rest();
        }
    }

    /// Whether the client has had its share of this turn: what is left of its work waits for the next.
    pub(crate) fn is_resting(&self) -> bool {
        matches!(&self.stage, Stage::Open(client) if client.fatigue.is_resting())
    }

    /// Whether others should run before the client has its next turn.
    pub(crate) fn is_tired(&self) -> bool {
        matches!(&self.stage, Stage::Open(client) if client.fatigue.is_tired())
    }

    /// What the client may have done in this turn; [`Connection::tire`] takes note of what was done.
    pub(super) fn work(&self) -> Work {
        match &self.stage {
            Stage::Open(client) => client.fatigue.work(),
            _ => Work::default(),
        }
    }

    pub(super) fn tire(&mut self, work: &Work) {
        if let Stage::Open(client) = &mut self.stage {
            client.fatigue.add(work);
        }
    }

    /// Whether there is input that was taken and not worked off.
    pub(crate) fn has_input(&self) -> bool {
        self.endpoint.has_input() || self.has_request()
    }

    /// Goes on with what was read, or takes whole packets out of `buf`, and does what they ask for, as
    /// much as the turn has room for.
    pub(crate) fn handle_input(&mut self, buf: &mut BytesMut, now: Time) {
        self.now = now;
        if matches!(self.stage, Stage::Handshake)
            && let Some(foreign) = Foreign::recognise(buf)
        {
            buf.clear();
            return self.refuse_foreign(foreign, now);
        }
        if self.is_resting() {
            return;
        }
        self.renew_rights();
        let mut work = self.work();
        if self.has_input() {
            // While nothing more was read, the client could not be heard.
            self.endpoint.renew_keep_alive(now);
            self.go_on(&mut work, now);
        } else {
            let before = buf.len();
            self.endpoint.handle_input(buf, now);
            self.traffic.bytes_received += (before - buf.len()) as u64;
        }
        self.work_off(&mut work, now);
        self.endpoint.let_input_go();
        self.flush(now);
        self.note_end(now);
        self.tire(&work);
    }

    fn work_off(&mut self, work: &mut Work, now: Time) {
        self.renew_routes();
        let mut joined: Option<(RunSpan, NonZeroU32)> = None;
        while !work.is_over() && !self.has_request() {
            let Some(event) = self.endpoint.poll_event(now) else {
                if !self.endpoint.has_input() {
                    break;
                }
                work.spend(PAUSE_STEPS);
                continue;
            };
            if let ServerEvent::Span(span) = event {
                if span.class().is_none() && self.are_routes_full() {
                    self.publish_span(joined.take(), work, now);
                    self.forget_routes();
                }
                let route = span.class().unwrap_or_else(|| self.classify(&span, work));
                let joins =
                    joined.as_mut().is_some_and(|(run, first)| *first == route && run.join(&span));
                if joins {
                    continue;
                }
                self.publish_span(joined.replace((span, route)), work, now);
                if self.routes.as_ref().is_some_and(|routes| routes.is_shared(route)) {
                    // It may take several turns, and nothing may overtake it.
                    self.publish_span(joined.take(), work, now);
                }
                continue;
            }
            self.publish_span(joined.take(), work, now);
            self.handle_event(event, work, now);
            self.renew_routes();
        }
        self.publish_span(joined, work, now);
    }

    /// Sees to it that what is remembered of topics holds. Where others subscribe while the input is
    /// worked off, its messages are as if they had come before.
    fn renew_routes(&mut self) {
        let generations = self.broker.generations();
        if self.routes.as_ref().is_some_and(|routes| routes.are_over(generations)) {
            self.forget_routes();
        }
    }

    fn are_routes_full(&self) -> bool {
        self.routes.as_ref().is_some_and(|routes| routes.are_full())
    }

    fn forget_routes(&mut self) {
        if let Some(routes) = &mut self.routes {
            routes.start_anew(self.broker.generations());
            self.endpoint.forget_classes();
        }
    }

    /// Works out who gets the messages of a topic that is not remembered.
    fn classify(&mut self, span: &RunSpan, work: &mut Work) -> NonZeroU32 {
        let Self { broker, endpoint, routes, stage, .. } = self;
        let Stage::Open(client) = stage else { return NOWHERE };
        let topic = endpoint.span_topic(span);
        let look_ahead = || broker.look_ahead(topic, endpoint.topics_ahead());
        let routes = routes.get_or_insert_with(|| Box::new(Routes::new(broker.generations())));
        let find = || {
            let name = std::str::from_utf8(topic).unwrap_or_default();
            broker.route(&client.slot, name, span.qos(), work)
        };
        let route = routes.add(look_ahead, find);
        endpoint.classify(span, route);
        route
    }

    fn publish_span(&mut self, joined: Option<(RunSpan, NonZeroU32)>, work: &mut Work, now: Time) {
        let Some((span, number)) = joined else { return };
        let Some(run) = self.endpoint.run(&span) else { return };
        self.traffic.published += u64::from(run.count());
        let is_alone = self.broker.may_refuse(&run);
        let Self { broker, traffic, pressure, transaction, routes, .. } = self;
        let route = routes.as_ref().and_then(|routes| routes.get(number));
        let (part, rest) = match route {
            Some(route) => route.part(run, is_alone, work),
            None => (run, None),
        };
        let behind = pressure.receivers(part.qos());
        let verdict = broker.publish_by(route, &part, now, traffic, behind, transaction);
        self.acknowledge(&part, verdict);
        self.keep_messages(rest);
    }

    /// Goes on with messages that the members of groups share, each of which is handed out by itself.
    pub(super) fn publish_rest(&mut self, run: Run, work: &mut Work, now: Time) {
        let is_alone = self.broker.may_refuse(&run);
        let Stage::Open(client) = &self.stage else { return };
        let Self { broker, traffic, pressure, transaction, .. } = self;
        // Nothing that is remembered: the access rules may have changed between two turns.
        let route = broker.route(&client.slot, run.topic(), run.qos(), work);
        let (part, rest) = route.part(run, is_alone, work);
        let behind = pressure.receivers(part.qos());
        let verdict = broker.publish_by(Some(&route), &part, now, traffic, behind, transaction);
        self.acknowledge(&part, verdict);
        self.keep_messages(rest);
    }

    fn keep_messages(&mut self, rest: Option<Run>) {
        if let Some(rest) = rest {
            self.keep_request(Request::Messages(rest));
        }
    }

    /// Answers messages at once, or when what they brought about is written.
    fn acknowledge(&mut self, run: &Run, verdict: Verdict) {
        let has_id = run.qos() == QoS::ExactlyOnce && self.is_stored();
        let is_stored = self.transaction.is_awaited() || has_id;
        self.pressure.acknowledge(run, verdict, is_stored, &mut self.endpoint);
    }

    /// Whether the client's session is in the store.
    fn is_stored(&self) -> bool {
        matches!(&self.stage, Stage::Open(client) if client.slot.number.is_some())
    }

    /// A message that stands alone: retained, or with properties of its own.
    fn publish_message(&mut self, run: &Run, work: &mut Work, now: Time) {
        let Stage::Open(client) = &self.stage else { return };
        self.traffic.published += 1;
        let topic = TopicNameRef::with_limit(run.topic(), usize::MAX);
        let allowed = topic.is_ok_and(|topic| {
            self.broker.may_publish(client.slot.subject(), topic, run.qos(), run.retain())
        });
        let verdict = if !allowed {
            self.traffic.denied += 1;
            ReasonCode::NOT_AUTHORIZED.into()
        } else if run.retain() && self.broker.retain(run, now, &mut self.transaction).is_err() {
            self.traffic.denied += 1;
            ReasonCode::QUOTA_EXCEEDED.into()
        } else if let Ok(topic) = topic {
            let Self { broker, traffic, pressure, transaction, .. } = self;
            let receivers = broker.receivers(Some(client.slot.id), topic, work);
            let behind = pressure.receivers(run.qos());
            work.spend(receivers.steps(1));
            broker.hand_out(run, &receivers, now, traffic, behind, transaction)
        } else {
            ReasonCode::TOPIC_NAME_INVALID.into()
        };
        self.acknowledge(run, verdict);
    }

    fn handle_event(&mut self, event: ServerEvent, work: &mut Work, now: Time) {
        match event {
            ServerEvent::Connect(request) => self.connect(request),
            ServerEvent::Auth { again, data } => self.auth(again, data),
            ServerEvent::Span(_) => {}
            ServerEvent::Message(run) => self.publish_message(&run, work, now),
            ServerEvent::Subscribe(body) => self.subscribe(&body, work),
            ServerEvent::Unsubscribe(body) => self.unsubscribe(&body, work),
            ServerEvent::Disconnect { reason, session_expiry_secs } => {
                if let Stage::Open(client) = &mut self.stage {
                    client.has_left = true;
                    if reason == ReasonCode::NORMAL_DISCONNECTION {
                        // The will is gone for good [MQTT-3.14.4-3].
                        client.will = None;
                    }
                    if let Some(secs) = session_expiry_secs {
                        client.expiry_secs = secs.min(self.broker.limits.session_expiry_max_secs);
                    }
                }
            }
            ServerEvent::Failed(violation) => self.note_failed(&violation),
        }
    }

    pub(super) fn leave(&mut self, cause: Cause) {
        self.note_leave(cause);
        self.endpoint.disconnect(cause.why());
    }

    /// Moves messages from the session's inbox towards the socket, as far as there is room, and
    /// acknowledgements whose time has come. Answers why the connection was asked to go, if it was:
    /// what the client has sent until now may be read before [`Connection::go`]. The transport holds
    /// `partial` bytes of a packet that is not complete.
    #[must_use]
    pub(crate) fn take_deliveries(&mut self, now: Time, partial: usize) -> Option<Cause> {
        self.now = now;
        if self.is_opening() {
            self.poll_opening(now);
            return None;
        }
        if let Some(cause) = self.poll_standing() {
            return Some(cause);
        }
        self.poll_pressure(now);
        self.note_end(now);
        let mut has_expired = false;
        loop {
            let Stage::Open(client) = &self.stage else { return None };
            let slot = client.slot.clone();
            let room = self.room();
            let mut taken = self.taken.take().unwrap_or_default();
            let mut report = self.report();
            let partial = u32::try_from(partial).unwrap_or(u32::MAX);
            report.buffered = report.buffered.saturating_add(partial);
            let exchanged = slot.exchange(report, &mut taken, room);
            let Exchanged { leave, fetch, looks } = exchanged;
            has_expired |= looks;
            if fetch && let Some(session) = slot.number {
                let entry = Entry::Fetch { session, slot: slot.clone() };
                self.transaction.add(entry, Level::Memory);
            }
            if leave.is_some() {
                // What was just taken goes on with the session, but for QoS 0.
                for delivery in taken.drain(..) {
                    match delivery.run.is_empty() {
                        true => self.endpoint.lose(&delivery, now),
                        false => self.endpoint.deliver(delivery, now),
                    }
                }
                return leave;
            }
            if taken.is_empty() {
                self.taken = Some(taken);
                if std::mem::take(&mut has_expired) {
                    self.expire(&slot, now);
                    continue;
                }
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
            self.taken = Some(taken);
        }
        self.poll_replays(now);
        self.flush(now);
        // What depends on nothing that is new is paid at once.
        self.poll_pressure(now);
        self.note_end(now);
        None
    }

    /// Ends a connection that was asked to go, unless the client has left by itself meanwhile.
    pub(crate) fn go(&mut self, cause: Cause, now: Time) {
        if cause == Cause::Memory && !self.endpoint.output().is_empty() {
            // It does not read, so that it would not read why either; its output is to go at once.
            return self.handle_gone(now);
        }
        if self.has_session() {
            self.leave(cause);
        }
        self.note_end(now);
    }

    /// Ends a connection that would hold more of a large packet than there is memory for.
    pub(crate) fn refuse_packet(&mut self, now: Time) {
        tracing::debug!(peer = ?self.peer.address, "a large packet, and no memory for it");
        self.endpoint.disconnect(Cause::Memory.why());
        self.note_end(now);
    }

    /// The access rules have changed since the messages were left: each is asked for again.
    fn deliver_checked(&mut self, slot: &Slot, delivery: &Delivery, now: Time) {
        if delivery.run.is_empty() {
            return self.endpoint.lose(delivery, now);
        }
        for (place, frame) in (0..).zip(delivery.run.frames()) {
            let seq = delivery.seq.map(|first| first.saturating_add(place));
            let single = Delivery { run: delivery.run.with_frame(&frame), seq, ..delivery.clone() };
            if self.broker.may_deliver(slot, &single) {
                self.endpoint.deliver(single, now);
            } else if self.endpoint.skip(&single) {
                self.done_mut().drop_messages(DropReason::NotAuthorized, 1);
            }
        }
    }

    /// What happened to messages on this side of the endpoint since the last report.
    pub(super) fn done_mut(&mut self) -> &mut Ledger {
        self.done.get_or_insert_default()
    }

    /// How many bytes may be taken from the inbox now.
    pub(super) fn room(&self) -> usize {
        let room = self.broker.memory.squeeze_buffer(self.broker.limits.output_bytes_max);
        room.saturating_sub(self.endpoint.waiting_bytes())
    }

    pub(super) fn report(&mut self) -> Report {
        let mut done = self.endpoint.take_done();
        if let Some(own) = self.done.take() {
            done += *own;
        }
        Report {
            done,
            held: self.endpoint.held(),
            traffic: std::mem::take(&mut self.traffic),
            buffered: u32::try_from(self.endpoint.output().len()).unwrap_or(u32::MAX),
        }
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

    /// Whether the client has left, and will neither send nor expect anything more.
    pub(crate) const fn has_left(&self) -> bool {
        matches!(self.stage, Stage::Left)
    }

    /// Whether the connection is over after the client had been let in.
    pub(crate) const fn was_let_in(&self) -> bool {
        matches!(self.stage, Stage::Left | Stage::Ended)
    }

    /// Whether the client has its session: whoever wants it to go tells the session's owner.
    pub(crate) const fn has_session(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    /// The server stops before the client has a session.
    pub(crate) fn handle_stopping(&mut self, now: Time) {
        match &self.stage {
            Stage::Handshake => self.handle_gone(now),
            Stage::LoggingIn(_) | Stage::Arriving(_) => self.refuse(Cause::Unavailable),
            Stage::Open(_) | Stage::Left | Stage::Ended | Stage::Gone => {}
        }
    }

    /// What came is not MQTT: it is told so in its own protocol.
    fn refuse_foreign(&mut self, foreign: Foreign, now: Time) {
        self.note_refused(Refused::OtherProtocol, &foreign.hint());
        self.endpoint.close_with(foreign.answer());
        self.note_end(now);
    }

    /// The transport has a protocol of its own, and the client broke it.
    pub(crate) fn handle_transport_violation(&mut self, why: &dyn std::fmt::Display, now: Time) {
        self.now = now;
        match &self.stage {
            Stage::Handshake => self.note_refused(Refused::WebSocket, why),
            _ => self.note_violation(why),
        }
        self.close_transport(now);
    }

    /// The authenticator panicked: that fails closed.
    pub(crate) fn handle_no_answer(&mut self, now: Time) {
        if !self.has_session() {
            self.note_refused(Refused::Unavailable, &"the authenticator panicked");
        }
        self.handle_gone(now);
    }

    /// The client does not take what it is sent.
    pub(crate) fn handle_stuck(&mut self, now: Time) {
        self.note_lost(&"it did not take what it was sent", now);
        self.close_transport(now);
    }

    /// The transport is gone.
    pub(crate) fn handle_gone(&mut self, now: Time) {
        self.note_lost(&"the connection was lost", now);
        self.close_transport(now);
    }

    fn note_lost(&mut self, why: &dyn std::fmt::Display, now: Time) {
        self.now = now;
        let is_open = matches!(&self.stage, Stage::Open(client) if client.opening.is_none());
        if is_open && !self.endpoint.is_closed() {
            self.note_disconnected(why);
        }
    }

    fn close_transport(&mut self, now: Time) {
        self.endpoint.abandon();
        self.note_end(now);
    }

    /// When [`Connection::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        if self.waits_for_its_turn() {
            // The time that the server makes it wait is not the client's, and has a bound of its own.
            let wait_millis = self.broker.limits.login_wait_millis;
            return self.endpoint.poll_timeout().map(|due| due.after_millis(wait_millis));
        }
        let own = self.endpoint.poll_timeout().filter(|_| !self.is_unheard() && !self.is_resting());
        if self.pressure.is_none() {
            return own;
        }
        earliest(own, self.pressure.deadline())
    }

    /// Whether the server keeps the client waiting before it has looked at its password.
    fn waits_for_its_turn(&self) -> bool {
        matches!(&self.stage, Stage::LoggingIn(logging_in) if logging_in.waits_since.is_some())
    }

    /// Whether the client is not read from because of receivers that are behind.
    fn is_stopped(&self) -> bool {
        let owed_max = self.broker.limits.protocol.receive_maximum;
        self.pressure.stops_reading(owed_max, self.broker.journal.as_deref())
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Time) {
        if self.is_unheard() || self.is_resting() {
            // Not the client's time is up, but that of the receivers that it waits for. And what it
            // has sent is not read while it rests.
            return;
        }
        self.now = now;
        if let Some(event) = self.endpoint.handle_timeout(now) {
            match event {
                ServerEvent::Failed(violation) => self.note_timeout(&violation),
                event => self.handle_event(event, &mut Work::default(), now),
            }
            self.note_end(now);
        }
    }

    /// The driver is about to sleep; `waker` wakes it. Answers false if there is something to do.
    pub(crate) fn sleep(&mut self, waker: &Waker) -> bool {
        if self.is_tired() || (self.has_input() && self.wants_input()) {
            return false;
        }
        if let Stage::Open(client) = &self.stage {
            let room = self.room();
            if room > 0 && self.can_replay() {
                return false;
            }
            if !client.slot.sleep(waker, room > 0 && !self.is_opening()) {
                return false;
            }
            // The journal may have been written before it was known whom to wake.
            if self.pressure.is_due(self.broker.journal.as_deref()) || self.is_opened() {
                return false;
            }
        }
        self.endpoint.shrink();
        self.pressure.shrink(self.now);
        self.taken = None;
        true
    }

    /// If the connection is over, gives the session back and sees to the will. Does nothing before
    /// that, nor a second time.
    pub(super) fn note_end(&mut self, now: Time) {
        if !self.endpoint.is_closed() {
            return;
        }
        let over = match &self.stage {
            Stage::Open(client) if client.has_left => Stage::Left,
            Stage::Open(client) if client.opening.is_none() => Stage::Ended,
            Stage::Left => Stage::Left,
            Stage::Ended => Stage::Ended,
            _ => Stage::Gone,
        };
        if matches!(over, Stage::Left) && matches!(self.stage, Stage::Open(_)) {
            self.note_disconnected(&"the client left");
        }
        let Stage::Open(client) = std::mem::replace(&mut self.stage, over) else { return };
        let pressure = std::mem::take(&mut self.pressure);
        if let Some(backlog) = self.backlog.take() {
            self.broker.drop_backlog(backlog);
        }
        self.routes = None;
        let Client { slot, epoch, will, expiry_secs, opening, .. } = *client;
        let (session, done) = self.endpoint.take_session().unwrap_or_default();
        let mut report = self.report();
        report.done += done;
        report.held = session.held();
        let was_let_in = opening.is_none();
        if was_let_in {
            self.broker.clients.fetch_sub(1, Ordering::Relaxed);
        }
        let (mut session, will) = match opening {
            // The client was never let in: everything is as it was.
            Some(opening) => (*opening.session, None),
            None => (session, will.map(|will| *will)),
        };
        let (refused, unsettled) = self.undone(&pressure);
        refused.into_iter().for_each(|id| session.take_back(id));
        let left = Left { session, report, will, expiry_secs, was_let_in, unsettled };
        let transaction = std::mem::replace(&mut self.transaction, Transaction::new());
        self.broker.depart(&slot, epoch, left, transaction, now);
    }
}

impl Drop for Connection {
    /// A connection that is dropped in the middle leaves its session in order all the same.
    fn drop(&mut self) {
        self.handle_gone(self.now);
    }
}
