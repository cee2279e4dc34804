//! SUBACK: the server answers SUBSCRIBE (section 3.9).

use bytes::BytesMut;

use crate::{
    AckProperties, DecodeError, DecodeErrorKind, EncodeError, PacketId, PacketType, ReasonCode,
    Version,
    parse::{self, Parsed, fail},
    property::Owner,
    sink::{self, Body, Sink},
};

/// A SUBACK.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct SubAck<'a> {
    /// The identifier of the SUBSCRIBE [MQTT-3.8.4-2].
    pub packet_id: PacketId,
    /// The properties; empty before 5.0.
    pub properties: AckProperties<'a>,
    /// One reason code for each filter, in the order of the filters [MQTT-3.9.3-1]: the
    /// granted QoS or an error. Before 5.0 every error is written as 0x80; whether to show
    /// it to a client of 3.1, which knows none (D31-06), is for the server to choose.
    pub reasons: &'a [u8],
}

impl<'a> SubAck<'a> {
    /// Reads the body of a SUBACK.
    ///
    /// # Errors
    ///
    /// What breaks the format, a reason that SUBACK cannot have [MQTT-3.9.3-2].
    pub fn parse(first: u8, body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        PacketType::SubAck.check_first(first, version)?;
        parse::whole(body, |input| suback(input, version))
    }

    /// Writes the packet.
    ///
    /// # Errors
    ///
    /// A reason that SUBACK cannot have, none at all, a property that does not fit; then
    /// nothing is written.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        sink::encode(PacketType::SubAck.first_byte(), self, version, out)
    }

    /// The length of the whole packet in bytes.
    ///
    /// # Errors
    ///
    /// As [`SubAck::encode`].
    pub fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        sink::encoded_len(self, version)
    }

    /// The reason codes, in order.
    pub fn reason_codes(&self) -> impl ExactSizeIterator<Item = ReasonCode> + use<'a> {
        self.reasons.iter().map(|&code| ReasonCode(code))
    }
}

fn suback(input: &[u8], version: Version) -> Parsed<'_, SubAck<'_>> {
    let (input, packet_id) = parse::packet_id(input)?;
    let (input, properties) = if version.is_v5() {
        let (rest, block) = parse::property_block(input)?;
        (rest, AckProperties::read(block, Owner::SubAck)?)
    } else {
        (input, AckProperties::default())
    };
    let (rest, reasons) = reasons(input, PacketType::SubAck, |code| allowed(code, version))?;
    Ok((rest, SubAck { packet_id, properties, reasons }))
}

/// Everything that is left, as reason codes of which each is allowed.
pub(crate) fn reasons(
    input: &[u8],
    packet: PacketType,
    allowed: impl Fn(u8) -> bool,
) -> Parsed<'_, &[u8]> {
    if input.is_empty() {
        return fail(DecodeErrorKind::NoReasons { packet }, input);
    }
    let bad = input.iter().enumerate().find(|&(_, &code)| !allowed(code));
    match bad {
        Some((i, &code)) => {
            let at = input.get(i..).unwrap_or(input);
            fail(DecodeErrorKind::ReasonNotAllowed { packet, code }, at)
        }
        None => parse::remainder(input),
    }
}

/// 3.1.1 knows three grants and one failure.
fn allowed(code: u8, version: Version) -> bool {
    if version.is_v5() {
        ReasonCode(code).allowed_in(PacketType::SubAck)
    } else {
        matches!(code, 0..=2 | 0x80)
    }
}

impl Body for SubAck<'_> {
    fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        if self.reasons.is_empty() {
            return Err(EncodeError::Missing { field: "reason code" });
        }
        out.two_bytes(self.packet_id.get());
        sink::property_block(&self.properties, version, out)?;
        for reason in self.reason_codes() {
            let packet = PacketType::SubAck;
            if !reason.allowed_in(packet) {
                return Err(EncodeError::ReasonNotAllowed { packet, reason });
            }
            let failed = reason.is_error() && !version.is_v5();
            out.byte(if failed { ReasonCode::UNSPECIFIED_ERROR.0 } else { reason.0 });
        }
        Ok(())
    }
}
