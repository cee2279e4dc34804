//! CONNACK: the server answers CONNECT (section 3.2).

use bytes::BytesMut;
use nom::number::complete::be_u8;

use crate::{
    DecodeError, DecodeErrorKind, EncodeError, PacketType, QoS, ReasonCode, UserProperties,
    Version,
    parse::{self, Parsed, fail},
    property::Owner,
    property_set::property_set,
    sink::{self, Body, Sink},
};

/// A CONNACK.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct ConnAck<'a> {
    /// Whether the server has a session for this client; 3.1 does not carry it (D31-05).
    pub session_present: bool,
    /// How the connection attempt ended. In 3.1 and 3.1.1 the nearest of six return codes is
    /// written ([`ReasonCode::connack_v3`]), and read as the reason that it stands for.
    pub reason: ReasonCode,
    /// The properties; empty before 5.0.
    pub properties: ConnAckProperties<'a>,
}

property_set! {
    /// The properties of a CONNACK (section 3.2.2.3).
    pub struct ConnAckProperties {
        /// How long the session will outlive the connection, in seconds, if not as asked.
        session_expiry_interval: u32 = SessionExpiryInterval,
        /// How many QoS 1 and 2 messages the server takes at once; not 0.
        receive_maximum: u16 = ReceiveMaximum,
        /// The highest QoS that the server takes, 0 or 1; absent if it is 2.
        maximum_qos: QoS = MaximumQos,
        /// Whether the server keeps retained messages.
        retain_available: bool = RetainAvailable,
        /// The largest packet in bytes that the server takes; not 0.
        maximum_packet_size: u32 = MaximumPacketSize,
        /// The identifier that the server gave a client without one.
        assigned_client_identifier: &'a str = AssignedClientIdentifier,
        /// The highest topic alias that the server takes.
        topic_alias_maximum: u16 = TopicAliasMaximum,
        /// The reason, for people to read.
        reason_string: &'a str = ReasonString,
        /// Whether the server knows wildcards in filters.
        wildcard_subscription_available: bool = WildcardSubscriptionAvailable,
        /// Whether the server knows subscription identifiers.
        subscription_identifier_available: bool = SubscriptionIdentifierAvailable,
        /// Whether the server knows shared subscriptions.
        shared_subscription_available: bool = SharedSubscriptionAvailable,
        /// The keep alive in seconds that the client must use instead of its own.
        server_keep_alive: u16 = ServerKeepAlive,
        /// A basis for response topics.
        response_information: &'a str = ResponseInformation,
        /// Another server to use.
        server_reference: &'a str = ServerReference,
        /// The method of an enhanced authentication.
        authentication_method: &'a str = AuthenticationMethod,
        /// Its last data.
        authentication_data: &'a [u8] = AuthenticationData,
        ;
        /// Names and values for people and the application.
        user_properties: UserProperties = UserProperty,
    }
}

impl<'a> ConnAck<'a> {
    /// An answer with this reason, without a session and without properties.
    #[must_use]
    pub fn new(reason: ReasonCode) -> Self {
        Self { session_present: false, reason, properties: ConnAckProperties::default() }
    }

    /// Reads the body of a CONNACK.
    ///
    /// # Errors
    ///
    /// What breaks the format, and a reason that CONNACK cannot have [MQTT-3.2.2-8].
    pub fn parse(first: u8, body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        PacketType::ConnAck.check_first(first, version)?;
        parse::whole(body, |input| connack(input, version))
    }

    /// Writes the packet.
    ///
    /// # Errors
    ///
    /// A reason or a value that CONNACK cannot have; then nothing is written.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        sink::encode(PacketType::ConnAck.first_byte(), self, version, out)
    }

    /// The length of the whole packet in bytes.
    ///
    /// # Errors
    ///
    /// As [`ConnAck::encode`].
    pub fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        sink::encoded_len(self, version)
    }
}

fn connack(input: &[u8], version: Version) -> Parsed<'_, ConnAck<'_>> {
    let (input, session_present) = acknowledge_flags(input, version)?;
    let (input, reason) = reason(input, version)?;
    if !version.is_v5() {
        let properties = ConnAckProperties::default();
        return Ok((input, ConnAck { session_present, reason, properties }));
    }
    let (input, block) = parse::property_block(input)?;
    let properties = ConnAckProperties::read(block, Owner::ConnAck)?;
    Ok((input, ConnAck { session_present, reason, properties }))
}

/// Session present is bit 0, the others are zero [MQTT-3.2.2-1]; 3.1 has no use for the byte.
fn acknowledge_flags(input: &[u8], version: Version) -> Parsed<'_, bool> {
    let (rest, flags) = be_u8(input)?;
    match (version, flags) {
        (Version::V31, _) | (_, 0) => Ok((rest, false)),
        (_, 1) => Ok((rest, true)),
        _ => fail(DecodeErrorKind::ReservedConnAckFlags, input),
    }
}

fn reason(input: &[u8], version: Version) -> Parsed<'_, ReasonCode> {
    let (rest, code) = be_u8(input)?;
    let reason = if version.is_v5() {
        Some(ReasonCode(code)).filter(|reason| reason.allowed_in(PacketType::ConnAck))
    } else {
        ReasonCode::from_connack_v3(code)
    };
    match reason {
        Some(reason) => Ok((rest, reason)),
        None => {
            fail(DecodeErrorKind::ReasonNotAllowed { packet: PacketType::ConnAck, code }, input)
        }
    }
}

impl Body for ConnAck<'_> {
    fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        let reason = self.reason;
        if !reason.allowed_in(PacketType::ConnAck) {
            return Err(EncodeError::ReasonNotAllowed { packet: PacketType::ConnAck, reason });
        }
        out.byte(u8::from(self.session_present && version != Version::V31));
        out.byte(if version.is_v5() { reason.0 } else { reason.connack_v3() });
        sink::property_block(&self.properties, version, out)
    }
}
