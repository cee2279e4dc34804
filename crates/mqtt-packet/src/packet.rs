//! All packets in one type.

use bytes::BytesMut;

use crate::{
    Ack, Auth, ConnAck, Connect, DecodeError, DecodeErrorKind, Disconnect, EncodeError, PacketType,
    Publish, SubAck, Subscribe, UnsubAck, Unsubscribe, Version, parse, sink::Sink,
};

/// A packet of any type, borrowed from the bytes that it was parsed from.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
#[expect(missing_docs, reason = "each is the packet of that name")]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    ConnAck(ConnAck<'a>),
    Publish(Publish<'a>),
    PubAck(Ack<'a>),
    PubRec(Ack<'a>),
    PubRel(Ack<'a>),
    PubComp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    SubAck(SubAck<'a>),
    Unsubscribe(Unsubscribe<'a>),
    UnsubAck(UnsubAck<'a>),
    PingReq,
    PingResp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Reads a packet from its first byte and its whole body, as [`frame::peek`] tells them
    /// apart. A CONNECT is read in the version that it names itself.
    ///
    /// Packets of both directions are read; who may send what is not looked at.
    ///
    /// # Errors
    ///
    /// What breaks the format; bytes left over behind the last field.
    ///
    /// [`frame::peek`]: crate::frame::peek
    pub fn parse(first: u8, body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let Some(packet_type) = PacketType::from_first_byte(first) else {
            let kind = DecodeErrorKind::UnknownPacketType { number: 0 };
            return Err(DecodeError { kind, offset: 0 });
        };
        Ok(match packet_type {
            PacketType::Connect => Self::Connect(Connect::parse(first, body)?),
            PacketType::ConnAck => Self::ConnAck(ConnAck::parse(first, body, version)?),
            PacketType::Publish => Self::Publish(Publish::parse(first, body, version)?),
            PacketType::PubAck => Self::PubAck(Ack::parse(first, body, version)?),
            PacketType::PubRec => Self::PubRec(Ack::parse(first, body, version)?),
            PacketType::PubRel => Self::PubRel(Ack::parse(first, body, version)?),
            PacketType::PubComp => Self::PubComp(Ack::parse(first, body, version)?),
            PacketType::Subscribe => Self::Subscribe(Subscribe::parse(first, body, version)?),
            PacketType::SubAck => Self::SubAck(SubAck::parse(first, body, version)?),
            PacketType::Unsubscribe => Self::Unsubscribe(Unsubscribe::parse(first, body, version)?),
            PacketType::UnsubAck => Self::UnsubAck(UnsubAck::parse(first, body, version)?),
            PacketType::PingReq => {
                ping(packet_type, first, body, version)?;
                Self::PingReq
            }
            PacketType::PingResp => {
                ping(packet_type, first, body, version)?;
                Self::PingResp
            }
            PacketType::Disconnect => Self::Disconnect(Disconnect::parse(first, body, version)?),
            PacketType::Auth => Self::Auth(Auth::parse(first, body, version)?),
        })
    }

    /// Writes the packet; a CONNECT in its own version.
    ///
    /// # Errors
    ///
    /// A packet that its receiver would refuse; then nothing is written.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        match self {
            Self::Connect(connect) => connect.encode(out),
            Self::ConnAck(connack) => connack.encode(version, out),
            Self::Publish(publish) => publish.encode(version, out),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.encode(self.packet_type(), version, out)
            }
            Self::Subscribe(subscribe) => subscribe.encode(version, out),
            Self::SubAck(suback) => suback.encode(version, out),
            Self::Unsubscribe(unsubscribe) => unsubscribe.encode(version, out),
            Self::UnsubAck(unsuback) => unsuback.encode(version, out),
            Self::PingReq | Self::PingResp => {
                out.bytes(&[self.packet_type().first_byte(), 0]);
                Ok(())
            }
            Self::Disconnect(disconnect) => disconnect.encode(version, out),
            Self::Auth(auth) => auth.encode(version, out),
        }
    }

    /// The length of the whole packet in bytes.
    ///
    /// # Errors
    ///
    /// As [`Packet::encode`].
    pub fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        match self {
            Self::Connect(connect) => connect.encoded_len(),
            Self::ConnAck(connack) => connack.encoded_len(version),
            Self::Publish(publish) => publish.encoded_len(version),
            Self::PubAck(ack) | Self::PubRec(ack) | Self::PubRel(ack) | Self::PubComp(ack) => {
                ack.encoded_len(self.packet_type(), version)
            }
            Self::Subscribe(subscribe) => subscribe.encoded_len(version),
            Self::SubAck(suback) => suback.encoded_len(version),
            Self::Unsubscribe(unsubscribe) => unsubscribe.encoded_len(version),
            Self::UnsubAck(unsuback) => unsuback.encoded_len(version),
            Self::PingReq | Self::PingResp => Ok(2),
            Self::Disconnect(disconnect) => disconnect.encoded_len(version),
            Self::Auth(auth) => auth.encoded_len(version),
        }
    }

    /// The packet's type.
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }
}

/// PINGREQ and PINGRESP (sections 3.12 and 3.13): no body.
fn ping(
    packet_type: PacketType,
    first: u8,
    body: &[u8],
    version: Version,
) -> Result<(), DecodeError> {
    packet_type.check_first(first, version)?;
    parse::whole(body, |input| Ok((input, ())))
}
