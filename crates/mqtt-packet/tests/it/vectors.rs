//! Packets as bytes and as values, both ways; the table is in `vector_table.rs`.

use bytes::BytesMut;
use mqtt_packet::{
    Connect, Packet, PacketType, Publish,
    Version::{self, V5, V31},
    frame,
};

use crate::{
    harness::{body_of, parse},
    vector_table::{Vector, vectors},
};

#[test]
fn every_vector_is_read() {
    for v in vectors() {
        assert_eq!(parse(&v.bytes, v.version), Ok(v.packet), "{v}");
    }
}

#[test]
fn every_vector_is_written() {
    for v in vectors() {
        let mut out = BytesMut::new();
        v.packet.encode(v.version, &mut out).unwrap();
        assert_eq!(out[..], v.bytes[..], "{v}");
        assert_eq!(v.packet.encoded_len(v.version), Ok(out.len()), "{v}");
    }
}

/// A19: cut anywhere, a packet asks for more, and never passes for a whole one.
#[test]
fn every_vector_cut_short_is_incomplete() {
    for v in vectors() {
        for len in 0..v.bytes.len() {
            let cut = &v.bytes[..len];
            let header = frame::peek(cut, u32::MAX).unwrap();
            assert!(header.is_none_or(|h| h.total_len() > len), "{v} cut to {len} bytes");
        }
    }
}

/// A10, A12 to A16: a body cut anywhere is an error, except that a payload may be shorter,
/// and that an optional tail may be missing.
#[test]
fn every_body_cut_short_is_malformed() {
    for v in vectors() {
        let (first, body) = body_of(&v.bytes);
        for len in 0..body.len() {
            match Packet::parse(first, &body[..len], v.version) {
                Err(e) => assert!(e.offset <= len, "{v} cut to {len} bytes: {e}"),
                Ok(packet) => assert!(may_be_cut_to(&v, len, &packet), "{v} cut to {len} bytes"),
            }
        }
    }
}

/// Whether a shorter body still is a packet by the letter of the standard.
fn may_be_cut_to(v: &Vector, len: usize, shorter: &Packet<'_>) -> bool {
    match (&v.packet, shorter) {
        (Packet::Publish(whole), Packet::Publish(cut)) => {
            whole.payload.starts_with(cut.payload)
                && Publish { payload: whole.payload, ..*cut } == *whole
        }
        (Packet::PubAck(_), _) | (Packet::PubRec(_), _) => len == 2 || len == 3,
        (Packet::PubRel(_), _) | (Packet::PubComp(_), _) => len == 2 || len == 3,
        (Packet::Disconnect(_), _) => len == 0 || len == 1,
        (Packet::SubAck(whole), Packet::SubAck(cut)) => whole.reasons.starts_with(cut.reasons),
        (Packet::UnsubAck(whole), Packet::UnsubAck(cut)) => whole.reasons.starts_with(cut.reasons),
        (Packet::Subscribe(whole), Packet::Subscribe(cut)) => {
            cut.filters.iter().eq(whole.filters.iter().take(cut.filters.len()))
        }
        (Packet::Unsubscribe(whole), Packet::Unsubscribe(cut)) => {
            cut.filters.iter().eq(whole.filters.iter().take(cut.filters.len()))
        }
        // 3.1 lets the remaining length win over the flags (D31-09).
        (Packet::Connect(whole), Packet::Connect(cut)) if v.version == V31 => {
            cut.password.is_none()
                && Connect { password: None, user_name: cut.user_name, ..*whole } == *cut
        }
        _ => false,
    }
}

/// A11: what is behind the last field makes a packet malformed, unless it is more payload.
#[test]
fn every_body_with_a_byte_more_is_malformed() {
    for v in vectors() {
        let (first, body) = body_of(&v.bytes);
        let longer = [body, &[0xFF]].concat();
        match v.packet {
            Packet::Publish(_) => assert!(Packet::parse(first, &longer, v.version).is_ok(), "{v}"),
            _ => assert!(Packet::parse(first, &longer, v.version).is_err(), "{v}"),
        }
    }
}

#[test]
fn the_vectors_cover_every_packet_in_every_version() {
    let vectors = vectors();
    for version in Version::ALL {
        for packet_type in PacketType::ALL {
            let found = vectors
                .iter()
                .any(|v| v.version == version && v.packet.packet_type() == packet_type);
            let exists = version == V5 || packet_type != PacketType::Auth;
            assert_eq!(found, exists, "{packet_type} in {version}");
        }
    }
}
