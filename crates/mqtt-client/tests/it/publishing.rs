//! Messages to the server.

use mqtt_client::{Error, Loss, QoS, ReasonCode, Version};
use mqtt_packet::PacketType;

use crate::script::{connected, ids, soon};

#[tokio::test]
async fn qos_0_needs_no_answer() {
    // Over TCP, the transport that a client has to have: [MQTT-7.1.2-1] of 3.1.1
    for version in Version::ALL {
        let (client, mut script) = connected(version).await;
        assert_eq!(soon(client.publish("a/b", "payload")).await.unwrap(), ReasonCode::SUCCESS);
        let seen = script.read().await.unwrap();
        let publish = seen.publish(version);
        assert_eq!((publish.topic, publish.payload), ("a/b", &b"payload"[..]));
    }
}

#[tokio::test]
async fn qos_1_waits_for_puback_and_gives_its_reason() {
    let (client, mut script) = connected(Version::V5).await;
    let publish = tokio::spawn(client.publish("a", "1").qos(QoS::AtLeastOnce).into_future());
    let id = script.read().await.unwrap().publish(Version::V5).delivery.packet_id().unwrap();
    script.ack(PacketType::PubAck, id.get(), ReasonCode::NO_MATCHING_SUBSCRIBERS).await;
    assert_eq!(soon(publish).await.unwrap().unwrap(), ReasonCode::NO_MATCHING_SUBSCRIBERS);
}

#[tokio::test]
async fn qos_2_waits_for_pubcomp() {
    for version in Version::ALL {
        let (client, mut script) = connected(version).await;
        let mut receipt = client.publish("a", "1").qos(QoS::ExactlyOnce).send().await.unwrap();
        let id = script.read().await.unwrap().publish(version).delivery.packet_id().unwrap();
        script.ack(PacketType::PubRec, id.get(), ReasonCode::SUCCESS).await;
        let pubrel = script.read().await.unwrap();
        assert_eq!((pubrel.first, pubrel.packet_id()), (0x62, id));
        let not_yet = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut receipt).poll(cx).is_pending())
        });
        assert!(not_yet.await);
        script.ack(PacketType::PubComp, id.get(), ReasonCode::SUCCESS).await;
        assert_eq!(soon(receipt).await.unwrap(), ReasonCode::SUCCESS);
    }
}

#[tokio::test]
async fn a_message_that_the_server_does_not_take_is_an_error() {
    let (client, mut script) = connected(Version::V5).await;
    for (qos, packet) in
        [(QoS::AtLeastOnce, PacketType::PubAck), (QoS::ExactlyOnce, PacketType::PubRec)]
    {
        let receipt = client.publish("a", "1").qos(qos).send().await.unwrap();
        let id = script.read().await.unwrap().publish(Version::V5).delivery.packet_id().unwrap();
        script.ack(packet, id.get(), ReasonCode::QUOTA_EXCEEDED).await;
        let error = soon(receipt).await.unwrap_err();
        let quota = ReasonCode::QUOTA_EXCEEDED;
        assert!(matches!(error, Error::PublishRefused { reason } if reason == quota), "{error}");
    }
}

#[tokio::test]
async fn all_properties_go_along() {
    let (client, mut script) = connected(Version::V5).await;
    client
        .publish("a", "{}")
        .retain(true)
        .payload_is_utf8(true)
        .expiry_secs(60)
        .response_topic("answers")
        .correlation_data(*b"42")
        .content_type("application/json")
        .user_property("b", "2")
        .user_property("a", "1")
        .await
        .unwrap();
    let seen = script.read().await.unwrap();
    let publish = seen.publish(Version::V5);
    let properties = publish.properties;
    assert!(publish.retain);
    assert_eq!(properties.payload_format_indicator, Some(true));
    assert_eq!(properties.message_expiry_interval, Some(60));
    assert_eq!(properties.response_topic, Some("answers"));
    assert_eq!(properties.correlation_data, Some(&b"42"[..]));
    assert_eq!(properties.content_type, Some("application/json"));
    let pairs: Vec<_> = properties.user_properties.iter().collect();
    assert_eq!(pairs, [("b", "2"), ("a", "1")]);
}

#[tokio::test]
async fn identifiers_are_distinct_while_in_use_and_pubrel_follows_pubrec() {
    // [MQTT-2.2.1-3], [MQTT-4.6.0-4]; [MQTT-2.3.1-2] of 3.1.1
    for version in [Version::V311, Version::V5] {
        let (client, mut script) = connected(version).await;
        for _ in 0..20 {
            drop(client.publish("a", "").qos(QoS::ExactlyOnce).send().await.unwrap());
        }
        let seen = script.read_all(20).await;
        let mut used: Vec<_> = seen
            .iter()
            .map(|seen| seen.publish(version).delivery.packet_id().unwrap().get())
            .collect();
        // The server answers in an order of its own, and PUBREL keeps to that.
        used.reverse();
        for id in &used {
            script.ack(PacketType::PubRec, *id, ReasonCode::SUCCESS).await;
        }
        let pubrels = script.read_all(20).await;
        assert_eq!(ids(&pubrels, 0x62), used);
        used.sort_unstable();
        used.dedup();
        assert_eq!(used.len(), 20);
    }
}

#[tokio::test]
async fn a_cut_connection_fails_what_waits_for_it() {
    let (client, mut script) = connected(Version::V5).await;
    let receipt = client.publish("a", "1").qos(QoS::AtLeastOnce).send().await.unwrap();
    script.read().await.unwrap();
    script.cut();
    let error = soon(receipt).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionLost(Loss::Closed | Loss::Io(_))), "{error}");
    let error = soon(client.publish("a", "2")).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionLost(_)), "{error}");
}

#[tokio::test]
async fn what_is_published_leaves_even_if_the_client_is_dropped() {
    let (client, mut script) = connected(Version::V5).await;
    drop(client.publish("a", "1").qos(QoS::AtLeastOnce).send().await.unwrap());
    drop(client);
    let seen = script.read().await.unwrap();
    let id = seen.publish(Version::V5).delivery.packet_id().unwrap();
    script.ack(PacketType::PubAck, id.get(), ReasonCode::SUCCESS).await;
    assert_eq!(script.read().await.unwrap().first, 0xE0);
    assert_eq!(script.read().await, None);
}

#[tokio::test]
async fn a_large_message_goes_through() {
    let (client, mut script) = connected(Version::V311).await;
    let payload = vec![b'x'; 20_000_000];
    let publish = tokio::spawn(client.publish("a", payload).qos(QoS::AtLeastOnce).into_future());
    let seen = script.read().await.unwrap();
    assert_eq!(seen.publish(Version::V311).payload.len(), 20_000_000);
    script.ack(PacketType::PubAck, 1, ReasonCode::SUCCESS).await;
    assert!(soon(publish).await.unwrap().is_ok());
}

#[tokio::test]
async fn publishers_go_on_when_there_is_room_again() {
    let (client, mut script) = connected(Version::V5).await;
    let publishing = tokio::spawn(async move {
        for _ in 0..300 {
            drop(client.publish("a", vec![0; 100_000]).send().await.unwrap());
        }
        client
    });
    script.read_all(300).await;
    soon(publishing).await.unwrap();
}
