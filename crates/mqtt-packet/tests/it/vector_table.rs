//! The table of vectors: a packet in bytes, and the value that it stands for.

use mqtt_packet::{
    Ack, AckProperties, Auth, AuthProperties, ConnAck, ConnAckProperties, Connect,
    ConnectProperties, Delivery, Disconnect, DisconnectProperties, Packet, Publish,
    PublishProperties, QoS, ReasonCode, RetainHandling, SubAck, Subscribe, SubscribeFilters,
    SubscribeProperties, SubscriptionIdentifiers, SubscriptionOptions, UnsubAck, Unsubscribe,
    UnsubscribeFilters, UnsubscribeProperties, UserProperties,
    Version::{self, V5, V31, V311},
    Will, WillProperties,
};

use crate::harness::{hex, id};

/// A packet, both ways.
pub(crate) struct Vector {
    name: &'static str,
    pub(crate) version: Version,
    pub(crate) bytes: Vec<u8>,
    pub(crate) packet: Packet<'static>,
}

impl std::fmt::Display for Vector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.version)
    }
}

const ALL: &[Version] = &Version::ALL;
const OLD: &[Version] = &[V31, V311];

fn connect(version: Version) -> Connect<'static> {
    Connect {
        version,
        clean_start: true,
        keep_alive_secs: 60,
        client_id: "a",
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    }
}

fn will() -> Will<'static> {
    Will {
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "w/t",
        payload: b"bye",
        properties: WillProperties::default(),
    }
}

fn publish() -> Publish<'static> {
    Publish {
        dup: false,
        delivery: Delivery::AtMostOnce,
        retain: false,
        topic: "a/b",
        properties: PublishProperties::default(),
        payload: b"hi",
    }
}

const KV: UserProperties<'static> = UserProperties::Pairs(&[("k", "v")]);
const WHY: AckProperties<'static> =
    AckProperties { reason_string: Some("why"), user_properties: KV };
const TWO_FILTERS: &[(&str, SubscriptionOptions)] = &[
    ("a/b", SubscriptionOptions::new(QoS::AtLeastOnce)),
    ("c/+", SubscriptionOptions::new(QoS::ExactlyOnce)),
];
const ALL_OPTIONS: &[(&str, SubscriptionOptions)] = &[
    (
        "#",
        SubscriptionOptions {
            qos: QoS::AtMostOnce,
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::Never,
        },
    ),
    (
        "$share/g/t",
        SubscriptionOptions {
            qos: QoS::ExactlyOnce,
            no_local: false,
            retain_as_published: true,
            retain_handling: RetainHandling::OnNewSubscription,
        },
    ),
    ("", SubscriptionOptions::new(QoS::AtMostOnce)),
];

pub(crate) fn vectors() -> Vec<Vector> {
    let vector = |name, versions: &'static [Version], text: &str, packet: Packet<'static>| {
        let bytes = hex(text);
        versions.iter().map(move |&version| Vector { name, version, bytes: bytes.clone(), packet })
    };
    let long = String::from_utf8(vec![b'x'; 200]).unwrap().leak();
    [
        vector(
            "CONNECT of 3.1",
            &[V31],
            "10 0F 00 06 4D 51 49 73 64 70 03 02 00 3C 00 01 61",
            Packet::Connect(Connect { ..connect(V31) }),
        ),
        vector(
            "CONNECT of 3.1.1",
            &[V311],
            "10 0D 00 04 4D 51 54 54 04 02 00 3C 00 01 61",
            Packet::Connect(Connect { ..connect(V311) }),
        ),
        vector(
            "CONNECT of 5.0",
            &[V5],
            "10 0E 00 04 4D 51 54 54 05 02 00 3C 00 00 01 61",
            Packet::Connect(Connect { ..connect(V5) }),
        ),
        vector(
            "CONNECT that resumes, without an identifier",
            &[V5],
            "10 0D 00 04 4D 51 54 54 05 00 00 00 00 00 00",
            Packet::Connect(Connect {
                clean_start: false,
                keep_alive_secs: 0,
                client_id: "",
                ..connect(V5)
            }),
        ),
        vector(
            "CONNECT of 3.1 with will, user name and password",
            &[V31],
            "10 21 00 06 4D 51 49 73 64 70 03 EE 00 3C 00 01 61 00 03 77 2F 74 00 03 62 79 65 00 \
            02 6D 65 00 02 00 FF",
            Packet::Connect(Connect {
                will: Some(Will { qos: QoS::AtLeastOnce, retain: true, ..will() }),
                user_name: Some("me"),
                password: Some(&[0, 0xFF]),
                ..connect(V31)
            }),
        ),
        vector(
            "CONNECT of 3.1.1 with an empty will of QoS 2",
            &[V311],
            "10 14 00 04 4D 51 54 54 04 16 00 3C 00 01 61 00 03 77 2F 74 00 00",
            Packet::Connect(Connect {
                will: Some(Will { qos: QoS::ExactlyOnce, payload: b"", ..will() }),
                ..connect(V311)
            }),
        ),
        vector(
            "CONNECT of 3.1.1 with a user name alone",
            &[V311],
            "10 11 00 04 4D 51 54 54 04 82 00 3C 00 01 61 00 02 6D 65",
            Packet::Connect(Connect { user_name: Some("me"), ..connect(V311) }),
        ),
        vector(
            "CONNECT of 5.0 with a password alone",
            &[V5],
            "10 12 00 04 4D 51 54 54 05 42 00 3C 00 00 01 61 00 02 70 77",
            Packet::Connect(Connect { password: Some(b"pw"), ..connect(V5) }),
        ),
        vector(
            "CONNECT with every property",
            &[V5],
            "10 39 00 04 4D 51 54 54 05 02 00 3C 2B 11 FF FF FF FF 21 00 14 27 00 01 00 00 22 00 \
            0A 19 01 17 00 15 00 01 6D 16 00 02 01 02 26 00 01 6B 00 01 76 26 00 01 6B 00 01 77 \
            00 01 61",
            Packet::Connect(Connect {
                properties: ConnectProperties {
                    session_expiry_interval: Some(u32::MAX),
                    receive_maximum: Some(20),
                    maximum_packet_size: Some(65_536),
                    topic_alias_maximum: Some(10),
                    request_response_information: Some(true),
                    request_problem_information: Some(false),
                    authentication_method: Some("m"),
                    authentication_data: Some(&[1, 2]),
                    user_properties: UserProperties::Pairs(&[("k", "v"), ("k", "w")]),
                },
                ..connect(V5)
            }),
        ),
        vector(
            "CONNECT with every will property",
            &[V5],
            "10 3B 00 04 4D 51 54 54 05 06 00 3C 00 00 01 61 22 18 00 00 00 05 01 01 02 00 00 00 \
            09 03 00 04 74 65 78 74 08 00 02 72 65 09 00 01 00 26 00 01 6B 00 00 00 03 77 2F 74 \
            00 03 62 79 65",
            Packet::Connect(Connect {
                will: Some(Will {
                    properties: WillProperties {
                        delay_interval_secs: Some(5),
                        payload_format_indicator: Some(true),
                        message_expiry_interval: Some(9),
                        content_type: Some("text"),
                        response_topic: Some("re"),
                        correlation_data: Some(&[0]),
                        user_properties: UserProperties::Pairs(&[("k", "")]),
                    },
                    ..will()
                }),
                ..connect(V5)
            }),
        ),
        vector(
            "CONNECT with a byte order mark and a character of four bytes",
            &[V311],
            "10 14 00 04 4D 51 54 54 04 02 00 3C 00 08 EF BB BF 41 F0 AA 9B 94",
            Packet::Connect(Connect { client_id: "\u{FEFF}A\u{2A6D4}", ..connect(V311) }),
        ),
        vector(
            "CONNACK, accepted",
            OLD,
            "20 02 00 00",
            Packet::ConnAck(ConnAck {
                session_present: false,
                ..ConnAck::new(ReasonCode::SUCCESS)
            }),
        ),
        vector(
            "CONNACK, accepted with a session",
            &[V311],
            "20 02 01 00",
            Packet::ConnAck(ConnAck { session_present: true, ..ConnAck::new(ReasonCode::SUCCESS) }),
        ),
        vector(
            "CONNACK, return code 1",
            OLD,
            "20 02 00 01",
            Packet::ConnAck(ConnAck {
                session_present: false,
                ..ConnAck::new(ReasonCode::UNSUPPORTED_PROTOCOL_VERSION)
            }),
        ),
        vector(
            "CONNACK, return code 2",
            OLD,
            "20 02 00 02",
            Packet::ConnAck(ConnAck {
                session_present: false,
                ..ConnAck::new(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID)
            }),
        ),
        vector(
            "CONNACK, return code 3",
            OLD,
            "20 02 00 03",
            Packet::ConnAck(ConnAck {
                session_present: false,
                ..ConnAck::new(ReasonCode::SERVER_UNAVAILABLE)
            }),
        ),
        vector(
            "CONNACK, return code 4",
            OLD,
            "20 02 00 04",
            Packet::ConnAck(ConnAck {
                session_present: false,
                ..ConnAck::new(ReasonCode::BAD_USER_NAME_OR_PASSWORD)
            }),
        ),
        vector(
            "CONNACK, return code 5",
            OLD,
            "20 02 00 05",
            Packet::ConnAck(ConnAck {
                session_present: false,
                ..ConnAck::new(ReasonCode::NOT_AUTHORIZED)
            }),
        ),
        vector(
            "CONNACK of 5.0, refused",
            &[V5],
            "20 03 00 8A 00",
            Packet::ConnAck(ConnAck { session_present: false, ..ConnAck::new(ReasonCode::BANNED) }),
        ),
        vector(
            "CONNACK with every property",
            &[V5],
            "20 47 01 00 44 11 00 00 00 1E 21 FF FF 24 01 25 00 27 00 00 00 01 12 00 02 69 64 22 \
            00 00 1F 00 03 77 68 79 28 01 29 00 2A 01 13 00 1E 1A 00 04 72 65 73 70 1C 00 05 6F \
            74 68 65 72 15 00 01 6D 16 00 00 26 00 00 00 01 76",
            Packet::ConnAck(ConnAck {
                session_present: true,
                reason: ReasonCode::SUCCESS,
                properties: ConnAckProperties {
                    session_expiry_interval: Some(30),
                    receive_maximum: Some(u16::MAX),
                    maximum_qos: Some(QoS::AtLeastOnce),
                    retain_available: Some(false),
                    maximum_packet_size: Some(1),
                    assigned_client_identifier: Some("id"),
                    topic_alias_maximum: Some(0),
                    reason_string: Some("why"),
                    wildcard_subscription_available: Some(true),
                    subscription_identifier_available: Some(false),
                    shared_subscription_available: Some(true),
                    server_keep_alive: Some(30),
                    response_information: Some("resp"),
                    server_reference: Some("other"),
                    authentication_method: Some("m"),
                    authentication_data: Some(b""),
                    user_properties: UserProperties::Pairs(&[("", "v")]),
                },
            }),
        ),
        vector(
            "PUBLISH at QoS 0",
            OLD,
            "30 07 00 03 61 2F 62 68 69",
            Packet::Publish(Publish { ..publish() }),
        ),
        vector(
            "PUBLISH of 5.0 at QoS 0",
            &[V5],
            "30 08 00 03 61 2F 62 00 68 69",
            Packet::Publish(Publish { ..publish() }),
        ),
        vector(
            "PUBLISH, retained and empty",
            OLD,
            "31 05 00 03 61 2F 62",
            Packet::Publish(Publish { retain: true, payload: b"", ..publish() }),
        ),
        vector(
            "PUBLISH at QoS 1",
            OLD,
            "32 09 00 03 61 2F 62 00 01 68 69",
            Packet::Publish(Publish { delivery: Delivery::AtLeastOnce(id(1)), ..publish() }),
        ),
        vector(
            "PUBLISH at QoS 2, repeated and retained",
            OLD,
            "3D 09 00 03 61 2F 62 FF FF 68 69",
            Packet::Publish(Publish {
                dup: true,
                retain: true,
                delivery: Delivery::ExactlyOnce(id(65_535)),
                ..publish()
            }),
        ),
        vector(
            "PUBLISH of 5.0 at QoS 2",
            &[V5],
            "34 0A 00 03 61 2F 62 01 00 00 68 69",
            Packet::Publish(Publish { delivery: Delivery::ExactlyOnce(id(256)), ..publish() }),
        ),
        vector(
            "PUBLISH with an alias alone",
            &[V5],
            "30 08 00 00 03 23 FF FF 68 69",
            Packet::Publish(Publish {
                topic: "",
                properties: PublishProperties {
                    topic_alias: Some(u16::MAX),
                    ..PublishProperties::default()
                },
                ..publish()
            }),
        ),
        vector(
            "PUBLISH with every property",
            &[V5],
            "32 50 00 03 61 2F 62 00 07 46 01 00 02 00 00 00 00 23 00 01 08 00 06 72 65 2F 70 6C \
            79 09 00 01 FF 03 00 10 61 70 70 6C 69 63 61 74 69 6F 6E 2F 6A 73 6F 6E 26 00 01 62 \
            00 01 31 26 00 01 61 00 01 32 26 00 01 62 00 01 31 0B 01 0B FF FF FF 7F 7B 7D",
            Packet::Publish(Publish {
                delivery: Delivery::AtLeastOnce(id(7)),
                payload: b"{}",
                properties: PublishProperties {
                    payload_format_indicator: Some(false),
                    message_expiry_interval: Some(0),
                    topic_alias: Some(1),
                    response_topic: Some("re/ply"),
                    correlation_data: Some(&[0xFF]),
                    content_type: Some("application/json"),
                    user_properties: UserProperties::Pairs(&[("b", "1"), ("a", "2"), ("b", "1")]),
                    subscription_identifiers: SubscriptionIdentifiers::Ids(&[1, 268_435_455]),
                },
                ..publish()
            }),
        ),
        vector(
            "PUBLISH with lengths of two bytes",
            &[V5],
            "30 D4 01 00 03 61 2F 62 CB 01 03 00 C8 78*200 68 69",
            Packet::Publish(Publish {
                properties: PublishProperties {
                    content_type: Some(long),
                    ..PublishProperties::default()
                },
                ..publish()
            }),
        ),
        vector(
            "PUBACK",
            ALL,
            "40 02 12 34",
            Packet::PubAck(Ack::new(id(0x1234), ReasonCode::SUCCESS)),
        ),
        vector(
            "PUBACK with a reason",
            &[V5],
            "40 03 00 01 87",
            Packet::PubAck(Ack::new(id(1), ReasonCode::NOT_AUTHORIZED)),
        ),
        vector(
            "PUBACK with every property",
            &[V5],
            "40 11 00 01 00 0D 1F 00 03 77 68 79 26 00 01 6B 00 01 76",
            Packet::PubAck(Ack { packet_id: id(1), reason: ReasonCode::SUCCESS, properties: WHY }),
        ),
        vector(
            "PUBREC",
            ALL,
            "50 02 12 34",
            Packet::PubRec(Ack::new(id(0x1234), ReasonCode::SUCCESS)),
        ),
        vector(
            "PUBREC with a reason",
            &[V5],
            "50 03 00 01 87",
            Packet::PubRec(Ack::new(id(1), ReasonCode::NOT_AUTHORIZED)),
        ),
        vector(
            "PUBREC with every property",
            &[V5],
            "50 11 00 01 00 0D 1F 00 03 77 68 79 26 00 01 6B 00 01 76",
            Packet::PubRec(Ack { packet_id: id(1), reason: ReasonCode::SUCCESS, properties: WHY }),
        ),
        vector(
            "PUBREL",
            ALL,
            "62 02 12 34",
            Packet::PubRel(Ack::new(id(0x1234), ReasonCode::SUCCESS)),
        ),
        vector(
            "PUBREL with a reason",
            &[V5],
            "62 03 00 01 92",
            Packet::PubRel(Ack::new(id(1), ReasonCode::PACKET_IDENTIFIER_NOT_FOUND)),
        ),
        vector(
            "PUBREL with every property",
            &[V5],
            "62 11 00 01 00 0D 1F 00 03 77 68 79 26 00 01 6B 00 01 76",
            Packet::PubRel(Ack { packet_id: id(1), reason: ReasonCode::SUCCESS, properties: WHY }),
        ),
        vector(
            "PUBCOMP",
            ALL,
            "70 02 12 34",
            Packet::PubComp(Ack::new(id(0x1234), ReasonCode::SUCCESS)),
        ),
        vector(
            "PUBCOMP with a reason",
            &[V5],
            "70 03 00 01 92",
            Packet::PubComp(Ack::new(id(1), ReasonCode::PACKET_IDENTIFIER_NOT_FOUND)),
        ),
        vector(
            "PUBCOMP with every property",
            &[V5],
            "70 11 00 01 00 0D 1F 00 03 77 68 79 26 00 01 6B 00 01 76",
            Packet::PubComp(Ack { packet_id: id(1), reason: ReasonCode::SUCCESS, properties: WHY }),
        ),
        vector(
            "PUBACK, no matching subscribers",
            &[V5],
            "40 03 00 01 10",
            Packet::PubAck(Ack::new(id(1), ReasonCode::NO_MATCHING_SUBSCRIBERS)),
        ),
        vector(
            "SUBSCRIBE",
            OLD,
            "82 0E 00 0A 00 03 61 2F 62 01 00 03 63 2F 2B 02",
            Packet::Subscribe(Subscribe {
                packet_id: id(10),
                properties: SubscribeProperties::default(),
                filters: SubscribeFilters::new(TWO_FILTERS),
            }),
        ),
        vector(
            "SUBSCRIBE of 5.0",
            &[V5],
            "82 0F 00 0A 00 00 03 61 2F 62 01 00 03 63 2F 2B 02",
            Packet::Subscribe(Subscribe {
                packet_id: id(10),
                properties: SubscribeProperties::default(),
                filters: SubscribeFilters::new(TWO_FILTERS),
            }),
        ),
        vector(
            "SUBSCRIBE with every option and property",
            &[V5],
            "82 22 00 0A 0B 0B 80 80 01 26 00 01 6B 00 01 76 00 01 23 2C 00 0A 24 73 68 61 72 65 \
            2F 67 2F 74 1A 00 00 00",
            Packet::Subscribe(Subscribe {
                packet_id: id(10),
                properties: SubscribeProperties {
                    subscription_identifier: Some(16_384),
                    user_properties: KV,
                },
                filters: SubscribeFilters::new(ALL_OPTIONS),
            }),
        ),
        vector(
            "SUBACK",
            OLD,
            "90 06 00 0A 00 01 02 80",
            Packet::SubAck(SubAck {
                packet_id: id(10),
                properties: AckProperties::default(),
                reasons: &[0, 1, 2, 0x80],
            }),
        ),
        vector(
            "SUBACK of 5.0",
            &[V5],
            "90 05 00 0A 00 02 9E",
            Packet::SubAck(SubAck {
                packet_id: id(10),
                properties: AckProperties::default(),
                reasons: &[2, 0x9E],
            }),
        ),
        vector(
            "SUBACK with every property",
            &[V5],
            "90 11 00 0A 0D 1F 00 03 77 68 79 26 00 01 6B 00 01 76 00",
            Packet::SubAck(SubAck { packet_id: id(10), properties: WHY, reasons: &[0] }),
        ),
        vector(
            "UNSUBSCRIBE",
            OLD,
            "A2 0A 00 0A 00 03 61 2F 62 00 01 23",
            Packet::Unsubscribe(Unsubscribe {
                packet_id: id(10),
                properties: UnsubscribeProperties::default(),
                filters: UnsubscribeFilters::new(&["a/b", "#"]),
            }),
        ),
        vector(
            "UNSUBSCRIBE of 5.0",
            &[V5],
            "A2 0B 00 0A 00 00 03 61 2F 62 00 01 23",
            Packet::Unsubscribe(Unsubscribe {
                packet_id: id(10),
                properties: UnsubscribeProperties::default(),
                filters: UnsubscribeFilters::new(&["a/b", "#"]),
            }),
        ),
        vector(
            "UNSUBSCRIBE with every property",
            &[V5],
            "A2 12 00 0A 07 26 00 01 6B 00 01 76 00 03 61 2F 62 00 01 23",
            Packet::Unsubscribe(Unsubscribe {
                packet_id: id(10),
                properties: UnsubscribeProperties { user_properties: KV },
                filters: UnsubscribeFilters::new(&["a/b", "#"]),
            }),
        ),
        vector(
            "UNSUBACK",
            OLD,
            "B0 02 00 0A",
            Packet::UnsubAck(UnsubAck {
                packet_id: id(10),
                properties: AckProperties::default(),
                reasons: &[],
            }),
        ),
        vector(
            "UNSUBACK of 5.0",
            &[V5],
            "B0 05 00 0A 00 00 11",
            Packet::UnsubAck(UnsubAck {
                packet_id: id(10),
                properties: AckProperties::default(),
                reasons: &[0, 0x11],
            }),
        ),
        vector(
            "UNSUBACK with every property",
            &[V5],
            "B0 11 00 0A 0D 1F 00 03 77 68 79 26 00 01 6B 00 01 76 8F",
            Packet::UnsubAck(UnsubAck { packet_id: id(10), properties: WHY, reasons: &[0x8F] }),
        ),
        vector("PINGREQ", ALL, "C0 00", Packet::PingReq),
        vector("PINGRESP", ALL, "D0 00", Packet::PingResp),
        vector("DISCONNECT", ALL, "E0 00", Packet::Disconnect(Disconnect::default())),
        vector(
            "DISCONNECT with a reason",
            &[V5],
            "E0 01 04",
            Packet::Disconnect(Disconnect::new(ReasonCode::DISCONNECT_WITH_WILL)),
        ),
        vector(
            "DISCONNECT with every property",
            &[V5],
            "E0 1C 9C 1A 11 00 00 00 00 1F 00 03 77 68 79 1C 00 05 6F 74 68 65 72 26 00 01 6B 00 \
            01 76",
            Packet::Disconnect(Disconnect {
                reason: ReasonCode::USE_ANOTHER_SERVER,
                properties: DisconnectProperties {
                    session_expiry_interval: Some(0),
                    reason_string: Some("why"),
                    server_reference: Some("other"),
                    user_properties: KV,
                },
            }),
        ),
        vector(
            "AUTH, success",
            &[V5],
            "F0 06 00 04 15 00 01 6D",
            Packet::Auth(Auth {
                reason: ReasonCode::SUCCESS,
                properties: AuthProperties {
                    authentication_method: Some("m"),
                    ..AuthProperties::default()
                },
            }),
        ),
        vector(
            "AUTH, re-authenticate",
            &[V5],
            "F0 06 19 04 15 00 01 6D",
            Packet::Auth(Auth {
                reason: ReasonCode::RE_AUTHENTICATE,
                properties: AuthProperties {
                    authentication_method: Some("m"),
                    ..AuthProperties::default()
                },
            }),
        ),
        vector(
            "AUTH with every property",
            &[V5],
            "F0 18 18 16 15 00 01 6D 16 00 02 00 01 1F 00 03 77 68 79 26 00 01 6B 00 01 76",
            Packet::Auth(Auth {
                reason: ReasonCode::CONTINUE_AUTHENTICATION,
                properties: AuthProperties {
                    authentication_method: Some("m"),
                    authentication_data: Some(&[0, 1]),
                    reason_string: Some("why"),
                    user_properties: KV,
                },
            }),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}
