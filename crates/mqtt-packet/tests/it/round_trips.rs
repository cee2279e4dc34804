//! What is written is read back the same, whatever it is.

use bytes::BytesMut;
use mqtt_packet::{
    Ack, AckProperties, Auth, AuthProperties, ConnAck, ConnAckProperties, Connect,
    ConnectProperties, Delivery, Disconnect, DisconnectProperties, Packet, PacketId, PacketType,
    Publish, PublishProperties, QoS, RawPublish, ReasonCode, RetainHandling, SubAck, Subscribe,
    SubscribeFilters, SubscribeProperties, SubscriptionIdentifiers, SubscriptionOptions, UnsubAck,
    Unsubscribe, UnsubscribeFilters, UnsubscribeProperties, UserProperties, Version, Will,
    WillProperties,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::harness::{body_of, parse};

proptest! {
    #[test]
    fn every_packet_comes_back((version, packet) in version().prop_flat_map(with_packet)) {
        let mut out = BytesMut::from(&b"before"[..]);
        packet.encode(version, &mut out).unwrap();
        let bytes = out.split_off(6);
        prop_assert_eq!(&out[..], b"before");
        prop_assert_eq!(packet.encoded_len(version), Ok(bytes.len()));
        prop_assert_eq!(parse(&bytes, version), Ok(packet));
    }

    #[test]
    fn a_publish_split_is_the_publish_parsed(
        (version, publish) in version().prop_flat_map(|v| (Just(v), publish(v)))
    ) {
        let mut out = BytesMut::new();
        publish.encode(version, &mut out).unwrap();
        let (first, body) = body_of(&out);
        let raw = RawPublish::split(first, body, version).unwrap();
        prop_assert_eq!(raw.check(), Ok(publish));

        let mut again = BytesMut::new();
        raw.encode(&[], version, &mut again).unwrap();
        prop_assert_eq!(&again, &out);
        prop_assert_eq!(raw.encoded_len(0, version), Ok(out.len()));

        let mut header = BytesMut::new();
        raw.encode_header(&[], version, &mut header).unwrap();
        prop_assert_eq!(&[&header[..], publish.payload].concat(), &out[..]);
    }

    #[test]
    fn properties_put_in_front_are_read_with_the_others(
        publish in publish(Version::V5),
        ids in vec(1..=268_435_455u32, 0..40),
    ) {
        let publish = Publish {
            properties: PublishProperties {
                subscription_identifiers: SubscriptionIdentifiers::default(),
                ..publish.properties
            },
            ..publish
        };
        let subscription_identifiers = SubscriptionIdentifiers::Ids(&ids);
        let (mut plain, mut extra) = (BytesMut::new(), BytesMut::new());
        publish.encode(Version::V5, &mut plain).unwrap();
        let only_ids = PublishProperties { subscription_identifiers, ..Default::default() };
        only_ids.encode(&mut extra).unwrap();
        prop_assert_eq!(only_ids.encoded_len(), Ok(extra.len()));

        let (first, body) = body_of(&plain);
        let raw = RawPublish::split(first, body, Version::V5).unwrap();
        let mut out = BytesMut::new();
        raw.encode(&extra, Version::V5, &mut out).unwrap();
        prop_assert_eq!(raw.encoded_len(extra.len(), Version::V5), Ok(out.len()));
        let (first, body) = body_of(&out);
        let expected = Publish {
            properties: PublishProperties { subscription_identifiers, ..publish.properties },
            ..publish
        };
        prop_assert_eq!(Publish::parse(first, body, Version::V5), Ok(expected));
    }

    #[test]
    fn forwardable_properties_are_all_but_alias_expiry_and_identifiers(
        properties in publish_properties()
    ) {
        let mut out = BytesMut::new();
        properties.encode_forwardable(&mut out).unwrap();
        let expected = PublishProperties {
            topic_alias: None,
            message_expiry_interval: None,
            subscription_identifiers: SubscriptionIdentifiers::default(),
            ..properties
        };
        prop_assert_eq!(PublishProperties::parse(&out), Ok(expected));
    }

    #[test]
    fn a_will_gives_its_properties_to_its_message(will in will_properties()) {
        let mut out = BytesMut::new();
        will.encode_forwardable(&mut out).unwrap();
        let expected = PublishProperties {
            payload_format_indicator: will.payload_format_indicator,
            response_topic: will.response_topic,
            correlation_data: will.correlation_data,
            user_properties: will.user_properties,
            content_type: will.content_type,
            ..PublishProperties::default()
        };
        prop_assert_eq!(PublishProperties::parse(&out), Ok(expected));
    }

    /// Whatever comes in, nothing panics, and what is taken can be written and read again.
    #[test]
    fn arbitrary_bytes_do_no_harm(
        version in version(),
        first in any::<u8>(),
        body in vec(any::<u8>(), 0..64),
    ) {
        match Packet::parse(first, &body, version) {
            Ok(packet) => {
                let mut out = BytesMut::new();
                packet.encode(version, &mut out).unwrap();
                prop_assert_eq!(parse(&out, version), Ok(packet));
            }
            Err(e) => prop_assert!(e.offset <= body.len()),
        }
    }
}

fn version() -> impl Strategy<Value = Version> {
    select(&Version::ALL[..])
}

fn with_packet(version: Version) -> impl Strategy<Value = (Version, Packet<'static>)> {
    (Just(version), select(&PacketType::ALL[..]).prop_flat_map(move |t| packet(t, version)))
}

fn packet(packet_type: PacketType, version: Version) -> BoxedStrategy<Packet<'static>> {
    match packet_type {
        PacketType::Connect => connect(version).prop_map(Packet::Connect).boxed(),
        PacketType::ConnAck => connack(version).prop_map(Packet::ConnAck).boxed(),
        PacketType::Publish => publish(version).prop_map(Packet::Publish).boxed(),
        PacketType::PubAck => ack(packet_type, version).prop_map(Packet::PubAck).boxed(),
        PacketType::PubRec => ack(packet_type, version).prop_map(Packet::PubRec).boxed(),
        PacketType::PubRel => ack(packet_type, version).prop_map(Packet::PubRel).boxed(),
        PacketType::PubComp => ack(packet_type, version).prop_map(Packet::PubComp).boxed(),
        PacketType::Subscribe => subscribe(version).prop_map(Packet::Subscribe).boxed(),
        PacketType::SubAck => suback(version).prop_map(Packet::SubAck).boxed(),
        PacketType::Unsubscribe => unsubscribe(version).prop_map(Packet::Unsubscribe).boxed(),
        PacketType::UnsubAck => unsuback(version).prop_map(Packet::UnsubAck).boxed(),
        PacketType::PingReq => Just(Packet::PingReq).boxed(),
        PacketType::PingResp => Just(Packet::PingResp).boxed(),
        PacketType::Disconnect => disconnect(version).prop_map(Packet::Disconnect).boxed(),
        PacketType::Auth if version.is_v5() => auth().prop_map(Packet::Auth).boxed(),
        PacketType::Auth => Just(Packet::PingReq).boxed(),
    }
}

/// Text for a whole test run: packets borrow, and proptest keeps its values for ever so long.
fn text() -> impl Strategy<Value = &'static str> {
    vec(any::<char>().prop_filter("U+0000", |&c| c != '\0'), 0..8)
        .prop_map(|chars| &*String::from_iter(chars).leak())
}

fn topic() -> impl Strategy<Value = &'static str> {
    "[a-z/$é]{1,200}".prop_map(|topic| &*topic.leak())
}

fn binary() -> impl Strategy<Value = &'static [u8]> {
    vec(any::<u8>(), 0..300).prop_map(|bytes| &*bytes.leak())
}

fn user_properties() -> impl Strategy<Value = UserProperties<'static>> {
    vec((text(), text()), 0..4).prop_map(|pairs| UserProperties::Pairs(pairs.leak()))
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|id| PacketId::new(id).unwrap())
}

fn qos() -> impl Strategy<Value = QoS> {
    select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][..])
}

fn reason(packet_type: PacketType) -> impl Strategy<Value = ReasonCode> {
    let allowed = (0..=u8::MAX).map(ReasonCode).filter(|r| r.allowed_in(packet_type));
    select(allowed.collect::<Vec<_>>())
}

/// The properties in 5.0, none before.
fn from_v5<T: std::fmt::Debug + Default + Clone + 'static>(
    version: Version,
    properties: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    if version.is_v5() { properties.boxed() } else { Just(T::default()).boxed() }
}

fn connect(version: Version) -> impl Strategy<Value = Connect<'static>> {
    let fields = (any::<bool>(), any::<u16>(), text(), option::of(will(version)));
    let credentials = (option::of(text()), option::of(binary()));
    let properties = from_v5(version, connect_properties());
    (fields, credentials, properties).prop_map(move |(fields, credentials, properties)| {
        let (clean_start, keep_alive_secs, client_id, will) = fields;
        let (user_name, password) = credentials;
        let password = password.filter(|_| version.is_v5() || user_name.is_some());
        Connect {
            version,
            clean_start,
            keep_alive_secs,
            client_id,
            will,
            user_name,
            password,
            properties,
        }
    })
}

fn connect_properties() -> impl Strategy<Value = ConnectProperties<'static>> {
    let numbers = (
        option::of(any::<u32>()),
        option::of(1..=u16::MAX),
        option::of(1..=u32::MAX),
        option::of(any::<u16>()),
    );
    let flags = (option::of(any::<bool>()), option::of(any::<bool>()));
    let authentication = option::of((text(), option::of(binary())));
    (numbers, flags, authentication, user_properties()).prop_map(
        |(numbers, flags, authentication, user_properties)| ConnectProperties {
            session_expiry_interval: numbers.0,
            receive_maximum: numbers.1,
            maximum_packet_size: numbers.2,
            topic_alias_maximum: numbers.3,
            request_response_information: flags.0,
            request_problem_information: flags.1,
            authentication_method: authentication.map(|(method, _)| method),
            authentication_data: authentication.and_then(|(_, data)| data),
            user_properties,
        },
    )
}

fn will(version: Version) -> impl Strategy<Value = Will<'static>> {
    (qos(), any::<bool>(), topic(), binary(), from_v5(version, will_properties())).prop_map(
        |(qos, retain, topic, payload, properties)| Will {
            qos,
            retain,
            topic,
            payload,
            properties,
        },
    )
}

fn will_properties() -> impl Strategy<Value = WillProperties<'static>> {
    (option::of(any::<u32>()), publish_properties()).prop_map(|(delay, publish)| WillProperties {
        delay_interval_secs: delay,
        payload_format_indicator: publish.payload_format_indicator,
        message_expiry_interval: publish.message_expiry_interval,
        content_type: publish.content_type,
        response_topic: publish.response_topic,
        correlation_data: publish.correlation_data,
        user_properties: publish.user_properties,
    })
}

fn connack(version: Version) -> impl Strategy<Value = ConnAck<'static>> {
    let properties = from_v5(version, connack_properties());
    (any::<bool>(), reason(PacketType::ConnAck), properties).prop_map(
        move |(session_present, reason, properties)| ConnAck {
            session_present: session_present && version != Version::V31,
            reason: match version {
                Version::V5 => reason,
                _ => ReasonCode::from_connack_v3(reason.connack_v3()).unwrap(),
            },
            properties,
        },
    )
}

fn connack_properties() -> impl Strategy<Value = ConnAckProperties<'static>> {
    let of_connect = connect_properties();
    let levels =
        (option::of(select(&[QoS::AtMostOnce, QoS::AtLeastOnce][..])), option::of(any::<u16>()));
    let flag = || option::of(any::<bool>());
    let flags = [flag(), flag(), flag(), flag()];
    let texts = [option::of(text()), option::of(text()), option::of(text()), option::of(text())];
    (of_connect, levels, flags, texts).prop_map(|(of_connect, levels, flags, texts)| {
        ConnAckProperties {
            session_expiry_interval: of_connect.session_expiry_interval,
            receive_maximum: of_connect.receive_maximum,
            maximum_qos: levels.0,
            retain_available: flags[0],
            maximum_packet_size: of_connect.maximum_packet_size,
            assigned_client_identifier: texts[0],
            topic_alias_maximum: of_connect.topic_alias_maximum,
            reason_string: texts[1],
            wildcard_subscription_available: flags[1],
            subscription_identifier_available: flags[2],
            shared_subscription_available: flags[3],
            server_keep_alive: levels.1,
            response_information: texts[2],
            server_reference: texts[3],
            authentication_method: of_connect.authentication_method,
            authentication_data: of_connect.authentication_data,
            user_properties: of_connect.user_properties,
        }
    })
}

fn publish(version: Version) -> impl Strategy<Value = Publish<'static>> {
    let delivery = prop_oneof![
        Just(Delivery::AtMostOnce),
        packet_id().prop_map(Delivery::AtLeastOnce),
        packet_id().prop_map(Delivery::ExactlyOnce),
    ];
    let flags = (any::<bool>(), any::<bool>());
    let properties = from_v5(version, publish_properties());
    (flags, delivery, topic(), any::<bool>(), properties, binary()).prop_map(
        |((dup, retain), delivery, topic, by_alias, properties, payload)| Publish {
            dup: dup && delivery != Delivery::AtMostOnce,
            delivery,
            retain,
            topic: if by_alias && properties.topic_alias.is_some() { "" } else { topic },
            properties,
            payload,
        },
    )
}

fn publish_properties() -> impl Strategy<Value = PublishProperties<'static>> {
    let numbers = (option::of(any::<bool>()), option::of(any::<u32>()), option::of(1..=u16::MAX));
    let fields = (option::of(topic()), option::of(binary()), option::of(text()));
    let ids = vec(1..=268_435_455u32, 0..3);
    (numbers, fields, user_properties(), ids).prop_map(|(numbers, fields, user_properties, ids)| {
        PublishProperties {
            payload_format_indicator: numbers.0,
            message_expiry_interval: numbers.1,
            topic_alias: numbers.2,
            response_topic: fields.0,
            correlation_data: fields.1,
            content_type: fields.2,
            user_properties,
            subscription_identifiers: SubscriptionIdentifiers::Ids(ids.leak()),
        }
    })
}

fn ack(packet_type: PacketType, version: Version) -> impl Strategy<Value = Ack<'static>> {
    (packet_id(), reason(packet_type), from_v5(version, ack_properties())).prop_map(
        move |(packet_id, reason, properties)| Ack {
            packet_id,
            reason: if version.is_v5() { reason } else { ReasonCode::SUCCESS },
            properties,
        },
    )
}

fn ack_properties() -> impl Strategy<Value = AckProperties<'static>> {
    (option::of(text()), user_properties()).prop_map(|(reason_string, user_properties)| {
        AckProperties { reason_string, user_properties }
    })
}

fn options(version: Version) -> impl Strategy<Value = SubscriptionOptions> {
    let handling =
        [RetainHandling::OnSubscribe, RetainHandling::OnNewSubscription, RetainHandling::Never];
    (qos(), any::<bool>(), any::<bool>(), select(handling.to_vec())).prop_map(
        move |(qos, no_local, retain_as_published, retain_handling)| match version {
            Version::V5 => {
                SubscriptionOptions { qos, no_local, retain_as_published, retain_handling }
            }
            _ => SubscriptionOptions::new(qos),
        },
    )
}

fn subscribe(version: Version) -> impl Strategy<Value = Subscribe<'static>> {
    let properties = (option::of(1..=268_435_455u32), user_properties()).prop_map(
        |(subscription_identifier, user_properties)| SubscribeProperties {
            subscription_identifier,
            user_properties,
        },
    );
    let filters = vec((text(), options(version)), 1..5);
    (packet_id(), from_v5(version, properties), filters).prop_map(
        |(packet_id, properties, filters)| Subscribe {
            packet_id,
            properties,
            filters: SubscribeFilters::new(filters.leak()),
        },
    )
}

fn suback(version: Version) -> impl Strategy<Value = SubAck<'static>> {
    let code = reason(PacketType::SubAck).prop_map(move |reason| match version {
        Version::V5 => reason.0,
        _ if reason.is_error() => 0x80,
        _ => reason.0,
    });
    (packet_id(), from_v5(version, ack_properties()), vec(code, 1..5)).prop_map(
        |(packet_id, properties, reasons)| SubAck {
            packet_id,
            properties,
            reasons: reasons.leak(),
        },
    )
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Unsubscribe<'static>> {
    let properties =
        user_properties().prop_map(|user_properties| UnsubscribeProperties { user_properties });
    (packet_id(), from_v5(version, properties), vec(text(), 1..5)).prop_map(
        |(packet_id, properties, filters)| Unsubscribe {
            packet_id,
            properties,
            filters: UnsubscribeFilters::new(filters.leak()),
        },
    )
}

fn unsuback(version: Version) -> impl Strategy<Value = UnsubAck<'static>> {
    let codes = vec(reason(PacketType::UnsubAck).prop_map(|reason| reason.0), 1..5);
    (packet_id(), from_v5(version, ack_properties()), from_v5(version, codes)).prop_map(
        |(packet_id, properties, reasons)| UnsubAck {
            packet_id,
            properties,
            reasons: reasons.leak(),
        },
    )
}

fn disconnect(version: Version) -> impl Strategy<Value = Disconnect<'static>> {
    let properties = (option::of(any::<u32>()), ack_properties(), option::of(text())).prop_map(
        |(session_expiry_interval, ack, server_reference)| DisconnectProperties {
            session_expiry_interval,
            reason_string: ack.reason_string,
            server_reference,
            user_properties: ack.user_properties,
        },
    );
    (from_v5(version, reason(PacketType::Disconnect)), from_v5(version, properties))
        .prop_map(|(reason, properties)| Disconnect { reason, properties })
}

fn auth() -> impl Strategy<Value = Auth<'static>> {
    (reason(PacketType::Auth), text(), option::of(binary()), ack_properties()).prop_map(
        |(reason, method, authentication_data, ack)| Auth {
            reason,
            properties: AuthProperties {
                authentication_method: Some(method),
                authentication_data,
                reason_string: ack.reason_string,
                user_properties: ack.user_properties,
            },
        },
    )
}
