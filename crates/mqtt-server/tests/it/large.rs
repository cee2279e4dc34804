//! CONNECTs and messages that are large, and those that are too large.

use mqtt_packet::{Connect, Packet, QoS, ReasonCode, Version, Will};

use crate::harness::{Broker, Peer, builder, connect, panics};

const MIB: usize = 1024 * 1024;

fn with_will<'a>(version: Version, client_id: &'a str, payload: &'a [u8]) -> Connect<'a> {
    let qos = QoS::AtLeastOnce;
    let will = Will { qos, retain: false, topic: "will", payload, properties: Default::default() };
    Connect { will: Some(will), ..connect(version, client_id) }
}

#[tokio::test]
async fn a_will_of_60_kb_and_the_longest_client_identifier_are_taken_together() {
    let broker = Broker::start(builder(|_| {})).await;
    let client_id = "x".repeat(65_535);
    for version in [Version::V311, Version::V5] {
        let (_, reason) =
            Peer::try_connect(&broker, &with_will(version, &client_id, &[1; 60_000])).await;
        assert_eq!(reason, Some(ReasonCode::SUCCESS), "{version}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_connect_that_is_too_large_is_answered() {
    let broker = Broker::start(builder(|limits| limits.protocol.connect_bytes_max = 20_000)).await;
    for (version, expected) in [
        (Version::V31, ReasonCode::SERVER_UNAVAILABLE),
        (Version::V311, ReasonCode::SERVER_UNAVAILABLE),
        (Version::V5, ReasonCode::PACKET_TOO_LARGE),
    ] {
        let fits = with_will(version, "client", &[1; 17_000]);
        let (_, reason) = Peer::try_connect(&broker, &fits).await;
        assert_eq!(reason, Some(ReasonCode::SUCCESS), "{version}");
        let large = with_will(version, "client", &[1; 60_000]);
        let (_, reason) = Peer::try_connect(&broker, &large).await;
        assert_eq!(reason, Some(expected), "{version}");
    }
    assert_eq!(panics(), 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_claim_is_answered_before_anything_of_it_is_sent() {
    let broker = Broker::start(builder(|_| {})).await;
    let mut peer = Peer::open(broker.address, Version::V5).await;
    // 256 MiB to come; the version is in the last piece.
    for piece in [&[0x10, 0xFF, 0xFF][..], &[0xFF, 0x7F, 0, 4, b'M'], b"QTT\x05", &[2]] {
        peer.say(piece).await;
        tokio::task::yield_now().await;
    }
    peer.say(&[0; 20]).await;
    let raw = peer.expect_next().await;
    let Packet::ConnAck(connack) = raw.packet() else { panic!("no CONNACK but {raw:?}") };
    assert_eq!(connack.reason, ReasonCode::PACKET_TOO_LARGE);
    broker.stop().await;
}

#[tokio::test]
async fn a_message_of_3_mb_and_a_topic_of_200_levels_are_taken() {
    let broker = Broker::start(builder(|_| {})).await;
    let topic = vec!["x"; 200].join("/");
    let mut peer = Peer::simple(&broker, Version::V311, "client").await;
    peer.subscribe(&topic, QoS::AtLeastOnce).await;
    peer.publish(&topic, &vec![7; 3 * MIB], 1).await;
    let mut found = false;
    while !found {
        let raw = peer.expect_next().await;
        if let Packet::Publish(publish) = raw.packet() {
            assert_eq!((publish.topic, publish.payload.len()), (&*topic, 3 * MIB));
            found = true;
        }
    }
    broker.stop().await;
}
