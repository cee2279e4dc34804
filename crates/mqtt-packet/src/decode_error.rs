//! What can be wrong with bytes that came in.

use std::fmt;

use thiserror::Error;

use crate::{
    PacketType, ReasonCode,
    property::{Owner, PropertyId},
};

/// Bytes that are not a packet: what is wrong, and where.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// Where, in bytes from the start of the packet's body; for [`frame::peek`] from the
    /// start of the frame, for a property block on its own from the start of the block.
    ///
    /// [`frame::peek`]: crate::frame::peek
    pub offset: usize,
}

impl DecodeError {
    /// The reason code to answer with in MQTT 5.0; see [`DecodeErrorKind::reason`].
    #[must_use]
    pub const fn reason(&self) -> ReasonCode {
        self.kind.reason()
    }

    /// The statement that was broken; see [`DecodeErrorKind::statement`].
    #[must_use]
    pub const fn statement(&self) -> &'static str {
        self.kind.statement()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, at byte {}", self.kind, self.offset)
    }
}

impl std::error::Error for DecodeError {}

/// What is wrong with a packet.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The remaining length, or another variable byte integer, has more than four bytes.
    #[error("variable byte integer of more than four bytes")]
    VarintTooLong,
    /// The remaining length, or another variable byte integer, could be shorter.
    #[error("variable byte integer not in its shortest form")]
    VarintNotShortest,
    /// The packet is larger than permitted.
    #[error("packet of {len} bytes where {max} are permitted")]
    PacketTooLarge {
        /// The length of the whole packet in bytes, as its header claims.
        len: u32,
        /// The limit in bytes.
        max: u32,
    },
    /// The packet type is reserved: 0 always, 15 before 5.0.
    #[error("packet type {number} does not exist")]
    UnknownPacketType {
        /// The upper half of the first byte.
        number: u8,
    },
    /// The lower half of the first byte is not what this type demands.
    #[error("wrong flags in the first byte of {packet}")]
    ReservedFlags {
        /// The type of the packet.
        packet: PacketType,
    },
    /// A field runs past the end of the packet or of its block.
    #[error("field runs past the end")]
    Truncated,
    /// Bytes are left over behind the last field.
    #[error("bytes left over behind the last field")]
    TrailingBytes,
    /// A text field is not UTF-8.
    #[error("text is not UTF-8")]
    InvalidUtf8,
    /// A text field holds U+0000.
    #[error("text holds U+0000")]
    NullCharacter,
    /// A packet identifier is zero.
    #[error("packet identifier is zero")]
    PacketIdZero,
    /// CONNECT names another protocol.
    #[error("unsupported protocol name")]
    UnsupportedProtocolName,
    /// CONNECT has a level that does not go with its protocol name.
    #[error("unsupported protocol level {level}")]
    UnsupportedProtocolLevel {
        /// The level that was asked for.
        level: u8,
    },
    /// Bit 0 of the connect flags is set.
    #[error("reserved connect flag is set")]
    ReservedConnectFlag,
    /// The will's QoS is 3.
    #[error("will QoS is 3")]
    WillQosInvalid,
    /// Will QoS bits are set without the will flag.
    #[error("will QoS without a will")]
    WillQosWithoutWill,
    /// Will retain is set without the will flag.
    #[error("will retain without a will")]
    WillRetainWithoutWill,
    /// 3.1 and 3.1.1: a password flag without the user name flag.
    #[error("password without a user name")]
    PasswordWithoutUserName,
    /// Bits 7 to 1 of the acknowledge flags of CONNACK are not zero.
    #[error("reserved connect acknowledge flags are set")]
    ReservedConnAckFlags,
    /// PUBLISH has QoS 3.
    #[error("PUBLISH with QoS 3")]
    QosInvalid,
    /// PUBLISH has DUP at QoS 0.
    #[error("DUP set at QoS 0")]
    DupAtQos0,
    /// A topic is empty where that can never be: in 3.1 and 3.1.1, and in a will.
    #[error("empty topic")]
    EmptyTopic,
    /// 5.0: a topic is empty and no alias stands in for it.
    #[error("empty topic without a topic alias")]
    EmptyTopicWithoutAlias,
    /// SUBSCRIBE or UNSUBSCRIBE without a filter.
    #[error("{packet} without a topic filter")]
    NoFilters {
        /// The type of the packet.
        packet: PacketType,
    },
    /// SUBACK or UNSUBACK without a reason code.
    #[error("{packet} without a reason code")]
    NoReasons {
        /// The type of the packet.
        packet: PacketType,
    },
    /// Reserved bits of the subscription options are set; in 3.1 and 3.1.1 also QoS 3.
    #[error("reserved subscription option bits are set")]
    ReservedSubscriptionOptions,
    /// 5.0: a subscription asks for QoS 3.
    #[error("subscription with QoS 3")]
    SubscriptionQosInvalid,
    /// 5.0: a subscription has Retain Handling 3.
    #[error("retain handling 3")]
    RetainHandlingInvalid,
    /// A reason code, or return code, that this packet type cannot have.
    #[error("reason {code:#04x} is not for {packet}")]
    ReasonNotAllowed {
        /// The type of the packet.
        packet: PacketType,
        /// The byte that stood there.
        code: u8,
    },
    /// A property identifier that does not exist.
    #[error("property {id:#04x} does not exist")]
    UnknownProperty {
        /// The number that stood there.
        id: u32,
    },
    /// A property that has no place in this packet.
    #[error("{id} is not for {owner}")]
    ForeignProperty {
        /// The property.
        id: PropertyId,
        /// Where it stood.
        owner: Owner,
    },
    /// A property that may stand once stands twice.
    #[error("{id} given twice")]
    DuplicateProperty {
        /// The property.
        id: PropertyId,
        /// Where it stood.
        owner: Owner,
    },
    /// A property has a value that it cannot have.
    #[error("{id} has a value out of range")]
    PropertyOutOfRange {
        /// The property.
        id: PropertyId,
        /// Where it stood; `None` if the block was read on its own.
        owner: Option<Owner>,
    },
    /// CONNECT has authentication data, but no method.
    #[error("authentication data without a method")]
    AuthenticationDataWithoutMethod,
    /// AUTH has no authentication method.
    #[error("AUTH without an authentication method")]
    AuthenticationMethodMissing,
}

impl DecodeErrorKind {
    /// The reason code to answer with in MQTT 5.0: 0x81 where the bytes break the format, 0x82
    /// where a value breaks a rule, and the particular ones where the standard names them.
    /// In 3.1 and 3.1.1 every kind means to close, the unsupported ones after a CONNACK.
    #[must_use]
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::VarintTooLong
            | Self::VarintNotShortest
            | Self::UnknownPacketType { .. }
            | Self::ReservedFlags { .. }
            | Self::Truncated
            | Self::TrailingBytes
            | Self::InvalidUtf8
            | Self::NullCharacter
            | Self::ReservedConnectFlag
            | Self::WillQosInvalid
            | Self::WillQosWithoutWill
            | Self::WillRetainWithoutWill
            | Self::PasswordWithoutUserName
            | Self::ReservedConnAckFlags
            | Self::QosInvalid
            | Self::DupAtQos0
            | Self::EmptyTopic
            | Self::ReservedSubscriptionOptions
            | Self::UnknownProperty { .. }
            | Self::ForeignProperty { .. } => ReasonCode::MALFORMED_PACKET,
            Self::PacketIdZero
            | Self::EmptyTopicWithoutAlias
            | Self::NoFilters { .. }
            | Self::NoReasons { .. }
            | Self::SubscriptionQosInvalid
            | Self::RetainHandlingInvalid
            | Self::ReasonNotAllowed { .. }
            | Self::DuplicateProperty { .. }
            | Self::AuthenticationDataWithoutMethod
            | Self::AuthenticationMethodMissing => ReasonCode::PROTOCOL_ERROR,
            Self::PropertyOutOfRange { id: PropertyId::TopicAlias, .. } => {
                ReasonCode::TOPIC_ALIAS_INVALID
            }
            Self::PropertyOutOfRange { .. } => ReasonCode::PROTOCOL_ERROR,
            Self::PacketTooLarge { .. } => ReasonCode::PACKET_TOO_LARGE,
            Self::UnsupportedProtocolName | Self::UnsupportedProtocolLevel { .. } => {
                ReasonCode::UNSUPPORTED_PROTOCOL_VERSION
            }
        }
    }

    /// The id of the statement that was broken: of MQTT 5.0 where it has one, of 3.1.1 for
    /// what 5.0 permits (a password alone), and `U5-nnn` for the rules of 5.0 that carry no
    /// number. Where only the general rule applies (malformed, so close) it is
    /// `MQTT-4.13.1-1`.
    #[must_use]
    pub const fn statement(self) -> &'static str {
        match self {
            Self::VarintTooLong => "U5-003",
            Self::VarintNotShortest => "MQTT-1.5.5-1",
            Self::PacketTooLarge { .. } => "U5-033",
            Self::UnknownPacketType { .. } | Self::Truncated | Self::TrailingBytes => GENERAL,
            Self::ReservedFlags { packet } => flags_statement(packet),
            Self::InvalidUtf8 => "MQTT-1.5.4-1",
            Self::NullCharacter => "MQTT-1.5.4-2",
            Self::PacketIdZero => "MQTT-2.2.1-3",
            Self::UnsupportedProtocolName => "MQTT-3.1.2-1",
            Self::UnsupportedProtocolLevel { .. } => "MQTT-3.1.2-2",
            Self::ReservedConnectFlag => "MQTT-3.1.2-3",
            Self::WillQosInvalid => "MQTT-3.1.2-12",
            Self::WillQosWithoutWill => "MQTT-3.1.2-11",
            Self::WillRetainWithoutWill => "MQTT-3.1.2-13",
            Self::PasswordWithoutUserName => "MQTT-3.1.2-22",
            Self::ReservedConnAckFlags => "MQTT-3.2.2-1",
            Self::QosInvalid => "MQTT-3.3.1-4",
            Self::DupAtQos0 => "MQTT-3.3.1-2",
            Self::EmptyTopic => "MQTT-4.7.3-1",
            Self::EmptyTopicWithoutAlias => "U5-049",
            Self::NoFilters { packet: PacketType::Unsubscribe } => "MQTT-3.10.3-2",
            Self::NoFilters { .. } => "MQTT-3.8.3-2",
            Self::NoReasons { packet: PacketType::UnsubAck } => "MQTT-3.11.3-1",
            Self::NoReasons { .. } => "MQTT-3.8.4-6",
            Self::ReservedSubscriptionOptions => "MQTT-3.8.3-5",
            Self::SubscriptionQosInvalid => "U5-066",
            Self::RetainHandlingInvalid => "U5-067",
            Self::ReasonNotAllowed { packet, .. } => reason_statement(packet),
            Self::UnknownProperty { .. } | Self::ForeignProperty { .. } => "U5-006",
            Self::DuplicateProperty { id, owner } => property_statement(id, owner),
            Self::PropertyOutOfRange { id, owner } => range_statement(id, owner),
            Self::AuthenticationDataWithoutMethod => "U5-018",
            Self::AuthenticationMethodMissing => "U5-076",
        }
    }
}

/// A malformed packet, or a protocol error, closes the connection.
const GENERAL: &str = "MQTT-4.13.1-1";

const fn flags_statement(packet: PacketType) -> &'static str {
    match packet {
        PacketType::PubRel => "MQTT-3.6.1-1",
        PacketType::Subscribe => "MQTT-3.8.1-1",
        PacketType::Unsubscribe => "MQTT-3.10.1-1",
        PacketType::Disconnect => "MQTT-3.14.1-1",
        PacketType::Auth => "MQTT-3.15.1-1",
        _ => "MQTT-2.1.3-1",
    }
}

const fn reason_statement(packet: PacketType) -> &'static str {
    match packet {
        PacketType::ConnAck => "MQTT-3.2.2-8",
        PacketType::PubAck => "MQTT-3.4.2-1",
        PacketType::PubRec => "MQTT-3.5.2-1",
        PacketType::PubRel => "MQTT-3.6.2-1",
        PacketType::PubComp => "MQTT-3.7.2-1",
        PacketType::SubAck => "MQTT-3.9.3-2",
        PacketType::UnsubAck => "MQTT-3.11.3-2",
        PacketType::Disconnect => "MQTT-3.14.2-1",
        PacketType::Auth => "MQTT-3.15.2-1",
        _ => GENERAL,
    }
}

const fn range_statement(id: PropertyId, owner: Option<Owner>) -> &'static str {
    match (id, owner) {
        (PropertyId::TopicAlias, _) => "MQTT-3.3.2-8",
        (PropertyId::ResponseTopic, _) => "MQTT-3.3.2-14",
        (_, Some(owner)) => property_statement(id, owner),
        (_, None) => GENERAL,
    }
}

/// The rule of 5.0 that speaks of this property in this place; most demand both that it
/// stands once and that its value is in range.
const fn property_statement(id: PropertyId, owner: Owner) -> &'static str {
    use PropertyId as P;

    match (owner, id) {
        (Owner::Connect, P::SessionExpiryInterval) => "U5-009",
        (Owner::Connect, P::ReceiveMaximum) => "U5-010",
        (Owner::Connect, P::MaximumPacketSize) => "U5-011",
        (Owner::Connect, P::TopicAliasMaximum) => "U5-013",
        (Owner::Connect, P::RequestResponseInformation) => "U5-014",
        (Owner::Connect, P::RequestProblemInformation) => "U5-015",
        (Owner::Connect, P::AuthenticationMethod) => "U5-017",
        (Owner::Connect, P::AuthenticationData) => "U5-018",
        (Owner::Will, P::WillDelayInterval) => "U5-019",
        (Owner::Will, P::PayloadFormatIndicator) => "U5-020",
        (Owner::Will, P::MessageExpiryInterval) => "U5-021",
        (Owner::Will, P::ContentType) => "U5-022",
        (Owner::Will, P::ResponseTopic) => "U5-023",
        (Owner::Will, P::CorrelationData) => "U5-024",
        (Owner::ConnAck, P::SessionExpiryInterval) => "U5-026",
        (Owner::ConnAck, P::ReceiveMaximum) => "U5-027",
        (Owner::ConnAck, P::MaximumQos) => "U5-028",
        (Owner::ConnAck, P::RetainAvailable) => "U5-030",
        (Owner::ConnAck, P::MaximumPacketSize) => "U5-032",
        (Owner::ConnAck, P::AssignedClientIdentifier) => "U5-034",
        (Owner::ConnAck, P::TopicAliasMaximum) => "U5-035",
        (Owner::ConnAck, P::ReasonString) => "U5-036",
        (Owner::ConnAck, P::WildcardSubscriptionAvailable) => "U5-037",
        (Owner::ConnAck, P::SubscriptionIdentifierAvailable) => "U5-039",
        (Owner::ConnAck, P::SharedSubscriptionAvailable) => "U5-041",
        (Owner::ConnAck, P::ServerKeepAlive) => "U5-043",
        (Owner::ConnAck, P::ResponseInformation) => "U5-044",
        (Owner::ConnAck, P::ServerReference) => "U5-045",
        (Owner::ConnAck, P::AuthenticationMethod) => "U5-046",
        (Owner::ConnAck, P::AuthenticationData) => "U5-047",
        (Owner::Publish, P::TopicAlias) => "U5-051",
        (Owner::Publish, P::ResponseTopic) => "U5-052",
        (Owner::Publish, P::CorrelationData) => "U5-053",
        (Owner::Publish, P::SubscriptionIdentifier) => "U5-054",
        (Owner::Publish, P::ContentType) => "U5-055",
        (Owner::PubAck, P::ReasonString) => "U5-060",
        (Owner::PubRec, P::ReasonString) => "U5-061",
        (Owner::PubRel, P::ReasonString) => "U5-062",
        (Owner::PubComp, P::ReasonString) => "U5-063",
        (Owner::Subscribe, P::SubscriptionIdentifier) => "U5-064",
        (Owner::SubAck, P::ReasonString) => "U5-068",
        (Owner::UnsubAck, P::ReasonString) => "U5-070",
        (Owner::Disconnect, P::SessionExpiryInterval) => "U5-071",
        (Owner::Disconnect, P::ReasonString) => "U5-073",
        (Owner::Disconnect, P::ServerReference) => "U5-074",
        (Owner::Auth, P::AuthenticationMethod) => "U5-076",
        (Owner::Auth, P::AuthenticationData) => "U5-077",
        (Owner::Auth, P::ReasonString) => "U5-078",
        _ => GENERAL,
    }
}
