//! MQTT 3.1, 3.1.1 and 5.0 packets: bytes to packets and back, without state.

pub mod ack;
mod auth;
mod connack;
mod connect;
mod decode_error;
mod disconnect;
mod encode_error;
pub mod frame;
mod packet;
mod packet_id;
mod packet_type;
mod parse;
pub mod property;
mod property_set;
mod property_value;
mod publish;
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
