//! The part of a connection that is the same for both roles: input cut into runs, acknowledgements
//! in both directions, output.

use std::{collections::VecDeque, ops::Range};

use bytes::{Bytes, BytesMut};
use mqtt_packet::{
    Ack, DecodeError, PacketId, PacketType, PublishProperties, QoS, RawPublish, ReasonCode,
    Version, ack::encode_short, frame,
};
use mqtt_topics::TopicNameRef;

use crate::{
    alias::{ReceivedAliases, SentAliases},
    delivery::Delivery,
    ledger::{DropReason, Ledger},
    negotiated::Negotiated,
    output::Output,
    reason_string::refuse_message,
    receiver::Admission,
    run::{MessageParts, Run, Wire},
    sender::{Acknowledged, Lost},
    session::Session,
    time::Time,
    transmit::Transmit,
    violation::Violation,
};

/// Consecutive PUBLISH packets of one QoS that can be handed on as they are: a part of the input.
///
/// Made into a [`Run`] by the endpoint's `run`, after as many as possible were joined.
#[derive(Clone, Debug)]
pub struct RunSpan {
    range: Range<usize>,
    topic: Range<usize>,
    qos: QoS,
    count: u32,
    largest: u32,
}

impl RunSpan {
    /// How many messages there are.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Length of the packets, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there is no message; never true.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The QoS of the messages.
    #[must_use]
    pub const fn qos(&self) -> QoS {
        self.qos
    }

    /// Takes `next` in, if it stands right behind in the same input and has the same QoS; for
    /// messages of different topics that go to the same receivers.
    pub fn join(&mut self, next: &Self) -> bool {
        let joins = self.range.end == next.range.start && self.qos == next.qos;
        if joins {
            self.range.end = next.range.end;
            self.count += next.count;
            self.largest = self.largest.max(next.largest);
        }
        joins
    }
}

/// What the input holds next.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Messages that can be handed on as they are, all to one topic.
    Span(RunSpan),
    /// A message by itself: retained, with an alias or with an expiry.
    Message(Run),
    /// The peer finally answered a message.
    Acknowledged(Acknowledged),
    /// Any other packet: its first byte and its body.
    Control(u8, Bytes),
}

/// Length of an acknowledgement without a reason, in bytes.
const SHORT_ACK: usize = 4;

/// One side of an open connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) negotiated: Negotiated,
    pub(crate) session: Session,
    pub(crate) out: Output,
    /// What became of messages since the last report; nothing while the connection is idle.
    done: Option<Box<Ledger>>,
    /// Whole packets; none but the last `handle_input` brought.
    input: Bytes,
    at: usize,
    input_error: Option<DecodeError>,
    /// The largest packet that is read, in bytes.
    maximum_packet_size: u32,
    topic_levels_max: usize,
    received_aliases: ReceivedAliases,
    sent_aliases: SentAliases,
    /// Messages that were given up, for a client: it waits for each of them.
    pub(crate) lost: Option<Box<VecDeque<Lost>>>,
    role: Role,
    takes_problem_information: bool,
    gate: Gate,
    /// Acknowledgements that wait for a disk, since they were last taken.
    gated: Option<Box<BytesMut>>,
}

/// Which acknowledgements the owner of a connection is handed, to send them when what they say is
/// safe on a disk. PUBACK and PUBREC of new messages are always the owner's to send.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub enum Gate {
    /// None.
    #[default]
    Open,
    /// PUBREC for a message that came before: the one that was handed on may not be safe yet.
    Repeats,
    /// These, PUBREL and PUBCOMP: the state that they tell of is part of a session on a disk.
    Closed,
}

/// Which side of a connection this is.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Role {
    /// It forwards messages, so it takes out of them what is for itself, and it does not care which
    /// of its own messages were acknowledged.
    Server,
    /// It wants messages with all that stands in them, and to know what became of its own.
    Client,
}

/// What one side announced or simply does.
#[derive(Copy, Clone, Debug)]
pub(crate) struct LinkOptions {
    pub(crate) maximum_packet_size: u32,
    /// Receive Maximum; `None` where the peer knows none.
    pub(crate) receive_maximum: Option<u16>,
    pub(crate) topic_alias_maximum: u16,
    pub(crate) topic_levels_max: usize,
    pub(crate) role: Role,
    /// Whether acknowledgements may carry a Reason String and User Properties [MQTT-3.1.2-29].
    pub(crate) takes_problem_information: bool,
    pub(crate) gate: Gate,
}

/// What to do with the packet at hand.
enum Step {
    /// It joined the run.
    Joined,
    /// It starts what comes next; the run before it goes out first.
    Next,
    Alone(Incoming),
    /// It was dealt with.
    Done,
}

impl Link {
    pub(crate) fn new(negotiated: Negotiated, session: Session, options: &LinkOptions) -> Self {
        let mut link = Self {
            negotiated,
            session,
            out: Output::default(),
            done: None,
            input: Bytes::new(),
            at: 0,
            input_error: None,
            maximum_packet_size: options.maximum_packet_size,
            topic_levels_max: options.topic_levels_max,
            received_aliases: ReceivedAliases::new(options.topic_alias_maximum),
            sent_aliases: SentAliases::new(negotiated.topic_alias_maximum),
            lost: (options.role == Role::Client).then(Box::default),
            role: options.role,
            takes_problem_information: options.takes_problem_information,
            gate: options.gate,
            gated: None,
        };
        link.session.receiver.start(options.receive_maximum);
        link
    }

    /// Takes up the session of an earlier connection in place of the new one.
    pub(crate) fn adopt(&mut self, mut session: Session) {
        session.receiver.start(self.session.receiver.maximum());
        self.session = session;
    }

    /// Takes all whole packets out of `buf`; answers how many bytes that were.
    pub(crate) fn handle_input(&mut self, buf: &mut BytesMut) -> usize {
        debug_assert!(self.at == self.input.len(), "the input before was not read to its end");
        let mut whole = 0;
        while let Some(rest) = buf.get(whole..).filter(|rest| !rest.is_empty()) {
            match frame::peek(rest, self.maximum_packet_size) {
                Ok(Some(header)) if rest.len() >= header.total_len() => whole += header.total_len(),
                Ok(_) => break,
                Err(error) => {
                    self.input_error = Some(error);
                    break;
                }
            }
        }
        self.session.receiver.next_input();
        self.at = 0;
        self.input = if whole == 0 { Bytes::new() } else { buf.split_to(whole).freeze() };
        whole
    }

    /// What comes next; `None` once the input is used up.
    pub(crate) fn next(&mut self, now: Time) -> Result<Option<Incoming>, Violation> {
        let mut span: Option<RunSpan> = None;
        loop {
            let step = match self.step(&mut span, now) {
                Ok(Some(step)) => step,
                Ok(None) => break,
                // The packet is still there: it is met again when the run is out.
                Err(_) if span.is_some() => break,
                Err(violation) => return Err(violation),
            };
            match step {
                Step::Joined | Step::Done => {}
                Step::Next => break,
                Step::Alone(incoming) => return Ok(Some(incoming)),
            }
        }
        if let Some(span) = span {
            return Ok(Some(Incoming::Span(span)));
        }
        match self.input_error {
            Some(error) => Err(error.into()),
            None => Ok(None),
        }
    }

    /// Looks at one packet.
    #[inline]
    fn step(&mut self, span: &mut Option<RunSpan>, now: Time) -> Result<Option<Step>, Violation> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let Some(header) = frame::peek(rest, u32::MAX)? else { return Ok(None) };
        let place = self.at..self.at + header.total_len();
        let body = rest.get(header.header_len..header.total_len()).unwrap_or_default();
        if header.first >> 4 != PacketType::Publish as u8 {
            if span.is_some() {
                return Ok(Some(Step::Next));
            }
            if self.role == Role::Server && self.short_acks(now) {
                return Ok(Some(Step::Done));
            }
            return self.control(header.first, place, header.header_len, now).map(Some);
        }
        let publish = RawPublish::split(header.first, body, self.negotiated.version)?;
        let topic_at = place.start + header.header_len + 2;
        let topic = topic_at..topic_at + publish.topic.len();
        let plain = !publish.retain && publish.properties.is_empty() && !publish.topic.is_empty();
        let (qos, id) = (publish.qos, publish.packet_id);
        let joins = match span {
            Some(span) if !plain || span.qos != qos => return Ok(Some(Step::Next)),
            Some(span) if self.input.get(span.topic.clone()) != Some(publish.topic) => {
                return Ok(Some(Step::Next));
            }
            Some(_) => true,
            None => false,
        };
        if !joins && !plain {
            return self.message(place, now).map(Some);
        }
        if !joins {
            let text = publish.check()?.topic;
            check_topic(text, self.topic_levels_max)?;
        }
        if let Some(id) = id
            && self.session.receiver.admit(qos, id)? == Admission::Repeat
        {
            if joins {
                return Ok(Some(Step::Next));
            }
            self.repeat(place.end, id, now);
            return Ok(Some(Step::Done));
        }
        let largest = u32::try_from(place.len()).unwrap_or(u32::MAX);
        self.at = place.end;
        let span = match span {
            Some(span) => {
                span.range.end = place.end;
                span.count += 1;
                span.largest = span.largest.max(largest);
                span
            }
            None => span.insert(RunSpan { range: place, topic, qos, count: 1, largest }),
        };
        self.join_alike(span);
        Ok(Some(Step::Joined))
    }

    /// Takes packets into a span that differ from its first one in identifier and payload alone, as
    /// a publisher's messages mostly do. Whatever is not such a packet is looked at in full.
    fn join_alike(&mut self, span: &mut RunSpan) {
        const DUP: u8 = 0b1000;
        let Self { input, session, negotiated, at, .. } = self;
        let first = input.get(span.range.start).map(|first| first & !DUP);
        let topic = input.get(span.topic.start - 2..span.topic.end).unwrap_or_default();
        let is_v5 = negotiated.version.is_v5();
        let packet = |at: usize| {
            let rest = input.get(at..)?;
            let header = frame::peek(rest, u32::MAX).ok()??;
            let body = rest.get(header.header_len..header.total_len())?;
            let behind = body.strip_prefix(topic).filter(|_| Some(header.first) == first)?;
            let (id, behind) = match span.qos {
                QoS::AtMostOnce => (None, behind),
                _ => {
                    let (id, behind) = behind.split_first_chunk()?;
                    (Some(PacketId::new(u16::from_be_bytes(*id))?), behind)
                }
            };
            (!is_v5 || behind.first() == Some(&0)).then_some((header.total_len(), id))
        };
        while let Some((len, id)) = packet(*at) {
            let admitted = id.map(|id| session.receiver.admit(span.qos, id));
            if !matches!(admitted, None | Some(Ok(Admission::New))) {
                break;
            }
            *at += len;
            span.count += 1;
            span.largest = span.largest.max(u32::try_from(len).unwrap_or(u32::MAX));
        }
        span.range.end = *at;
    }

    /// A PUBLISH that needs a look at its properties, or that is retained.
    fn message(&mut self, place: Range<usize>, now: Time) -> Result<Step, Violation> {
        let input = self.input.clone();
        let packet = input.get(place.clone()).unwrap_or_default();
        let Some(header) = frame::peek(packet, u32::MAX)? else { return Ok(Step::Done) };
        let body = packet.get(header.header_len..).unwrap_or_default();
        let raw = RawPublish::split(header.first, body, self.negotiated.version)?;
        let (qos, packet_id, retain, block) = (raw.qos, raw.packet_id, raw.retain, raw.properties);
        let publish = raw.check()?;
        if !publish.topic.is_empty() {
            check_topic(publish.topic, self.topic_levels_max)?;
        }
        let properties = &publish.properties;
        if self.role == Role::Server && !properties.subscription_identifiers.is_empty() {
            return Err(Violation::protocol(
                "MQTT-3.3.4-6",
                "a subscription identifier in a client's PUBLISH",
            ));
        }
        let alias = properties.topic_alias;
        let topic = match alias {
            Some(alias) if publish.topic.is_empty() => Some(self.received_aliases.topic(alias)?),
            Some(alias) => {
                self.received_aliases.bind(alias, publish.topic)?;
                None
            }
            None => None,
        };
        if let Some(id) = packet_id
            && self.session.receiver.admit(qos, id)? == Admission::Repeat
        {
            self.repeat(place.end, id, now);
            return Ok(Step::Done);
        }
        self.at = place.end;
        let expires_at = properties.message_expiry_interval.map(|secs| now.after_secs(secs));
        let own_bytes = alias.is_none() && (expires_at.is_none() || self.role == Role::Client);
        let run = if own_bytes {
            let len = u32::try_from(packet.len()).unwrap_or(u32::MAX);
            Run::from_checked(self.bytes(place), self.wire(), qos, retain, 1, len)
                .with_expiry(expires_at)
        } else {
            let mut kept = BytesMut::with_capacity(block.len());
            let fits = match self.role {
                Role::Server => properties.encode_forwardable(&mut kept),
                Role::Client => {
                    PublishProperties { topic_alias: None, ..*properties }.encode(&mut kept)
                }
            };
            fits.and_then(|()| {
                Run::from_message(&MessageParts {
                    topic: topic.as_deref().unwrap_or(publish.topic),
                    payload: publish.payload,
                    properties: &kept,
                    qos,
                    retain,
                    packet_id,
                    expires_at,
                })
            })
            .map_err(|_| {
                Violation::new(
                    ReasonCode::PACKET_TOO_LARGE,
                    "MQTT-3.2.2-15",
                    "a message that is too large with its topic in full",
                )
            })?
        };
        Ok(Step::Alone(Incoming::Message(run)))
    }

    /// A QoS 2 message that was handed on before is only acknowledged [MQTT-4.3.3-10].
    fn repeat(&mut self, end: usize, id: PacketId, now: Time) {
        self.at = end;
        let gate = self.gate;
        if gate == Gate::Repeats {
            self.gate = Gate::Closed;
        }
        self.transmit(now, |_, tx| tx.ack(PacketType::PubRec, id, ReasonCode::SUCCESS));
        self.gate = gate;
    }

    /// Acknowledgements that are an identifier and nothing else, one behind the other, as nearly all
    /// of them come. Answers false if there is none.
    fn short_acks(&mut self, now: Time) -> bool {
        let input = std::mem::take(&mut self.input);
        let rest = input.get(self.at..).unwrap_or_default();
        let used = self.transmit(now, |session, tx| {
            let (mut used, mut has_finished) = (0, false);
            while let Some((packet, id)) = rest.get(used..).and_then(short_ack) {
                used += SHORT_ACK;
                has_finished |= session.handle_ack(packet, id, ReasonCode::SUCCESS, tx).is_some();
            }
            if has_finished {
                session.sender.pump(tx);
            }
            used
        });
        self.at += used;
        self.input = input;
        used > 0
    }

    fn control(
        &mut self,
        first: u8,
        place: Range<usize>,
        header_len: usize,
        now: Time,
    ) -> Result<Step, Violation> {
        let body = place.start + header_len..place.end;
        self.at = place.end;
        let packet = match first >> 4 {
            4 => PacketType::PubAck,
            5 => PacketType::PubRec,
            6 => PacketType::PubRel,
            7 => PacketType::PubComp,
            _ => return Ok(Step::Alone(Incoming::Control(first, self.input.slice(body)))),
        };
        let body = self.input.get(body).unwrap_or_default();
        let ack = Ack::parse(first, body, self.negotiated.version)?;
        if !self.takes_problem_information && !ack.properties.is_empty() {
            return Err(Violation::protocol("U5-016", "problem information that was switched off"));
        }
        let (id, reason) = (ack.packet_id, ack.reason);
        let acknowledged = self.transmit(now, |session, tx| {
            let acknowledged = session.handle_ack(packet, id, reason, tx);
            if acknowledged.is_some() {
                session.sender.pump(tx);
            }
            acknowledged
        });
        Ok(match acknowledged.filter(|_| self.role == Role::Client) {
            Some(acknowledged) => Step::Alone(Incoming::Acknowledged(acknowledged)),
            None => Step::Done,
        })
    }

    /// The topic of a span, as bytes: a checked topic name.
    pub(crate) fn span_topic(&self, span: &RunSpan) -> &[u8] {
        self.input.get(span.topic.clone()).unwrap_or_default()
    }

    /// The topics of the PUBLISH packets that come next, each once where it is repeated; up to the
    /// next packet of another kind. They are not checked.
    pub(crate) fn topics_ahead(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.input.get(self.at..).unwrap_or_default();
        let mut last = &b""[..];
        std::iter::from_fn(move || {
            loop {
                let header = frame::peek(rest, u32::MAX).ok()??;
                let body = rest.get(header.header_len..header.total_len())?;
                rest = rest.get(header.total_len()..)?;
                if header.first >> 4 != PacketType::Publish as u8 {
                    return None;
                }
                let (len, topic) = body.split_first_chunk()?;
                let topic = topic.get(..usize::from(u16::from_be_bytes(*len)))?;
                if topic != last {
                    last = topic;
                    return Some(topic);
                }
            }
        })
    }

    /// Makes a run of a span.
    pub(crate) fn run(&self, span: &RunSpan) -> Run {
        let bytes = self.bytes(span.range.clone());
        Run::from_checked(bytes, self.wire(), span.qos, false, span.count, span.largest)
    }

    /// A part of the input. A small one is copied, so that a receiver that is slow to take it does
    /// not keep the whole read buffer alive.
    fn bytes(&self, range: Range<usize>) -> Bytes {
        if range.len() < self.input.len() / 8 {
            Bytes::copy_from_slice(self.input.get(range).unwrap_or_default())
        } else {
            self.input.slice(range)
        }
    }

    /// Answers the messages of a run, as their QoS asks for [MQTT-3.3.4-1].
    pub(crate) fn acknowledge(&mut self, run: &Run, reason: ReasonCode) {
        let packet = match run.qos() {
            QoS::AtMostOnce => return,
            QoS::AtLeastOnce => PacketType::PubAck,
            QoS::ExactlyOnce => PacketType::PubRec,
        };
        let version = self.negotiated.version;
        let words = self.words(reason);
        let out = self.out.tail();
        out.reserve(run.count() as usize * SHORT_ACK);
        for id in run.packet_ids() {
            match words {
                None => encode_short(packet, id, reason, version, out),
                Some(words) => {
                    let ack = Ack::new(id, reason);
                    refuse_message(out, &self.negotiated, packet, ack, words);
                }
            }
            self.session.receiver.answered(run.qos(), id, reason);
        }
    }

    /// What a server says to a client beside a reason code.
    fn words(&self, reason: ReasonCode) -> Option<&'static str> {
        let says = reason.is_error() && self.role == Role::Server && self.negotiated.wants_words();
        says.then(|| reason.name())
    }

    /// Sends messages, or keeps them until the window opens.
    pub(crate) fn deliver(&mut self, delivery: Delivery, now: Time) {
        self.transmit(now, |session, tx| session.sender.send(delivery, tx));
    }

    /// Sends again what the connection before left unacknowledged.
    pub(crate) fn resume(&mut self, now: Time) {
        self.transmit(now, |session, tx| session.sender.resume(tx));
    }

    pub(crate) fn transmit<T>(
        &mut self,
        now: Time,
        act: impl FnOnce(&mut Session, &mut Transmit<'_>) -> T,
    ) -> T {
        let Self { negotiated, session, out, done, sent_aliases, lost, gate, gated, .. } = self;
        let lost = lost.as_deref_mut();
        let done = done.get_or_insert_default();
        let gated = (*gate == Gate::Closed).then(|| gated.get_or_insert_default().as_mut());
        let aliases = sent_aliases;
        act(session, &mut Transmit { out, aliases, negotiated, done, lost, gated, now })
    }

    /// Acknowledgements that wait for a disk.
    pub(crate) fn take_gated(&mut self) -> Bytes {
        self.gated.as_mut().map(|gated| gated.split().freeze()).unwrap_or_default()
    }

    /// The connection is over: what waits for the socket is lost, and counted.
    pub(crate) fn end(&mut self) -> (Session, Ledger) {
        let mut done = self.take_done();
        done.drop_messages(DropReason::ConnectionLost, self.out.messages());
        self.out = Output::default();
        (std::mem::take(&mut self.session), done)
    }

    pub(crate) fn done_mut(&mut self) -> &mut Ledger {
        self.done.get_or_insert_default()
    }

    /// What became of messages since the last call.
    pub(crate) fn take_done(&mut self) -> Ledger {
        self.done.as_deref_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The socket took `bytes` of the output.
    pub(crate) fn advance_output(&mut self, bytes: usize) {
        let delivered = self.out.advance(bytes);
        if delivered > 0 {
            self.done_mut().delivered += delivered;
        }
    }

    /// Gives unused memory back.
    pub(crate) fn shrink(&mut self) {
        self.out.shrink();
        self.session.shrink();
        self.done.take_if(|done| **done == Ledger::default());
        self.gated = None;
        if self.at == self.input.len() {
            self.input = Bytes::new();
            self.at = 0;
        }
    }

    fn wire(&self) -> Wire {
        self.negotiated.wire()
    }
}

impl Link {
    pub(crate) const fn version(&self) -> Version {
        self.negotiated.version
    }

    pub(crate) const fn takes_problem_information(&self) -> bool {
        self.takes_problem_information
    }
}

/// The topic of a PUBLISH is a topic name [MQTT-3.3.2-2].
fn check_topic(topic: &str, levels_max: usize) -> Result<(), Violation> {
    match TopicNameRef::with_limit(topic, levels_max) {
        Ok(_) => Ok(()),
        Err(error) => Err(Violation::new(
            ReasonCode::TOPIC_NAME_INVALID,
            error.statement(),
            "a topic name that is not one",
        )),
    }
}

/// The acknowledgement that `packets` begin with, if it is a checked identifier and nothing else.
#[inline]
fn short_ack(packets: &[u8]) -> Option<(PacketType, PacketId)> {
    let [first, 2, high, low] = *packets.first_chunk::<SHORT_ACK>()? else { return None };
    let packet = match first {
        0x40 => PacketType::PubAck,
        0x50 => PacketType::PubRec,
        0x62 => PacketType::PubRel,
        0x70 => PacketType::PubComp,
        _ => return None,
    };
    Some((packet, PacketId::new(u16::from_be_bytes([high, low]))?))
}
