//! Every combination of a small number of choices.

use mqtt_packet::{
    DecodeErrorKind, Packet, PacketType, ReasonCode, Version,
    property::{Owner, PropertyId},
};

use crate::harness::{hex, packet_with, parse, property};

/// A09 [MQTT-2.1.3-1]: each type with each flag nibble, around a body that is good.
#[test]
fn only_the_right_flags_are_taken() {
    for version in Version::ALL {
        for packet_type in PacketType::ALL {
            let (bytes, good) = sample(packet_type, version);
            for flags in 0..16 {
                let mut packet = bytes.clone();
                packet[0] = ((packet_type as u8) << 4) | flags;
                let result = parse(&packet, version);
                let expected = good.contains(&flags);
                assert_eq!(result.is_ok(), expected, "{packet_type} {flags:04b} in {version}");
                if let Err(e) = result {
                    assert_eq!(e.reason(), ReasonCode::MALFORMED_PACKET, "{packet_type}: {e}");
                    assert_eq!(e.offset, 0, "{packet_type}: {e}");
                }
            }
        }
    }
}

/// A good packet of the type, and the flag nibbles that go with it.
fn sample(packet_type: PacketType, version: Version) -> (Vec<u8>, &'static [u8]) {
    let (v31, v5) = (version == Version::V31, version.is_v5());
    let either = |old: &str, new: &str| hex(if v5 { new } else { old });
    let resent: &[u8] = if v31 { &[2, 10] } else { &[2] };
    match packet_type {
        PacketType::Connect => {
            let v31 = "10 0F 00064D5149736470 03 02 003C 0001 61";
            let v311 = "10 0D 00044D515454 04 02 003C 0001 61";
            let v5 = "10 0E 00044D515454 05 02 003C 00 0001 61";
            (hex([v31, v311, v5][usize::from(version.level()) - 3]), &[0])
        }
        PacketType::ConnAck => (either("20 02 00 00", "20 03 00 00 00"), &[0]),
        // The packet identifier of the higher levels passes for payload at QoS 0.
        PacketType::Publish => (
            hex("30 07 0001 74 0001 00 00"),
            &[0, 1, 0b0010, 0b0011, 0b1010, 0b1011, 0b0100, 0b0101, 0b1100, 0b1101],
        ),
        PacketType::PubAck | PacketType::PubRec | PacketType::PubComp => (hex("40 02 00 01"), &[0]),
        PacketType::PubRel => (hex("62 02 00 01"), resent),
        PacketType::Subscribe => {
            (either("82 06 0001 0001 66 00", "82 07 0001 00 0001 66 00"), resent)
        }
        PacketType::SubAck => (either("90 03 0001 00", "90 04 0001 00 00"), &[0]),
        PacketType::Unsubscribe => (either("A2 05 0001 0001 66", "A2 06 0001 00 0001 66"), resent),
        PacketType::UnsubAck => (either("B0 02 0001", "B0 04 0001 00 00"), &[0]),
        PacketType::PingReq | PacketType::PingResp | PacketType::Disconnect => (hex("C0 00"), &[0]),
        PacketType::Auth if v5 => (hex("F0 06 18 04 15 0001 6D"), &[0]),
        PacketType::Auth => (hex("F0 06 18 04 15 0001 6D"), &[]),
    }
}

/// A05, A06: type 0 never exists, type 15 since 5.0.
#[test]
fn reserved_packet_types_are_malformed() {
    for (bytes, version) in [
        ("00 00", Version::V5),
        ("0F 00", Version::V5),
        ("00 01 00", Version::V311),
        ("F0 00", Version::V31),
        ("F0 00", Version::V311),
    ] {
        let bytes = hex(bytes);
        let number = bytes[0] >> 4;
        let error = parse(&bytes, version).unwrap_err();
        assert_eq!(error.kind, DecodeErrorKind::UnknownPacketType { number });
        assert_eq!(error.reason(), ReasonCode::MALFORMED_PACKET);
    }
}

/// U5-006: each property in each place, where it belongs and where it does not.
#[test]
fn a_property_is_taken_where_it_belongs_and_nowhere_else() {
    for owner in Owner::ALL {
        for id in PropertyId::ALL {
            let packet = packet_with(owner, &block(owner, id, 1));
            let result = parse(&packet, Version::V5);
            if places(id).contains(&owner) {
                assert!(result.is_ok(), "{id} in {owner}: {result:?}");
            } else {
                let error = result.expect_err("a foreign property");
                assert_eq!(error.kind, DecodeErrorKind::ForeignProperty { id, owner });
                assert_eq!(error.reason(), ReasonCode::MALFORMED_PACKET, "{id} in {owner}");
                assert_eq!(error.statement(), "U5-006");
            }
        }
    }
}

/// A18: the two packets without properties are malformed with any.
#[test]
fn pings_have_no_properties() {
    for first in [0xC0, 0xD0] {
        for id in PropertyId::ALL {
            let property = property(id);
            let len = u8::try_from(property.len()).unwrap();
            let packet = [&[first, len + 1, len], &property[..]].concat();
            let error = parse(&packet, Version::V5).unwrap_err();
            assert_eq!(error.kind, DecodeErrorKind::TrailingBytes);
            assert_eq!(error.reason(), ReasonCode::MALFORMED_PACKET);
        }
    }
}

/// B20: what may stand once and stands twice is a protocol error, by a rule of its own in
/// nearly every place.
#[test]
fn a_property_given_twice_is_a_protocol_error_unless_it_repeats() {
    for owner in Owner::ALL {
        for id in PropertyId::ALL.into_iter().filter(|&id| places(id).contains(&owner)) {
            let packet = packet_with(owner, &block(owner, id, 2));
            let result = parse(&packet, Version::V5);
            let repeats = id == PropertyId::UserProperty
                || (id, owner) == (PropertyId::SubscriptionIdentifier, Owner::Publish);
            if repeats {
                assert!(result.is_ok(), "{id} in {owner}: {result:?}");
            } else {
                let error = result.expect_err("a property given twice");
                assert_eq!(error.kind, DecodeErrorKind::DuplicateProperty { id, owner });
                assert_eq!(error.reason(), ReasonCode::PROTOCOL_ERROR, "{id} in {owner}");
                // The payload format and the expiry of a PUBLISH have no rule of their own.
                let general = owner == Owner::Publish && matches!(id as u8, 0x01 | 0x02);
                assert_eq!(error.statement().starts_with("U5-"), !general, "{id} in {owner}");
            }
        }
    }
}

/// B21: a property cut short by its block, and a block longer than its packet.
#[test]
fn a_property_cut_short_is_malformed() {
    for owner in Owner::ALL {
        for id in PropertyId::ALL.into_iter().filter(|&id| places(id).contains(&owner)) {
            let property = property(id);
            for len in 1..property.len() {
                let packet = packet_with(owner, &property[..len]);
                let error = parse(&packet, Version::V5).expect_err("a property cut short");
                assert_eq!(
                    error.reason(),
                    ReasonCode::MALFORMED_PACKET,
                    "{id} in {owner}: {error}"
                );
            }
        }
    }
}

/// The property `times` over, with what else the place demands.
fn block(owner: Owner, id: PropertyId, times: usize) -> Vec<u8> {
    let needs_method =
        owner == Owner::Auth || (owner == Owner::Connect && id == PropertyId::AuthenticationData);
    let method = if needs_method && id != PropertyId::AuthenticationMethod {
        property(PropertyId::AuthenticationMethod)
    } else {
        Vec::new()
    };
    [method, property(id).repeat(times)].concat()
}

/// The last column of table 2-4, read off the sections of the packets.
fn places(id: PropertyId) -> Vec<Owner> {
    Owner::ALL.into_iter().filter(|&owner| properties_of(owner).contains(&(id as u8))).collect()
}

fn properties_of(owner: Owner) -> &'static [u8] {
    match owner {
        Owner::Connect => &[0x11, 0x21, 0x27, 0x22, 0x19, 0x17, 0x26, 0x15, 0x16],
        Owner::Will => &[0x18, 0x01, 0x02, 0x03, 0x08, 0x09, 0x26],
        Owner::ConnAck => &[
            0x11, 0x21, 0x24, 0x25, 0x27, 0x12, 0x22, 0x1F, 0x26, 0x28, 0x29, 0x2A, 0x13, 0x1A,
            0x1C, 0x15, 0x16,
        ],
        Owner::Publish => &[0x01, 0x02, 0x23, 0x08, 0x09, 0x26, 0x0B, 0x03],
        Owner::PubAck
        | Owner::PubRec
        | Owner::PubRel
        | Owner::PubComp
        | Owner::SubAck
        | Owner::UnsubAck => &[0x1F, 0x26],
        Owner::Subscribe => &[0x0B, 0x26],
        Owner::Unsubscribe => &[0x26],
        Owner::Disconnect => &[0x11, 0x1F, 0x26, 0x1C],
        Owner::Auth => &[0x15, 0x16, 0x1F, 0x26],
    }
}

/// Tables 3-1 and 3-4 to 3-11: each code in each packet that has one.
#[test]
fn only_the_reasons_of_a_packet_are_taken() {
    for (packet_type, before, after, codes) in reason_tables() {
        for code in 0..=u8::MAX {
            let body = [&before[..], &[code], &after].concat();
            let result = Packet::parse(packet_type.first_byte(), &body, Version::V5);
            assert_eq!(result.is_ok(), codes.contains(&code), "{packet_type} {code:#04x}");
            if let Err(e) = result {
                let packet = packet_type;
                assert_eq!(e.kind, DecodeErrorKind::ReasonNotAllowed { packet, code });
                assert_eq!(e.reason(), ReasonCode::PROTOCOL_ERROR);
                assert_eq!(e.offset, before.len());
            }
        }
    }
}

type ReasonTable = (PacketType, Vec<u8>, Vec<u8>, Vec<u8>);

/// Packet, what stands before and behind the code, and the codes of its table.
fn reason_tables() -> Vec<ReasonTable> {
    let table = |packet_type, before: &str, after: &str, codes: &str| {
        (packet_type, hex(before), hex(after), hex(codes))
    };
    let publish = "00 10 80 83 87 90 91 97 99";
    // Table 2-6 has 8C for DISCONNECT, table 3-10 has not.
    let disconnect = "00 04 80 81 82 83 87 89 8B 8C 8D 8E 8F 90 93 94 95 96 97 98 99 9A 9B 9C 9D \
                      9E 9F A0 A1 A2";
    let connack = "00 80 81 82 83 84 85 86 87 88 89 8A 8C 90 95 97 99 9A 9B 9C 9D 9F";
    vec![
        table(PacketType::ConnAck, "00", "00", connack),
        table(PacketType::PubAck, "0001", "", publish),
        table(PacketType::PubRec, "0001", "", publish),
        table(PacketType::PubRel, "0001", "", "00 92"),
        table(PacketType::PubComp, "0001", "", "00 92"),
        table(PacketType::SubAck, "0001 00", "", "00 01 02 80 83 87 8F 91 97 9E A1 A2"),
        table(PacketType::UnsubAck, "0001 00", "", "00 11 80 83 87 8F 91"),
        table(PacketType::Disconnect, "", "", disconnect),
        table(PacketType::Auth, "", "04 15 0001 6D", "00 18 19"),
    ]
}
