//! What the tests share: hex, framing, generated properties.

use mqtt_packet::{
    DecodeError, Packet, PacketId, Version, frame,
    property::{Owner, PropertyId},
};

/// Bytes from hex digits; blanks do not count, and `78*200` is 0x78 two hundred times.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().flat_map(group).collect()
}

fn group(group: &str) -> Vec<u8> {
    match group.split_once('*') {
        Some((byte, times)) => digits(byte).repeat(times.parse().unwrap()),
        None => digits(group),
    }
}

fn digits(text: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(byte).collect()
}

pub(crate) fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

/// First byte and body of a whole packet.
pub(crate) fn body_of(packet: &[u8]) -> (u8, &[u8]) {
    let header = frame::peek(packet, u32::MAX).unwrap().unwrap();
    assert_eq!(header.total_len(), packet.len(), "frame of {packet:02X?}");
    (header.first, &packet[header.header_len..])
}

/// Frame and packet in one step, as a connection takes them.
pub(crate) fn parse(packet: &[u8], version: Version) -> Result<Packet<'_>, DecodeError> {
    let header = frame::peek(packet, u32::MAX)?.expect("a whole header");
    assert_eq!(header.total_len(), packet.len(), "frame of {packet:02X?}");
    Packet::parse(header.first, &packet[header.header_len..], version)
}

/// A whole packet of 5.0 in which this property block stands.
pub(crate) fn packet_with(owner: Owner, block: &[u8]) -> Vec<u8> {
    let block = [&[u8::try_from(block.len()).unwrap()], block].concat();
    let (first, before, after): (u8, &[u8], &[u8]) = match owner {
        Owner::Connect => (0x10, b"\0\x04MQTT\x05\x02\0\x3C", b"\0\x01a"),
        Owner::Will => (0x10, b"\0\x04MQTT\x05\x06\0\x3C\0\0\x01a", b"\0\x01t\0\0"),
        Owner::ConnAck => (0x20, &[0, 0], &[]),
        Owner::Publish => (0x30, b"\0\x01t", b"payload"),
        Owner::PubAck => (0x40, &[0, 1, 0], &[]),
        Owner::PubRec => (0x50, &[0, 1, 0], &[]),
        Owner::PubRel => (0x62, &[0, 1, 0], &[]),
        Owner::PubComp => (0x70, &[0, 1, 0], &[]),
        Owner::Subscribe => (0x82, &[0, 1], b"\0\x01f\0"),
        Owner::SubAck => (0x90, &[0, 1], &[0]),
        Owner::Unsubscribe => (0xA2, &[0, 1], b"\0\x01f"),
        Owner::UnsubAck => (0xB0, &[0, 1], &[0]),
        Owner::Disconnect => (0xE0, &[0], &[]),
        Owner::Auth => (0xF0, &[0x18], &[]),
    };
    let body = [before, &block, after].concat();
    [&[first, u8::try_from(body.len()).unwrap()], &body[..]].concat()
}

/// The property with a value that is good for it.
pub(crate) fn property(id: PropertyId) -> Vec<u8> {
    use PropertyId as P;

    let value: &[u8] = match id {
        P::PayloadFormatIndicator
        | P::RequestProblemInformation
        | P::RequestResponseInformation
        | P::MaximumQos
        | P::RetainAvailable
        | P::WildcardSubscriptionAvailable
        | P::SubscriptionIdentifierAvailable
        | P::SharedSubscriptionAvailable
        | P::SubscriptionIdentifier => &[1],
        P::ServerKeepAlive | P::ReceiveMaximum | P::TopicAliasMaximum | P::TopicAlias => &[0, 1],
        P::MessageExpiryInterval
        | P::SessionExpiryInterval
        | P::WillDelayInterval
        | P::MaximumPacketSize => &[0, 0, 0, 1],
        P::UserProperty => b"\0\x01k\0\x01v",
        P::ContentType
        | P::ResponseTopic
        | P::CorrelationData
        | P::AssignedClientIdentifier
        | P::AuthenticationMethod
        | P::AuthenticationData
        | P::ResponseInformation
        | P::ServerReference
        | P::ReasonString => b"\0\x01x",
    };
    [&[id as u8], value].concat()
}
