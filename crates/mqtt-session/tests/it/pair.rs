//! A server's and a client's endpoint, and the wire between them.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Bytes, BytesMut};
use mqtt_packet::{Packet, QoS, ReasonCode, Subscribe, SubscriptionOptions, Unsubscribe, Version};
use mqtt_session::{
    Accept, ClientConfig, ClientEndpoint, ClientEvent, ConnectOptions, Connected, Delivery, Gate,
    Inbox, InboxLimits, Ledger, MessageParts, Output, Run, ServerConfig, ServerEndpoint,
    ServerEvent, Session, Time,
};

/// A message as its receiver saw it.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(crate) struct Received {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) qos: QoS,
    pub(crate) dup: bool,
    pub(crate) packet_id: Option<u16>,
}

/// Two endpoints, what their applications saw, and what is kept between connections.
pub(crate) struct Pair {
    pub(crate) now: Time,
    pub(crate) server_config: ServerConfig,
    pub(crate) client_config: ClientConfig,
    pub(crate) options: ConnectOptions,
    pub(crate) server: ServerEndpoint,
    pub(crate) client: ClientEndpoint,
    /// The server's queue for the client, with the server's ledger.
    pub(crate) inbox: Inbox,
    pub(crate) client_ledger: Ledger,
    pub(crate) server_session: Option<Session>,
    pub(crate) client_session: Option<Session>,
    /// How many bytes go over the wire, in both directions together, until it is cut.
    pub(crate) bytes_left: usize,
    pub(crate) at_server: Vec<Received>,
    pub(crate) at_client: Vec<Received>,
    pub(crate) server_events: Vec<ServerEvent>,
    pub(crate) client_events: Vec<ClientEvent>,
    /// Whether the applications acknowledge what they get.
    pub(crate) server_acknowledges: bool,
    pub(crate) client_acknowledges: bool,
    /// Which acknowledgements the server's owner is handed.
    pub(crate) gate: Gate,
    /// The reason that the server's application acknowledges with.
    pub(crate) server_reason: ReasonCode,
    /// Packets as they went over the wire: first byte and body.
    pub(crate) up: Vec<(u8, Bytes)>,
    pub(crate) down: Vec<(u8, Bytes)>,
    to_server: BytesMut,
    to_client: BytesMut,
    up_tail: BytesMut,
    down_tail: BytesMut,
    next_mark: u64,
}

/// A connected pair of this version.
pub(crate) fn connected(version: Version) -> Pair {
    let mut pair = Pair::new(ConnectOptions::new(version, "client"));
    pair.connect();
    pair
}

/// A connected pair of this version whose session outlives the connection.
pub(crate) fn persistent(version: Version) -> Pair {
    let mut options = ConnectOptions::new(version, "client");
    options.clean_start = false;
    if version.is_v5() {
        options.session_expiry_secs = u32::MAX;
    }
    let mut pair = Pair::new(options);
    pair.client_session = Some(Session::default());
    pair.connect();
    pair
}

impl Pair {
    /// A pair that has not connected yet.
    pub(crate) fn new(options: ConnectOptions) -> Self {
        let (server_config, client_config) = (ServerConfig::default(), ClientConfig::default());
        let client = ClientEndpoint::new(client_config, options.clone(), None, Time::ZERO);
        Self {
            now: Time::ZERO,
            server_config,
            client_config,
            options,
            server: ServerEndpoint::new(server_config, Time::ZERO),
            client: client.unwrap(),
            inbox: Inbox::new(InboxLimits::default()),
            client_ledger: Ledger::default(),
            server_session: None,
            client_session: None,
            bytes_left: usize::MAX,
            at_server: Vec::new(),
            at_client: Vec::new(),
            server_events: Vec::new(),
            client_events: Vec::new(),
            server_acknowledges: true,
            client_acknowledges: true,
            gate: Gate::Open,
            server_reason: ReasonCode::SUCCESS,
            up: Vec::new(),
            down: Vec::new(),
            to_server: BytesMut::new(),
            to_client: BytesMut::new(),
            up_tail: BytesMut::new(),
            down_tail: BytesMut::new(),
            next_mark: 0,
        }
    }

    /// Makes a connection with what is kept of the session, and runs until all is quiet.
    pub(crate) fn connect(&mut self) {
        self.open();
        self.run();
    }

    /// Opens the wire; nothing has gone over it.
    pub(crate) fn open(&mut self) {
        let session = self.client_session.take();
        self.server = ServerEndpoint::new(self.server_config, self.now);
        self.client =
            ClientEndpoint::new(self.client_config, self.options.clone(), session, self.now)
                .unwrap();
    }

    /// Runs until all is quiet, or the wire is cut.
    pub(crate) fn run(&mut self) {
        while self.turn() {}
    }

    /// One turn of both sides; false once nothing moves.
    fn turn(&mut self) -> bool {
        self.client_turn();
        self.server_turn();
        let up = self.carry_up();
        let down = self.carry_down();
        if self.bytes_left == 0 {
            self.cut();
            return false;
        }
        up + down > 0
    }

    fn carry_up(&mut self) -> usize {
        let bytes = take(self.client.output(), self.bytes_left);
        self.bytes_left -= bytes.len();
        self.client.advance_output(bytes.len());
        self.to_server.extend_from_slice(&bytes);
        record(&bytes, &mut self.up_tail, &mut self.up);
        if !self.to_server.is_empty() && self.server.wants_input() {
            self.server.handle_input(&mut self.to_server, self.now);
            self.server_turn();
        }
        bytes.len()
    }

    fn carry_down(&mut self) -> usize {
        let bytes = take(self.server.output(), self.bytes_left);
        self.bytes_left -= bytes.len();
        self.server.advance_output(bytes.len());
        self.to_client.extend_from_slice(&bytes);
        record(&bytes, &mut self.down_tail, &mut self.down);
        if !self.to_client.is_empty() {
            self.client.handle_input(&mut self.to_client, self.now);
            self.client_turn();
        }
        bytes.len()
    }

    fn client_turn(&mut self) {
        while let Some(event) = self.client.poll_event(self.now) {
            let run = match event {
                ClientEvent::Span(ref span) => self.client.run(span),
                ClientEvent::Message(ref run) => Some(run.clone()),
                _ => None,
            };
            if let Some(run) = run {
                self.at_client.extend(received(&run));
                if self.client_acknowledges {
                    self.client.acknowledge(&run, ReasonCode::SUCCESS, self.now);
                }
            }
            self.client_events.push(event);
        }
    }

    fn server_turn(&mut self) {
        while let Some(event) = self.server.poll_event(self.now) {
            self.serve(&event);
            self.server_events.push(event);
        }
        let mut queue = VecDeque::new();
        if self.server.is_open() {
            self.inbox.drain(&mut queue, usize::MAX);
        }
        for delivery in queue {
            self.server.deliver(delivery, self.now);
        }
        if self.server.is_open() {
            let done = self.server.take_done();
            self.inbox.report(done, self.server.held());
        }
    }

    fn serve(&mut self, event: &ServerEvent) {
        match event {
            ServerEvent::Connect(request) if request.authentication_method.is_none() => {
                if request.clean_start {
                    self.server_session = None;
                }
                self.accept();
            }
            ServerEvent::Span(span) => {
                let run = self.server.run(span).unwrap();
                self.take_in(&run);
            }
            ServerEvent::Message(run) => self.take_in(run),
            ServerEvent::Subscribe(body) => {
                let subscribe = Subscribe::parse(0x82, body, self.options.version).unwrap();
                let granted: Vec<u8> =
                    subscribe.filters.iter().map(|(_, options)| options.qos.bits()).collect();
                self.server.suback(subscribe.packet_id, &granted);
            }
            ServerEvent::Unsubscribe(body) => {
                let unsubscribe = Unsubscribe::parse(0xA2, body, self.options.version).unwrap();
                let reasons = vec![0; unsubscribe.filters.len()];
                self.server.unsuback(unsubscribe.packet_id, &reasons);
            }
            _ => {}
        }
    }

    /// The server accepts the connection with the session that it has.
    pub(crate) fn accept(&mut self) {
        let session_present = self.server_session.is_some();
        let session = self.server_session.take().unwrap_or_default();
        let expiry = self.options.session_expiry_secs;
        let accept = Accept {
            session,
            session_present,
            session_expiry_secs: expiry,
            requested_session_expiry_secs: expiry,
            gate: self.gate,
            ..Accept::default()
        };
        self.inbox.go_online();
        self.server.accept(accept, self.now);
    }

    fn take_in(&mut self, run: &Run) {
        self.at_server.extend(received(run));
        if self.server_acknowledges {
            self.server.acknowledge(run, self.server_reason);
        }
    }

    /// The wire is cut: what is on it is lost, and both sides keep the session.
    pub(crate) fn cut(&mut self) {
        self.server.abandon();
        self.client.abandon();
        self.keep_sessions();
    }

    /// Takes the sessions from two endpoints that are closed.
    pub(crate) fn keep_sessions(&mut self) {
        for tail in
            [&mut self.to_server, &mut self.to_client, &mut self.up_tail, &mut self.down_tail]
        {
            tail.clear();
        }
        if let Some((session, done)) = self.server.take_session() {
            self.inbox.report(done, session.held());
            self.server_session = Some(session);
        }
        self.inbox.go_offline();
        if let Some((session, done)) = self.client.take_session() {
            self.client_ledger += done;
            self.client_session = Some(session);
        }
        self.bytes_left = usize::MAX;
    }

    /// Moves the clock, and tells both sides.
    pub(crate) fn pass(&mut self, millis: u64) {
        self.now = self.now.after_millis(millis);
        self.client_events.extend(self.client.handle_timeout(self.now));
        self.server_events.extend(self.server.handle_timeout(self.now));
        self.run();
    }

    /// The client publishes; the mark of the message.
    pub(crate) fn publish(&mut self, qos: QoS, payload: &str) -> u64 {
        self.publish_run(message("up", payload, qos)).unwrap()
    }

    pub(crate) fn publish_run(&mut self, run: Run) -> Result<u64, mqtt_session::RequestError> {
        self.next_mark += 1;
        let delivery = delivery(run, self.next_mark);
        self.client.publish(delivery, self.now)?;
        Ok(self.next_mark)
    }

    /// The server queues a message for the client.
    pub(crate) fn deliver(&mut self, qos: QoS, payload: &str) {
        self.deliver_run(message("down", payload, qos));
    }

    pub(crate) fn deliver_run(&mut self, run: Run) {
        let delivery = delivery(run, 0);
        self.inbox.push(delivery, self.now);
    }

    /// What CONNACK said.
    pub(crate) fn connack(&self) -> Option<&Connected> {
        self.client_events.iter().rev().find_map(|event| match event {
            ClientEvent::Connected(connected) => Some(&**connected),
            _ => None,
        })
    }

    /// Marks and reasons of the messages that the server answered, in order.
    pub(crate) fn answered(&self) -> Vec<(u64, ReasonCode)> {
        let answered = self.client_events.iter().filter_map(|event| match event {
            ClientEvent::Acknowledged(acknowledged) => Some(acknowledged),
            _ => None,
        });
        answered.map(|acknowledged| (acknowledged.mark, acknowledged.reason)).collect()
    }

    /// What the client complains about.
    pub(crate) fn client_failure(&self) -> Option<&'static str> {
        self.client_events.iter().find_map(|event| match event {
            ClientEvent::Failed(violation) => Some(violation.statement),
            _ => None,
        })
    }

    /// What the server complains about, and the reason that it gives.
    pub(crate) fn server_failure(&self) -> Option<(&'static str, ReasonCode)> {
        self.server_events.iter().find_map(|event| match event {
            ServerEvent::Failed(violation) => Some((violation.statement, violation.reason)),
            _ => None,
        })
    }

    /// Every message that was meant for the other side is delivered, expired, dropped or held.
    #[track_caller]
    pub(crate) fn assert_balanced(&mut self) {
        let mut client = self.client_ledger;
        client += self.client.take_done();
        self.client_ledger = client;
        let kept = self.client_session.as_ref().map_or(self.client.held(), Session::held);
        let unwritten = self.client.output().messages();
        assert_eq!(client.held(), kept.messages as u64 + unwritten, "the client's ledger");
        self.inbox.report(self.server.take_done(), self.server.held());
        let kept = self.server_session.as_ref().map_or(self.server.held(), Session::held);
        let held = kept.messages as u64 + self.inbox.queued() + self.server.unwritten();
        assert_eq!(self.inbox.ledger().held(), held, "the server's ledger");
    }

    /// The payloads that the server got, as text.
    pub(crate) fn texts_at_server(&self) -> Vec<String> {
        texts(&self.at_server)
    }

    /// The payloads that the client got, as text.
    pub(crate) fn texts_at_client(&self) -> Vec<String> {
        texts(&self.at_client)
    }

    /// Hands the client bytes that no server endpoint would write.
    pub(crate) fn say_to_client(&mut self, bytes: &[u8]) {
        self.to_client.extend_from_slice(bytes);
        self.client.handle_input(&mut self.to_client, self.now);
        self.client_turn();
    }

    /// Hands the server bytes that no client endpoint would write.
    pub(crate) fn say_to_server(&mut self, bytes: &[u8]) {
        self.to_server.extend_from_slice(bytes);
        if self.server.wants_input() {
            self.server.handle_input(&mut self.to_server, self.now);
        }
        self.server_turn();
    }

    /// Subscribes, so that the server may use the identifier.
    pub(crate) fn subscribe(&mut self, filter: &str, identifier: Option<u32>) {
        let filters = [(filter, SubscriptionOptions::new(QoS::ExactlyOnce))];
        self.client.subscribe(&filters, identifier, &[], self.now).unwrap();
        self.run();
    }
}

pub(crate) fn message(topic: &str, payload: &str, qos: QoS) -> Run {
    parts(topic, payload, qos, &[])
}

/// A message with properties, already encoded.
pub(crate) fn parts(topic: &str, payload: &str, qos: QoS, properties: &[u8]) -> Run {
    Run::from_message(&MessageParts {
        topic,
        payload: payload.as_bytes(),
        properties,
        qos,
        retain: false,
        packet_id: None,
        expires_at: None,
    })
    .unwrap()
}

fn delivery(run: Run, mark: u64) -> Delivery {
    let (granted, retain) = (QoS::ExactlyOnce, run.retain());
    Delivery { run, granted, retain, identifiers: None, mark, seq: None }
}

fn received(run: &Run) -> Vec<Received> {
    let one = |frame: mqtt_session::run::Frame<'_>| Received {
        topic: String::from_utf8(frame.publish.topic.to_vec()).unwrap(),
        payload: Bytes::copy_from_slice(frame.publish.payload),
        qos: frame.publish.qos,
        dup: frame.publish.dup,
        packet_id: frame.publish.packet_id.map(mqtt_packet::PacketId::get),
    };
    run.frames().map(one).collect()
}

fn texts(messages: &[Received]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8_lossy(&message.payload).into()).collect()
}

/// Up to `max` bytes of an output.
fn take(output: &Output, max: usize) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 16];
    let filled = output.slices(&mut slices);
    let mut bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
    bytes.truncate(max);
    bytes
}

/// Cuts bytes into packets.
fn record(bytes: &[u8], tail: &mut BytesMut, packets: &mut Vec<(u8, Bytes)>) {
    tail.extend_from_slice(bytes);
    while let Ok(Some(header)) = mqtt_packet::frame::peek(tail, u32::MAX)
        && tail.len() >= header.total_len()
    {
        let packet = tail.split_to(header.total_len()).freeze();
        packets.push((header.first, packet.slice(header.header_len..)));
    }
}

/// A packet as bytes.
pub(crate) fn encoded(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    packet.encode(version, &mut bytes).unwrap();
    bytes.to_vec()
}
