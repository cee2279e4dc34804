//! DISCONNECT: the last packet of a connection (section 3.14).

use bytes::BytesMut;

use crate::{
    DecodeError, EncodeError, PacketType, ReasonCode, UserProperties, Version,
    ack::reason,
    parse::{self, Parsed},
    property::Owner,
    property_set::property_set,
    sink::{self, Body, Sink},
};

/// A DISCONNECT. Before 5.0 it has neither reason nor properties.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub struct Disconnect<'a> {
    /// Why the connection ends.
    pub reason: ReasonCode,
    /// The properties; empty before 5.0.
    pub properties: DisconnectProperties<'a>,
}

property_set! {
    /// The properties of a DISCONNECT (section 3.14.2.2).
    pub struct DisconnectProperties {
        /// How long the session outlives the connection, in seconds; not from a server
        /// [MQTT-3.14.2-2].
        session_expiry_interval: u32 = SessionExpiryInterval,
        /// The reason, for people to read.
        reason_string: &'a str = ReasonString,
        /// Another server to use.
        server_reference: &'a str = ServerReference,
        ;
        /// Names and values for people.
        user_properties: UserProperties = UserProperty,
    }
}

impl<'a> Disconnect<'a> {
    /// An end for this reason, without properties.
    #[must_use]
    pub fn new(reason: ReasonCode) -> Self {
        Self { reason, properties: DisconnectProperties::default() }
    }

    /// Reads the body of a DISCONNECT.
    ///
    /// # Errors
    ///
    /// What breaks the format, a reason that DISCONNECT cannot have [MQTT-3.14.2-1].
    pub fn parse(first: u8, body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        PacketType::Disconnect.check_first(first, version)?;
        parse::whole(body, |input| disconnect(input, version))
    }

    /// Writes the packet in its shortest form; before 5.0 without reason and properties.
    ///
    /// # Errors
    ///
    /// In 5.0 a reason that DISCONNECT cannot have, a property that does not fit; then
    /// nothing is written.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        sink::encode(PacketType::Disconnect.first_byte(), self, version, out)
    }

    /// The length of the whole packet in bytes.
    ///
    /// # Errors
    ///
    /// As [`Disconnect::encode`].
    pub fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        sink::encoded_len(self, version)
    }
}

fn disconnect(input: &[u8], version: Version) -> Parsed<'_, Disconnect<'_>> {
    if input.is_empty() || !version.is_v5() {
        return Ok((input, Disconnect::default()));
    }
    let (input, reason) = reason(input, PacketType::Disconnect)?;
    if input.is_empty() {
        return Ok((input, Disconnect::new(reason)));
    }
    let (input, block) = parse::property_block(input)?;
    let properties = DisconnectProperties::read(block, Owner::Disconnect)?;
    Ok((input, Disconnect { reason, properties }))
}

impl Body for Disconnect<'_> {
    fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        let (packet, reason) = (PacketType::Disconnect, self.reason);
        let bare = self.properties.is_empty();
        if !version.is_v5() || (bare && reason == ReasonCode::NORMAL_DISCONNECTION) {
            return Ok(());
        }
        if !reason.allowed_in(packet) {
            return Err(EncodeError::ReasonNotAllowed { packet, reason });
        }
        out.byte(reason.0);
        if bare { Ok(()) } else { sink::property_block(&self.properties, version, out) }
    }
}
