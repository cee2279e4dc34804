//! A PUBLISH split into its parts without looking into them: the hot path.

use bytes::BytesMut;

use crate::{
    DecodeError, DecodeErrorKind, EncodeError, PacketId, PacketType, Publish, QoS, Version, parse,
    publish,
    sink::Sink,
    wire::{remaining_length, varint_len},
};

/// The parts of a PUBLISH. The topic is not checked for UTF-8 and the properties are not
/// parsed: a broker that has seen the topic a moment ago needs neither.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct RawPublish<'a> {
    /// Whether this is a repetition.
    pub dup: bool,
    /// The level of delivery.
    pub qos: QoS,
    /// The RETAIN flag.
    pub retain: bool,
    /// The packet identifier; `None` exactly for QoS 0 [MQTT-2.2.1-2].
    pub packet_id: Option<PacketId>,
    /// The topic as it came in. Empty only in 5.0, if an alias is to stand in for it.
    pub topic: &'a [u8],
    /// The property block without its length; empty before 5.0.
    pub properties: &'a [u8],
    /// The message.
    pub payload: &'a [u8],
}

impl<'a> RawPublish<'a> {
    /// Splits the body of a PUBLISH. Only what is needed for that is checked: QoS bits
    /// [MQTT-3.3.1-4], DUP 0 at QoS 0 [MQTT-3.3.1-2], the packet identifier there and not
    /// zero, every length within the body; before 5.0 that the topic is not empty.
    ///
    /// # Errors
    ///
    /// One of these broken.
    #[inline]
    pub fn split(first: u8, body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let (dup, qos, retain) = flags(first)?;
        let (topic, rest) = topic(body)?;
        let (packet_id, rest) = match qos {
            QoS::AtMostOnce => (None, rest),
            _ => packet_id(rest, body)?,
        };
        let (properties, payload) = match version {
            Version::V5 => properties(rest, body)?,
            _ if topic.is_empty() => return Err(at(DecodeErrorKind::EmptyTopic, body, body)),
            _ => (&[][..], rest),
        };
        Ok(Self { dup, qos, retain, packet_id, topic, properties, payload })
    }

    /// Checks the rest: text, properties, and that a topic or an alias is there.
    ///
    /// # Errors
    ///
    /// What breaks the format. Offsets count from the start of the topic, or of the properties,
    /// respectively; [`Publish::parse`] counts them from the start of the body.
    pub fn check(self) -> Result<Publish<'a>, DecodeError> {
        self.check_parts().map_err(|(fault, part)| fault.within(part))
    }

    /// The length of the whole packet in bytes with `extra_len` bytes of properties more.
    ///
    /// # Errors
    ///
    /// A topic or a packet that is too long, a packet identifier missing or too many.
    #[inline]
    pub fn encoded_len(&self, extra_len: usize, version: Version) -> Result<usize, EncodeError> {
        let body_len = self.lens(extra_len, version)?.body;
        Ok(1 + varint_len(body_len) + body_len as usize)
    }

    /// Writes the packet with `extra`, properties already encoded, in front of its own;
    /// neither is written before 5.0.
    ///
    /// # Errors
    ///
    /// As [`RawPublish::encoded_len`], and DUP at QoS 0; then nothing is written.
    #[inline]
    pub fn encode(
        &self,
        extra: &[u8],
        version: Version,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        let lens = self.lens(extra.len(), version)?;
        out.reserve(MAX_HEADER_LEN + lens.body as usize);
        self.put_header(lens, extra, version, out)?;
        out.bytes(self.payload);
        Ok(())
    }

    /// Writes all but the payload, which is to follow from elsewhere.
    ///
    /// # Errors
    ///
    /// As [`RawPublish::encode`].
    #[inline]
    pub fn encode_header(
        &self,
        extra: &[u8],
        version: Version,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        let lens = self.lens(extra.len(), version)?;
        out.reserve(MAX_HEADER_LEN + lens.body as usize - self.payload.len());
        self.put_header(lens, extra, version, out)
    }
}

/// The longest fixed header in bytes.
const MAX_HEADER_LEN: usize = 5;

/// The lengths that a PUBLISH begins with, in bytes.
#[derive(Copy, Clone)]
struct Lens {
    body: u32,
    topic: u16,
    properties: u32,
}

impl RawPublish<'_> {
    #[inline]
    fn lens(&self, extra_len: usize, version: Version) -> Result<Lens, EncodeError> {
        let Ok(topic) = u16::try_from(self.topic.len()) else {
            return Err(EncodeError::StringTooLong { field: "topic", len: self.topic.len() });
        };
        let id_len = match (self.qos, self.packet_id) {
            (QoS::AtMostOnce, None) if !self.dup => 0,
            (QoS::AtMostOnce, None) => return Err(EncodeError::Unexpected { field: "DUP" }),
            (QoS::AtMostOnce, Some(_)) => {
                return Err(EncodeError::Unexpected { field: "packet identifier" });
            }
            (_, Some(_)) => 2,
            (_, None) => return Err(EncodeError::Missing { field: "packet identifier" }),
        };
        let (block_len, properties) = if version.is_v5() {
            let properties = remaining_length(self.properties.len().saturating_add(extra_len))?;
            (varint_len(properties) + properties as usize, properties)
        } else {
            (0, 0)
        };
        let head = 2 + self.topic.len() + id_len + block_len;
        let body = remaining_length(head.saturating_add(self.payload.len()))?;
        Ok(Lens { body, topic, properties })
    }

    #[inline]
    fn put_header(
        &self,
        lens: Lens,
        extra: &[u8],
        version: Version,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        let first = publish::first_byte(self.dup, self.qos, self.retain);
        let [high, low] = lens.topic.to_be_bytes();
        match u8::try_from(lens.body) {
            Ok(len @ 0..=0x7F) => out.bytes(&[first, len, high, low]),
            _ => {
                out.byte(first);
                out.varint("remaining length", lens.body)?;
                out.bytes(&[high, low]);
            }
        }
        out.bytes(self.topic);
        let id = self.packet_id.map(|id| id.get().to_be_bytes());
        match (id, version) {
            (None, Version::V5) => out.varint("property length", lens.properties)?,
            (None, _) => {}
            (Some(id), Version::V5) => {
                // One piece instead of two where the length has one byte, as it mostly has.
                match (id, u8::try_from(lens.properties)) {
                    ([high, low], Ok(len @ 0..=0x7F)) => out.bytes(&[high, low, len]),
                    _ => {
                        out.bytes(&id);
                        out.varint("property length", lens.properties)?;
                    }
                }
            }
            (Some(id), _) => out.bytes(&id),
        }
        if lens.properties != 0 {
            out.bytes(extra);
            out.bytes(self.properties);
        }
        Ok(())
    }
}

impl<'a> RawPublish<'a> {
    /// As [`RawPublish::check`]; a fault comes with the part that it lies in.
    pub(crate) fn check_parts(self) -> Result<Publish<'a>, (parse::Fault<'a>, &'a [u8])> {
        let topic = parse::utf8(self.topic).map_err(|fault| (fault, self.topic))?;
        let properties =
            publish::read_properties(self.properties).map_err(|fault| (fault, self.properties))?;
        if topic.is_empty() && properties.topic_alias.is_none() {
            let kind = DecodeErrorKind::EmptyTopicWithoutAlias;
            return Err((parse::Fault { kind, at: self.topic }, self.topic));
        }
        let delivery = publish::Delivery::new(self.qos, self.packet_id);
        let (dup, retain, payload) = (self.dup, self.retain, self.payload);
        Ok(Publish { dup, delivery, retain, topic, properties, payload })
    }
}

/// DUP, QoS and RETAIN (section 3.3.1).
#[inline]
fn flags(first: u8) -> Result<(bool, QoS, bool), DecodeError> {
    let dup = first & 0b1000 != 0;
    let retain = first & 0b0001 != 0;
    let kind = match (first >> 1) & 0b11 {
        _ if first >> 4 != PacketType::Publish as u8 => {
            DecodeErrorKind::ReservedFlags { packet: PacketType::Publish }
        }
        0 if dup => DecodeErrorKind::DupAtQos0,
        0 => return Ok((dup, QoS::AtMostOnce, retain)),
        1 => return Ok((dup, QoS::AtLeastOnce, retain)),
        2 => return Ok((dup, QoS::ExactlyOnce, retain)),
        _ => DecodeErrorKind::QosInvalid,
    };
    Err(DecodeError { kind, offset: 0 })
}

#[inline]
fn topic(body: &[u8]) -> Result<(&[u8], &[u8]), DecodeError> {
    match body.split_first_chunk() {
        Some((&len, rest)) => match rest.split_at_checked(usize::from(u16::from_be_bytes(len))) {
            Some(parts) => Ok(parts),
            None => Err(at(DecodeErrorKind::Truncated, rest, body)),
        },
        None => Err(at(DecodeErrorKind::Truncated, body, body)),
    }
}

#[inline]
fn packet_id<'a>(rest: &'a [u8], body: &[u8]) -> Result<(Option<PacketId>, &'a [u8]), DecodeError> {
    match rest.split_first_chunk() {
        Some((&id, after)) => match PacketId::new(u16::from_be_bytes(id)) {
            Some(id) => Ok((Some(id), after)),
            None => Err(at(DecodeErrorKind::PacketIdZero, rest, body)),
        },
        None => Err(at(DecodeErrorKind::Truncated, rest, body)),
    }
}

/// The property block and what follows it. Most blocks have a length of one byte.
#[inline]
fn properties<'a>(rest: &'a [u8], body: &[u8]) -> Result<(&'a [u8], &'a [u8]), DecodeError> {
    if let [len @ 0..=0x7F, after @ ..] = rest {
        return match after.split_at_checked(usize::from(*len)) {
            Some(parts) => Ok(parts),
            None => Err(at(DecodeErrorKind::Truncated, after, body)),
        };
    }
    let (payload, block) =
        parse::plain(parse::property_block(rest)).map_err(|fault| fault.within(body))?;
    Ok((block, payload))
}

#[cold]
fn at(kind: DecodeErrorKind, at: &[u8], body: &[u8]) -> DecodeError {
    parse::Fault { kind, at }.within(body)
}
