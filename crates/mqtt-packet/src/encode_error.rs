//! What a caller can get wrong.

use thiserror::Error;

use crate::{PacketType, ReasonCode, Version};

/// A packet that cannot be written. Nothing is ever cut or wrapped to fit; whoever gets this
/// asked for a packet that its receiver would refuse. The output is as it was before.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A text or binary field is longer than its length field can say [MQTT-4.7.3-3].
    #[error("{field} has {len} bytes where 65535 are possible")]
    StringTooLong {
        /// The name of the field.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// The packet is longer than its remaining length can say, 268,435,455 bytes.
    #[error("packet with a body of {len} bytes where 268435455 are possible")]
    PacketTooLarge {
        /// The length of the body in bytes.
        len: usize,
    },
    /// A text field holds U+0000 [MQTT-1.5.4-2].
    #[error("{field} holds U+0000")]
    NullCharacter {
        /// The name of the field.
        field: &'static str,
    },
    /// A field has a value that it cannot have.
    #[error("{field} has a value out of range")]
    OutOfRange {
        /// The name of the field.
        field: &'static str,
    },
    /// A field that must be there is not, or is empty where it must not be.
    #[error("{field} is missing")]
    Missing {
        /// The name of the field.
        field: &'static str,
    },
    /// A field is there that must not be.
    #[error("{field} has no place here")]
    Unexpected {
        /// The name of the field.
        field: &'static str,
    },
    /// The reason code cannot stand in this packet type.
    #[error("{reason} is not for {packet}")]
    ReasonNotAllowed {
        /// The type of the packet.
        packet: PacketType,
        /// The reason code.
        reason: ReasonCode,
    },
    /// This packet type does not exist in this version, or not as this struct.
    #[error("{packet} cannot be written so in {version}")]
    WrongPacketType {
        /// The type of the packet.
        packet: PacketType,
        /// The version to write.
        version: Version,
    },
}
