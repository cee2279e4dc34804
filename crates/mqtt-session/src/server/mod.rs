//! The server's side of a connection.
//!
//! ```text
//! AwaitConnect ── CONNECT ──> Connecting ── accept ──> Open ── DISCONNECT, violation, close ──┐
//!      │                       │     ▲                                                        │
//!      │                       │     └── AUTH ── challenge                                    ▼
//!      └── timeout, bad bytes ─┴── refuse ────────────────────────────────────────────────> Closed
//! ```
//!
//! The contract: after each `handle_*`, call [`ServerEndpoint::poll_event`] until it returns `None`
//! and [`ServerEndpoint::has_input`] is false; then write what [`ServerEndpoint::output`] holds; call
//! [`ServerEndpoint::handle_timeout`] when [`ServerEndpoint::poll_timeout`] is due. In `Closed` the
//! transport is closed once the output is written.

mod answer;
mod config;
mod connecting;
mod handshake;
mod life;
mod open;
mod request;

use std::{num::NonZeroU32, sync::Arc};

use bytes::{Bytes, BytesMut};
use mqtt_packet::{AckProperties, Packet, PacketId, ReasonCode, SubAck, UnsubAck};

use self::{
    answer::{refuse, words_for},
    connecting::Connecting,
    open::Open,
};
pub use self::{
    config::ServerConfig,
    request::{ConnectRequest, WillRequest},
};
use crate::{
    delivery::Delivery,
    inbox::Held,
    ledger::{DropReason, Ledger},
    link::{Gate, Incoming, Link, PAUSE_BYTES, RunSpan},
    negotiated::Negotiated,
    output::Output,
    run::Run,
    session::Session,
    store::Progress,
    time::Time,
    violation::Violation,
};

/// The server's side of one connection, without I/O.
#[derive(Debug)]
pub struct ServerEndpoint {
    config: Arc<ServerConfig>,
    state: State,
    /// The last event ends the connection: done when the next one is asked for, so that what came
    /// before it can still be read and answered.
    ending: Option<Box<Ending>>,
}

#[derive(Copy, Clone, Debug)]
enum Ending {
    Left,
    Failed(Violation),
}

/// Small while the connection is open: there are many of them, and few in the other states.
#[derive(Debug)]
enum State {
    AwaitConnect { deadline: Time, request: Option<Box<ConnectRequest>>, out: Box<Output> },
    Connecting(Box<Connecting>),
    Open(Box<Open>),
    Closed { out: Box<Output>, session: Option<Box<(Session, Ledger)>> },
}

/// What a client did.
#[derive(Debug)]
pub enum ServerEvent {
    /// It wants to connect: answer with [`ServerEndpoint::accept`], [`ServerEndpoint::challenge`]
    /// or [`ServerEndpoint::refuse`].
    Connect(Box<ConnectRequest>),
    /// It goes on with enhanced authentication, or starts it anew on an open connection.
    Auth {
        /// Whether this begins a re-authentication [MQTT-4.12.1-1].
        again: bool,
        /// The client's data.
        data: Vec<u8>,
    },
    /// It published messages that can be handed on as they are: join what goes to the same
    /// receivers, make a [`Run`] of it, and acknowledge the run.
    Span(RunSpan),
    /// It published a message that stands alone: hand it on, and acknowledge it.
    Message(Run),
    /// It wants subscriptions: answer with [`ServerEndpoint::suback`]. The body is a checked
    /// SUBSCRIBE, to be read with [`mqtt_packet::Subscribe::parse`].
    Subscribe(Bytes),
    /// It wants subscriptions removed: answer with [`ServerEndpoint::unsuback`]. The body is a
    /// checked UNSUBSCRIBE.
    Unsubscribe(Bytes),
    /// It left. The connection is closed with the next call of [`ServerEndpoint::poll_event`].
    Disconnect {
        /// Why; 0x04 asks for the will to be published.
        reason: ReasonCode,
        /// A new Session Expiry Interval, in seconds.
        session_expiry_secs: Option<u32>,
    },
    /// It broke the protocol, or a timer ran out. With the next call of
    /// [`ServerEndpoint::poll_event`] it is told as its version says, and the connection closed.
    Failed(Violation),
}

/// How a connection is accepted.
#[derive(Debug, Default)]
pub struct Accept<'a> {
    /// The delivery state to go on with; a new one for a new session.
    pub session: Session,
    /// Whether the session existed before.
    pub session_present: bool,
    /// The client identifier that the server chose [MQTT-3.1.3-7].
    pub assigned_client_id: Option<&'a str>,
    /// The Session Expiry Interval in force, in seconds.
    pub session_expiry_secs: u32,
    /// The Session Expiry Interval that the client asked for, in seconds.
    pub requested_session_expiry_secs: u32,
    /// The last data of enhanced authentication.
    pub authentication_data: Option<&'a [u8]>,
    /// A prefix for response topics.
    pub response_information: Option<&'a str>,
    /// Which acknowledgements [`ServerEndpoint::take_gated`] hands out instead of sending them.
    pub gate: Gate,
}

impl ServerEndpoint {
    /// A connection that was just opened.
    #[must_use]
    pub fn new(config: impl Into<Arc<ServerConfig>>, now: Time) -> Self {
        let config = config.into();
        let deadline = now.after_millis(config.connect_timeout_millis);
        Self {
            config,
            state: State::AwaitConnect { deadline, request: None, out: Box::default() },
            ending: None,
        }
    }

    /// Whether bytes should be read from the transport now.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        match &self.state {
            State::AwaitConnect { request, .. } => request.is_none(),
            State::Connecting(connecting) => connecting.awaits_auth,
            State::Open(_) => true,
            State::Closed { .. } => false,
        }
    }

    /// Whether CONNECT was accepted and the connection is not over.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether the connection is over: only the output is left to be written.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// Takes the whole packets out of `buf`; what is left is the beginning of a packet, or waits
    /// until the connection is accepted. Follow with [`ServerEndpoint::poll_event`]. Takes nothing
    /// while there is input that has not come out as events ([`ServerEndpoint::has_input`]).
    pub fn handle_input(&mut self, buf: &mut BytesMut, now: Time) {
        match &mut self.state {
            State::AwaitConnect { .. } => {
                if let Err(violation) = self.handle_connect(buf) {
                    self.refuse_violation(buf, violation);
                }
            }
            State::Connecting(connecting) => {
                if connecting.awaits_auth
                    && let Err(violation) = connecting.handle_auth(buf)
                {
                    connecting.auth = Some(ServerEvent::Failed(violation));
                }
            }
            State::Open(open) => {
                let whole = open.link.handle_input(buf);
                open.life.handle_input(whole, buf.len(), now);
            }
            State::Closed { .. } => buf.clear(),
        }
    }

    /// Whether input was taken that has not come out as events yet. Whoever works off a part of it at
    /// a time goes on with [`ServerEndpoint::poll_event`].
    #[must_use]
    pub fn has_input(&self) -> bool {
        match &self.state {
            State::Open(open) => self.ending.is_some() || open.link.has_input(),
            _ => false,
        }
    }

    /// What happened, one at a time; `None` when there is nothing more, and now and then between
    /// packets that bring no event: then [`ServerEndpoint::has_input`] says that there is more.
    pub fn poll_event(&mut self, now: Time) -> Option<ServerEvent> {
        match self.ending.take().map(|ending| *ending) {
            Some(Ending::Left) => self.close(Output::default()),
            Some(Ending::Failed(violation)) => self.fail(violation),
            None => {}
        }
        match &mut self.state {
            State::AwaitConnect { request, deadline, out } => {
                let request = request.take()?;
                let negotiated = self.config.negotiate(&request);
                self.state = State::Connecting(Box::new(Connecting {
                    deadline: *deadline,
                    negotiated,
                    method: request.authentication_method.clone(),
                    awaits_auth: false,
                    auth: None,
                    out: std::mem::take(&mut **out),
                }));
                Some(ServerEvent::Connect(request))
            }
            State::Connecting(connecting) => match connecting.auth.take()? {
                ServerEvent::Failed(violation) => Some(self.end_with(violation)),
                event => Some(event),
            },
            State::Open(_) => self.poll_open(now),
            State::Closed { .. } => None,
        }
    }

    fn poll_open(&mut self, now: Time) -> Option<ServerEvent> {
        let State::Open(open) = &mut self.state else { return None };
        let from = open.link.position();
        loop {
            if open.link.position() - from >= PAUSE_BYTES {
                return None;
            }
            let incoming = match open.link.next(now) {
                Ok(incoming) => incoming?,
                Err(violation) => return Some(self.end_with(violation)),
            };
            let event = match incoming {
                Incoming::Span(span) => {
                    self.config.check_publish(span.qos(), false).map(|()| ServerEvent::Span(span))
                }
                Incoming::Message(run) => self
                    .config
                    .check_publish(run.qos(), run.retain())
                    .map(|()| ServerEvent::Message(run)),
                Incoming::Control(first, body) => match open.control(first, body) {
                    Ok(None) => continue,
                    Ok(Some(event)) => Ok(event),
                    Err(violation) => Err(violation),
                },
                Incoming::Acknowledged(_) => continue,
            };
            return Some(match event {
                Ok(event @ ServerEvent::Disconnect { .. }) => {
                    self.ending = Some(Box::new(Ending::Left));
                    event
                }
                Ok(event) => event,
                Err(violation) => self.end_with(violation),
            });
        }
    }

    /// The topics of messages that were read and have not come out as events yet, but for those that
    /// have a class, as bytes that are not checked: a hint at what comes next.
    pub fn topics_ahead(&self) -> impl Iterator<Item = &[u8]> {
        let link = match &self.state {
            State::Open(open) => Some(&open.link),
            _ => None,
        };
        link.into_iter().flat_map(Link::topics_ahead)
    }

    /// Says of which class this span's topic is, at its QoS and until
    /// [`ServerEndpoint::forget_classes`]: messages whose topics are of one class come in one span,
    /// which then names it ([`RunSpan::class`]). For topics whose messages go to the same receivers.
    /// The last 256 topics are remembered, and none whose name is longer than 512 bytes.
    pub fn classify(&mut self, span: &RunSpan, class: NonZeroU32) {
        if let State::Open(open) = &mut self.state {
            open.link.classify(span, class);
        }
    }

    /// Takes back every class. It has to be called before the next event where what was said holds
    /// no longer.
    pub fn forget_classes(&mut self) {
        if let State::Open(open) = &mut self.state {
            open.link.forget_classes();
        }
    }

    /// The topic of a span of the input at hand: a checked topic name.
    #[must_use]
    pub fn span_topic(&self, span: &RunSpan) -> &[u8] {
        match &self.state {
            State::Open(open) => open.link.span_topic(span),
            _ => &[],
        }
    }

    /// Makes a run of a span of the input at hand; `None` once that or the connection is gone.
    #[must_use]
    pub fn run(&self, span: &RunSpan) -> Option<Run> {
        match &self.state {
            State::Open(open) => open.link.run(span),
            _ => None,
        }
    }

    /// Gives the block back that was read, once [`ServerEndpoint::poll_event`] has answered `None`
    /// and all spans are runs. Without it, that waits for the next input.
    pub fn let_input_go(&mut self) {
        if let State::Open(open) = &mut self.state {
            open.link.let_input_go();
        }
    }

    /// Answers the messages of a run with PUBACK or PUBREC.
    pub fn acknowledge(&mut self, run: &Run, reason: ReasonCode) {
        if let State::Open(open) = &mut self.state {
            open.link.acknowledge(run, reason);
        }
    }

    /// Acknowledgements that [`Accept::gate`] holds back, in order, since the last call.
    pub fn take_gated(&mut self) -> Bytes {
        match &mut self.state {
            State::Open(open) => open.link.take_gated(),
            _ => Bytes::new(),
        }
    }

    /// Sends acknowledgements that were held back.
    pub fn send_gated(&mut self, packets: Bytes) {
        if let State::Open(open) = &mut self.state {
            open.link.out.push(packets, 0);
        }
    }

    /// How far the session is with its messages, if that has changed since the last call. For a
    /// session whose queue is on a disk.
    pub fn take_progress(&mut self) -> Option<Progress> {
        match &mut self.state {
            State::Open(open) => open.link.session.sender.take_progress(),
            _ => None,
        }
    }

    /// The identifiers of QoS 2 messages that await PUBREL, if they have changed since the last call.
    pub fn take_received(&mut self) -> Option<Vec<PacketId>> {
        match &mut self.state {
            State::Open(open) => open.link.session.receiver.take_received(),
            _ => None,
        }
    }

    /// Answers a SUBSCRIBE, one reason for each filter [MQTT-3.8.4-6].
    pub fn suback(&mut self, packet_id: PacketId, reasons: &[u8]) {
        self.answer(reasons, |properties| {
            Packet::SubAck(SubAck { packet_id, properties, reasons })
        });
    }

    /// Answers an UNSUBSCRIBE, one reason for each filter [MQTT-3.11.3-1].
    pub fn unsuback(&mut self, packet_id: PacketId, reasons: &[u8]) {
        self.answer(reasons, |properties| {
            Packet::UnsubAck(UnsubAck { packet_id, properties, reasons })
        });
    }

    fn answer<'a>(&mut self, reasons: &'a [u8], packet: impl Fn(AckProperties<'a>) -> Packet<'a>) {
        if let State::Open(open) = &mut self.state {
            open.answer(words_for(reasons), packet);
        }
    }

    /// Sends messages to the client, or keeps them until its window opens.
    pub fn deliver(&mut self, delivery: Delivery, now: Time) {
        if let State::Open(open) = &mut self.state {
            open.link.deliver(delivery, now);
        }
    }

    /// Counts messages of [`Run::lost`](crate::Run::lost) as damaged, and goes on behind them.
    pub fn lose(&mut self, delivery: &Delivery, now: Time) {
        if let State::Open(open) = &mut self.state {
            open.link.lose(delivery, now);
        }
    }

    /// Drops of the messages that wait for the window those that `keep` does not want, counted as
    /// `reason`; see [`Session::retain_pending`].
    pub fn retain_pending(
        &mut self,
        done: &mut Ledger,
        reason: DropReason,
        keep: impl FnMut(&Delivery) -> bool,
    ) {
        if let State::Open(open) = &mut self.state {
            open.link.session.retain_pending(done, reason, keep);
        }
    }

    /// Does not send messages that come from a disk. Answers false if they were finished before.
    pub fn skip(&mut self, delivery: &Delivery) -> bool {
        match (&mut self.state, delivery.seq) {
            (State::Open(open), Some(number)) => open.link.session.sender.skip(number.get()),
            _ => true,
        }
    }

    /// Drops messages that expired while they waited for the window [MQTT-3.3.2-5]. Returns when the
    /// next one does.
    pub fn expire(&mut self, now: Time) -> Option<Time> {
        match &mut self.state {
            State::Open(open) => open.link.expire(now),
            _ => None,
        }
    }

    /// Ends the connection: a 5.0 client is told why, before that there is only the close.
    pub fn disconnect(&mut self, why: Violation) {
        match &mut self.state {
            State::Open(open) => {
                open.disconnect(&why);
                self.close_keeping_output();
            }
            State::Connecting(_) => self.refuse(why),
            _ => self.close(Output::default()),
        }
    }

    /// Ends a connection on which something else than MQTT came, with an answer in that protocol.
    pub fn close_with(&mut self, answer: &[u8]) {
        let mut out = Output::default();
        out.tail().extend_from_slice(answer);
        self.close(out);
    }

    /// Ends the connection without another word: the transport is gone.
    pub fn abandon(&mut self) {
        self.close(Output::default());
        if let State::Closed { out, .. } = &mut self.state {
            // What was still to be said when it was closed reaches nobody any more.
            **out = Output::default();
        }
    }

    fn end_with(&mut self, violation: Violation) -> ServerEvent {
        self.ending = Some(Box::new(Ending::Failed(violation)));
        ServerEvent::Failed(violation)
    }

    fn fail(&mut self, violation: Violation) {
        match &mut self.state {
            State::Connecting(connecting) => {
                let mut out = std::mem::take(&mut connecting.out);
                if connecting.awaits_auth {
                    refuse(&mut out, &connecting.negotiated, &violation);
                }
                self.close(out);
            }
            State::Open(open) => {
                open.disconnect(&violation);
                self.close_keeping_output();
            }
            _ => self.close(Output::default()),
        }
    }

    fn close_keeping_output(&mut self) {
        let out = match &mut self.state {
            State::Open(open) => std::mem::take(&mut open.link.out),
            _ => Output::default(),
        };
        self.close(out);
    }

    fn close(&mut self, out: Output) {
        let session = match &mut self.state {
            State::Open(open) => {
                let (session, mut done) = open.link.end();
                done.drop_messages(DropReason::ConnectionLost, out.messages());
                Some(Box::new((session, done)))
            }
            State::Closed { .. } => return,
            _ => None,
        };
        self.state = State::Closed { out: Box::new(out), session };
    }

    /// The delivery state of the session and what was done since the last
    /// [`ServerEndpoint::take_done`], once, after the connection is closed.
    pub fn take_session(&mut self) -> Option<(Session, Ledger)> {
        match &mut self.state {
            State::Closed { session, .. } => session.take().map(|boxed| *boxed),
            _ => None,
        }
    }

    /// What became of messages since the last call, for the session's ledger.
    pub fn take_done(&mut self) -> Ledger {
        match &mut self.state {
            State::Open(open) => open.link.take_done(),
            _ => Ledger::default(),
        }
    }

    /// What is unfinished here: QoS 1 and 2 messages, and all bytes that wait.
    #[must_use]
    pub fn held(&self) -> Held {
        match &self.state {
            State::Open(open) => open.link.session.held(),
            _ => Held::default(),
        }
    }

    /// Bytes that wait here: for the socket, or for the client's window to open.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        let for_window = match &self.state {
            State::Open(open) => open.link.session.sender.waiting_bytes(),
            _ => 0,
        };
        self.output().len() + for_window
    }

    /// QoS 0 messages that wait for the socket.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        self.output().messages()
    }

    /// What waits for the socket.
    #[must_use]
    pub fn output(&self) -> &Output {
        match &self.state {
            State::AwaitConnect { out, .. } | State::Closed { out, .. } => out,
            State::Connecting(connecting) => &connecting.out,
            State::Open(open) => &open.link.out,
        }
    }

    /// The socket took `bytes` of the output.
    pub fn advance_output(&mut self, bytes: usize) {
        match &mut self.state {
            State::AwaitConnect { out, .. } | State::Closed { out, .. } => {
                out.advance(bytes);
            }
            State::Connecting(connecting) => {
                connecting.out.advance(bytes);
            }
            State::Open(open) => open.link.advance_output(bytes),
        }
    }

    /// What was agreed on with the client; `None` before CONNECT and after the end.
    #[must_use]
    pub fn negotiated(&self) -> Option<&Negotiated> {
        match &self.state {
            State::Open(open) => Some(&open.link.negotiated),
            State::Connecting(connecting) => Some(&connecting.negotiated),
            _ => None,
        }
    }

    /// When [`ServerEndpoint::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        match &self.state {
            State::AwaitConnect { deadline, .. } => Some(*deadline),
            State::Connecting(connecting) => Some(connecting.deadline),
            State::Open(open) => open.deadline(self.config.packet_timeout_millis),
            State::Closed { .. } => None,
        }
    }

    /// Puts off the deadline of the handshake: the client was kept waiting so long.
    pub fn extend_handshake(&mut self, millis: u64) {
        if let State::Connecting(connecting) = &mut self.state {
            connecting.deadline = connecting.deadline.after_millis(millis);
        }
    }

    /// Starts the Keep Alive anew, because the client could not be heard: its bytes were not read.
    pub fn renew_keep_alive(&mut self, now: Time) {
        if let State::Open(open) = &mut self.state {
            open.life.renew(now);
        }
    }

    /// Time has passed. A connection that is out of time is closed when this returns.
    pub fn handle_timeout(&mut self, now: Time) -> Option<ServerEvent> {
        if self.poll_timeout().is_none_or(|deadline| deadline > now) {
            return None;
        }
        let violation = match &self.state {
            State::Open(open) => open.timed_out(self.config.packet_timeout_millis, now),
            _ => Violation::protocol("U5-025", "no CONNECT accepted within the connect timeout"),
        };
        if self.is_open() {
            self.fail(violation);
        } else {
            self.close(Output::default());
        }
        Some(ServerEvent::Failed(violation))
    }

    /// Gives unused memory back; called when the connection has nothing to do.
    pub fn shrink(&mut self) {
        if let State::Open(open) = &mut self.state {
            open.link.shrink();
        }
    }
}
