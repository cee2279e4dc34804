//! What the standards call a violation, and what CONNACK announces.

use mqtt_packet::{ConnAckProperties, Packet, QoS, ReasonCode, Version};
use mqtt_server::Limits;

use crate::harness::{Broker, Peer, builder, connect, persistent};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// An UNSUBSCRIBE of two filters.
fn unsubscribe(version: Version, filters: [&str; 2]) -> Vec<u8> {
    let mut body = vec![0, 9];
    if version.is_v5() {
        body.push(0);
    }
    for filter in filters {
        body.extend(u16::try_from(filter.len()).unwrap().to_be_bytes());
        body.extend(filter.as_bytes());
    }
    [&[0xA2, u8::try_from(body.len()).unwrap()], &body[..]].concat()
}

/// The connection is closed; a 5.0 client is told this.
async fn assert_closed(mut peer: Peer, version: Version, reason: ReasonCode, what: &str) {
    let said = peer.end().await;
    assert_eq!(said, version.is_v5().then_some(reason), "{version:?} {what}");
}

#[tokio::test]
async fn a_bad_filter_in_unsubscribe_is_a_violation_where_the_answer_has_no_code() {
    // [MQTT-4.7.1-3], [MQTT-4.8.0-1]
    let broker = Broker::start(builder(|_| {})).await;
    for version in VERSIONS {
        let mut peer = Peer::connect(&broker, &persistent(version, "c")).await;
        peer.subscribe("kept", QoS::AtMostOnce).await;
        peer.say(&unsubscribe(version, ["kept", "ab/+e"])).await;
        if version.is_v5() {
            match peer.expect_next().await.packet() {
                Packet::UnsubAck(unsuback) => assert_eq!(unsuback.reasons, [0, 0x8F]),
                other => panic!("no UNSUBACK but {other:?}"),
            }
            continue;
        }
        assert_eq!(peer.end().await, None);
        // Nothing of the packet was done.
        let mut peer = Peer::connect(&broker, &persistent(version, "c")).await;
        peer.publish("kept", b"x", 0).await;
        assert_eq!(peer.message().await.0, "kept");
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_packet_with_an_empty_filter_is_malformed() {
    // [MQTT-4.7.3-1]
    let broker = Broker::start(builder(|_| {})).await;
    for version in VERSIONS {
        let properties: &[u8] = if version.is_v5() { &[0] } else { &[] };
        let subscribe = [&[0, 9][..], properties, b"\0\x01a\x01\0\0\x01"].concat();
        let head = [0x82, u8::try_from(subscribe.len()).unwrap()];
        let packets = [[&head[..], &subscribe].concat(), unsubscribe(version, ["a", ""])];
        for packet in packets {
            let mut peer = Peer::simple(&broker, version, "c").await;
            peer.say(&packet).await;
            assert_closed(peer, version, ReasonCode::MALFORMED_PACKET, "an empty filter").await;
        }
    }
    broker.stop().await;
}

/// Acknowledgements of one message of this QoS, with its identifier put into each.
async fn answer(broker: &Broker, version: Version, qos: QoS, answers: &[&[u8]]) -> Peer {
    let mut peer = Peer::simple(broker, version, "c").await;
    peer.subscribe("t", qos).await;
    let local = broker.handle.local_client("local").unwrap();
    local.publish("t", b"x", qos, false).unwrap();
    let raw = peer.expect_next().await;
    let Packet::Publish(publish) = raw.packet() else { panic!("no message but {raw:?}") };
    let id = publish.delivery.packet_id().unwrap().get().to_be_bytes();
    let packets: Vec<_> = answers.iter().map(|answer| with_id(answer, id)).collect();
    peer.say(&packets.concat()).await;
    peer
}

fn with_id(answer: &[u8], id: [u8; 2]) -> Vec<u8> {
    let (head, rest) = answer.split_at(2);
    [head, &id, rest].concat()
}

const PUBACK: &[u8] = &[0x40, 2];
const PUBREC: &[u8] = &[0x50, 2];
const PUBCOMP: &[u8] = &[0x70, 2];
/// With a reason code: of 5.0 alone.
const LONG_PUBACK: &[u8] = &[0x40, 3, 0];
const LONG_PUBREC: &[u8] = &[0x50, 3, 0x80];

#[tokio::test]
async fn an_acknowledgement_of_another_kind_is_a_violation() {
    // [MQTT-4.8.0-1], [MQTT-4.13.1-1]
    let broker = Broker::start(builder(|_| {})).await;
    let (one, two) = (QoS::AtLeastOnce, QoS::ExactlyOnce);
    for version in VERSIONS {
        let mut wrong = vec![(one, PUBREC), (one, PUBCOMP), (two, PUBACK), (two, PUBCOMP)];
        if version.is_v5() {
            wrong.extend([(one, LONG_PUBREC), (two, LONG_PUBACK)]);
        }
        for (qos, packet) in wrong {
            let peer = answer(&broker, version, qos, &[packet]).await;
            let what = format!("{packet:02X?} for {qos:?}");
            assert_closed(peer, version, ReasonCode::PROTOCOL_ERROR, &what).await;
        }
        // What comes twice does no harm.
        let twice: [(QoS, &[&[u8]]); 2] =
            [(one, &[PUBACK, PUBACK]), (two, &[PUBREC, PUBREC, PUBCOMP, PUBCOMP])];
        for (qos, packets) in twice {
            let mut peer = answer(&broker, version, qos, packets).await;
            if qos == QoS::ExactlyOnce {
                for _ in 0..2 {
                    let raw = peer.expect_next().await;
                    assert!(matches!(raw.packet(), Packet::PubRel(_)), "{raw:?}");
                }
            }
            peer.ping().await;
        }
    }
    broker.stop().await;
}

/// Says to a client of the broker with these limits what it announces, and whether it retains.
async fn announced(change: impl FnOnce(&mut Limits)) -> (Option<u32>, Option<bool>) {
    let broker = Broker::start(builder(change)).await;
    let mut peer = Peer::open(broker.address, Version::V5).await;
    peer.send(&Packet::Connect(connect(Version::V5, "c"))).await;
    let raw = peer.expect_next().await;
    let Packet::ConnAck(connack) = raw.packet() else { panic!("no CONNACK but {raw:?}") };
    let ConnAckProperties { maximum_packet_size, retain_available, .. } = connack.properties;
    let announced = (maximum_packet_size, retain_available);
    drop(peer);
    broker.stop().await;
    announced
}

#[tokio::test]
async fn connack_says_what_holds_and_no_size_that_is_none() {
    assert_eq!(announced(|_| {}).await, (Some(16 * 1024 * 1024), None));
    let size = |size| move |limits: &mut Limits| limits.protocol.maximum_packet_size = size;
    assert_eq!(announced(size(268_435_455)).await.0, Some(268_435_455));
    assert_eq!(announced(size(268_435_456)).await.0, None);
    // [MQTT-3.2.2-13]
    assert_eq!(announced(|limits| limits.retained_messages_max = 0).await.1, Some(false));
    assert_eq!(announced(|limits| limits.retained_bytes_max = 0).await.1, Some(false));
}
