//! AUTH: a step of an enhanced authentication (section 3.15); 5.0 alone has it.

use bytes::BytesMut;

use crate::{
    DecodeError, DecodeErrorKind, EncodeError, PacketType, ReasonCode, UserProperties, Version,
    ack::reason,
    parse::{self, Parsed, fail},
    property::Owner,
    property_set::property_set,
    sink::{self, Body, Sink},
};

/// An AUTH.
///
/// The standard has a form of no bytes for success without properties, and also makes it a
/// protocol error to leave the authentication method out (U5-076). So that form is refused
/// here, and never written.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Auth<'a> {
    /// Success, continue or re-authenticate [MQTT-3.15.2-1].
    pub reason: ReasonCode,
    /// The properties.
    pub properties: AuthProperties<'a>,
}

property_set! {
    /// The properties of an AUTH (section 3.15.2.2).
    pub struct AuthProperties {
        /// The method; always there once parsed, and needed to encode (U5-076).
        authentication_method: &'a str = AuthenticationMethod,
        /// What the method says.
        authentication_data: &'a [u8] = AuthenticationData,
        /// The reason, for people to read.
        reason_string: &'a str = ReasonString,
        ;
        /// Names and values for people.
        user_properties: UserProperties = UserProperty,
    }
}

impl<'a> Auth<'a> {
    /// Reads the body of an AUTH.
    ///
    /// # Errors
    ///
    /// What breaks the format, a reason that AUTH cannot have [MQTT-3.15.2-1], no method
    /// (U5-076), a version without AUTH.
    pub fn parse(first: u8, body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        if !version.is_v5() {
            let kind = DecodeErrorKind::UnknownPacketType { number: first >> 4 };
            return Err(DecodeError { kind, offset: 0 });
        }
        PacketType::Auth.check_first(first, version)?;
        parse::whole(body, auth)
    }

    /// Writes the packet.
    ///
    /// # Errors
    ///
    /// A version without AUTH, a reason that AUTH cannot have, no method, a property that does
    /// not fit; then nothing is written.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        sink::encode(PacketType::Auth.first_byte(), self, version, out)
    }

    /// The length of the whole packet in bytes.
    ///
    /// # Errors
    ///
    /// As [`Auth::encode`].
    pub fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        sink::encoded_len(self, version)
    }
}

fn auth(body: &[u8]) -> Parsed<'_, Auth<'_>> {
    if body.is_empty() {
        return fail(DecodeErrorKind::AuthenticationMethodMissing, body);
    }
    let (input, reason) = reason(body, PacketType::Auth)?;
    let (rest, block) = parse::property_block(input)?;
    let properties = AuthProperties::read(block, Owner::Auth)?;
    if properties.authentication_method.is_none() {
        return fail(DecodeErrorKind::AuthenticationMethodMissing, block);
    }
    Ok((rest, Auth { reason, properties }))
}

impl Body for Auth<'_> {
    fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        let (packet, reason) = (PacketType::Auth, self.reason);
        if !version.is_v5() {
            return Err(EncodeError::WrongPacketType { packet, version });
        }
        if !reason.allowed_in(packet) {
            return Err(EncodeError::ReasonNotAllowed { packet, reason });
        }
        if self.properties.authentication_method.is_none() {
            return Err(EncodeError::Missing { field: "Authentication Method" });
        }
        out.byte(reason.0);
        sink::property_block(&self.properties, version, out)
    }
}
