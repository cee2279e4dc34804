//! What a caller asks for and cannot have.

use mqtt_packet::{EncodeError, QoS, Version};
use mqtt_topics::TopicError;
use thiserror::Error;

/// A packet that is not sent, because the server would close the connection over it, or because it
/// cannot be written. Nothing was sent, and nothing has changed.
#[derive(Clone, Eq, PartialEq, Debug, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// There is no open connection.
    #[error("not connected")]
    NotConnected,
    /// The QoS is above the server's Maximum QoS [MQTT-3.2.2-11].
    #[error("the server takes no messages above {maximum}: publish with {maximum} or less")]
    QosNotSupported {
        /// The highest QoS that the server takes.
        maximum: QoS,
    },
    /// The server keeps no retained messages [MQTT-3.2.2-14].
    #[error("the server keeps no retained messages: publish without retain")]
    RetainNotSupported,
    /// The packet is above the server's Maximum Packet Size [MQTT-3.2.2-15].
    #[error("the packet has {len} bytes where the server takes {maximum}")]
    PacketTooLarge {
        /// The length of the packet, in bytes.
        len: usize,
        /// The server's Maximum Packet Size, in bytes.
        maximum: u32,
    },
    /// All 65,535 packet identifiers are in use.
    #[error("all packet identifiers are in use: wait for acknowledgements")]
    NoPacketIdentifier,
    /// A topic name or filter that is none.
    #[error("not a topic that can be used: {0}")]
    Topic(#[from] TopicError),
    /// Wildcards, but the server has none (U5-038).
    #[error("the server does not support wildcards in filters")]
    WildcardsNotSupported,
    /// `$share`, but the server has none (U5-042).
    #[error("the server does not support shared subscriptions")]
    SharedNotSupported,
    /// A Subscription Identifier, but the server has none (U5-040).
    #[error("the server does not support subscription identifiers")]
    IdentifiersNotSupported,
    /// No Local on a shared subscription [MQTT-3.8.3-4].
    #[error("a shared subscription cannot have No Local")]
    NoLocalShared,
    /// Something that the protocol version has no place for.
    #[error("{version} does not know {what}")]
    NotInVersion {
        /// What was asked for.
        what: &'static str,
        /// The version.
        version: Version,
    },
    /// No client identifier, where there has to be one ([MQTT-3.1.3-7] of 3.1.1, D31-04).
    #[error("this version needs a client identifier here: set one, or use a clean session")]
    ClientIdMissing,
    /// DISCONNECT raises a Session Expiry Interval of 0 (U5-072).
    #[error("a session expiry of 0 at connect cannot be raised at disconnect")]
    SessionExpiryRaised,
    /// AUTH without an authentication method in CONNECT [MQTT-4.12.0-7].
    #[error("no authentication method was given at connect")]
    NoAuthenticationMethod,
    /// A field that does not fit or is out of range.
    #[error("the packet cannot be written: {0}")]
    Encode(#[from] EncodeError),
}
