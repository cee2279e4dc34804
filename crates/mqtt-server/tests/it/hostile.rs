//! Peers that mean no good, or do not know better.

use std::{sync::Arc, time::Instant};

use bytes::BytesMut;
use mqtt_packet::{
    Connect, Delivery, Disconnect, Packet, PacketId, Publish, PublishProperties, QoS, ReasonCode,
    Subscribe, SubscribeFilters, SubscriptionOptions, Unsubscribe, UnsubscribeFilters, Version,
    Will,
};
use mqtt_testkit::{Seeded, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Broker, PATIENCE_SECS, Peer, builder, connect, panics};

const STREAMS: u64 = 5_000;
const AT_ONCE: usize = 8;

/// A stream as a decent client would send it.
fn decent(version: Version) -> Vec<u8> {
    let will = Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "hostile/will",
        payload: b"gone",
        properties: Default::default(),
    };
    let connect = Connect { will: Some(will), user_name: Some("u"), ..connect(version, "hostile") };
    let id = |id| PacketId::new(id).unwrap();
    let subscriptions = [
        ("hostile/#", SubscriptionOptions::new(QoS::ExactlyOnce)),
        ("$share/group/hostile/+", SubscriptionOptions::new(QoS::AtLeastOnce)),
    ];
    let publish = |delivery| {
        Packet::Publish(Publish {
            dup: false,
            delivery,
            retain: false,
            topic: "hostile/topic",
            properties: PublishProperties {
                content_type: version.is_v5().then_some("text"),
                ..Default::default()
            },
            payload: b"some payload",
        })
    };
    let packets = [
        Packet::Connect(connect),
        Packet::Subscribe(Subscribe {
            packet_id: id(1),
            properties: Default::default(),
            filters: SubscribeFilters::new(&subscriptions),
        }),
        publish(Delivery::AtMostOnce),
        publish(Delivery::AtLeastOnce(id(2))),
        publish(Delivery::ExactlyOnce(id(3))),
        Packet::PubRel(mqtt_packet::Ack::new(id(3), ReasonCode::SUCCESS)),
        Packet::PingReq,
        Packet::Unsubscribe(Unsubscribe {
            packet_id: id(4),
            properties: Default::default(),
            filters: UnsubscribeFilters::new(&["hostile/#"]),
        }),
        Packet::Disconnect(Disconnect::new(ReasonCode::SUCCESS)),
    ];
    let mut out = BytesMut::new();
    packets.iter().for_each(|packet| packet.encode(version, &mut out).unwrap());
    out.to_vec()
}

/// The same stream, broken in one to four places.
fn broken(seed: u64) -> Vec<u8> {
    let mut random = Seeded::new(seed);
    let versions = [Version::V31, Version::V311, Version::V5];
    let mut bytes = decent(versions[random.below(3)]);
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let end = (at + 1 + random.below(8)).min(bytes.len());
        match random.below(7) {
            0 => bytes[at] = random.byte(),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at + 1),
            3 => drop(bytes.drain(at..end)),
            4 => bytes.splice(at..at, (0..8).map(|_| random.byte())).for_each(drop),
            5 => bytes.extend_from_within(at..end),
            _ => bytes[at] = [0x00, 0x7F, 0x80, 0xFF][random.below(4)],
        }
        if bytes.is_empty() {
            bytes.push(random.byte());
        }
    }
    bytes
}

/// Says it in two pieces, and waits for the end.
async fn attack(address: std::net::SocketAddr, seed: u64) {
    let bytes = broken(seed);
    let mut peer = Peer::open(address, Version::V5).await;
    let (start, rest) = bytes.split_at(Seeded::new(!seed).below(bytes.len()));
    // The broker may close before all is said.
    if peer.stream.write_all(start).await.is_ok() && peer.stream.write_all(rest).await.is_ok() {
        let _ = peer.stream.shutdown().await;
    }
    let mut answers = Vec::new();
    let end = peer.stream.read_to_end(&mut answers);
    let _ = within(PATIENCE_SECS, format!("the end of stream {seed}"), end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_streams_harm_nobody_else() {
    let broker = Arc::new(Broker::start(builder(|_| {})).await);
    let mut bystander = Peer::simple(&broker, Version::V5, "bystander").await;
    bystander.subscribe("peaceful/topic", QoS::ExactlyOnce).await;
    let mut control = Peer::simple(&broker, Version::V311, "control").await;
    let attackers: Vec<_> = (0..AT_ONCE as u64)
        .map(|first| {
            let address = broker.address;
            tokio::spawn(async move {
                for seed in (first..STREAMS).step_by(AT_ONCE) {
                    attack(address, seed).await;
                }
            })
        })
        .collect();
    let mut trips = Vec::new();
    while trips.is_empty() || attackers.iter().any(|attacker| !attacker.is_finished()) {
        let (start, payload) = (Instant::now(), trips.len().to_string());
        control.publish_acknowledged("peaceful/topic", payload.as_bytes()).await;
        assert_eq!(bystander.message().await.1, payload.as_bytes());
        trips.push(start.elapsed());
        if control.next_id().get() > 60_000 {
            control = Peer::simple(&broker, Version::V311, "control").await;
        }
    }
    for attacker in attackers {
        attacker.await.unwrap();
    }
    trips.sort_unstable();
    let median = trips[trips.len() / 2];
    assert!(median.as_secs() < 1, "{median:?} for a round trip");
    broker.until_connections(2).await;
    assert_eq!(panics(), 0);
    drop((control, bystander));
    let broker = Arc::into_inner(broker).unwrap();
    broker.stop().await;
}

#[tokio::test]
async fn a_packet_over_the_limit_is_refused_by_its_header() {
    let broker = Broker::start(builder(|_| {})).await;
    let mut peer = Peer::simple(&broker, Version::V5, "large").await;
    // 200 MB are announced.
    peer.say(&[0x30, 0x80, 0x84, 0xAF, 0x5F]).await;
    assert_eq!(peer.end().await, Some(ReasonCode::PACKET_TOO_LARGE));
    broker.stop().await;
}

#[tokio::test]
async fn before_connect_only_little_is_read() {
    let broker = Broker::start(builder(|_| {})).await;
    let mut peer = Peer::open(broker.address, Version::V5).await;
    // A CONNECT of 1 MB.
    peer.say(&[0x10, 0xC0, 0x84, 0x3D]).await;
    assert_eq!(peer.end().await, None);
    broker.stop().await;
}

#[tokio::test]
async fn who_says_nothing_is_closed() {
    let broker = Broker::start(builder(|limits| limits.protocol.connect_timeout_millis = 50)).await;
    let mut silent = Peer::open(broker.address, Version::V5).await;
    assert_eq!(silent.end().await, None);
    broker.until_connections(0).await;
    broker.stop().await;
}

#[tokio::test]
async fn who_says_connect_byte_by_byte_is_closed_in_the_middle() {
    let broker =
        Broker::start(builder(|limits| limits.protocol.connect_timeout_millis = 200)).await;
    let mut slow = Peer::open(broker.address, Version::V311).await;
    let mut bytes = BytesMut::new();
    let id = "x".repeat(10_000);
    connect(Version::V311, &id).encode(&mut bytes).unwrap();
    let pace = async {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(5));
        for (said, byte) in bytes.iter().enumerate() {
            let mut end = [0];
            tokio::select! {
                _ = ticks.tick() => if slow.stream.write_all(&[*byte]).await.is_err() { return said },
                _ = slow.stream.read(&mut end) => return said,
            }
        }
        bytes.len()
    };
    let said = within(PATIENCE_SECS, "the slow CONNECT", pace).await;
    assert!(said < bytes.len(), "it was heard to the end");
    broker.until_connections(0).await;
    broker.stop().await;
}

/// Silent connections from this address of the loopback.
async fn silent(broker: &Broker, from: [u8; 4], count: usize) -> Vec<tokio::net::TcpStream> {
    let mut silent = Vec::new();
    for _ in 0..count {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        silent
            .push(within(PATIENCE_SECS, "connect", socket.connect(broker.address)).await.unwrap());
    }
    silent
}

#[tokio::test]
async fn who_says_nothing_makes_room_for_who_does() {
    let limits = |limits: &mut mqtt_server::Limits| {
        (limits.connections_max, limits.connecting_max) = (12, 8);
    };
    let broker = Broker::start(builder(limits)).await;
    let mut first = Peer::simple(&broker, Version::V5, "first").await;
    let flood = silent(&broker, [127, 0, 0, 2], 40).await;
    // The room is full of them, and a client from elsewhere gets in; so does one from there.
    let mut second = Peer::simple(&broker, Version::V5, "second").await;
    // Those that were let in fill the rest, and the flood still makes room.
    let mut others = Vec::new();
    for number in 0..10 {
        others.push(Peer::simple(&broker, Version::V5, &format!("other-{number}")).await);
    }
    let mut late = Peer::open(broker.address, Version::V5).await;
    assert_eq!(late.end().await, None, "all places are those of clients that were let in");
    for peer in others.iter_mut().chain([&mut first, &mut second]) {
        peer.ping().await;
    }
    drop(flood);
    broker.stop().await;
}

#[tokio::test]
async fn a_connection_too_many_is_closed() {
    let broker = Broker::start(builder(|limits| limits.connections_max = 1)).await;
    let mut first = Peer::simple(&broker, Version::V5, "first").await;
    let mut second = Peer::open(broker.address, Version::V5).await;
    assert_eq!(second.end().await, None);
    first.ping().await;
    broker.stop().await;
}
