//! What a connection reads: whole packets, messages joined to spans, acknowledgements worked off.

use std::{num::NonZeroU32, ops::Range};

use bytes::{Bytes, BytesMut};
use mqtt_packet::{
    Ack, PacketId, PacketType, PublishProperties, QoS, RawPublish, ReasonCode, frame,
};
use mqtt_topics::TopicNameRef;

use super::{Gate, Link, Role, RunSpan, SHORT_ACK};
use crate::{
    receiver::Admission,
    run::{MessageParts, Run},
    sender::{Acknowledged, Mismatch},
    time::Time,
    violation::Violation,
};

/// A server pauses after so many bytes of packets that it answers here, such as acknowledgements: a
/// peer may send a hundred thousand of them at once, and others are to have their turn in between.
pub(crate) const PAUSE_BYTES: usize = 16 * 1024;

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
    /// Takes all whole packets out of `buf`; returns how many bytes that were. Takes none before the
    /// input before was read to its end.
    pub(crate) fn handle_input(&mut self, buf: &mut BytesMut) -> usize {
        if self.has_input() {
            return 0;
        }
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

    /// Whether there is input that was not read to its end.
    pub(crate) fn has_input(&self) -> bool {
        self.at < self.input.len() || self.input_error.is_some()
    }

    /// How many bytes of the input were read.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// What comes next; `None` once the input is used up, or at a pause ([`PAUSE_BYTES`]).
    pub(crate) fn next(&mut self, now: Time) -> Result<Option<Incoming>, Violation> {
        let from = self.at;
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
                Step::Joined => {}
                Step::Done if self.role == Role::Server && self.at - from >= PAUSE_BYTES => {
                    return Ok(None);
                }
                Step::Done => {}
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
            if self.role == Role::Server && self.short_acks(now)? {
                return Ok(Some(Step::Done));
            }
            return self.control(header.first, place, header.header_len, now).map(Some);
        }
        let publish = RawPublish::split(header.first, body, self.negotiated.version)?;
        let topic_at = place.start + header.header_len + 2;
        let topic = topic_at..topic_at + publish.topic.len();
        let plain = !publish.retain && publish.properties.is_empty() && !publish.topic.is_empty();
        let (qos, id) = (publish.qos, publish.packet_id);
        let known = self.topics.as_ref().and_then(|topics| topics.place(publish.topic));
        let class = known.and_then(|place| self.topics.as_ref()?.class(place, qos));
        let joins = match span {
            Some(span) if !plain || span.qos != qos => return Ok(Some(Step::Next)),
            Some(span) if span.class.is_some() && span.class == class => true,
            Some(span) if self.input.get(span.topic.clone()) == Some(publish.topic) => true,
            Some(_) => return Ok(Some(Step::Next)),
            None => false,
        };
        if !joins && !plain {
            return self.message(place, now).map(Some);
        }
        // A topic that has a class was checked when it got it.
        if !joins && class.is_none() {
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
        if let (Some(topics), Some(known)) = (&mut self.topics, known) {
            topics.went_to(known);
        }
        let span = match span {
            Some(span) => {
                span.range.end = place.end;
                span.count += 1;
                span.largest = span.largest.max(largest);
                span
            }
            None => span.insert(RunSpan { range: place, topic, qos, count: 1, largest, class }),
        };
        self.join_alike(span);
        Ok(Some(Step::Joined))
    }

    /// Takes packets into a span that differ from its first one in identifier, payload and a topic of
    /// the same class alone, as a publisher's messages mostly do. Whatever is not such a packet is
    /// looked at in full.
    fn join_alike(&mut self, span: &mut RunSpan) {
        const DUP: u8 = 0b1000;
        let Self { input, session, negotiated, topics, at, .. } = self;
        let first = input.get(span.range.start).map(|first| first & !DUP);
        let name = input.get(span.topic.clone()).unwrap_or_default();
        let is_v5 = negotiated.version.is_v5();
        let mut topics = topics.as_deref_mut().filter(|_| span.class.is_some());
        let packet = |at: usize| {
            let rest = input.get(at..)?;
            let header = frame::peek(rest, u32::MAX).ok()??;
            let body = rest.get(header.header_len..header.total_len())?;
            let (len, behind) = body.split_first_chunk().filter(|_| Some(header.first) == first)?;
            let (topic, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
            let (id, behind) = match span.qos {
                QoS::AtMostOnce => (None, behind),
                _ => {
                    let (id, behind) = behind.split_first_chunk()?;
                    (Some(PacketId::new(u16::from_be_bytes(*id))?), behind)
                }
            };
            (!is_v5 || behind.first() == Some(&0)).then_some((header.total_len(), topic, id))
        };
        while let Some((len, topic, id)) = packet(*at) {
            let place = match &topics {
                Some(topics) => match topics.place(topic) {
                    Some(place) if topics.class(place, span.qos) == span.class => Some(place),
                    _ => break,
                },
                None if topic == name => None,
                None => break,
            };
            let admitted = id.map(|id| session.receiver.admit(span.qos, id));
            if !matches!(admitted, None | Some(Ok(Admission::New))) {
                break;
            }
            if let (Some(topics), Some(place)) = (&mut topics, place) {
                topics.went_to(place);
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
            Run::from_checked(self.bytes(packet), self.wire(), qos, retain, 1, len)
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
    /// of them come. Returns false if there is none.
    fn short_acks(&mut self, now: Time) -> Result<bool, Mismatch> {
        let input = std::mem::take(&mut self.input);
        let end = input.len().min(self.at.saturating_add(PAUSE_BYTES));
        let rest = input.get(self.at..end).unwrap_or_default();
        let (used, mismatch) = self.transmit(now, |session, tx| {
            let (mut used, mut has_finished, mut mismatch) = (0, false, None);
            while let Some((packet, id)) = rest.get(used..).and_then(short_ack) {
                used += SHORT_ACK;
                match session.handle_ack(packet, id, ReasonCode::SUCCESS, tx) {
                    Ok(finished) => has_finished |= finished.is_some(),
                    Err(found) => {
                        mismatch = Some(found);
                        break;
                    }
                }
            }
            if has_finished {
                session.sender.pump(tx);
            }
            (used, mismatch)
        });
        self.at += used;
        self.input = input;
        mismatch.map_or(Ok(used > 0), Err)
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
            let acknowledged = session.handle_ack(packet, id, reason, tx)?;
            if acknowledged.is_some() {
                session.sender.pump(tx);
            }
            Ok::<_, Mismatch>(acknowledged)
        })?;
        Ok(match acknowledged.filter(|_| self.role == Role::Client) {
            Some(acknowledged) => Step::Alone(Incoming::Acknowledged(acknowledged)),
            None => Step::Done,
        })
    }

    /// The topic of a span, as bytes: a checked topic name.
    pub(crate) fn span_topic(&self, span: &RunSpan) -> &[u8] {
        self.input.get(span.topic.clone()).unwrap_or_default()
    }

    /// Says that messages with this span's topic and QoS are of a class: a later span holds messages
    /// of one class, whatever their topics are.
    pub(crate) fn classify(&mut self, span: &RunSpan, class: NonZeroU32) {
        let name = self.input.get(span.topic.clone()).unwrap_or_default();
        self.topics.get_or_insert_default().classify(name, span.qos, class);
    }

    /// Takes back what was said of topics.
    pub(crate) fn forget_classes(&mut self) {
        if let Some(topics) = &mut self.topics {
            topics.forget();
        }
    }

    /// The topics without a class of the PUBLISH packets that come next, each once where it is
    /// repeated; up to the next packet of another kind. They are not checked.
    pub(crate) fn topics_ahead(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.input.get(self.at..).unwrap_or_default();
        let mut last = &b""[..];
        let is_known =
            |topic| self.topics.as_ref().is_some_and(|topics| topics.place(topic).is_some());
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
                if topic != last && !is_known(topic) {
                    last = topic;
                    return Some(topic);
                }
            }
        })
    }

    /// Makes a run of a span; `None` where its input is gone.
    pub(crate) fn run(&self, span: &RunSpan) -> Option<Run> {
        let bytes = self.bytes(self.input.get(span.range.clone())?);
        Some(Run::from_checked(bytes, self.wire(), span.qos, false, span.count, span.largest))
    }

    /// A part of the input, to be kept. A small one is copied, so that a receiver that is slow to
    /// take it does not keep the whole read buffer alive.
    fn bytes(&self, part: &[u8]) -> Bytes {
        if part.len() < self.input.len() / 8 {
            Bytes::copy_from_slice(part)
        } else {
            self.input.slice_ref(part)
        }
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
