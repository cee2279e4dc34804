//! Subscriptions, and where messages go.

use mqtt_client::{
    Error, Loss, PacketId, QoS, ReasonCode, RetainHandling, SubscriptionOptions, Version,
};
use mqtt_packet::{PacketType, PublishProperties, Subscribe, SubscriptionIdentifiers};

use crate::script::{connected, connected_with, ids, soon};

#[tokio::test]
async fn messages_come_to_the_stream() {
    for version in Version::ALL {
        let (client, mut script) = connected(version).await;
        let subscribing = client.subscribe("sensors/+/temperature", QoS::AtLeastOnce).into_future();
        let (messages, _) = tokio::join!(subscribing, script.grant());
        let mut messages = messages.unwrap();
        assert_eq!(messages.reasons(), [ReasonCode::GRANTED_QOS_1]);
        script.publish("sensors/kitchen/temperature", "21.5", QoS::AtLeastOnce, 7).await;
        let message = soon(messages.recv()).await.unwrap();
        assert_eq!(message.topic(), "sensors/kitchen/temperature");
        assert_eq!(&message.payload()[..], b"21.5");
        assert_eq!(message.qos(), QoS::AtLeastOnce);
        assert_eq!(message.packet_id().map(PacketId::get), Some(7));
        let puback = script.read().await.unwrap();
        assert_eq!((puback.first, puback.packet_id().get()), (0x40, 7));
    }
}

#[tokio::test]
async fn subscribe_carries_its_options() {
    let (client, mut script) = connected(Version::V5).await;
    let subscribing = client
        .subscribe("a", QoS::AtMostOnce)
        .no_local(true)
        .and("b", QoS::ExactlyOnce)
        .retain_as_published(true)
        .retain_handling(RetainHandling::Never)
        .identifier(99)
        .user_property("k", "v")
        .into_future();
    let subscribing = tokio::spawn(subscribing);
    let seen = script.read().await.unwrap();
    let subscribe = Subscribe::parse(seen.first, &seen.body, Version::V5).unwrap();
    let first = SubscriptionOptions { no_local: true, ..Default::default() };
    let second = SubscriptionOptions {
        qos: QoS::ExactlyOnce,
        retain_as_published: true,
        retain_handling: RetainHandling::Never,
        no_local: false,
    };
    assert_eq!(subscribe.filters.iter().collect::<Vec<_>>(), [("a", first), ("b", second)]);
    assert_eq!(subscribe.properties.subscription_identifier, Some(99));
    assert_eq!(subscribe.properties.user_properties.iter().next(), Some(("k", "v")));
    // One of two is enough; none is not.
    script.suback(subscribe.packet_id, &[0x87, 2]).await;
    let subscription = soon(subscribing).await.unwrap().unwrap();
    assert_eq!(subscription.reasons(), [ReasonCode::NOT_AUTHORIZED, ReasonCode::GRANTED_QOS_2]);
    let refused = tokio::spawn(client.subscribe("c", QoS::AtMostOnce).into_future());
    let id = script.read().await.unwrap().packet_id();
    script.suback(id, &[0x87]).await;
    let error = soon(refused).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::SubscribeRefused { .. }), "{error}");
}

#[tokio::test]
async fn identifiers_keep_overlapping_streams_apart() {
    let (client, mut script) = connected(Version::V5).await;
    let wide = client.subscribe("a/#", QoS::AtMostOnce).into_future();
    let (wide, wide_id) = tokio::join!(wide, script.grant());
    let narrow = client.subscribe("a/b", QoS::AtMostOnce).into_future();
    let (narrow, narrow_id) = tokio::join!(narrow, script.grant());
    let (mut wide, mut narrow) = (wide.unwrap(), narrow.unwrap());
    let ids = [wide_id.unwrap(), narrow_id.unwrap()];
    // A server may send one copy for each subscription, or one for all [MQTT-3.3.4-3].
    for (payload, ids) in [("wide", &ids[..1]), ("narrow", &ids[1..]), ("both", &ids[..])] {
        let properties = PublishProperties {
            subscription_identifiers: SubscriptionIdentifiers::Ids(ids),
            ..Default::default()
        };
        script.publish_with("a/b", payload, QoS::AtMostOnce, 0, properties).await;
    }
    for (stream, expected) in [(&mut wide, ["wide", "both"]), (&mut narrow, ["narrow", "both"])] {
        for payload in expected {
            let message = soon(stream.recv()).await.unwrap();
            assert_eq!(&message.payload()[..], payload.as_bytes());
        }
    }
}

#[tokio::test]
async fn without_identifiers_filters_decide() {
    let (client, mut script) = connected(Version::V311).await;
    let (shared, _) = tokio::join!(
        client.subscribe("$share/g/a/#", QoS::AtMostOnce).into_future(),
        script.grant()
    );
    let (other, _) =
        tokio::join!(client.subscribe("b", QoS::AtMostOnce).into_future(), script.grant());
    let (mut shared, mut other) = (shared.unwrap(), other.unwrap());
    script.publish("b", "1", QoS::AtMostOnce, 0).await;
    script.publish("a/x", "2", QoS::AtMostOnce, 0).await;
    assert_eq!(&soon(shared.recv()).await.unwrap().payload()[..], b"2");
    assert_eq!(&soon(other.recv()).await.unwrap().payload()[..], b"1");
}

#[tokio::test]
async fn every_message_is_acknowledged_even_if_nobody_wants_it() {
    // [MQTT-4.5.0-2]
    for version in [Version::V311, Version::V5] {
        let (client, mut script) = connected(version).await;
        script.publish("nobody", "1", QoS::AtLeastOnce, 1).await;
        script.publish("nobody", "2", QoS::ExactlyOnce, 2).await;
        let seen = script.read_all(2).await;
        assert_eq!((ids(&seen, 0x40), ids(&seen, 0x50)), (vec![1], vec![2]));
        assert_eq!(client.stats().dropped_unmatched, 2);
        // The default stream gets what comes from here on.
        let mut messages = client.messages().unwrap();
        assert!(client.messages().is_none());
        script.publish("nobody", "3", QoS::AtLeastOnce, 3).await;
        assert_eq!(&soon(messages.recv()).await.unwrap().payload()[..], b"3");
    }
}

#[tokio::test]
async fn acknowledgements_keep_the_order_of_messages() {
    // [MQTT-4.6.0-2], [MQTT-4.6.0-3]
    for (qos, answer) in [(QoS::AtLeastOnce, 0x40), (QoS::ExactlyOnce, 0x50)] {
        let (client, mut script) = connected(Version::V5).await;
        let (messages, _) =
            tokio::join!(client.subscribe("a/#", qos).into_future(), script.grant());
        for id in 1..=100 {
            let topic = if id % 3 == 0 { "nobody" } else { "a/b" };
            script.publish(topic, "", qos, id).await;
        }
        let seen = script.read_all(100).await;
        assert_eq!(ids(&seen, answer), (1..=100).collect::<Vec<u16>>());
        drop(messages);
    }
}

#[tokio::test]
async fn a_repeated_qos_2_message_is_handed_on_once() {
    let (client, mut script) = connected(Version::V5).await;
    let mut messages = client.messages().unwrap();
    script.publish("a", "once", QoS::ExactlyOnce, 5).await;
    script.publish("a", "once", QoS::ExactlyOnce, 5).await;
    script.publish("a", "next", QoS::AtMostOnce, 0).await;
    assert_eq!(ids(&script.read_all(2).await, 0x50), [5, 5]);
    assert_eq!(&soon(messages.recv()).await.unwrap().payload()[..], b"once");
    assert_eq!(&soon(messages.recv()).await.unwrap().payload()[..], b"next");
    script.ack(PacketType::PubRel, 5, ReasonCode::SUCCESS).await;
    assert_eq!(script.read().await.unwrap().first, 0x70);
}

#[tokio::test]
async fn aliases_of_the_server_are_resolved() {
    // [MQTT-3.3.2-10]
    let (client, mut script) = connected_with(|options| options.topic_alias_maximum(5)).await;
    let mut messages = client.unwrap().messages().unwrap();
    for alias in [1, 5] {
        for topic in ["a/b", ""] {
            let properties = PublishProperties { topic_alias: Some(alias), ..Default::default() };
            script.publish_with(topic, "x", QoS::AtMostOnce, 0, properties).await;
            assert_eq!(soon(messages.recv()).await.unwrap().topic(), "a/b");
        }
    }
}

#[tokio::test]
async fn unsubscribing_ends_the_stream() {
    let (client, mut script) = connected(Version::V5).await;
    let (messages, id) =
        tokio::join!(client.subscribe("a", QoS::AtMostOnce).into_future(), script.grant());
    let messages = messages.unwrap();
    let properties = PublishProperties {
        subscription_identifiers: SubscriptionIdentifiers::Ids(&[id.unwrap()]),
        ..Default::default()
    };
    script.publish_with("a", "last", QoS::AtMostOnce, 0, properties).await;
    let (rest, ()) = tokio::join!(messages.unsubscribe(), script.ungrant());
    let mut rest = rest.unwrap();
    assert_eq!(&soon(rest.recv()).await.unwrap().payload()[..], b"last");
    assert!(soon(rest.recv()).await.is_none());
}

#[tokio::test]
async fn a_stream_ends_with_the_connection_after_what_came() {
    let (client, mut script) = connected(Version::V5).await;
    let mut messages = client.messages().unwrap();
    script.publish("a", "last", QoS::AtMostOnce, 0).await;
    // DISCONNECT 0x8B with a reason in words.
    script.send_bytes(&[0xE0, 8, 0x8B, 6, 0x1F, 0, 3, b'b', b'y', b'e']).await;
    let Loss::Server(disconnected) = soon(client.closed()).await else { panic!("no reason") };
    assert_eq!(disconnected.reason, ReasonCode::SERVER_SHUTTING_DOWN);
    assert_eq!(disconnected.reason_string.as_deref(), Some("bye"));
    assert_eq!(&soon(messages.recv()).await.unwrap().payload()[..], b"last");
    assert!(soon(messages.recv()).await.is_none());
}

#[tokio::test]
async fn a_server_that_breaks_the_protocol_is_told_and_left() {
    // U5-056, U5-079
    let (client, mut script) = connected(Version::V5).await;
    let properties = PublishProperties {
        subscription_identifiers: SubscriptionIdentifiers::Ids(&[7]),
        ..Default::default()
    };
    script.publish_with("a", "", QoS::AtMostOnce, 0, properties).await;
    let Loss::Violation(violation) = soon(client.closed()).await else { panic!("no violation") };
    assert_eq!(violation.statement, "U5-056");
    let disconnect = script.read().await.unwrap();
    assert_eq!((disconnect.first, &disconnect.body[..]), (0xE0, &[0x82][..]));
}
