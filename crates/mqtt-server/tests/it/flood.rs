//! Many clients that send as fast as they can.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use mqtt_packet::{Delivery, Publish, PublishProperties, QoS, Version};
use mqtt_testkit::within;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
};

use crate::harness::{Broker, Peer, builder};

const CLIENTS: usize = 20;
const MESSAGES: usize = 1_000;
const PAYLOAD: usize = 64;
const FLOOD_SECS: u64 = 120;

/// A broker that nobody can be too slow for: the machine may be busy.
async fn broker() -> Broker {
    Broker::start(builder(|limits| limits.queue.slow_after_millis = 1_000 * FLOOD_SECS)).await
}

/// The messages of one publisher, encoded: its number and theirs, and filler.
fn encoded(version: Version, publisher: usize) -> Bytes {
    let mut out = BytesMut::new();
    for number in 0..MESSAGES {
        let text = format!("{publisher:02} {number:06} {}", "x".repeat(PAYLOAD - 10));
        let publish = Publish {
            dup: false,
            delivery: Delivery::AtMostOnce,
            retain: false,
            topic: "mesh",
            properties: PublishProperties::default(),
            payload: text.as_bytes(),
        };
        publish.encode(version, &mut out).unwrap();
    }
    out.freeze()
}

async fn send(mut socket: OwnedWriteHalf, bytes: Bytes) -> OwnedWriteHalf {
    socket.write_all(&bytes).await.unwrap();
    socket
}

/// Reads all messages of all publishers: each once, in order.
async fn receive(mut socket: OwnedReadHalf, version: Version) -> OwnedReadHalf {
    let packet = encoded(version, 0).len() / MESSAGES;
    let text_at = packet - PAYLOAD;
    let mut next = [0; CLIENTS];
    let mut buf = BytesMut::new();
    let mut left = CLIENTS * MESSAGES;
    while left > 0 {
        buf.reserve(64 * 1024);
        assert_ne!(socket.read_buf(&mut buf).await.unwrap(), 0, "{left} messages are missing");
        while buf.len() >= packet {
            let one = buf.split_to(packet);
            let text = std::str::from_utf8(&one[text_at..]).unwrap();
            let publisher: usize = text[..2].parse().unwrap();
            let number: usize = text[3..9].parse().unwrap();
            assert_eq!(next[publisher], number, "of publisher {publisher}");
            next[publisher] += 1;
            left -= 1;
        }
    }
    assert!(buf.is_empty(), "more than was sent");
    socket
}

fn version(number: usize) -> Version {
    if number.is_multiple_of(2) { Version::V311 } else { Version::V5 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_of_20_that_flood_each_other_loses_nothing() {
    let broker = broker().await;
    let mut peers = Vec::new();
    for number in 0..CLIENTS {
        let mut peer = Peer::simple(&broker, version(number), &format!("mesh {number}")).await;
        peer.subscribe("mesh", QoS::AtMostOnce).await;
        peers.push(peer);
    }
    let start = Arc::new(tokio::sync::Barrier::new(CLIENTS));
    let tasks: Vec<_> = peers
        .into_iter()
        .enumerate()
        .map(|(number, peer)| {
            let (bytes, start) = (encoded(version(number), number), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                let (read, write) = peer.stream.into_split();
                tokio::join!(receive(read, version(number)), send(write, bytes))
            })
        })
        .collect();
    // The flood starves nobody.
    let mut other = Peer::simple(&broker, Version::V5, "other").await;
    while tasks.iter().any(|task| !task.is_finished()) {
        within(5, "a ping in between", other.ping()).await;
    }
    // The sockets stay open until everybody is done.
    let mut halves = Vec::new();
    for task in tasks {
        halves.push(within(FLOOD_SECS, "the mesh", task).await.unwrap());
    }
    let report = broker.stop().await;
    let expected = (CLIENTS * CLIENTS * MESSAGES) as u64;
    let ledger = report.totals.ledger;
    assert_eq!((ledger.enqueued, ledger.delivered), (expected, expected), "{ledger:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_20_publishers_20_subscribers_get_everything() {
    let broker = broker().await;
    let mut receivers = Vec::new();
    for number in 0..CLIENTS {
        let id = format!("subscriber {number}");
        let mut peer = Peer::simple(&broker, version(number), &id).await;
        peer.subscribe("+", QoS::AtMostOnce).await;
        let (read, write) = peer.stream.into_split();
        receivers.push((tokio::spawn(receive(read, version(number))), write));
    }
    let mut senders = Vec::new();
    for number in 0..CLIENTS {
        // The other half of the versions.
        let version = version(number / 2);
        let peer = Peer::simple(&broker, version, &format!("publisher {number}")).await;
        let (read, write) = peer.stream.into_split();
        senders.push((tokio::spawn(send(write, encoded(version, number))), read));
    }
    for (sender, _read) in senders {
        within(FLOOD_SECS, "publishing", sender).await.unwrap();
    }
    let mut halves = Vec::new();
    for (receiver, write) in receivers {
        halves.push((within(FLOOD_SECS, "receiving", receiver).await.unwrap(), write));
    }
    let report = broker.stop().await;
    let expected = (CLIENTS * CLIENTS * MESSAGES) as u64;
    let ledger = report.totals.ledger;
    assert_eq!((ledger.enqueued, ledger.delivered), (expected, expected), "{ledger:?}");
}
