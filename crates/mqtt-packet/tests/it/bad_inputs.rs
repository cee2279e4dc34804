//! The catalogue of bad inputs, where it concerns the codec: what comes in, what is answered
//! in 5.0 (before that every one of them closes), and which statement it breaks.

use mqtt_packet::{
    Connect, DecodeError, DecodeErrorKind,
    Version::{self, V5, V31, V311},
    frame,
};

use crate::harness::{hex, parse};

#[test]
fn every_bad_input_is_refused_for_its_reason() {
    for &(name, versions, bytes, reason, statement) in BAD {
        for &version in versions {
            let bytes = hex(bytes);
            let error = parse(&bytes, version).expect_err(name);
            let answer = (error.reason().0, error.statement());
            assert_eq!(answer, (reason, statement), "{name} in {version}: {error}");
        }
    }
}

#[test]
fn what_only_looks_bad_is_taken() {
    for &(name, versions, bytes) in GOOD {
        for &version in versions {
            let bytes = hex(bytes);
            let packet = parse(&bytes, version);
            assert!(packet.is_ok(), "{name} in {version}: {packet:?}");
        }
    }
}

/// A01 to A04: decided from the header alone.
#[test]
fn bad_headers_are_refused_before_their_body_is_there() {
    let refused = |bytes: &str| {
        let error = frame::peek(&hex(bytes), 2_000_000).unwrap_err();
        (error.reason().0, error.statement())
    };
    assert_eq!(refused("10 FF FF FF FF 7F"), (0x81, "U5-003"), "A01");
    assert_eq!(refused("C0 80 00"), (0x81, "MQTT-1.5.5-1"), "A02");
    assert_eq!(refused("30 85 80 00"), (0x81, "MQTT-1.5.5-1"), "A02");
    assert_eq!(refused("10 FF FF FF 7F"), (0x95, "U5-033"), "A03");
    assert_eq!(refused("30 FD 88 7A"), (0x95, "U5-033"), "A04");
}

/// B03, B04: which of the two it is decides about the refusal.
#[test]
fn the_version_is_readable_where_the_rest_is_bad() {
    let peek = |text: &str| Connect::peek_version(&hex(text)).map_err(|e: DecodeError| e.kind);
    assert_eq!(peek("00064D5149736470 03"), Ok(V31));
    assert_eq!(peek("00044D515454 04 FF FF"), Ok(V311));
    assert_eq!(peek("00044D515454 05"), Ok(V5));
    for level in [0, 1, 2, 3, 6, 127, 0x80, 0x83, 0x85, 255] {
        let error = DecodeErrorKind::UnsupportedProtocolLevel { level };
        assert_eq!(peek(&format!("00044D515454 {level:02X}")), Err(error));
    }
    let mqisdp_4 = DecodeErrorKind::UnsupportedProtocolLevel { level: 4 };
    assert_eq!(peek("00064D5149736470 04"), Err(mqisdp_4));
    let bridged = DecodeErrorKind::UnsupportedProtocolLevel { level: 0x84 };
    assert_eq!(peek("00064D5149736470 84"), Err(bridged));
    for name in ["0000 04", "00046D717474 04", "0003485454 50"] {
        assert_eq!(peek(name), Err(DecodeErrorKind::UnsupportedProtocolName));
    }
    assert_eq!(peek("00044D51"), Err(DecodeErrorKind::Truncated));
    assert_eq!(peek("00044D515454"), Err(DecodeErrorKind::Truncated));
}

#[test]
fn a_bridge_is_a_client_of_its_version_d31_02() {
    for (body, version, is_bridge) in [
        ("00044D515454 84 02 003C 0001 61", V311, true),
        ("00044D515454 04 02 003C 0001 61", V311, false),
        ("00064D5149736470 83 02 003C 0001 61", V31, true),
        ("00064D5149736470 03 02 003C 0001 61", V31, false),
    ] {
        let body = hex(body);
        let connect = Connect::parse(0x10, &body).unwrap();
        assert_eq!((connect.version, connect.client_id), (version, "a"));
        assert_eq!(Connect::is_from_bridge(&body), is_bridge);
    }
    assert!(!Connect::is_from_bridge(&hex("00044D51")) && !Connect::is_from_bridge(&[]));
}

#[test]
fn an_error_says_what_and_where() {
    let bytes = hex("82 07 0001 00 0001 66 03");
    let error = parse(&bytes, V5).unwrap_err();
    assert_eq!(error.to_string(), "subscription with QoS 3, at byte 6");
    // The second byte of a property in the middle of the packet.
    let bytes = hex("30 0A 0001 74 05 01 00 23 00 00 00");
    let error = parse(&bytes, V5).unwrap_err();
    assert_eq!(error.to_string(), "Topic Alias has a value out of range, at byte 7");
    let bytes = hex("30 09 0001 74 04 01 00 01 00 68");
    let error = parse(&bytes, V5).unwrap_err();
    assert_eq!(error.to_string(), "Payload Format Indicator given twice, at byte 6");
}

const ALL: &[Version] = &Version::ALL;
const OLD: &[Version] = &[V31, V311];
const NEW: &[Version] = &[V311, V5];

/// In malformed packets that have no statement of their own.
const CLOSE: &str = "MQTT-4.13.1-1";

type Bad = (&'static str, &'static [Version], &'static str, u8, &'static str);

#[rustfmt::skip]
const BAD: &[Bad] = &[
    ("A10 client identifier past the end", &[V311], "10 0D 00044D515454 04 02 003C 0002 61", 0x81, CLOSE),
    ("A10 will payload past the end", &[V311], "10 12 00044D515454 04 06 003C 0001 61 0001 77 FFFF", 0x81, CLOSE),
    ("A10 property length past the end", &[V5], "10 0E 00044D515454 05 02 003C 04 0001 61", 0x81, CLOSE),
    ("A10 property length of five bytes", &[V5], "40 08 0001 00 80 80 80 80 01", 0x81, "U5-003"),
    ("A10 property length not in its shortest form", &[V5], "30 05 0001 74 80 00", 0x81, "MQTT-1.5.5-1"),
    ("A11 byte behind CONNECT", &[V311], "10 0E 00044D515454 04 02 003C 0001 61 00", 0x81, CLOSE),
    ("A11 byte behind CONNACK", OLD, "20 03 00 00 00", 0x81, CLOSE),
    ("A11 byte behind UNSUBACK", OLD, "B0 03 0001 00", 0x81, CLOSE),
    ("A11 byte behind AUTH", &[V5], "F0 07 18 04 15 0001 6D 00", 0x81, CLOSE),
    ("A12 QoS 1 without packet identifier", ALL, "32 03 0001 74", 0x81, CLOSE),
    ("A12 QoS 2 with half a packet identifier", ALL, "34 04 0001 74 00", 0x81, CLOSE),
    ("A13 topic longer than the packet", ALL, "30 07 FFFF 4141414141", 0x81, CLOSE),
    ("A13 empty PUBLISH", ALL, "30 00", 0x81, CLOSE),
    ("A13 PUBLISH of one byte", ALL, "30 01 00", 0x81, CLOSE),
    ("A13 no property length", &[V5], "30 03 0001 74", 0x81, CLOSE),
    ("A14 filter without options", OLD, "82 05 0001 0001 66", 0x81, CLOSE),
    ("A14 filter without options", &[V5], "82 06 0001 00 0001 66", 0x81, CLOSE),
    ("A15 filter past the end", OLD, "A2 05 0001 0002 66", 0x81, CLOSE),
    ("A16 PUBACK without body", ALL, "40 00", 0x81, CLOSE),
    ("A16 PUBREC of one byte", ALL, "50 01 00", 0x81, CLOSE),
    ("A16 PUBREL of three bytes", OLD, "62 03 0001 00", 0x81, CLOSE),
    ("A16 PUBCOMP of four bytes", OLD, "70 04 0001 00 00", 0x81, CLOSE),
    ("A16 PUBACK with property length past the end", &[V5], "40 04 0001 00 01", 0x81, CLOSE),
    ("A17 DISCONNECT with a body", OLD, "E0 01 00", 0x81, CLOSE),
    ("A17 DISCONNECT with property length past the end", &[V5], "E0 02 00 20", 0x81, CLOSE),
    ("A18 PINGREQ with a body", ALL, "C0 01 00", 0x81, CLOSE),
    ("A18 PINGRESP with a body", ALL, "D0 01 00", 0x81, CLOSE),
    ("B03 protocol name in lower case", ALL, "10 0D 00046D717474 04 02 003C 0001 61", 0x84, "MQTT-3.1.2-1"),
    ("B03 empty protocol name", ALL, "10 09 0000 04 02 003C 0001 61", 0x84, "MQTT-3.1.2-1"),
    ("B03 MQTT with level 3", ALL, "10 0D 00044D515454 03 02 003C 0001 61", 0x84, "MQTT-3.1.2-2"),
    ("B03 MQIsdp with level 4", ALL, "10 0F 00064D5149736470 04 02 003C 0001 61", 0x84, "MQTT-3.1.2-2"),
    ("B04 level 6", ALL, "10 0D 00044D515454 06 02 003C 0001 61", 0x84, "MQTT-3.1.2-2"),
    ("B04 5.0 with the bit of a bridge", ALL, "10 0E 00044D515454 85 02 003C 00 0001 61", 0x84, "MQTT-3.1.2-2"),
    ("B05 reserved connect flag", &[V311], "10 0D 00044D515454 04 03 003C 0001 61", 0x81, "MQTT-3.1.2-3"),
    ("B05 reserved connect flag", &[V5], "10 0E 00044D515454 05 03 003C 00 0001 61", 0x81, "MQTT-3.1.2-3"),
    ("B06 will QoS 3", &[V311], "10 12 00044D515454 04 1E 003C 0001 61 0001 77 0000", 0x81, "MQTT-3.1.2-12"),
    ("B06 will QoS without will", &[V311], "10 0D 00044D515454 04 0A 003C 0001 61", 0x81, "MQTT-3.1.2-11"),
    ("B06 will QoS 3 without will", &[V5], "10 0E 00044D515454 05 1A 003C 00 0001 61", 0x81, "MQTT-3.1.2-11"),
    ("B06 will retain without will", &[V31], "10 0F 00064D5149736470 03 22 003C 0001 61", 0x81, "MQTT-3.1.2-13"),
    ("B07 password without user name", &[V311], "10 10 00044D515454 04 42 003C 0001 61 0001 70", 0x81, "MQTT-3.1.2-22"),
    ("B08 user name missing", &[V311], "10 0D 00044D515454 04 82 003C 0001 61", 0x81, CLOSE),
    ("B08 password missing", &[V5], "10 0E 00044D515454 05 42 003C 00 0001 61", 0x81, CLOSE),
    ("B08 will missing, in 3.1 too", &[V31], "10 0F 00064D5149736470 03 06 003C 0001 61", 0x81, CLOSE),
    ("B08 half a user name in 3.1", &[V31], "10 11 00064D5149736470 03 82 003C 0001 61 0001", 0x81, CLOSE),
    ("B13 bad UTF-8 in the client identifier", &[V311], "10 0D 00044D515454 04 02 003C 0001 FF", 0x81, "MQTT-1.5.4-1"),
    ("B13 the same in 3.1, D31-13", &[V31], "10 0F 00064D5149736470 03 02 003C 0001 FF", 0x81, "MQTT-1.5.4-1"),
    ("B13 surrogate in the user name", &[V311], "10 12 00044D515454 04 82 003C 0001 61 0003 EDA080", 0x81, "MQTT-1.5.4-1"),
    ("B13 U+0000 in the client identifier", &[V311], "10 0D 00044D515454 04 02 003C 0001 00", 0x81, "MQTT-1.5.4-2"),
    ("B13 overlong U+0000 in the will topic", &[V311], "10 13 00044D515454 04 06 003C 0001 61 0002 C080 0000", 0x81, "MQTT-1.5.4-1"),
    ("B13 bad UTF-8 in a user property's value", &[V5], "10 16 00044D515454 05 02 003C 08 26 0001 6B 0002 C328 0001 61", 0x81, "MQTT-1.5.4-1"),
    ("B14 empty will topic", &[V311], "10 11 00044D515454 04 06 003C 0001 61 0000 0000", 0x81, "MQTT-4.7.3-1"),
    ("B17 topic alias in a will", &[V5], "10 17 00044D515454 05 06 003C 00 0001 61 03 23 0001 0001 77 0000", 0x81, "U5-006"),
    ("B20 receive maximum twice", &[V5], "10 14 00044D515454 05 02 003C 06 21 0001 21 0001 0001 61", 0x82, "U5-010"),
    ("B20 unknown property", &[V5], "10 10 00044D515454 05 02 003C 02 7F 00 0001 61", 0x81, "U5-006"),
    ("B20 unknown property of two bytes", &[V5], "10 11 00044D515454 05 02 003C 03 A6 01 00 0001 61", 0x81, "U5-006"),
    ("B20 property identifier not in its shortest form", &[V5], "10 11 00044D515454 05 02 003C 03 99 00 00 0001 61", 0x81, "MQTT-1.5.5-1"),
    ("B21 property cut by its block", &[V5], "10 10 00044D515454 05 02 003C 02 21 00 0001 61", 0x81, CLOSE),
    ("B22 receive maximum 0", &[V5], "10 11 00044D515454 05 02 003C 03 21 0000 0001 61", 0x82, "U5-010"),
    ("B22 maximum packet size 0", &[V5], "10 13 00044D515454 05 02 003C 05 27 00000000 0001 61", 0x82, "U5-011"),
    ("B22 request response information 2", &[V5], "10 10 00044D515454 05 02 003C 02 19 02 0001 61", 0x82, "U5-014"),
    ("B22 request problem information 2", &[V5], "10 10 00044D515454 05 02 003C 02 17 02 0001 61", 0x82, "U5-015"),
    ("B24 authentication data without method", &[V5], "10 12 00044D515454 05 02 003C 04 16 0001 78 0001 61", 0x82, "U5-018"),
    ("reserved connect acknowledge flags", NEW, "20 03 02 00 00", 0x81, "MQTT-3.2.2-1"),
    ("CONNACK, return code 6", OLD, "20 02 00 06", 0x82, "MQTT-3.2.2-8"),
    ("CONNACK, receive maximum 0", &[V5], "20 06 00 00 03 21 0000", 0x82, "U5-027"),
    ("CONNACK, maximum QoS 2", &[V5], "20 05 00 00 02 24 02", 0x82, "U5-028"),
    ("CONNACK, retain available 2", &[V5], "20 05 00 00 02 25 02", 0x82, "U5-030"),
    ("CONNACK, maximum packet size 0", &[V5], "20 08 00 00 05 27 00000000", 0x82, "U5-032"),
    ("CONNACK, wildcards available 2", &[V5], "20 05 00 00 02 28 02", 0x82, "U5-037"),
    ("CONNACK, identifiers available 2", &[V5], "20 05 00 00 02 29 02", 0x82, "U5-039"),
    ("CONNACK, shared available 2", &[V5], "20 05 00 00 02 2A 02", 0x82, "U5-041"),
    ("C01 empty topic", OLD, "30 02 0000", 0x81, "MQTT-4.7.3-1"),
    ("C01 empty topic without alias", &[V5], "30 03 0000 00", 0x82, "U5-049"),
    ("C08 QoS 3", ALL, "36 05 0001 74 0001", 0x81, "MQTT-3.3.1-4"),
    ("C08 DUP on QoS 0", ALL, "38 04 0001 74 00", 0x81, "MQTT-3.3.1-2"),
    ("C08 packet identifier 0", ALL, "32 06 0001 74 0000 00", 0x82, "MQTT-2.2.1-3"),
    ("C14 topic alias 0", &[V5], "30 07 0001 74 03 23 0000", 0x94, "MQTT-3.3.2-8"),
    ("C20 payload format 2", &[V5], "30 06 0001 74 02 01 02", 0x82, CLOSE),
    ("C21 empty response topic", &[V5], "30 07 0001 74 03 08 0000", 0x82, "MQTT-3.3.2-14"),
    ("C21 response topic with +", &[V5], "30 0A 0001 74 06 08 0003 2B2F61", 0x82, "MQTT-3.3.2-14"),
    ("C21 response topic with #", &[V5], "30 0A 0001 74 06 08 0003 612F23", 0x82, "MQTT-3.3.2-14"),
    ("C21 response topic of bad UTF-8", &[V5], "30 08 0001 74 04 08 0001 FF", 0x81, "MQTT-1.5.4-1"),
    ("C21 response topic with # in a will", &[V5], "10 18 00044D515454 05 06 003C 00 0001 61 04 08 0001 23 0001 77 0000", 0x82, "MQTT-3.3.2-14"),
    ("C19 subscription identifier 0", &[V5], "30 06 0001 74 02 0B 00", 0x82, "U5-054"),
    ("bad UTF-8 in a topic", OLD, "30 03 0001 FF", 0x81, "MQTT-1.5.4-1"),
    ("U+0000 in a topic", &[V5], "30 04 0001 00 00", 0x81, "MQTT-1.5.4-2"),
    ("packet identifier 0 in PUBACK", ALL, "40 02 0000", 0x82, "MQTT-2.2.1-3"),
    ("packet identifier 0 in UNSUBACK", OLD, "B0 02 0000", 0x82, "MQTT-2.2.1-3"),
    ("PUBREL with a reason of PUBACK", &[V5], "62 03 0001 10", 0x82, "MQTT-3.6.2-1"),
    ("D01 SUBSCRIBE without filter", OLD, "82 02 0001", 0x82, "MQTT-3.8.3-2"),
    ("D01 SUBSCRIBE without filter", &[V5], "82 03 0001 00", 0x82, "MQTT-3.8.3-2"),
    ("D01 UNSUBSCRIBE without filter", OLD, "A2 02 0001", 0x82, "MQTT-3.10.3-2"),
    ("D01 UNSUBSCRIBE without filter", &[V5], "A2 03 0001 00", 0x82, "MQTT-3.10.3-2"),
    ("D02 reserved option bit", &[V5], "82 07 0001 00 0001 66 40", 0x81, "MQTT-3.8.3-5"),
    ("D02 QoS 3", &[V5], "82 07 0001 00 0001 66 03", 0x82, "U5-066"),
    ("D02 retain handling 3", &[V5], "82 07 0001 00 0001 66 30", 0x82, "U5-067"),
    ("D02 QoS 3", OLD, "82 06 0001 0001 66 03", 0x81, "MQTT-3.8.3-5"),
    ("D02 options of 5.0", OLD, "82 06 0001 0001 66 04", 0x81, "MQTT-3.8.3-5"),
    ("D03 packet identifier 0", OLD, "82 06 0000 0001 66 00", 0x82, "MQTT-2.2.1-3"),
    ("D03 packet identifier 0", &[V5], "A2 06 0000 00 0001 66", 0x82, "MQTT-2.2.1-3"),
    ("D04 bad UTF-8 in a filter", OLD, "82 06 0001 0001 FF 00", 0x81, "MQTT-1.5.4-1"),
    ("D04 U+0000 in a filter", OLD, "A2 05 0001 0001 00", 0x81, "MQTT-1.5.4-2"),
    ("D15 subscription identifier 0", &[V5], "82 09 0001 02 0B 00 0001 66 00", 0x82, "U5-064"),
    ("D15 subscription identifier too large", &[V5], "82 0D 0001 06 0B 80 80 80 80 01 0001 66 00", 0x81, "U5-003"),
    ("D15 subscription identifier twice", &[V5], "82 0B 0001 04 0B 01 0B 01 0001 66 00", 0x82, "U5-064"),
    ("SUBACK, code 3", OLD, "90 03 0001 03", 0x82, "MQTT-3.9.3-2"),
    ("SUBACK without codes", OLD, "90 02 0001", 0x82, "MQTT-3.8.4-6"),
    ("UNSUBACK without codes", &[V5], "B0 03 0001 00", 0x82, "MQTT-3.11.3-1"),
    ("AUTH without method", &[V5], "F0 02 18 00", 0x82, "U5-076"),
    ("AUTH without body", &[V5], "F0 00", 0x82, "U5-076"),
    ("AUTH with flags", &[V5], "F1 06 18 04 15 0001 6D", 0x81, "MQTT-3.15.1-1"),
    ("DISCONNECT with flags", ALL, "E1 00", 0x81, "MQTT-3.14.1-1"),
    ("DISCONNECT with a reason of CONNACK", &[V5], "E0 01 84", 0x82, "MQTT-3.14.2-1"),
    ("PUBREL with flags", ALL, "60 02 0001", 0x81, "MQTT-3.6.1-1"),
    ("PUBREL again with DUP", NEW, "6A 02 0001", 0x81, "MQTT-3.6.1-1"),
    ("SUBSCRIBE again with DUP", &[V311], "8A 06 0001 0001 66 00", 0x81, "MQTT-3.8.1-1"),
    ("UNSUBSCRIBE again with DUP", &[V311], "AA 05 0001 0001 66", 0x81, "MQTT-3.10.1-1"),
];

#[rustfmt::skip]
const GOOD: &[(&str, &[Version], &str)] = &[
    ("D31-07 PUBREL again with DUP", &[V31], "6A 02 0001"),
    ("D31-07 SUBSCRIBE again with DUP", &[V31], "8A 06 0001 0001 66 00"),
    ("D31-07 UNSUBSCRIBE again with DUP", &[V31], "AA 05 0001 0001 66"),
    ("D31-08 reserved connect flag", &[V31], "10 0F 00064D5149736470 03 03 003C 0001 61"),
    ("D31-09 user name left out", &[V31], "10 0F 00064D5149736470 03 82 003C 0001 61"),
    ("D31-09 user name and password left out", &[V31], "10 0F 00064D5149736470 03 C2 003C 0001 61"),
    ("D31-09 password left out", &[V31], "10 12 00064D5149736470 03 C2 003C 0001 61 0001 75"),
    ("D31-05 reserved byte of CONNACK", &[V31], "20 02 FF 00"),
    ("A16 PUBACK with a reason alone", &[V5], "40 03 0001 10"),
    ("B09 empty client identifier, clean session 0", &[V311], "10 0C 00044D515454 04 00 003C 0000"),
    ("C02 PUBLISH to a wildcard is for others to refuse", &[V5], "30 04 0001 23 00"),
    ("B43 empty user name and password", &[V311], "10 11 00044D515454 04 C2 003C 0001 61 0000 0000"),
    ("C15 empty topic with an alias", &[V5], "30 06 0000 03 23 0001"),
    ("C35 control characters and non-characters", ALL, "30 08 0005 01 1B EFBFBF 00"),
    ("D04 empty filter is for others to refuse", OLD, "82 05 0001 0000 00"),
    ("DISCONNECT of 5.0 with an empty property block", &[V5], "E0 02 00 00"),
];
