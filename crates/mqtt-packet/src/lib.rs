//! MQTT 3.1, 3.1.1 and 5.0 packets: bytes to packets and back, without state.
//!
//! A server and a client need the same codec, and neither should have to know what differs
//! on the wire between the versions; this crate is that codec, and has no clock, no thread and
//! no I/O.
//!
//! ```
//! use bytes::BytesMut;
//! use mqtt_packet::{Delivery, Packet, Publish, PublishProperties, RawPublish, Version, frame};
//!
//! // Write a packet.
//! let publish = Publish {
//!     dup: false,
//!     delivery: Delivery::AtMostOnce,
//!     retain: false,
//!     topic: "sport/tennis",
//!     properties: PublishProperties { content_type: Some("text"), ..Default::default() },
//!     payload: b"6:4",
//! };
//! let mut buffer = BytesMut::new();
//! publish.encode(Version::V5, &mut buffer)?;
//!
//! // Find where it ends, with a limit on its size; `None` would mean that bytes are missing.
//! let header = frame::peek(&buffer, 1_000_000)?.expect("a whole header");
//! let packet = buffer.split_to(header.total_len());
//! let (_, body) = packet.split_at(header.header_len);
//!
//! // Read it, whatever it is...
//! assert_eq!(Packet::parse(header.first, body, Version::V5)?, Packet::Publish(publish));
//!
//! // ...or only take a message apart, as a broker in a hurry does.
//! let raw = RawPublish::split(header.first, body, Version::V5)?;
//! assert_eq!((raw.topic, raw.payload), (&b"sport/tennis"[..], &b"6:4"[..]));
//!
//! // An error says what is wrong, where, what to answer, and which statement was broken.
//! let error = Packet::parse(0x82, &[0, 1, 0, 0, 1, b'a', 3], Version::V5).unwrap_err();
//! assert_eq!(error.to_string(), "subscription with QoS 3, at byte 6");
//! assert_eq!((error.reason().0, error.statement()), (0x82, "U5-066"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Rules
//! - Frame first: [`frame::peek`] decides from the header alone whether a packet is too large.
//!   Parsers then get a whole body, and take nothing but a whole body: a field past its end and
//!   a byte left over are both malformed.
//! - What is parsed borrows from the bytes; nothing is allocated.
//! - There is one struct for each packet, shaped by 5.0. In older versions properties are empty,
//!   and reasons are those that stand for their return codes. When such a version is written,
//!   what it cannot say is left out: properties, reasons of acknowledgements, options of
//!   subscriptions.
//! - A CONNECT carries its own [`Version`]. All other packets are read and written in the one
//!   that is handed in.
//! - Both directions are read, so that server and client share the code. Whether a packet may
//!   come at all, and from this peer, is for the layer above.
//! - Names and filters are checked as text: UTF-8 [MQTT-1.5.4-1] without U+0000
//!   [MQTT-1.5.4-2]. What wildcards and `$share` mean is for `mqtt-topics`. Response topics
//!   alone are looked through here [MQTT-3.3.2-14].
//! - Control characters and non-characters are let through, in every field alike (U5-002).
//! - An encoder refuses ([`EncodeError`]) what the parser of the receiver would refuse, and then
//!   writes nothing.
//! - 3.1 is read as mildly as its peers write it (D31-05, D31-07 to D31-09), but its text is
//!   UTF-8 as well (D31-13). A level may have the bit of a bridge (D31-02).
//!
//! # Limits
//! - A text or binary field has 65,535 bytes at most, a packet's body 268,435,455; nothing is
//!   ever cut to fit.
//! - The number of user properties, of filters and of reason codes is bounded by the size of
//!   the packet alone. Repeated ones are not collected: they are read from the bytes when they
//!   are asked for.
//! - Nothing in here recurses, and the time to read a packet is linear in its length.

pub mod ack;
mod auth;
mod connack;
mod connect;
mod decode_error;
mod disconnect;
mod encode_error;
mod filters;
pub mod frame;
mod packet;
mod packet_id;
mod packet_type;
mod parse;
pub mod property;
mod property_set;
mod property_value;
mod publish;
pub mod publish_id;
mod qos;
mod raw_publish;
mod reason_code;
mod sink;
mod suback;
mod subscribe;
mod subscription_identifiers;
mod subscription_options;
mod unsuback;
mod unsubscribe;
mod user_properties;
mod version;
mod will;
pub mod wire;

pub use crate::{
    ack::{Ack, AckProperties},
    auth::{Auth, AuthProperties},
    connack::{ConnAck, ConnAckProperties},
    connect::{Connect, ConnectProperties},
    decode_error::{DecodeError, DecodeErrorKind},
    disconnect::{Disconnect, DisconnectProperties},
    encode_error::EncodeError,
    filters::Filters,
    packet::Packet,
    packet_id::PacketId,
    packet_type::PacketType,
    publish::{Delivery, Publish, PublishProperties},
    qos::QoS,
    raw_publish::RawPublish,
    reason_code::ReasonCode,
    suback::SubAck,
    subscribe::{Subscribe, SubscribeFilters, SubscribeProperties},
    subscription_identifiers::SubscriptionIdentifiers,
    subscription_options::{RetainHandling, SubscriptionOptions},
    unsuback::UnsubAck,
    unsubscribe::{Unsubscribe, UnsubscribeFilters, UnsubscribeProperties},
    user_properties::UserProperties,
    version::Version,
    will::{Will, WillProperties},
};
