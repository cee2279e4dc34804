//! The fifteen control packet types and the flags of their first byte.

use std::fmt;

use crate::{DecodeError, DecodeErrorKind, Version};

/// A control packet type: the upper half of the first byte (section 2.1.2).
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
#[repr(u8)]
pub enum PacketType {
    /// Client asks for a connection.
    Connect = 1,
    /// Server answers CONNECT.
    ConnAck = 2,
    /// A message.
    Publish = 3,
    /// Answer to a QoS 1 PUBLISH.
    PubAck = 4,
    /// First answer to a QoS 2 PUBLISH.
    PubRec = 5,
    /// Answer to PUBREC.
    PubRel = 6,
    /// Answer to PUBREL: the last packet of a QoS 2 delivery.
    PubComp = 7,
    /// Client asks for subscriptions.
    Subscribe = 8,
    /// Server answers SUBSCRIBE.
    SubAck = 9,
    /// Client ends subscriptions.
    Unsubscribe = 10,
    /// Server answers UNSUBSCRIBE.
    UnsubAck = 11,
    /// Client shows that it is alive.
    PingReq = 12,
    /// Server answers PINGREQ.
    PingResp = 13,
    /// The last packet of a connection.
    Disconnect = 14,
    /// A step of an enhanced authentication; 5.0 alone has it.
    Auth = 15,
}

impl PacketType {
    /// All types in the order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::ConnAck,
        Self::Publish,
        Self::PubAck,
        Self::PubRec,
        Self::PubRel,
        Self::PubComp,
        Self::Subscribe,
        Self::SubAck,
        Self::Unsubscribe,
        Self::UnsubAck,
        Self::PingReq,
        Self::PingResp,
        Self::Disconnect,
        Self::Auth,
    ];

    /// The type that a first byte announces, or `None` for the reserved type 0.
    #[must_use]
    #[inline]
    pub const fn from_first_byte(first: u8) -> Option<Self> {
        Some(match first >> 4 {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The first byte of this type with its fixed flags [MQTT-2.1.3-1]; for PUBLISH, the
    /// first byte of a QoS 0 message without RETAIN.
    #[must_use]
    #[inline]
    pub const fn first_byte(self) -> u8 {
        let flags = match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        };
        ((self as u8) << 4) | flags
    }

    /// Whether this is PUBACK, PUBREC, PUBREL or PUBCOMP.
    #[must_use]
    #[inline]
    pub const fn is_ack(self) -> bool {
        matches!(self, Self::PubAck | Self::PubRec | Self::PubRel | Self::PubComp)
    }

    /// The name as the standard writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// Checks the first byte of a packet of this type, PUBLISH excepted [MQTT-2.1.3-1].
    #[inline]
    pub(crate) fn check_first(self, first: u8, version: Version) -> Result<(), DecodeError> {
        if first == self.first_byte() || self.is_resent_v31(first, version) {
            return Ok(());
        }
        Err(DecodeError { kind: DecodeErrorKind::ReservedFlags { packet: self }, offset: 0 })
    }

    /// 3.1 sends these three at QoS 1 and may therefore repeat them with DUP (D31-07).
    #[inline]
    fn is_resent_v31(self, first: u8, version: Version) -> bool {
        version == Version::V31
            && matches!(self, Self::PubRel | Self::Subscribe | Self::Unsubscribe)
            && first == self.first_byte() | 0b1000
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
