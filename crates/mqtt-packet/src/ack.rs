//! PUBACK, PUBREC, PUBREL and PUBCOMP: one layout (sections 3.4 to 3.7).

use bytes::BytesMut;
use nom::number::complete::be_u8;

use crate::{
    DecodeError, DecodeErrorKind, EncodeError, PacketId, PacketType, ReasonCode, UserProperties,
    Version,
    parse::{self, Parsed, fail},
    property::Owner,
    property_set::property_set,
    sink::{self, Body, Sink},
};

/// A step in the delivery of a QoS 1 or 2 message. The packet type stands beside it.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Ack<'a> {
    /// The identifier of the PUBLISH [MQTT-2.2.1-5].
    pub packet_id: PacketId,
    /// How it went; 3.1 and 3.1.1 have no place for it.
    pub reason: ReasonCode,
    /// The properties; empty before 5.0.
    pub properties: AckProperties<'a>,
}

property_set! {
    /// The properties of PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK.
    pub struct AckProperties {
        /// The reason, for people to read.
        reason_string: &'a str = ReasonString,
        ;
        /// Names and values for people.
        user_properties: UserProperties = UserProperty,
    }
}

impl<'a> Ack<'a> {
    /// An answer with this reason and without properties.
    #[must_use]
    pub fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self { packet_id, reason, properties: AckProperties::default() }
    }

    /// Reads the body of the acknowledgement that the first byte announces.
    ///
    /// # Errors
    ///
    /// What breaks the format, a reason that the packet cannot have, a first byte of
    /// something else.
    #[inline]
    pub fn parse(first: u8, body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let packet_type = PacketType::from_first_byte(first).filter(|t| t.is_ack());
        let Some(packet_type) = packet_type else {
            let kind = DecodeErrorKind::UnknownPacketType { number: first >> 4 };
            return Err(DecodeError { kind, offset: 0 });
        };
        packet_type.check_first(first, version)?;
        // Nearly all of them are an identifier and nothing else.
        if let [high, low] = *body
            && let Some(id) = PacketId::new(u16::from_be_bytes([high, low]))
        {
            return Ok(Self::new(id, ReasonCode::SUCCESS));
        }
        parse::whole(body, |input| ack(input, packet_type, version))
    }

    /// Writes the packet as `packet_type` in its shortest form.
    ///
    /// # Errors
    ///
    /// A type that is none of the four, a reason that it cannot have, a property that does not
    /// fit; then nothing is written.
    pub fn encode(
        &self,
        packet_type: PacketType,
        version: Version,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        sink::encode(packet_type.first_byte(), &(packet_type, *self), version, out)
    }

    /// The length of the whole packet in bytes.
    ///
    /// # Errors
    ///
    /// As [`Ack::encode`].
    pub fn encoded_len(
        &self,
        packet_type: PacketType,
        version: Version,
    ) -> Result<usize, EncodeError> {
        sink::encoded_len(&(packet_type, *self), version)
    }
}

/// Writes an acknowledgement without properties: four bytes, or five in 5.0 where the reason is
/// not success.
///
/// `packet_type` is one of the four and can have the reason; that is for the caller to know, and
/// checked in debug builds only.
#[inline]
pub fn encode_short(
    packet_type: PacketType,
    packet_id: PacketId,
    reason: ReasonCode,
    version: Version,
    out: &mut BytesMut,
) {
    debug_assert!(packet_type.is_ack());
    debug_assert!(reason.allowed_in(packet_type));
    let first = packet_type.first_byte();
    let [high, low] = packet_id.get().to_be_bytes();
    if reason == ReasonCode::SUCCESS || !version.is_v5() {
        out.extend_from_slice(&[first, 2, high, low]);
    } else {
        out.extend_from_slice(&[first, 3, high, low, reason.0]);
    }
}

fn ack(input: &[u8], packet_type: PacketType, version: Version) -> Parsed<'_, Ack<'_>> {
    let (input, packet_id) = parse::packet_id(input)?;
    if input.is_empty() || !version.is_v5() {
        return Ok((input, Ack::new(packet_id, ReasonCode::SUCCESS)));
    }
    let (input, reason) = reason(input, packet_type)?;
    if input.is_empty() {
        return Ok((input, Ack::new(packet_id, reason)));
    }
    let (input, block) = parse::property_block(input)?;
    let properties = AckProperties::read(block, owner(packet_type))?;
    Ok((input, Ack { packet_id, reason, properties }))
}

/// A reason code that this type can have, with the statement that says so.
pub(crate) fn reason(input: &[u8], packet: PacketType) -> Parsed<'_, ReasonCode> {
    let (rest, code) = be_u8(input)?;
    if ReasonCode(code).allowed_in(packet) {
        Ok((rest, ReasonCode(code)))
    } else {
        fail(DecodeErrorKind::ReasonNotAllowed { packet, code }, input)
    }
}

fn owner(packet_type: PacketType) -> Owner {
    match packet_type {
        PacketType::PubRec => Owner::PubRec,
        PacketType::PubRel => Owner::PubRel,
        PacketType::PubComp => Owner::PubComp,
        _ => Owner::PubAck,
    }
}

impl Body for (PacketType, Ack<'_>) {
    fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        let (packet, Ack { packet_id, reason, properties }) = *self;
        if !packet.is_ack() {
            return Err(EncodeError::WrongPacketType { packet, version });
        }
        if !reason.allowed_in(packet) {
            return Err(EncodeError::ReasonNotAllowed { packet, reason });
        }
        out.two_bytes(packet_id.get());
        let bare = properties.is_empty();
        if !version.is_v5() || (bare && reason == ReasonCode::SUCCESS) {
            return Ok(());
        }
        out.byte(reason.0);
        if bare { Ok(()) } else { sink::property_block(&properties, version, out) }
    }
}
