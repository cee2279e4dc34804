//! Plays a sequence on a broker and writes down what each client saw.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::harness::connect::{Connect, Will};
use crate::harness::packet::{Content, Packet};
use crate::harness::passive::Monitor;
use crate::harness::peer::{Event, Peer};
use crate::harness::property::{Props, Value, prop};
use crate::harness::publish::Publish;
use crate::harness::requests::{acknowledgement, subscribe, unsubscribe};
use crate::harness::verdict::{Done, Stop};
use crate::harness::version::Version;

use super::operation::{CLIENTS, Message, Operation, Sequence};

/// What one client saw in one step. Messages are in order for each publisher and topic; that order
/// alone is promised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) answers: Vec<String>,
    pub(crate) messages: Vec<Received>,
    pub(crate) ended: bool,
}

/// A message with all its copies: for overlapping subscriptions one copy is permitted, and several
/// are. Together they have the highest QoS and all identifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) identifiers: BTreeSet<usize>,
    pub(crate) copies: u32,
}

impl Received {
    /// Who sent it.
    fn publisher(&self) -> &str {
        self.payload.split('-').next().unwrap_or_default()
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, payload, qos, identifiers, copies, .. } = self;
        let dup = if self.dup { " dup" } else { "" };
        let retain = if self.retain { " retain" } else { "" };
        write!(f, "{topic} '{payload}' QoS {qos}{dup}{retain} {identifiers:?} x{copies}")
    }
}

/// What all clients saw, step by step.
pub(crate) type Transcript = Vec<[Seen; CLIENTS]>;

/// How long a client that asked for a sign of life waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A broken connection is found out, and its will published, within this time.
const AFTERMATH: Duration = Duration::from_millis(40);

/// Plays it.
pub(crate) fn play(sequence: &Sequence, address: SocketAddr, run: &str) -> Done<Transcript> {
    let mut stage = Stage {
        address,
        prefix: format!("{run}{:x}", sequence.seed),
        versions: sequence.versions,
        actors: Default::default(),
        said: 0,
    };
    let mut transcript = Vec::new();
    for (client, operation) in &sequence.steps {
        stage.perform(*client, operation)?;
        transcript.push(stage.observe()?);
    }
    Ok(transcript)
}

#[derive(Default)]
struct Actor {
    peer: Option<Peer>,
    holds: bool,
    seen: Vec<Packet>,
    ended: bool,
}

struct Stage {
    address: SocketAddr,
    /// In front of client ids and topics, so that sequences do not meet.
    prefix: String,
    versions: [Version; CLIENTS],
    actors: [Actor; CLIENTS],
    /// Messages that were sent.
    said: u32,
}

impl Stage {
    fn perform(&mut self, client: usize, operation: &Operation) -> Done {
        let version = self.versions.get(client).copied().unwrap_or(Version::V5);
        match operation {
            Operation::Connect { clean, lasting, will } => {
                let connect = self.hello(client, *clean, *lasting, will.as_ref());
                self.connect(client, &connect)?;
                // The connection that was taken over may leave a will.
                std::thread::sleep(AFTERMATH);
            }
            Operation::Disconnect { with_will } => {
                let bytes: &[u8] =
                    if *with_will && version.is_v5() { &[0xE0, 1, 4] } else { &[0xE0, 0] };
                self.say(client, bytes);
                std::thread::sleep(AFTERMATH);
            }
            Operation::Break => {
                self.actor(client).peer = None;
                std::thread::sleep(AFTERMATH);
            }
            Operation::Subscribe { filter, options, identifier } => {
                let options = options_for(version, filter, *options);
                let filter = self.filter(client, filter);
                let identifier = identifier.filter(|_| version.is_v5());
                let props = identifier.map_or_else(Props::new, |id| {
                    Props::new().var(prop::SUBSCRIPTION_ID, usize::try_from(id).unwrap_or(1))
                });
                let bytes = subscribe(version, 1, &props, &[(&filter, options)]);
                self.say(client, &bytes);
            }
            Operation::Unsubscribe { filter } => {
                let filter = self.filter(client, filter);
                self.say(client, &unsubscribe(version, 1, &[&filter]));
            }
            Operation::Publish(message) => self.publish(client, message, 1)?,
            Operation::Both { qos, count } => self.both(*qos, *count)?,
            Operation::Hold => self.actor(client).holds = true,
        }
        Ok(())
    }

    /// Both publishers send to two topics, in turn, and only then is anything read.
    fn both(&mut self, qos: u8, count: u8) -> Done {
        for index in 0..u16::from(count) {
            for client in 0..2 {
                let topic = if index % 2 == 0 { "a/b" } else { "a/c" };
                let message = Message { topic, qos, retain: false, empty: false };
                self.publish(client, &message, 10 + index)?;
            }
        }
        Ok(())
    }

    fn hello(&self, client: usize, clean: bool, lasting: bool, will: Option<&Message>) -> Connect {
        let version = self.versions.get(client).copied().unwrap_or(Version::V5);
        let mut connect = Connect::new(version, format!("{}c{client}", self.prefix));
        connect.clean = clean;
        if lasting {
            connect = connect.expiry(300);
        }
        if let Some(will) = will {
            let payload = if will.empty { String::new() } else { format!("w{client}") };
            let mut left = Will::new(self.topic(will.topic), payload).qos(will.qos);
            left.retain = will.retain;
            connect = connect.will(left);
        }
        connect
    }

    fn connect(&mut self, client: usize, connect: &Connect) -> Done {
        let monitor = Arc::new(Monitor::default());
        let mut peer = Peer::open(self.address, connect.version, monitor, "differential")?;
        peer.send_connect(connect);
        let old = std::mem::take(self.actor(client));
        *self.actor(client) = Actor { peer: Some(peer), ..Actor::default() };
        // Kept until the new one is there, or it would break rather than be taken over.
        let answered = self.read(client, |content| matches!(content, Content::ConnAck { .. }));
        drop(old);
        answered
    }

    fn publish(&mut self, client: usize, message: &Message, id: u16) -> Done {
        self.said += 1;
        let payload = match message.empty {
            true => String::new(),
            false => format!("p{client}-{}", self.said),
        };
        let mut publish = Publish::new(self.topic(message.topic), payload).qos(message.qos).id(id);
        publish.retain = message.retain;
        let version = self.versions.get(client).copied().unwrap_or(Version::V5);
        self.say(client, &publish.bytes(version));
        Ok(())
    }

    /// Asks all clients for what came, until nothing comes any more.
    fn observe(&mut self) -> Done<[Seen; CLIENTS]> {
        let mut quiet = 0;
        while quiet < 2 {
            let before = self.count();
            for client in 0..CLIENTS {
                self.say(client, &[0xC0, 0]);
                self.read(client, |content| *content == Content::PingResp)?;
            }
            quiet = if self.count() == before { quiet + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(1));
        }
        let prefix = self.prefix.clone();
        Ok(std::array::from_fn(|client| {
            let actor = self.actor(client);
            let ended = std::mem::take(&mut actor.ended);
            canonical(&std::mem::take(&mut actor.seen), ended, &prefix)
        }))
    }

    fn count(&self) -> usize {
        self.actors.iter().map(|actor| actor.seen.len()).sum()
    }

    /// Reads until this comes or the connection ends; acknowledges what comes before it.
    fn read(&mut self, client: usize, last: impl Fn(&Content) -> bool) -> Done {
        let actor = self.actor(client);
        let Some(peer) = &mut actor.peer else { return Ok(()) };
        loop {
            let packet = match peer.event(PATIENCE)? {
                Event::Packet(packet) => packet,
                Event::Closed => {
                    actor.peer = None;
                    actor.ended = true;
                    return Ok(());
                }
                Event::Silence => {
                    return Err(Stop::Fail(format!("client {client} waits for an answer")));
                }
            };
            acknowledge(peer, &packet.content, actor.holds);
            let is_last = last(&packet.content);
            if packet.content != Content::PingResp {
                actor.seen.push(packet);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn say(&mut self, client: usize, bytes: &[u8]) {
        if let Some(peer) = &mut self.actor(client).peer {
            peer.send(bytes);
        }
    }

    fn actor(&mut self, client: usize) -> &mut Actor {
        let [first, rest @ ..] = &mut self.actors;
        match client.checked_sub(1) {
            None => first,
            Some(at) => rest.get_mut(at).unwrap_or(first),
        }
    }

    fn topic(&self, topic: &str) -> String {
        format!("{}/{topic}", self.prefix)
    }

    /// Each client is the only member of its group: who else would be chosen is free.
    fn filter(&self, client: usize, filter: &str) -> String {
        match filter.strip_prefix("$share/one/") {
            Some(inner) => format!("$share/one{client}/{}", self.topic(inner)),
            None => self.topic(filter),
        }
    }
}

/// No Local has no place on a shared subscription, and 3.1.1 has the QoS alone.
fn options_for(version: Version, filter: &str, options: u8) -> u8 {
    match version {
        Version::V5 if filter.starts_with("$share") => options & !4,
        Version::V5 => options,
        _ => options & 3,
    }
}

/// Goes on with the handshakes of both roles; one that holds goes on with its own messages alone.
fn acknowledge(peer: &mut Peer, content: &Content, holds: bool) {
    match content {
        Content::Publish(_) | Content::Ack { kind: 6, .. } if holds => {}
        Content::Publish(publish) if publish.qos == 1 => peer.send(&acknowledgement(4, publish.id)),
        Content::Publish(publish) if publish.qos == 2 => peer.send(&acknowledgement(5, publish.id)),
        Content::Ack { kind: 5, id, code, .. } if *code < 0x80 => {
            peer.send(&acknowledgement(6, *id));
        }
        Content::Ack { kind: 6, id, .. } => peer.send(&acknowledgement(7, *id)),
        _ => {}
    }
}

/// Packets in words, without packet identifiers.
fn canonical(packets: &[Packet], ended: bool, prefix: &str) -> Seen {
    let mut seen = Seen { ended, ..Seen::default() };
    let topics = format!("{prefix}/");
    for packet in packets {
        match &packet.content {
            Content::Publish(publish) => {
                let topic = String::from_utf8_lossy(&publish.topic).replace(&topics, "");
                note(&mut seen.messages, topic, publish);
            }
            // It belongs to a message, of which there may be copies.
            Content::Ack { kind: 6, .. } => {}
            other => seen.answers.push(answer(other)),
        }
    }
    // The order of answers to different packets is free, and so is that of publishers and topics.
    seen.answers.sort();
    seen.messages.sort_by_key(|message| (message.publisher().to_owned(), message.topic.clone()));
    seen
}

/// Adds a message, or a copy of one.
fn note(messages: &mut Vec<Received>, topic: String, publish: &Publish) {
    let identifiers = publish.props.all(prop::SUBSCRIPTION_ID).into_iter();
    let identifiers: BTreeSet<usize> = identifiers
        .filter_map(|value| if let Value::Var(id) = value { Some(*id) } else { None })
        .collect();
    let payload = publish.text();
    let same = messages.iter_mut().find(|each| each.topic == topic && each.payload == payload);
    match same {
        Some(message) => {
            message.copies += 1;
            message.qos = message.qos.max(publish.qos);
            message.retain |= publish.retain;
            message.dup |= publish.dup;
            message.identifiers.extend(identifiers);
        }
        None => messages.push(Received {
            topic,
            payload,
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            identifiers,
            copies: 1,
        }),
    }
}

fn answer(content: &Content) -> String {
    match content {
        Content::ConnAck { flags, code, .. } => format!("CONNACK {code:02X} present={flags}"),
        Content::Ack { kind, code, .. } => {
            format!("{} {code:02X}", crate::harness::packet::type_name(*kind))
        }
        Content::SubAck { codes, .. } => format!("SUBACK {codes:02X?}"),
        Content::UnsubAck { codes, .. } => format!("UNSUBACK {codes:02X?}"),
        Content::Disconnect { code, .. } => format!("DISCONNECT {code:02X}"),
        Content::Auth { code, .. } => format!("AUTH {code:02X}"),
        Content::PingResp | Content::Publish(_) => String::new(),
    }
}
