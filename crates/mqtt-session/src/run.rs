//! Messages that travel together.
//!
//! A [`Run`] is one or more PUBLISH packets that came in one behind the other and go to the same
//! receivers, held as one reference-counted slice of the bytes that came in. A message is never
//! copied out of it, and a receiver that wants just these bytes is given just these bytes.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use mqtt_packet::{
    EncodeError, PacketId, PublishProperties, QoS, RawPublish, Version, frame, publish_id,
};

use crate::time::Time;

/// The two forms that a PUBLISH has on the wire: without properties (3.1, 3.1.1) and with (5.0).
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub enum Wire {
    /// MQTT 3.1 and 3.1.1.
    V3,
    /// MQTT 5.0.
    V5,
}

impl Wire {
    /// A version that encodes a PUBLISH in this form.
    #[must_use]
    pub const fn version(self) -> Version {
        match self {
            Self::V3 => Version::V311,
            Self::V5 => Version::V5,
        }
    }
}

impl From<Version> for Wire {
    fn from(version: Version) -> Self {
        if version.is_v5() { Self::V5 } else { Self::V3 }
    }
}

/// One or more messages of one publisher, as the PUBLISH packets they came in.
///
/// All have the same QoS and the same RETAIN flag. Their topics are checked topic names, their
/// properties are checked and hold neither a Topic Alias nor a Message Expiry Interval nor a
/// Subscription Identifier: an alias is resolved, the expiry is [`Run::expires_at`]. The packet
/// identifiers in the packets are the publisher's; a receiver gets others.
#[derive(Clone, Debug)]
pub struct Run {
    frames: Bytes,
    expires_at: Option<Time>,
    count: u32,
    largest: u32,
    wire: Wire,
    qos: QoS,
    retain: bool,
}

/// What a message is made of, for [`Run::from_message`].
#[derive(Copy, Clone, Debug)]
pub struct MessageParts<'a> {
    /// A checked topic name.
    pub topic: &'a str,
    /// The application message.
    pub payload: &'a [u8],
    /// Properties that are forwarded unchanged; see [`PublishProperties::encode_forwardable`].
    pub properties: &'a [u8],
    /// The QoS that the message was published with.
    pub qos: QoS,
    /// The RETAIN flag that the message was published with.
    pub retain: bool,
    /// The publisher's packet identifier; `None` for QoS 0 and for messages that no peer sent.
    pub packet_id: Option<PacketId>,
    /// When the Message Expiry Interval runs out.
    pub expires_at: Option<Time>,
}

/// One message of a run: where its packet stands in the run's bytes, and its parts.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// The packet's place in [`Run::bytes`].
    pub range: Range<usize>,
    /// The packet's parts.
    pub publish: RawPublish<'a>,
}

impl Run {
    /// A run of packets that were checked where they were read.
    pub(crate) const fn from_checked(
        frames: Bytes,
        wire: Wire,
        qos: QoS,
        retain: bool,
        count: u32,
        largest: u32,
    ) -> Self {
        Self { frames, expires_at: None, count, largest, wire, qos, retain }
    }

    /// A run of one message.
    ///
    /// # Errors
    /// The message does not fit into a packet: the topic is longer than 65,535 bytes, or the whole
    /// longer than the protocol allows.
    pub fn from_message(parts: &MessageParts<'_>) -> Result<Self, EncodeError> {
        let publish = RawPublish {
            dup: false,
            qos: parts.qos,
            retain: parts.retain,
            packet_id: match parts.qos {
                QoS::AtMostOnce => None,
                // Nobody reads this identifier but the publisher's own acknowledgement.
                _ => parts.packet_id.or(PacketId::new(1)),
            },
            topic: parts.topic.as_bytes(),
            properties: parts.properties,
            payload: parts.payload,
        };
        let mut frames = BytesMut::with_capacity(publish.encoded_len(0, Version::V5)?);
        publish.encode(&[], Version::V5, &mut frames)?;
        Ok(Self {
            largest: u32::try_from(frames.len()).unwrap_or(u32::MAX),
            frames: frames.freeze(),
            expires_at: parts.expires_at,
            count: 1,
            wire: Wire::V5,
            qos: parts.qos,
            retain: parts.retain,
        })
    }

    /// Stands for messages of a queue that are lost: they have no packets. They are not delivered:
    /// [`ServerEndpoint::lose`] counts them and passes their numbers over.
    ///
    /// [`ServerEndpoint::lose`]: crate::ServerEndpoint::lose
    #[must_use]
    pub const fn lost(count: u32) -> Self {
        Self::from_checked(Bytes::new(), Wire::V5, QoS::AtLeastOnce, false, count, 0)
    }

    /// The packets, one behind the other.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.frames
    }

    /// How many messages there are; never 0.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The length of all packets together, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is no packet: the messages are lost; see [`Run::lost`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The length of the largest packet, in bytes.
    #[must_use]
    pub const fn largest(&self) -> u32 {
        self.largest
    }

    /// The form of the packets.
    #[must_use]
    pub const fn wire(&self) -> Wire {
        self.wire
    }

    /// The QoS that the messages were published with.
    #[must_use]
    pub const fn qos(&self) -> QoS {
        self.qos
    }

    /// The RETAIN flag that the messages were published with.
    #[must_use]
    pub const fn retain(&self) -> bool {
        self.retain
    }

    /// When the Message Expiry Interval runs out [MQTT-3.3.2-5].
    #[must_use]
    pub const fn expires_at(&self) -> Option<Time> {
        self.expires_at
    }

    /// Whether the Message Expiry Interval has run out at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Time) -> bool {
        self.expires_at.is_some_and(|deadline| deadline <= now)
    }

    /// The same messages with another deadline.
    #[must_use]
    pub const fn with_expiry(mut self, expires_at: Option<Time>) -> Self {
        self.expires_at = expires_at;
        self
    }

    /// The same messages in other memory: `bytes` is a copy of [`Run::bytes`].
    #[must_use]
    pub fn with_bytes(&self, bytes: Bytes) -> Self {
        debug_assert_eq!(bytes, self.frames, "not a copy");
        Self { frames: bytes, ..self.clone() }
    }

    /// One of the messages by itself.
    #[must_use]
    pub fn with_frame(&self, frame: &Frame<'_>) -> Self {
        let frames = self.frame_bytes(frame);
        let largest = u32::try_from(frames.len()).unwrap_or(u32::MAX);
        Self { frames, count: 1, largest, ..self.clone() }
    }

    /// The messages, in order.
    #[must_use]
    pub fn frames(&self) -> Frames<'_> {
        Frames { bytes: &self.frames, wire: self.wire, at: 0 }
    }

    /// The packet identifiers of the messages, in order; none at QoS 0.
    pub(crate) fn packet_ids(&self) -> impl Iterator<Item = PacketId> {
        let mut rest = &*self.frames;
        std::iter::from_fn(move || {
            let (id, len) = publish_id::read(rest)?;
            rest = rest.get(len..)?;
            Some(id)
        })
    }

    /// The topic of the first message; that of all, but for a run over several topics.
    #[must_use]
    pub fn topic(&self) -> &str {
        let topic = self.frames().next().map(|frame| frame.publish.topic);
        topic.and_then(|topic| std::str::from_utf8(topic).ok()).unwrap_or_default()
    }

    /// The payload of the first message.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        let first = self.frames().next();
        first.map(|frame| self.frames.slice_ref(frame.publish.payload)).unwrap_or_default()
    }

    /// The properties of the first message.
    #[must_use]
    pub fn properties(&self) -> PublishProperties<'_> {
        let block = self.frames().next().map(|frame| frame.publish.properties);
        block.and_then(|block| PublishProperties::parse(block).ok()).unwrap_or_default()
    }

    /// The bytes of one message's packet.
    #[must_use]
    pub fn frame_bytes(&self, frame: &Frame<'_>) -> Bytes {
        self.frames.slice(frame.range.clone())
    }

    /// The first `count` messages; all of them where there are no more.
    #[must_use]
    pub fn first(&self, count: u32) -> Option<Self> {
        if count >= self.count {
            return Some(self.clone());
        }
        let last = self.frames().nth(usize::try_from(count.checked_sub(1)?).ok()?)?;
        let mut first = self.clone();
        first.frames = self.frames.slice(..last.range.end);
        first.count = count;
        Some(first)
    }

    /// All messages but the first `count`; none of them where there are no more.
    #[must_use]
    pub fn without_first(&self, count: u32) -> Self {
        let Some(at) = self.frames().nth(count as usize) else { return self.emptied() };
        self.last_from(at.range.start, self.count.saturating_sub(count) as usize)
    }

    /// The place of messages that are gone: a run of none.
    pub(crate) fn emptied(&self) -> Self {
        Self { frames: Bytes::new(), count: 0, largest: 0, expires_at: None, ..self.clone() }
    }

    /// The first `count` messages, and the others; the others alone if `count` is 0.
    #[must_use]
    pub fn split(&self, count: u32) -> (Option<Self>, Option<Self>) {
        let first = self.first(count);
        let at = first.as_ref().map_or(0, Self::len);
        let left = self.count.saturating_sub(first.as_ref().map_or(0, |first| first.count));
        let mut rest = self.clone();
        rest.frames = self.frames.slice(at..);
        rest.count = left;
        (first, Some(rest).filter(|_| left > 0))
    }

    /// One message of this run by itself.
    #[must_use]
    pub fn single(&self, frame: &Frame<'_>) -> Self {
        let frames = self.frame_bytes(frame);
        let largest = u32::try_from(frames.len()).unwrap_or(u32::MAX);
        Self { frames, count: 1, largest, ..self.clone() }
    }

    /// The messages from the packet that begins at `at`; there are `count` of them.
    pub(crate) fn last_from(&self, at: usize, count: usize) -> Self {
        let mut last = self.clone();
        last.frames = self.frames.slice(at.min(self.frames.len())..);
        last.count = u32::try_from(count).unwrap_or(u32::MAX);
        last
    }

    /// The same messages in another form, and at QoS 0 if `qos0` is set.
    ///
    /// Done once for all receivers that want it. Messages that do not fit the other form (a packet
    /// at the protocol's limit that grows) are left out; the count tells.
    #[must_use]
    pub fn converted(&self, wire: Wire, qos0: bool) -> Self {
        let qos = if qos0 { QoS::AtMostOnce } else { self.qos };
        if (wire, qos) == (self.wire, self.qos) {
            return self.clone();
        }
        let mut out = BytesMut::with_capacity(self.frames.len() + self.count as usize);
        let (mut count, mut largest) = (0, 0);
        for Frame { mut publish, .. } in self.frames() {
            publish.dup = false;
            publish.qos = qos;
            if qos0 {
                publish.packet_id = None;
            }
            let before = out.len();
            if publish.encode(&[], wire.version(), &mut out).is_ok() {
                count += 1;
                largest = largest.max(out.len() - before);
            }
        }
        let largest = u32::try_from(largest).unwrap_or(u32::MAX);
        Self { frames: out.freeze(), wire, qos, count, largest, ..self.clone() }
    }
}

/// The messages of a run, in order.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    wire: Wire,
    at: usize,
}

impl Frames<'_> {
    /// Starts at a packet's place instead of the first.
    #[must_use]
    pub(crate) const fn starting_at(mut self, at: usize) -> Self {
        self.at = at;
        self
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        // The packets were checked when the run was made, so an error here is the end.
        let rest = self.bytes.get(self.at..)?;
        let header = frame::peek(rest, u32::MAX).ok()??;
        let body = rest.get(header.header_len..header.total_len())?;
        let publish = RawPublish::split(header.first, body, self.wire.version()).ok()?;
        let range = self.at..self.at + header.total_len();
        self.at = range.end;
        Some(Frame { range, publish })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, qos: QoS) -> Run {
        Run::from_message(&MessageParts {
            topic,
            payload: b"payload",
            properties: &[],
            qos,
            retain: false,
            packet_id: PacketId::new(7),
            expires_at: None,
        })
        .unwrap()
    }

    #[test]
    fn a_message_comes_back_as_it_went_in() {
        let run = message("a/b", QoS::AtLeastOnce);
        assert_eq!((run.topic(), &*run.payload(), run.count()), ("a/b", &b"payload"[..], 1));
        assert_eq!(run.frames().next().unwrap().publish.packet_id, PacketId::new(7));
    }

    #[test]
    fn another_form_has_the_same_messages() {
        let run = message("a/b", QoS::AtLeastOnce);
        let v3 = run.converted(Wire::V3, true);
        assert_eq!((v3.wire(), v3.qos(), v3.topic()), (Wire::V3, QoS::AtMostOnce, "a/b"));
        // Neither the packet identifier nor the empty property block is left.
        assert_eq!(v3.len(), run.len() - 3);
        assert_eq!(v3.converted(Wire::V5, false).payload(), run.payload());
    }

    #[test]
    fn the_first_of_several() {
        let one = message("a", QoS::AtMostOnce);
        let frames = Bytes::from([&one.bytes()[..], one.bytes(), one.bytes()].concat());
        let three = Run::from_checked(frames, Wire::V5, QoS::AtMostOnce, false, 3, one.largest());
        let two = three.first(2).unwrap();
        assert_eq!((two.count(), two.frames().count(), two.len()), (2, 2, 2 * one.len()));
        assert!(three.first(0).is_none());
    }
}
