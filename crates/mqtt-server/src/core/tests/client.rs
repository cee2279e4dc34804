//! A client of a story: it answers as a client should, and keeps what it saw.

use std::{
    collections::{HashMap, HashSet},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::BytesMut;
use mqtt_packet::{Ack, Packet, PacketId, PacketType, Publish, ReasonCode, Version, frame};
use mqtt_session::Time;

use crate::core::{connection::Connection, login::LoginAnswer};

/// The broker reads at most so much at once.
const READ_MAX: usize = 64 * 1024;

/// A message as it came to a client.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: String,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) dup: bool,
    pub(super) packet_id: Option<u16>,
    pub(super) identifiers: Vec<u32>,
    pub(super) expiry_secs: Option<u32>,
    pub(super) alias: Option<u16>,
    pub(super) content_type: Option<String>,
}

/// Any other packet that came to a client, and the end.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(super) enum Seen {
    ConnAck { reason: ReasonCode, present: bool, assigned: Option<String>, data: Option<Vec<u8>> },
    Ack(PacketType, ReasonCode),
    SubAck(Vec<u8>),
    UnsubAck(Vec<u8>),
    Auth(ReasonCode, Vec<u8>),
    PingResp,
    Disconnect(ReasonCode),
    Closed,
}

/// A client, and the broker's side of its connection.
pub(super) struct Client {
    pub(super) version: Version,
    pub(super) id: String,
    pub(super) connection: Option<Connection>,
    login: Option<Pin<Box<dyn Future<Output = LoginAnswer> + Send>>>,
    awake: Arc<Awake>,
    waker: Waker,
    to_server: BytesMut,
    read: BytesMut,
    to_client: BytesMut,
    /// Whether it takes what it is sent.
    pub(super) reads: bool,
    /// Whether it acknowledges what it is sent.
    pub(super) answers: bool,
    pub(super) messages: Vec<Message>,
    pub(super) seen: Vec<Seen>,
    aliases: HashMap<u16, String>,
    /// Received QoS 2 messages that await PUBREL: the part of the session on this side.
    pub(super) unreleased: HashSet<u16>,
    /// Acknowledgements of its own messages, for whoever publishes with care.
    pub(super) acked: Vec<(PacketType, u16)>,
    pub(super) last_id: u16,
}

/// Whether the task of the connection was woken.
#[derive(Default)]
struct Awake(AtomicBool);

impl Wake for Awake {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Client {
    pub(super) fn new(version: Version, id: &str, connection: Connection) -> Self {
        let awake = Arc::new(Awake::default());
        Self {
            version,
            id: id.to_owned(),
            connection: Some(connection),
            login: None,
            waker: awake.clone().into(),
            awake,
            to_server: BytesMut::new(),
            read: BytesMut::new(),
            to_client: BytesMut::new(),
            reads: true,
            answers: true,
            messages: Vec::new(),
            seen: Vec::new(),
            aliases: HashMap::new(),
            unreleased: HashSet::new(),
            acked: Vec::new(),
            last_id: 0,
        }
    }

    /// Puts bytes on the wire.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        self.to_server.extend_from_slice(bytes);
        self.waker.wake_by_ref();
    }

    pub(super) fn send(&mut self, packet: &Packet<'_>) {
        let mut out = BytesMut::new();
        packet.encode(self.version, &mut out).unwrap();
        self.say(&out);
    }

    pub(super) fn next_id(&mut self) -> PacketId {
        self.last_id += 1;
        PacketId::new(self.last_id).unwrap()
    }

    /// Bytes that the broker has not read.
    pub(super) fn unread(&self) -> usize {
        self.to_server.len()
    }

    pub(super) fn wake(&self) {
        self.waker.wake_by_ref();
    }

    /// Whether the task was woken since the last time.
    pub(super) fn take_awake(&self) -> bool {
        self.awake.0.swap(false, Ordering::Relaxed)
    }

    /// What the driver of a connection does once it is woken.
    pub(super) fn turn(&mut self, now: Time) {
        for _ in 0..100_000 {
            if self.step(now) {
                continue;
            }
            let Some(connection) = &mut self.connection else { return };
            if connection.sleep(&self.waker) {
                let due = connection.poll_timeout();
                assert!(due.is_none_or(|due| due > now), "{}: a timer that spins", self.id);
                return;
            }
        }
        panic!("{}: busy without end", self.id);
    }

    /// One round; whether anything moved.
    pub(super) fn step(&mut self, now: Time) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        connection.begin_turn();
        let mut moved = false;
        if let Some(job) = connection.poll_login() {
            self.login = Some(Box::pin(job.run()));
            moved = true;
        }
        if let Some(login) = &mut self.login
            && let Poll::Ready(answer) = login.as_mut().poll(&mut Context::from_waker(&self.waker))
        {
            self.login = None;
            connection.handle_answer(answer, now);
            moved = true;
        }
        if connection.poll_timeout().is_some_and(|due| due <= now) {
            connection.handle_timeout(now);
        }
        connection.poll_arrival(Some(&self.waker), now);
        let before = connection.output().len();
        if let Some(cause) = connection.take_deliveries(now, self.read.len()) {
            connection.go(cause, now);
        }
        moved |= connection.output().len() != before;
        moved |= self.reads && self.take_output();
        moved | self.give_input(now)
    }

    /// Takes so many bytes of the output, or what there is.
    pub(super) fn takes(&mut self, bytes: usize) {
        let Some(connection) = &mut self.connection else { return };
        let mut output = output(connection);
        output.truncate(bytes);
        connection.advance_output(output.len());
        self.to_client.extend_from_slice(&output);
        self.read_packets();
    }

    fn take_output(&mut self) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let bytes = output(connection);
        connection.advance_output(bytes.len());
        self.to_client.extend_from_slice(&bytes);
        self.read_packets();
        !bytes.is_empty()
    }

    fn give_input(&mut self, now: Time) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        if connection.is_closed() {
            if connection.output().is_empty() {
                self.end();
                return true;
            }
            return false;
        }
        if !connection.wants_input() || connection.is_resting() {
            return false;
        }
        let mut moved = false;
        let has_input = connection.has_input();
        if has_input || !self.read.is_empty() {
            let before = self.read.len();
            connection.handle_input(&mut self.read, now);
            if has_input || self.read.len() < before || connection.is_closed() {
                return true;
            }
        }
        if !self.to_server.is_empty() {
            let chunk = self.to_server.split_to(self.to_server.len().min(READ_MAX));
            self.read.extend_from_slice(&chunk);
            connection.handle_input(&mut self.read, now);
            moved = true;
        }
        moved
    }

    /// The transport is closed.
    pub(super) fn end(&mut self) {
        self.connection = None;
        self.login = None;
        self.seen.push(Seen::Closed);
    }

    /// The wire is cut; what is on it is lost.
    pub(super) fn cut(&mut self, now: Time) {
        if let Some(connection) = &mut self.connection {
            connection.handle_gone(now);
            self.end();
        }
    }

    fn read_packets(&mut self) {
        while let Some(header) = frame::peek(&self.to_client, u32::MAX).unwrap() {
            if self.to_client.len() < header.total_len() {
                return;
            }
            let packet = self.to_client.split_to(header.total_len());
            let body = &packet[header.header_len..];
            let packet = Packet::parse(header.first, body, self.version).unwrap();
            self.take(&packet);
        }
    }

    fn take(&mut self, packet: &Packet<'_>) {
        let kind = packet.packet_type();
        let seen = match packet {
            Packet::Publish(publish) => return self.take_message(publish),
            Packet::PubRel(ack) => {
                self.unreleased.remove(&ack.packet_id.get());
                self.answer(&Packet::PubComp(Ack::new(ack.packet_id, ReasonCode::SUCCESS)));
                return;
            }
            Packet::PubRec(ack) => {
                if !ack.reason.is_error() {
                    self.answer(&Packet::PubRel(Ack::new(ack.packet_id, ReasonCode::SUCCESS)));
                }
                self.acked.push((kind, ack.packet_id.get()));
                Seen::Ack(kind, ack.reason)
            }
            Packet::PubAck(ack) | Packet::PubComp(ack) => {
                self.acked.push((kind, ack.packet_id.get()));
                Seen::Ack(kind, ack.reason)
            }
            Packet::ConnAck(connack) => {
                if !connack.session_present {
                    self.unreleased.clear();
                }
                Seen::ConnAck {
                    reason: connack.reason,
                    present: connack.session_present,
                    assigned: connack.properties.assigned_client_identifier.map(Into::into),
                    data: connack.properties.authentication_data.map(Into::into),
                }
            }
            Packet::SubAck(suback) => Seen::SubAck(suback.reasons.to_vec()),
            Packet::UnsubAck(unsuback) => Seen::UnsubAck(unsuback.reasons.to_vec()),
            Packet::Auth(auth) => {
                let data = auth.properties.authentication_data.unwrap_or_default();
                Seen::Auth(auth.reason, data.to_vec())
            }
            Packet::PingResp => Seen::PingResp,
            Packet::Disconnect(disconnect) => Seen::Disconnect(disconnect.reason),
            other => panic!("a broker does not send {other:?}"),
        };
        self.seen.push(seen);
    }

    fn answer(&mut self, packet: &Packet<'_>) {
        if self.answers {
            self.send(packet);
        }
    }

    fn take_message(&mut self, publish: &Publish<'_>) {
        let alias = publish.properties.topic_alias;
        let topic = match (publish.topic, alias) {
            ("", Some(alias)) => self.aliases[&alias].clone(),
            (topic, Some(alias)) => {
                self.aliases.insert(alias, topic.to_owned());
                topic.to_owned()
            }
            (topic, None) => topic.to_owned(),
        };
        let packet_id = publish.delivery.packet_id();
        let is_new = match (publish.delivery.qos().bits(), packet_id) {
            (1, Some(id)) => {
                self.answer(&Packet::PubAck(Ack::new(id, ReasonCode::SUCCESS)));
                true
            }
            (2, Some(id)) => {
                self.answer(&Packet::PubRec(Ack::new(id, ReasonCode::SUCCESS)));
                self.unreleased.insert(id.get())
            }
            _ => true,
        };
        if !is_new {
            return;
        }
        self.messages.push(Message {
            topic,
            payload: String::from_utf8_lossy(publish.payload).into_owned(),
            qos: publish.delivery.qos().bits(),
            retain: publish.retain,
            dup: publish.dup,
            packet_id: packet_id.map(PacketId::get),
            identifiers: publish.properties.subscription_identifiers.iter().collect(),
            expiry_secs: publish.properties.message_expiry_interval,
            alias,
            content_type: publish.properties.content_type.map(Into::into),
        });
    }
}

fn output(connection: &Connection) -> Vec<u8> {
    let mut slices = [std::io::IoSlice::new(&[]); 64];
    let filled = connection.output().slices(&mut slices);
    slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect()
}
