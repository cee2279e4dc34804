//! The packet identifier of a PUBLISH, read and written where it stands.
//!
//! A message of QoS 1 or 2 that goes on in the form in which it came differs from what its publisher
//! sent in its flags and its identifier, and in nothing else. So a run of them is copied whole, and
//! each gets its own with [`write()`].
//!
//! Both functions look at the beginning of `packets`, which has been checked before: what they answer
//! `None` to is no whole PUBLISH of QoS 1 or 2.

use crate::{PacketId, QoS, frame, publish};

/// The identifier of the first packet, and the length of that packet in bytes.
#[must_use]
#[inline]
pub fn read(packets: &[u8]) -> Option<(PacketId, usize)> {
    let (at, len) = place(packets)?;
    let id = packets.get(at..at + 2)?.first_chunk()?;
    Some((PacketId::new(u16::from_be_bytes(*id))?, len))
}

/// Gives the first packet another identifier and other flags, with DUP 0 [MQTT-3.3.1-3]; answers the
/// length of that packet in bytes.
#[inline]
pub fn write(packets: &mut [u8], qos: QoS, retain: bool, id: PacketId) -> Option<usize> {
    let (at, len) = place(packets)?;
    packets.get_mut(at..at + 2)?.copy_from_slice(&id.get().to_be_bytes());
    *packets.first_mut()? = publish::first_byte(false, qos, retain);
    Some(len)
}

/// Where the identifier of the first packet stands, and the length of the packet.
#[inline]
fn place(packets: &[u8]) -> Option<(usize, usize)> {
    let header = frame::peek(packets, u32::MAX).ok()??;
    let len = header.total_len();
    let topic_len = packets.get(header.header_len..)?.first_chunk()?;
    let at = header.header_len + 2 + usize::from(u16::from_be_bytes(*topic_len));
    let has_id = header.first & 0b0110 != 0 && len <= packets.len() && at + 2 <= len;
    has_id.then_some((at, len))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::{RawPublish, Version};

    fn publish(qos: QoS, id: Option<u16>, payload: &[u8]) -> RawPublish<'_> {
        let packet_id = id.and_then(PacketId::new);
        let (dup, retain, topic, properties) = (false, false, &b"a/b"[..], &[][..]);
        RawPublish { dup, qos, retain, packet_id, topic, properties, payload }
    }

    fn encoded(publish: RawPublish<'_>, version: Version) -> BytesMut {
        let mut packet = BytesMut::new();
        publish.encode(&[], version, &mut packet).unwrap();
        packet
    }

    #[test]
    fn what_is_written_in_place_is_what_an_encoder_writes() {
        for version in [Version::V311, Version::V5] {
            for payload in [&b""[..], b"payload", &[b'x'; 200]] {
                let came = publish(QoS::ExactlyOnce, Some(7), payload);
                let mut packets = encoded(RawPublish { dup: true, ..came }, version);
                let len = packets.len();
                packets.extend_from_slice(&[0xC0, 0]);
                assert_eq!(read(&packets), Some((PacketId::new(7).unwrap(), len)));
                let id = PacketId::new(0x1234).unwrap();
                assert_eq!(write(&mut packets, QoS::AtLeastOnce, true, id), Some(len));
                let goes = publish(QoS::AtLeastOnce, Some(0x1234), payload);
                let expected = encoded(RawPublish { retain: true, ..goes }, version);
                assert_eq!(packets[..len], expected);
                assert_eq!(packets[len..], [0xC0, 0]);
            }
        }
    }

    #[test]
    fn what_has_no_identifier_is_left_alone() {
        let without = encoded(publish(QoS::AtMostOnce, None, b"payload"), Version::V311);
        let whole = encoded(publish(QoS::AtLeastOnce, Some(7), b"payload"), Version::V311);
        let id = PacketId::new(9).unwrap();
        let bad =
            [&without[..], &whole[..whole.len() - 1], &whole[..3], &[], &[0x32, 3, 0, 1, b'a']];
        for bytes in bad {
            let mut packets = bytes.to_vec();
            assert_eq!(read(&packets), None, "{bytes:?}");
            assert_eq!(write(&mut packets, QoS::AtLeastOnce, false, id), None);
            assert_eq!(packets, bytes);
        }
    }
}
