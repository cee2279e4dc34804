//! The client's side of a connection.
//!
//! ```text
//! AwaitConnAck ── CONNACK 0x00 ──> Open ── disconnect, DISCONNECT, violation, silence ──┐
//!      │    ▲                                                                           │
//!      │    └── AUTH ── authenticate                                                    ▼
//!      └── timeout, refusal, bad bytes ─────────────────────────────────────────────> Closed
//! ```
//!
//! The contract: after each `handle_*`, call [`ClientEndpoint::poll_event`] until it answers
//! `None`; then write what [`ClientEndpoint::output`] holds; call
//! [`ClientEndpoint::handle_timeout`] when [`ClientEndpoint::poll_timeout`] is due. In `Closed` the
//! transport is closed once the output is written.
//!
//! ```
//! use bytes::BytesMut;
//! use mqtt_packet::Version;
//! use mqtt_session::{ClientConfig, ClientEndpoint, ClientEvent, ConnectOptions, Time};
//!
//! let (now, options) = (Time::ZERO, ConnectOptions::new(Version::V311, "client"));
//! let mut client = ClientEndpoint::new(ClientConfig::default(), options, None, now)?;
//!
//! // Write what waits: here CONNECT.
//! let mut slices = [std::io::IoSlice::new(&[]); 8];
//! let filled = client.output().slices(&mut slices);
//! let written = slices[..filled].iter().map(|slice| slice.len()).sum();
//! client.advance_output(written);
//!
//! // Read, and drain the events until all is quiet: here CONNACK.
//! let mut buf = BytesMut::from(&[0x20, 2, 0, 0][..]);
//! client.handle_input(&mut buf, now);
//! while let Some(event) = client.poll_event(now) {
//!     match event {
//!         ClientEvent::Connected(connected) => assert!(!connected.session_present),
//!         ClientEvent::Message(run) => println!("{}: {:?}", run.topic(), run.payload()),
//!         other => println!("{other:?}"),
//!     }
//! }
//!
//! // Wait for input, or for this: here the time for PINGREQ.
//! let due = client.poll_timeout().expect("a keep alive");
//! assert!(client.handle_timeout(due).is_none());
//! assert_eq!(client.output().len(), 2);
//! # Ok::<(), mqtt_session::RequestError>(())
//! ```
//!
//! What the server announced is enforced on the caller: a request that the server would close the
//! connection over is a [`RequestError`], and nothing is sent.

mod config;
mod connect_options;
mod connected;
mod disconnect_options;
mod event;
mod open;
mod request_error;

use bytes::BytesMut;
use mqtt_packet::{ConnAck, Packet, PacketId, ReasonCode, SubscriptionOptions, frame};

use self::open::{Open, check_auth, write_auth};
pub use self::{
    config::ClientConfig,
    connect_options::{ConnectOptions, WillOptions},
    connected::{Answer, Connected, Disconnected, Refused, ServerLimits},
    disconnect_options::DisconnectOptions,
    event::ClientEvent,
    request_error::RequestError,
};
use crate::{
    delivery::Delivery,
    inbox::Held,
    ledger::{DropReason, Ledger},
    link::{Gate, LinkOptions, Role, RunSpan},
    negotiated::Negotiated,
    output::Output,
    run::Run,
    session::Session,
    time::Time,
    violation::Violation,
};

/// The client's side of one connection, without I/O.
#[derive(Debug)]
pub struct ClientEndpoint {
    config: ClientConfig,
    state: State,
}

#[derive(Debug)]
enum State {
    AwaitConnAck(Box<AwaitConnAck>),
    Open(Box<Open>),
    Closed { out: Output, event: Option<ClientEvent>, session: Option<Box<(Session, Ledger)>> },
}

/// CONNECT was sent.
#[derive(Debug)]
struct AwaitConnAck {
    deadline: Time,
    options: ConnectOptions,
    /// What the client kept of the session; `None` if it has nothing.
    session: Option<Session>,
    challenge: Option<Vec<u8>>,
    out: Output,
}

impl ClientEndpoint {
    /// A connection that was just opened: the output begins with CONNECT.
    ///
    /// `session` is what an earlier connection left; `None` says that the client has no state, so
    /// that a server that claims to have some is not believed [MQTT-3.2.2-4].
    ///
    /// # Errors
    /// As [`ConnectOptions::check`], which a caller with a session to keep calls first.
    pub fn new(
        config: ClientConfig,
        options: ConnectOptions,
        session: Option<Session>,
        now: Time,
    ) -> Result<Self, RequestError> {
        options.check()?;
        let mut out = Output::default();
        options.encode(out.tail())?;
        let deadline = now.after_millis(config.connect_timeout_millis);
        let waiting = AwaitConnAck { deadline, options, session, challenge: None, out };
        Ok(Self { config, state: State::AwaitConnAck(Box::new(waiting)) })
    }

    /// Whether the connection was accepted and is not over.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether the connection is over: only the output is left to be written.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// Takes the whole packets out of `buf`; what is left is the beginning of a packet. Follow with
    /// [`ClientEndpoint::poll_event`].
    pub fn handle_input(&mut self, buf: &mut BytesMut, now: Time) {
        if matches!(self.state, State::AwaitConnAck(_))
            && let Err(violation) = self.handle_handshake(buf, now)
        {
            self.close(Output::default(), Some(ClientEvent::Failed(violation)));
        }
        match &mut self.state {
            State::AwaitConnAck(_) => {}
            State::Open(open) => open.handle_input(buf, now),
            State::Closed { .. } => buf.clear(),
        }
    }

    /// Reads CONNACK or AUTH; nothing else comes before CONNACK [MQTT-3.2.0-1].
    fn handle_handshake(&mut self, buf: &mut BytesMut, now: Time) -> Result<(), Violation> {
        let State::AwaitConnAck(waiting) = &mut self.state else { return Ok(()) };
        let Some(header) = frame::peek(buf, waiting.options.maximum_packet_size)? else {
            return Ok(());
        };
        if buf.len() < header.total_len() {
            return Ok(());
        }
        let packet = buf.split_to(header.total_len());
        let body = packet.get(header.header_len..).unwrap_or_default();
        match Packet::parse(header.first, body, waiting.options.version)? {
            Packet::ConnAck(connack) => self.handle_connack(&connack, now),
            Packet::Auth(auth) => {
                check_auth(&auth, waiting.options.authentication_method.as_deref())?;
                if auth.reason != ReasonCode::CONTINUE_AUTHENTICATION {
                    let what = "AUTH that is no challenge before CONNACK";
                    return Err(Violation::protocol("MQTT-4.12.0-2", what));
                }
                waiting.challenge =
                    Some(auth.properties.authentication_data.unwrap_or_default().to_vec());
                Ok(())
            }
            _ => Err(Violation::protocol("MQTT-3.2.0-1", "the first packet is not CONNACK")),
        }
    }

    fn handle_connack(&mut self, connack: &ConnAck<'_>, now: Time) -> Result<(), Violation> {
        let State::AwaitConnAck(waiting) = &mut self.state else { return Ok(()) };
        if connack.reason.is_error() {
            let refused = ClientEvent::Refused(Box::new(Refused::new(connack)));
            self.close(Output::default(), Some(refused));
            return Ok(());
        }
        check_connack(connack, waiting)?;
        let connected = Connected::new(connack, &waiting.options);
        let options = LinkOptions {
            maximum_packet_size: waiting.options.maximum_packet_size,
            receive_maximum: waiting
                .options
                .version
                .is_v5()
                .then_some(waiting.options.receive_maximum),
            topic_alias_maximum: waiting.options.topic_alias_maximum,
            topic_levels_max: self.config.topic_levels_max,
            role: Role::Client,
            gate: Gate::Open,
            takes_problem_information: waiting.options.request_problem_information,
        };
        let negotiated = self.config.negotiate(&waiting.options, &connected);
        let session = waiting.session.take();
        let out = std::mem::take(&mut waiting.out);
        let method = waiting.options.authentication_method.take();
        let asked_expiry_secs = waiting.options.session_expiry_secs;
        let mut open = Open::new(negotiated, connected.limits, &options, method, now);
        open.session_expires = asked_expiry_secs > 0;
        open.ping_timeout_millis = self.config.ping_timeout_millis;
        open.link.out = out;
        open.begin(connected, session, now);
        self.state = State::Open(Box::new(open));
        Ok(())
    }

    /// What happened, one at a time; `None` when there is nothing more.
    pub fn poll_event(&mut self, now: Time) -> Option<ClientEvent> {
        match &mut self.state {
            State::AwaitConnAck(waiting) => {
                Some(ClientEvent::Auth { data: waiting.challenge.take()? })
            }
            State::Open(open) => match open.poll(now) {
                Ok(Some(event @ ClientEvent::Disconnected(_))) => {
                    self.close(Output::default(), None);
                    Some(event)
                }
                Ok(event) => event,
                Err(violation) => Some(self.fail(violation)),
            },
            State::Closed { event, .. } => event.take(),
        }
    }

    fn fail(&mut self, violation: Violation) -> ClientEvent {
        if let State::Open(open) = &mut self.state {
            open.write_failure(violation.reason);
        }
        self.close_keeping_output();
        ClientEvent::Failed(violation)
    }

    /// Publishes a message. For QoS 1 and 2 there will be one [`ClientEvent::Acknowledged`] or
    /// [`ClientEvent::Lost`] with [`Delivery::mark`], on this connection or on one that goes on
    /// with the session.
    ///
    /// # Errors
    /// What the server does not take, and properties before 5.0.
    pub fn publish(&mut self, delivery: Delivery, now: Time) -> Result<(), RequestError> {
        self.open()?.publish(delivery, now)
    }

    /// Asks for subscriptions; [`ClientEvent::SubAck`] answers with the same identifier.
    ///
    /// # Errors
    /// Filters that are none, or that the server does not support.
    pub fn subscribe(
        &mut self,
        filters: &[(&str, SubscriptionOptions)],
        identifier: Option<u32>,
        user_properties: &[(&str, &str)],
        now: Time,
    ) -> Result<PacketId, RequestError> {
        self.open()?.subscribe(filters, identifier, user_properties, now)
    }

    /// Ends subscriptions; [`ClientEvent::UnsubAck`] answers with the same identifier.
    ///
    /// # Errors
    /// Filters that are none.
    pub fn unsubscribe(
        &mut self,
        filters: &[&str],
        user_properties: &[(&str, &str)],
        now: Time,
    ) -> Result<PacketId, RequestError> {
        self.open()?.unsubscribe(filters, user_properties, now)
    }

    /// Makes a run of a span of the input at hand; `None` once that or the connection is gone.
    #[must_use]
    pub fn run(&self, span: &RunSpan) -> Option<Run> {
        match &self.state {
            State::Open(open) => open.link.run(span),
            _ => None,
        }
    }

    /// Answers the messages of a run with PUBACK or PUBREC, in the order in which they came
    /// [MQTT-4.6.0-2], [MQTT-4.6.0-3].
    pub fn acknowledge(&mut self, run: &Run, reason: ReasonCode, now: Time) {
        if let State::Open(open) = &mut self.state {
            open.link.acknowledge(run, reason);
            open.sent(now);
        }
    }

    /// Goes on with enhanced authentication: AUTH 0x18 [MQTT-4.12.0-3].
    ///
    /// # Errors
    /// There is no authentication to go on with, or the data does not fit.
    pub fn authenticate(&mut self, data: &[u8], now: Time) -> Result<(), RequestError> {
        let reason = ReasonCode::CONTINUE_AUTHENTICATION;
        match &mut self.state {
            State::AwaitConnAck(waiting) => {
                let method = waiting.options.authentication_method.as_deref();
                write_auth(waiting.options.version, reason, method, data, &mut waiting.out)
            }
            State::Open(open) => open.auth(reason, data, now),
            State::Closed { .. } => Err(RequestError::NotConnected),
        }
    }

    /// Authenticates anew on the open connection: AUTH 0x19 [MQTT-4.12.1-1].
    ///
    /// # Errors
    /// There was no authentication method at connect, or the data does not fit.
    pub fn reauthenticate(&mut self, data: &[u8], now: Time) -> Result<(), RequestError> {
        self.open()?.auth(ReasonCode::RE_AUTHENTICATE, data, now)
    }

    /// Leaves: DISCONNECT, and nothing behind it [MQTT-3.14.4-1].
    ///
    /// # Errors
    /// Something that DISCONNECT cannot say; then the connection is still open.
    pub fn disconnect(&mut self, options: &DisconnectOptions) -> Result<(), RequestError> {
        if let State::Open(open) = &mut self.state {
            open.write_disconnect(options)?;
        }
        self.close_keeping_output();
        Ok(())
    }

    /// Ends the connection without another word: the transport is gone.
    pub fn abandon(&mut self) {
        self.close(Output::default(), None);
    }

    /// The caller does not read at present: the server's silence proves nothing.
    pub fn hold_input(&mut self, now: Time) {
        if let State::Open(open) = &mut self.state {
            open.heard(now);
        }
    }

    fn open(&mut self) -> Result<&mut Open, RequestError> {
        match &mut self.state {
            State::Open(open) => Ok(open),
            _ => Err(RequestError::NotConnected),
        }
    }

    fn close_keeping_output(&mut self) {
        let out = match &mut self.state {
            State::Open(open) => std::mem::take(&mut open.link.out),
            _ => Output::default(),
        };
        self.close(out, None);
    }

    fn close(&mut self, out: Output, event: Option<ClientEvent>) {
        let session = match &mut self.state {
            State::Open(open) => {
                let (session, mut done) = open.link.end();
                done.drop_messages(DropReason::ConnectionLost, out.messages());
                Some(Box::new((session, done)))
            }
            State::AwaitConnAck(waiting) => {
                waiting.session.take().map(|session| Box::new((session, Ledger::default())))
            }
            State::Closed { .. } => return,
        };
        self.state = State::Closed { out, event, session };
    }

    /// The delivery state of the session and what was done since the last
    /// [`ClientEndpoint::take_done`], once, after the connection is closed; `None` if no connection
    /// was made and there was no session before.
    pub fn take_session(&mut self) -> Option<(Session, Ledger)> {
        match &mut self.state {
            State::Closed { session, .. } => session.take().map(|boxed| *boxed),
            _ => None,
        }
    }

    /// What became of the caller's messages since the last call.
    pub fn take_done(&mut self) -> Ledger {
        match &mut self.state {
            State::Open(open) => open.link.take_done(),
            _ => Ledger::default(),
        }
    }

    /// What is unfinished here: QoS 1 and 2 messages, and requests.
    #[must_use]
    pub fn held(&self) -> Held {
        match &self.state {
            State::Open(open) => open.link.session.held(),
            _ => Held::default(),
        }
    }

    /// What waits for the socket.
    #[must_use]
    pub fn output(&self) -> &Output {
        match &self.state {
            State::AwaitConnAck(waiting) => &waiting.out,
            State::Open(open) => &open.link.out,
            State::Closed { out, .. } => out,
        }
    }

    /// The socket took `bytes` of the output.
    pub fn advance_output(&mut self, bytes: usize) {
        match &mut self.state {
            State::AwaitConnAck(waiting) => {
                waiting.out.advance(bytes);
            }
            State::Open(open) => open.link.advance_output(bytes),
            State::Closed { out, .. } => {
                out.advance(bytes);
            }
        }
    }

    /// What was agreed on with the server; `None` before CONNACK and after the end.
    #[must_use]
    pub fn negotiated(&self) -> Option<&Negotiated> {
        match &self.state {
            State::Open(open) => Some(&open.link.negotiated),
            _ => None,
        }
    }

    /// What the server takes; `None` before CONNACK and after the end.
    #[must_use]
    pub fn limits(&self) -> Option<&ServerLimits> {
        match &self.state {
            State::Open(open) => Some(&open.limits),
            _ => None,
        }
    }

    /// When [`ClientEndpoint::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        match &self.state {
            State::AwaitConnAck(waiting) => Some(waiting.deadline),
            State::Open(open) => open.poll_timeout(),
            State::Closed { .. } => None,
        }
    }

    /// Time has passed: PINGREQ is written where it is due [MQTT-3.1.2-20]; a server that does not
    /// answer, to CONNECT or to PINGREQ, is given up.
    pub fn handle_timeout(&mut self, now: Time) -> Option<ClientEvent> {
        let violation = match &mut self.state {
            State::AwaitConnAck(waiting) if waiting.deadline <= now => Violation::new(
                ReasonCode::MAXIMUM_CONNECT_TIME,
                "MQTT-3.2.0-1",
                "no CONNACK within the connect timeout",
            ),
            State::Open(open) => open.handle_timeout(now).err()?,
            _ => return None,
        };
        Some(self.fail(violation))
    }

    /// Gives unused memory back; called when the connection has nothing to do.
    pub fn shrink(&mut self) {
        if let State::Open(open) = &mut self.state {
            open.link.shrink();
        }
    }
}

impl ClientConfig {
    fn negotiate(&self, options: &ConnectOptions, connected: &Connected) -> Negotiated {
        let limits = &connected.limits;
        Negotiated {
            version: options.version,
            send_window: limits.receive_maximum.min(self.send_window_max).max(1),
            maximum_packet_size: limits.maximum_packet_size,
            topic_alias_maximum: limits.topic_alias_maximum.min(self.topic_aliases_max),
            problem_information: true,
            keep_alive_secs: connected.keep_alive_secs,
        }
    }
}

fn check_connack(connack: &ConnAck<'_>, waiting: &AwaitConnAck) -> Result<(), Violation> {
    if connack.session_present && waiting.options.clean_start {
        let what = "a session is present although a clean start was asked for";
        return Err(Violation::protocol("MQTT-3.2.2-2", what));
    }
    if connack.session_present && waiting.session.is_none() {
        let what = "a session is present that this client does not have";
        return Err(Violation::protocol("MQTT-3.2.2-4", what));
    }
    let method = connack.properties.authentication_method;
    let asked = waiting.options.authentication_method.as_deref();
    if method.is_some() && asked.is_none() {
        let what = "CONNACK with an authentication method that CONNECT did not have";
        return Err(Violation::protocol("MQTT-4.12.0-6", what));
    }
    if method != asked {
        let what = "CONNACK with another authentication method than CONNECT";
        return Err(Violation::protocol("MQTT-4.12.0-5", what));
    }
    Ok(())
}
