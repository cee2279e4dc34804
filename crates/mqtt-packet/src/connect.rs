//! CONNECT: a client asks for a connection (section 3.1).

use bytes::BytesMut;
use nom::number::complete::{be_u8, be_u16};

use crate::{
    DecodeError, DecodeErrorKind, EncodeError, PacketType, QoS, UserProperties, Version, Will,
    WillProperties,
    parse::{self, Parsed, fail, plain},
    property::Owner,
    property_set::property_set,
    sink::{self, Body, Sink},
};

/// A CONNECT.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Connect<'a> {
    /// The version that the client speaks.
    pub version: Version,
    /// Clean Start; in 3.1 and 3.1.1 Clean Session.
    pub clean_start: bool,
    /// The longest silence in seconds before the server gives the client up at one and a
    /// half times this; 0 is for ever.
    pub keep_alive_secs: u16,
    /// The client identifier; may be empty.
    pub client_id: &'a str,
    /// What to publish when the connection ends without DISCONNECT.
    pub will: Option<Will<'a>>,
    /// The user name.
    pub user_name: Option<&'a str>,
    /// The password: any bytes.
    pub password: Option<&'a [u8]>,
    /// The properties; empty before 5.0.
    pub properties: ConnectProperties<'a>,
}

property_set! {
    /// The properties of a CONNECT (section 3.1.2.11).
    pub struct ConnectProperties {
        /// How long the session outlives the connection, in seconds; `u32::MAX` is for ever.
        session_expiry_interval: u32 = SessionExpiryInterval,
        /// How many QoS 1 and 2 messages the client takes at once; not 0.
        receive_maximum: u16 = ReceiveMaximum,
        /// The largest packet in bytes that the client takes; not 0.
        maximum_packet_size: u32 = MaximumPacketSize,
        /// The highest topic alias that the client takes.
        topic_alias_maximum: u16 = TopicAliasMaximum,
        /// Whether the client asks for response information in CONNACK.
        request_response_information: bool = RequestResponseInformation,
        /// Whether the client takes reason strings and user properties on failures.
        request_problem_information: bool = RequestProblemInformation,
        /// The method of an enhanced authentication.
        authentication_method: &'a str = AuthenticationMethod,
        /// Its first data; only with a method.
        authentication_data: &'a [u8] = AuthenticationData,
        ;
        /// Names and values for the application.
        user_properties: UserProperties = UserProperty,
    }
}

impl<'a> Connect<'a> {
    /// Reads the body of a CONNECT; the version stands in it.
    ///
    /// A client of 3.1 may set the reserved flag (D31-08), and may announce a user name or a
    /// password and leave it out (D31-09).
    ///
    /// # Errors
    ///
    /// What breaks the format [MQTT-3.1.4-1], and protocols that are not supported.
    pub fn parse(first: u8, body: &'a [u8]) -> Result<Self, DecodeError> {
        // No version is lenient about the flags of CONNECT.
        PacketType::Connect.check_first(first, Version::V5)?;
        parse::whole(body, connect)
    }

    /// What version the peer speaks, readable even where the rest of the packet is bad: it
    /// lets the server choose the form of its refusal.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::UnsupportedProtocolName`] [MQTT-3.1.2-1],
    /// [`DecodeErrorKind::UnsupportedProtocolLevel`] [MQTT-3.1.2-2], or a body that ends
    /// before the level.
    pub fn peek_version(body: &[u8]) -> Result<Version, DecodeError> {
        match plain(version(body)) {
            Ok((_, version)) => Ok(version),
            Err(fault) => Err(fault.within(body)),
        }
    }

    /// Whether the peer says that it is a bridge: bit 7 of the protocol level, which is in no
    /// standard and which bridges of mosquitto set in 3.1 and 3.1.1 (D31-02). The packet means what
    /// it means without, and a [`Connect`] does not keep it.
    #[must_use]
    pub fn is_from_bridge(body: &[u8]) -> bool {
        let level = plain(parse::binary(body)).ok().and_then(|(rest, _)| rest.first());
        level.is_some_and(|level| level & BRIDGE != 0)
    }

    /// Writes the packet in its own [`Connect::version`].
    ///
    /// # Errors
    ///
    /// A field that does not fit or has no place in the version; then nothing is written.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        sink::encode(PacketType::Connect.first_byte(), self, self.version, out)
    }

    /// The length of the whole packet in bytes.
    ///
    /// # Errors
    ///
    /// As [`Connect::encode`].
    pub fn encoded_len(&self) -> Result<usize, EncodeError> {
        sink::encoded_len(self, self.version)
    }
}

/// The connect flags (section 3.1.2.3).
#[derive(Copy, Clone)]
struct Flags(u8);

impl Flags {
    const RESERVED: u8 = 0x01;
    const CLEAN_START: u8 = 0x02;
    const WILL: u8 = 0x04;
    const WILL_QOS: u8 = 0x18;
    const WILL_RETAIN: u8 = 0x20;
    const PASSWORD: u8 = 0x40;
    const USER_NAME: u8 = 0x80;

    const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    const fn will_qos(self) -> Option<QoS> {
        QoS::from_bits((self.0 & Self::WILL_QOS) >> 3)
    }

    /// What is wrong with them, if anything.
    fn fault(self, version: Version) -> Option<DecodeErrorKind> {
        if self.has(Self::RESERVED) && version != Version::V31 {
            Some(DecodeErrorKind::ReservedConnectFlag)
        } else if self.has(Self::WILL) && self.will_qos().is_none() {
            Some(DecodeErrorKind::WillQosInvalid)
        } else if !self.has(Self::WILL) && self.has(Self::WILL_QOS) {
            Some(DecodeErrorKind::WillQosWithoutWill)
        } else if !self.has(Self::WILL) && self.has(Self::WILL_RETAIN) {
            Some(DecodeErrorKind::WillRetainWithoutWill)
        } else if !version.is_v5() && self.has(Self::PASSWORD) && !self.has(Self::USER_NAME) {
            Some(DecodeErrorKind::PasswordWithoutUserName)
        } else {
            None
        }
    }
}

fn connect(input: &[u8]) -> Parsed<'_, Connect<'_>> {
    let (input, version) = version(input)?;
    let (input, flags) = flags(input, version)?;
    let (input, keep_alive_secs) = be_u16(input)?;
    let (input, properties) = properties(input, version)?;
    let (input, client_id) = parse::text(input)?;
    let (input, will) = will(input, flags, version)?;
    let (input, user_name) = credential(input, flags.has(Flags::USER_NAME), version, parse::text)?;
    let (input, password) = credential(input, flags.has(Flags::PASSWORD), version, parse::binary)?;
    let connect = Connect {
        version,
        clean_start: flags.has(Flags::CLEAN_START),
        keep_alive_secs,
        client_id,
        will,
        user_name,
        password,
        properties,
    };
    Ok((input, connect))
}

/// The bit of the protocol level that a bridge sets.
const BRIDGE: u8 = 0x80;

/// Protocol name and level (sections 3.1.2.1 and 3.1.2.2): only the three pairs that exist, and
/// the older two of them with the bit of a bridge.
fn version(input: &[u8]) -> Parsed<'_, Version> {
    let (rest, name) = parse::binary(input)?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return fail(DecodeErrorKind::UnsupportedProtocolName, input);
    }
    let (after, level) = be_u8(rest)?;
    let known = Version::ALL.into_iter().find(|v| {
        let is_level = v.level() == level || (!v.is_v5() && v.level() | BRIDGE == level);
        v.protocol_name().as_bytes() == name && is_level
    });
    match known {
        Some(version) => Ok((after, version)),
        None => fail(DecodeErrorKind::UnsupportedProtocolLevel { level }, rest),
    }
}

fn flags(input: &[u8], version: Version) -> Parsed<'_, Flags> {
    let (rest, flags) = be_u8(input)?;
    match Flags(flags).fault(version) {
        Some(kind) => fail(kind, input),
        None => Ok((rest, Flags(flags))),
    }
}

fn properties(input: &[u8], version: Version) -> Parsed<'_, ConnectProperties<'_>> {
    if !version.is_v5() {
        return Ok((input, ConnectProperties::default()));
    }
    let (rest, block) = parse::property_block(input)?;
    let properties = ConnectProperties::read(block, Owner::Connect)?;
    if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
        return fail(DecodeErrorKind::AuthenticationDataWithoutMethod, block);
    }
    Ok((rest, properties))
}

fn will(input: &[u8], flags: Flags, version: Version) -> Parsed<'_, Option<Will<'_>>> {
    if !flags.has(Flags::WILL) {
        return Ok((input, None));
    }
    let (input, properties) = if version.is_v5() {
        let (rest, block) = parse::property_block(input)?;
        (rest, WillProperties::read(block, Owner::Will)?)
    } else {
        (input, WillProperties::default())
    };
    let (rest, topic) = parse::text(input)?;
    if topic.is_empty() {
        return fail(DecodeErrorKind::EmptyTopic, input);
    }
    let (rest, payload) = parse::binary(rest)?;
    let will = Will {
        qos: flags.will_qos().unwrap_or_default(),
        retain: flags.has(Flags::WILL_RETAIN),
        topic,
        payload,
        properties,
    };
    Ok((rest, Some(will)))
}

/// User name or password. 3.1 lets the remaining length win over the flag (D31-09).
fn credential<'a, T>(
    input: &'a [u8],
    announced: bool,
    version: Version,
    field: impl FnOnce(&'a [u8]) -> Parsed<'a, T>,
) -> Parsed<'a, Option<T>> {
    let left_out = version == Version::V31 && input.is_empty();
    if !announced || left_out {
        return Ok((input, None));
    }
    let (rest, value) = field(input)?;
    Ok((rest, Some(value)))
}

impl Connect<'_> {
    fn flags(&self) -> Flags {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let will = self.will.map_or(0, |will| {
            Flags::WILL | (will.qos.bits() << 3) | flag(will.retain, Flags::WILL_RETAIN)
        });
        Flags(
            flag(self.clean_start, Flags::CLEAN_START)
                | will
                | flag(self.password.is_some(), Flags::PASSWORD)
                | flag(self.user_name.is_some(), Flags::USER_NAME),
        )
    }

    /// What a server would refuse.
    fn check(&self) -> Result<(), EncodeError> {
        let properties = &self.properties;
        if !self.version.is_v5() && self.password.is_some() && self.user_name.is_none() {
            return Err(EncodeError::Missing { field: "user name" });
        }
        if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
            return Err(EncodeError::Missing { field: "Authentication Method" });
        }
        if self.will.is_some_and(|will| will.topic.is_empty()) {
            return Err(EncodeError::Missing { field: "will topic" });
        }
        Ok(())
    }
}

impl Body for Connect<'_> {
    fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        self.check()?;
        out.text("protocol name", version.protocol_name())?;
        out.byte(version.level());
        out.byte(self.flags().0);
        out.two_bytes(self.keep_alive_secs);
        sink::property_block(&self.properties, version, out)?;
        out.text("client identifier", self.client_id)?;
        if let Some(will) = &self.will {
            sink::property_block(&will.properties, version, out)?;
            out.text("will topic", will.topic)?;
            out.binary("will payload", will.payload)?;
        }
        if let Some(user_name) = self.user_name {
            out.text("user name", user_name)?;
        }
        if let Some(password) = self.password {
            out.binary("password", password)?;
        }
        Ok(())
    }
}
