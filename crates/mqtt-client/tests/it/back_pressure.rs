//! Streams whose readers are behind.

use mqtt_client::{QoS, ReasonCode, Version};
use mqtt_packet::{Packet, PacketType};

use crate::script::{connected_with, ids, soon};

#[tokio::test]
async fn a_full_stream_withholds_acknowledgements_and_nothing_else() {
    let (client, mut script) =
        connected_with(|options| options.version(Version::V311).stream_capacity(3, 1_000_000))
            .await;
    let client = client.unwrap();
    let (messages, _) =
        tokio::join!(client.subscribe("a", QoS::AtLeastOnce).into_future(), script.grant());
    let mut messages = messages.unwrap();
    for id in 1..=10 {
        script.publish("a", &id.to_string(), QoS::AtLeastOnce, id).await;
    }
    assert_eq!(ids(&script.read_all(3).await, 0x40), [1, 2, 3]);
    // The reader itself waits for the server: its PUBACK comes through.
    let publish = tokio::spawn(client.publish("b", "").qos(QoS::AtLeastOnce).into_future());
    let seen = script.read().await.unwrap();
    assert_eq!(seen.first, 0x32);
    let id = seen.publish(Version::V311).delivery.packet_id().unwrap();
    script.ack(PacketType::PubAck, id.get(), ReasonCode::SUCCESS).await;
    soon(publish).await.unwrap().unwrap();
    for id in 1..=10 {
        let message = soon(messages.recv()).await.unwrap();
        assert_eq!(&message.payload()[..], id.to_string().as_bytes());
        if id <= 7 {
            assert_eq!(ids(&script.read_all(1).await, 0x40), [id + 3]);
        }
    }
}

#[tokio::test]
async fn a_dropped_stream_holds_nothing_back() {
    let (client, mut script) =
        connected_with(|options| options.version(Version::V311).stream_capacity(1, 1_000_000))
            .await;
    let client = client.unwrap();
    let (messages, _) =
        tokio::join!(client.subscribe("a", QoS::AtLeastOnce).into_future(), script.grant());
    for id in 1..=5 {
        script.publish("a", "", QoS::AtLeastOnce, id).await;
    }
    assert_eq!(ids(&script.read_all(1).await, 0x40), [1]);
    drop(messages);
    assert_eq!(ids(&script.read_all(4).await, 0x40), [2, 3, 4, 5]);
}

#[tokio::test]
async fn bytes_count_as_well_and_a_large_message_comes_alone() {
    let (client, mut script) =
        connected_with(|options| options.version(Version::V311).stream_capacity(100, 10)).await;
    let client = client.unwrap();
    let mut messages = client.messages().unwrap();
    for id in 1..=3 {
        script.publish("a", &"x".repeat(20), QoS::AtLeastOnce, id).await;
    }
    for id in 1..=3 {
        assert_eq!(ids(&script.read_all(1).await, 0x40), [id]);
        assert!(soon(messages.recv()).await.is_some());
    }
}

#[tokio::test]
async fn a_reader_that_never_comes_loses_qos_0_only() {
    let (client, mut script) =
        connected_with(|options| options.version(Version::V311).stream_capacity(2, 1_000_000))
            .await;
    let client = client.unwrap();
    let (messages, _) =
        tokio::join!(client.subscribe("a", QoS::AtMostOnce).into_future(), script.grant());
    let mut messages = messages.unwrap();
    for number in 0..5 {
        // One packet at a time, so that they do not come in as one run.
        script.publish("a", &number.to_string(), QoS::AtMostOnce, 0).await;
        script.send(&Packet::PingResp).await;
    }
    // A message for nobody, behind them: its answer says that the stall is over.
    script.publish("b", "", QoS::AtLeastOnce, 9).await;
    assert_eq!(ids(&script.read_all(1).await, 0x40), [9]);
    let lost = client.stats().dropped_slow;
    assert!(lost >= 1, "nothing was lost");
    for number in 0..5 - lost {
        let message = soon(messages.recv()).await.unwrap();
        assert_eq!(&message.payload()[..], number.to_string().as_bytes());
    }
    // It has caught up.
    script.publish("a", "again", QoS::AtMostOnce, 0).await;
    assert_eq!(&soon(messages.recv()).await.unwrap().payload()[..], b"again");
}
