//! What does not fit is refused, never cut (C36), and the small tables.

use bytes::BytesMut;
use mqtt_packet::{
    Ack, Auth, AuthProperties, ConnAck, Connect, ConnectProperties, Delivery, Disconnect,
    EncodeError, Packet, PacketType, Publish, PublishProperties, QoS, RawPublish, ReasonCode,
    SubAck, Subscribe, SubscribeFilters, SubscribeProperties, SubscriptionIdentifiers,
    SubscriptionOptions, UserProperties,
    Version::{self, V5, V31, V311},
    Will, WillProperties, ack,
    property::{self, Property},
    wire,
};

use crate::harness::{hex, id};

/// Encodes into a buffer that is not empty: what was there stays alone.
fn refused(packet: Packet<'_>, version: Version) -> EncodeError {
    let mut out = BytesMut::from(&b"before"[..]);
    let error = packet.encode(version, &mut out).unwrap_err();
    assert_eq!(out[..], b"before"[..], "{error}");
    assert_eq!(packet.encoded_len(version), Err(error));
    error
}

fn publish(topic: &str) -> Publish<'_> {
    Publish {
        dup: false,
        delivery: Delivery::AtMostOnce,
        retain: false,
        topic,
        properties: PublishProperties::default(),
        payload: b"",
    }
}

fn connect(client_id: &str) -> Connect<'_> {
    Connect {
        version: V5,
        clean_start: true,
        keep_alive_secs: 0,
        client_id,
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    }
}

#[test]
fn a_string_of_65535_bytes_fits_and_one_byte_more_does_not() {
    let longest = "x".repeat(65_535);
    let mut out = BytesMut::new();
    publish(&longest).encode(V311, &mut out).unwrap();
    assert_eq!(out.len(), 4 + 2 + 65_535);

    let longer = "x".repeat(65_536);
    let too_long = |field| EncodeError::StringTooLong { field, len: 65_536 };
    assert_eq!(refused(Packet::Publish(publish(&longer)), V311), too_long("topic"));
    let by_id = Packet::Connect(connect(&longer));
    assert_eq!(refused(by_id, V5), too_long("client identifier"));
    let pairs = [("k", &*longer)];
    let properties = PublishProperties {
        user_properties: UserProperties::Pairs(&pairs),
        ..PublishProperties::default()
    };
    let by_property = Packet::Publish(Publish { properties, ..publish("t") });
    assert_eq!(refused(by_property, V5), too_long("User Property"));
    let filters = [(&*longer, SubscriptionOptions::default())];
    let by_filter = Packet::Subscribe(Subscribe {
        packet_id: id(1),
        properties: SubscribeProperties::default(),
        filters: SubscribeFilters::new(&filters),
    });
    assert_eq!(refused(by_filter, V31), too_long("topic filter"));
}

#[test]
fn a_packet_of_the_largest_size_fits_and_one_byte_more_does_not() {
    // Only the lengths are looked at, so that the zeros are never touched.
    let payload = vec![0; 268_435_456];
    let raw = |len| RawPublish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        packet_id: None,
        topic: b"t",
        properties: b"",
        payload: &payload[..len],
    };
    assert_eq!(raw(268_435_455 - 3).encoded_len(0, V311), Ok(268_435_460));
    let too_large = EncodeError::PacketTooLarge { len: 268_435_456 };
    assert_eq!(raw(268_435_455 - 2).encoded_len(0, V311), Err(too_large));
    assert!(raw(268_435_455 - 3).encoded_len(0, V5).is_err());
    let mut out = BytesMut::new();
    assert_eq!(raw(268_435_455 - 2).encode(&[], V311, &mut out), Err(too_large));
    assert!(out.is_empty());
}

#[test]
fn what_a_receiver_would_refuse_is_not_written() {
    let null = Packet::Publish(publish("a\0b"));
    assert_eq!(refused(null, V311), EncodeError::NullCharacter { field: "topic" });
    let empty = Packet::Publish(publish(""));
    assert_eq!(refused(empty, V5), EncodeError::Missing { field: "topic" });
    let dup = Packet::Publish(Publish { dup: true, ..publish("t") });
    assert_eq!(refused(dup, V311), EncodeError::Unexpected { field: "DUP" });

    let with = |properties| Packet::Publish(Publish { properties, ..publish("t") });
    let none = PublishProperties::default();
    for (properties, field) in [
        (PublishProperties { topic_alias: Some(0), ..none }, "Topic Alias"),
        (PublishProperties { response_topic: Some("a/#"), ..none }, "Response Topic"),
        (PublishProperties { response_topic: Some(""), ..none }, "Response Topic"),
        (
            PublishProperties {
                subscription_identifiers: SubscriptionIdentifiers::Ids(&[0]),
                ..none
            },
            "Subscription Identifier",
        ),
        (
            PublishProperties {
                subscription_identifiers: SubscriptionIdentifiers::Ids(&[268_435_456]),
                ..none
            },
            "Subscription Identifier",
        ),
    ] {
        assert_eq!(refused(with(properties), V5), EncodeError::OutOfRange { field });
        // Before 5.0 they are not written at all.
        assert!(with(properties).encoded_len(V311).is_ok());
    }

    let alone = Connect { version: V311, password: Some(b"pw"), ..connect("a") };
    assert_eq!(refused(Packet::Connect(alone), V311), EncodeError::Missing { field: "user name" });
    let data = ConnectProperties { authentication_data: Some(b"x"), ..Default::default() };
    let no_method = EncodeError::Missing { field: "Authentication Method" };
    let connect_without_method = Connect { properties: data, ..connect("a") };
    assert_eq!(refused(Packet::Connect(connect_without_method), V5), no_method);
    let topicless = Will {
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "",
        payload: b"",
        properties: WillProperties::default(),
    };
    let connect_with_will = Connect { will: Some(topicless), ..connect("a") };
    let no_topic = EncodeError::Missing { field: "will topic" };
    assert_eq!(refused(Packet::Connect(connect_with_will), V5), no_topic);

    let properties =
        AuthProperties { authentication_method: Some("m"), ..AuthProperties::default() };
    let auth = Auth { reason: ReasonCode::SUCCESS, properties };
    let wrong = EncodeError::WrongPacketType { packet: PacketType::Auth, version: V311 };
    assert_eq!(refused(Packet::Auth(auth), V311), wrong);
    let bare = Auth { reason: ReasonCode::SUCCESS, properties: AuthProperties::default() };
    assert_eq!(refused(Packet::Auth(bare), V5), no_method);

    let filters = SubscribeFilters::new(&[]);
    let properties = SubscribeProperties::default();
    let subscribe = Packet::Subscribe(Subscribe { packet_id: id(1), properties, filters });
    assert_eq!(refused(subscribe, V5), EncodeError::Missing { field: "topic filter" });
}

#[test]
fn reasons_are_written_where_they_belong_alone() {
    let reason = ReasonCode::TOPIC_ALIAS_INVALID;
    let cases = [
        (Packet::ConnAck(ConnAck::new(reason)), PacketType::ConnAck),
        (Packet::PubRel(Ack::new(id(1), reason)), PacketType::PubRel),
        (
            Packet::SubAck(SubAck {
                packet_id: id(1),
                properties: Default::default(),
                reasons: &[0, 0x94],
            }),
            PacketType::SubAck,
        ),
    ];
    for (packet, packet_type) in cases {
        let expected = EncodeError::ReasonNotAllowed { packet: packet_type, reason };
        assert_eq!(refused(packet, V5), expected);
    }
    let mut out = BytesMut::new();
    assert!(Ack::new(id(1), ReasonCode::SUCCESS).encode(PacketType::SubAck, V5, &mut out).is_err());
}

#[test]
fn a_packet_identifier_goes_with_the_higher_levels_only() {
    let raw = |qos, packet_id| RawPublish {
        dup: false,
        qos,
        retain: false,
        packet_id,
        topic: b"t",
        properties: b"",
        payload: b"",
    };
    let field = "packet identifier";
    let without = raw(QoS::AtLeastOnce, None).encoded_len(0, V311);
    assert_eq!(without, Err(EncodeError::Missing { field }));
    let with = raw(QoS::AtMostOnce, Some(id(1))).encoded_len(0, V311);
    assert_eq!(with, Err(EncodeError::Unexpected { field }));
    let dup = RawPublish { dup: true, ..raw(QoS::AtMostOnce, None) }.encoded_len(0, V311);
    assert_eq!(dup, Err(EncodeError::Unexpected { field: "DUP" }));
}

#[test]
fn a_raw_publish_crosses_versions() {
    let bytes = hex("0003 612F62 07 01 01 26 0000 0000 6869");
    let mut raw = RawPublish::split(0x30, &bytes[..13], V5).unwrap();
    raw.payload = b"hi";
    let mut out = BytesMut::new();
    raw.encode(b"ignored", V311, &mut out).unwrap();
    assert_eq!(out[..], hex("30 07 0003 612F62 6869"));
}

#[test]
fn short_acknowledgements_take_four_or_five_bytes() {
    let short = |packet_type, reason, version| {
        let mut out = BytesMut::new();
        ack::encode_short(packet_type, id(0x0102), reason, version, &mut out);
        let mut long = BytesMut::new();
        Ack::new(id(0x0102), reason).encode(packet_type, version, &mut long).unwrap();
        assert_eq!(out, long, "the short way writes what the long way does");
        out.to_vec()
    };
    assert_eq!(short(PacketType::PubAck, ReasonCode::SUCCESS, V5), hex("40 02 0102"));
    assert_eq!(short(PacketType::PubRel, ReasonCode::SUCCESS, V31), hex("62 02 0102"));
    let unknown = ReasonCode::PACKET_IDENTIFIER_NOT_FOUND;
    assert_eq!(short(PacketType::PubComp, unknown, V5), hex("70 03 0102 92"));
    assert_eq!(short(PacketType::PubComp, unknown, V311), hex("70 02 0102"));
    assert_eq!(short(PacketType::PubRec, ReasonCode::NOT_AUTHORIZED, V311), hex("50 02 0102"));
}

/// D31-05, D31-06 and the six return codes.
#[test]
fn older_versions_get_the_nearest_they_know() {
    let connack = |reason, version| {
        let mut out = BytesMut::new();
        let connack = ConnAck { session_present: true, ..ConnAck::new(reason) };
        connack.encode(version, &mut out).unwrap();
        out.to_vec()
    };
    assert_eq!(connack(ReasonCode::SUCCESS, V31), hex("20 02 00 00"));
    assert_eq!(connack(ReasonCode::SUCCESS, V311), hex("20 02 01 00"));
    for (reason, code) in [
        (ReasonCode::UNSUPPORTED_PROTOCOL_VERSION, 1),
        (ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, 2),
        (ReasonCode::SERVER_BUSY, 3),
        (ReasonCode::QUOTA_EXCEEDED, 3),
        (ReasonCode::UNSPECIFIED_ERROR, 3),
        (ReasonCode::BAD_USER_NAME_OR_PASSWORD, 4),
        (ReasonCode::NOT_AUTHORIZED, 5),
        (ReasonCode::BANNED, 5),
    ] {
        assert_eq!(connack(reason, V311)[3], code, "{reason}");
    }
    let mut out = BytesMut::new();
    let reasons = &[2, 0x87, 0xA2];
    let suback = SubAck { packet_id: id(1), properties: Default::default(), reasons };
    suback.encode(V311, &mut out).unwrap();
    assert_eq!(out[..], hex("90 05 0001 02 80 80"));
    out.clear();
    Disconnect::new(ReasonCode::SERVER_SHUTTING_DOWN).encode(V311, &mut out).unwrap();
    assert_eq!(out[..], hex("E0 00"));
}

#[test]
fn reason_codes_have_names() {
    assert_eq!(ReasonCode::NOT_AUTHORIZED.to_string(), "0x87 Not authorized");
    assert_eq!(ReasonCode(0x7F).to_string(), "0x7F Unknown");
    assert!(ReasonCode(0x80).is_error() && !ReasonCode(0x7F).is_error());
}

#[test]
fn properties_are_read_and_written_one_by_one() {
    let block = hex("02 00000009 26 0001 6B 0001 76 0B FF FF FF 7F");
    let read: Vec<_> = property::iter(&block).map(Result::unwrap).collect();
    let expected = [
        Property::MessageExpiryInterval(9),
        Property::UserProperty(("k", "v")),
        Property::SubscriptionIdentifier(268_435_455),
    ];
    assert_eq!(read, expected);
    let mut out = BytesMut::new();
    for property in expected {
        let before = out.len();
        property.encode(&mut out).unwrap();
        assert_eq!(property.encoded_len(), Ok(out.len() - before));
    }
    assert_eq!(out[..], block);
    // An error is the last thing that comes.
    let mut broken = property::iter(&[0x01, 0x02, 0x01, 0x01]);
    assert!(broken.next().unwrap().is_err());
    assert!(broken.next().is_none());
}

#[test]
fn wire_fields_are_written_whole_or_not() {
    let mut out = BytesMut::new();
    for (value, bytes) in [
        (0, "00"),
        (127, "7F"),
        (128, "80 01"),
        (16_383, "FF 7F"),
        (16_384, "80 80 01"),
        (2_097_151, "FF FF 7F"),
        (2_097_152, "80 80 80 01"),
        (268_435_455, "FF FF FF 7F"),
    ] {
        out.clear();
        wire::put_varint(value, &mut out).unwrap();
        assert_eq!(out[..], hex(bytes));
        assert_eq!(wire::varint_len(value), out.len());
    }
    out.clear();
    assert!(wire::put_varint(268_435_456, &mut out).is_err());
    assert!(wire::put_str("name", "a\0", &mut out).is_err());
    assert!(wire::put_binary("name", &[0; 65_536], &mut out).is_err());
    assert!(wire::put_header(0x30, 268_435_456, &mut out).is_err());
    assert!(out.is_empty());
    wire::put_header(0x30, 128, &mut out).unwrap();
    wire::put_str("name", "é", &mut out).unwrap();
    wire::put_binary("name", &[0], &mut out).unwrap();
    assert_eq!(out[..], hex("30 80 01 0002 C3A9 0001 00"));
}
