//! What the server announced.

use mqtt_client::{Client, Error, QoS, ReasonCode, RequestError};
use mqtt_packet::{ConnAck, ConnAckProperties, Packet, PacketType};

use crate::script::{Script, Server, soon};

async fn limited(properties: ConnAckProperties<'_>) -> (Client, Script) {
    let server = Server::start().await;
    let connack = ConnAck { properties, ..ConnAck::new(ReasonCode::SUCCESS) };
    let (client, script) = server.serve(server.options(), &Packet::ConnAck(connack)).await;
    (client.unwrap(), script)
}

fn request(error: Error) -> RequestError {
    match error {
        Error::Request(error) => error,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn no_publish_above_maximum_qos_or_with_retain() {
    // [MQTT-3.2.2-11], [MQTT-3.2.2-14], [MQTT-3.2.2-15]
    let (client, mut script) = limited(ConnAckProperties {
        maximum_qos: Some(QoS::AtLeastOnce),
        retain_available: Some(false),
        maximum_packet_size: Some(100),
        ..Default::default()
    })
    .await;
    let error = soon(client.publish("a", "1").qos(QoS::ExactlyOnce)).await.unwrap_err();
    assert_eq!(request(error), RequestError::QosNotSupported { maximum: QoS::AtLeastOnce });
    let error = soon(client.publish("a", "1").retain(true)).await.unwrap_err();
    assert_eq!(request(error), RequestError::RetainNotSupported);
    let error = soon(client.publish("a", vec![0; 100])).await.unwrap_err();
    assert_eq!(request(error), RequestError::PacketTooLarge { len: 106, maximum: 100 });
    let error = soon(client.publish("a/#", "1")).await.unwrap_err();
    assert!(matches!(request(error), RequestError::Topic(_)));
    soon(client.publish("a", "fine")).await.unwrap();
    assert_eq!(script.read().await.unwrap().first, 0x30);
}

#[tokio::test]
async fn aliases_stay_within_the_servers_maximum() {
    // [MQTT-3.2.2-17], [MQTT-3.2.2-18]
    for maximum in [None, Some(2)] {
        let (client, mut script) =
            limited(ConnAckProperties { topic_alias_maximum: maximum, ..Default::default() }).await;
        for number in 0..8 {
            let topic = format!("a/long/topic/{}", number % 4);
            soon(client.publish(topic, "x")).await.unwrap();
        }
        let seen = script.read_all(8).await;
        let aliases: Vec<_> = seen
            .iter()
            .filter_map(|seen| seen.publish(script.version).properties.topic_alias)
            .collect();
        assert_eq!(aliases.len(), if maximum.is_some() { 4 } else { 0 });
        assert!(aliases.iter().all(|alias| (1..=2).contains(alias)));
    }
}

#[tokio::test]
async fn receive_maximum_is_kept_and_holds_back_nothing_else() {
    // [MQTT-3.3.4-7], [MQTT-3.3.4-8]
    let (client, mut script) =
        limited(ConnAckProperties { receive_maximum: Some(2), ..Default::default() }).await;
    for _ in 0..5 {
        drop(client.publish("a", "").qos(QoS::AtLeastOnce).send().await.unwrap());
    }
    let subscribing = tokio::spawn(client.subscribe("b", QoS::AtMostOnce).into_future());
    let seen = script.read_all(3).await;
    assert_eq!(seen.iter().map(|seen| seen.first).collect::<Vec<_>>(), [0x32, 0x32, 0x82]);
    script.suback(seen[2].packet_id(), &[0]).await;
    assert!(soon(subscribing).await.unwrap().is_ok());
    script.ack(PacketType::PubAck, 1, ReasonCode::SUCCESS).await;
    assert_eq!(script.read().await.unwrap().first, 0x32);
}
