//! UNSUBACK: the server answers UNSUBSCRIBE (section 3.11).

use bytes::BytesMut;

use crate::{
    AckProperties, DecodeError, EncodeError, PacketId, PacketType, ReasonCode, Version,
    parse::{self, Parsed},
    property::Owner,
    sink::{self, Body, Sink},
    suback::reasons,
};

/// An UNSUBACK.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct UnsubAck<'a> {
    /// The identifier of the UNSUBSCRIBE [MQTT-3.10.4-5].
    pub packet_id: PacketId,
    /// The properties; empty before 5.0.
    pub properties: AckProperties<'a>,
    /// One reason code for each filter, in the order of the filters [MQTT-3.11.3-1]. Before
    /// 5.0 there are none: they are not written, and empty when read.
    pub reasons: &'a [u8],
}

impl<'a> UnsubAck<'a> {
    /// Reads the body of an UNSUBACK.
    ///
    /// # Errors
    ///
    /// What breaks the format, a reason that UNSUBACK cannot have [MQTT-3.11.3-2].
    pub fn parse(first: u8, body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        PacketType::UnsubAck.check_first(first, version)?;
        parse::whole(body, |input| unsuback(input, version))
    }

    /// Writes the packet.
    ///
    /// # Errors
    ///
    /// In 5.0 a reason that UNSUBACK cannot have, none at all, a property that does not fit;
    /// then nothing is written.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        sink::encode(PacketType::UnsubAck.first_byte(), self, version, out)
    }

    /// The length of the whole packet in bytes.
    ///
    /// # Errors
    ///
    /// As [`UnsubAck::encode`].
    pub fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        sink::encoded_len(self, version)
    }

    /// The reason codes, in order.
    pub fn reason_codes(&self) -> impl ExactSizeIterator<Item = ReasonCode> + use<'a> {
        self.reasons.iter().map(|&code| ReasonCode(code))
    }
}

fn unsuback(input: &[u8], version: Version) -> Parsed<'_, UnsubAck<'_>> {
    let (input, packet_id) = parse::packet_id(input)?;
    if !version.is_v5() {
        let properties = AckProperties::default();
        return Ok((input, UnsubAck { packet_id, properties, reasons: &[] }));
    }
    let (input, block) = parse::property_block(input)?;
    let properties = AckProperties::read(block, Owner::UnsubAck)?;
    let allowed = |code| ReasonCode(code).allowed_in(PacketType::UnsubAck);
    let (rest, reasons) = reasons(input, PacketType::UnsubAck, allowed)?;
    Ok((rest, UnsubAck { packet_id, properties, reasons }))
}

impl Body for UnsubAck<'_> {
    fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        out.two_bytes(self.packet_id.get());
        if !version.is_v5() {
            return Ok(());
        }
        if self.reasons.is_empty() {
            return Err(EncodeError::Missing { field: "reason code" });
        }
        let packet = PacketType::UnsubAck;
        if let Some(reason) = self.reason_codes().find(|reason| !reason.allowed_in(packet)) {
            return Err(EncodeError::ReasonNotAllowed { packet, reason });
        }
        sink::property_block(&self.properties, version, out)?;
        out.bytes(self.reasons);
        Ok(())
    }
}
