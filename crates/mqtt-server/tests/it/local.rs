//! A client inside the process.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use mqtt_packet::{QoS, ReasonCode, Version};
use mqtt_server::{LocalClient, LocalError, LocalMessage};
use mqtt_testkit::within;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::harness::{Broker, PATIENCE_SECS, Peer, builder};

async fn next(client: &mut LocalClient) -> LocalMessage {
    within(PATIENCE_SECS, "a message", client.next()).await.unwrap()
}

#[tokio::test]
async fn a_local_client_and_a_socket_talk_to_each_other() {
    let broker = Broker::start(builder(|_| {})).await;
    let mut local = broker.handle.local_client("local").unwrap();
    local.subscribe("up/#", QoS::ExactlyOnce).unwrap();
    let mut peer = Peer::simple(&broker, Version::V311, "peer").await;
    peer.subscribe("down", QoS::ExactlyOnce).await;
    for qos in 0..=2 {
        peer.publish("up/x", &[qos], qos).await;
        peer.ping().await;
        let message = next(&mut local).await;
        assert_eq!((message.topic(), &message.payload()[..]), ("up/x", &[qos][..]));
        assert_eq!(message.qos.bits(), qos);
        let qos = QoS::from_bits(qos).unwrap();
        assert_eq!(local.publish("down", b"x", qos, false).unwrap(), ReasonCode::SUCCESS);
        assert_eq!(peer.message().await.0, "down");
    }
    drop(local);
    // The first one answers PUBREL, the second one waits until that was read.
    peer.ping().await;
    peer.ping().await;
    assert_eq!(broker.handle.sessions(), 1);
    assert_eq!(broker.stop().await.totals.ledger.dropped_total(), 0);
}

#[tokio::test]
async fn a_local_client_gets_retained_messages_and_leaves_them() {
    let broker = Broker::start(builder(|_| {})).await;
    let mut local = broker.handle.local_client("local").unwrap();
    let nobody = local.publish("state", b"on", QoS::AtLeastOnce, true).unwrap();
    assert_eq!(nobody, ReasonCode::NO_MATCHING_SUBSCRIBERS);
    local.subscribe("+", QoS::AtMostOnce).unwrap();
    let message = next(&mut local).await;
    assert!(message.retain && message.qos == QoS::AtMostOnce);
    assert!(local.unsubscribe("+").unwrap() && !local.unsubscribe("+").unwrap());
    let mut peer = Peer::simple(&broker, Version::V5, "peer").await;
    peer.subscribe("#", QoS::AtMostOnce).await;
    assert_eq!(peer.message().await.0, "state");
    broker.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let broker = Broker::start(builder(|_| {})).await;
    let mut local = broker.handle.local_client("local").unwrap();
    assert!(matches!(local.subscribe("a/#/b", QoS::AtMostOnce), Err(LocalError::Topic(_))));
    let published = local.publish("a/+", b"", QoS::AtMostOnce, false);
    assert!(matches!(published, Err(LocalError::Topic(_))));
    assert!(matches!(broker.handle.local_client("local"), Err(LocalError::Taken { .. })));
    broker.stop().await;
}

#[tokio::test]
async fn a_local_client_is_told_when_the_server_stops() {
    let broker = Broker::start(builder(|_| {})).await;
    let mut local = broker.handle.local_client("local").unwrap();
    let waiting = tokio::spawn(async move { local.next().await.is_none() });
    broker.stop().await;
    assert!(within(PATIENCE_SECS, "the end", waiting).await.unwrap());
}

#[tokio::test]
async fn any_transport_is_served() {
    let broker = Broker::start(builder(|_| {})).await;
    let (mut ours, theirs) = tokio::io::duplex(1024);
    let handle = broker.handle.clone();
    let serving = tokio::spawn(async move { handle.serve(theirs, "in memory").await });
    let mut bytes = bytes::BytesMut::new();
    crate::harness::connect(Version::V311, "duplex").encode(&mut bytes).unwrap();
    ours.write_all(&bytes).await.unwrap();
    let mut connack = [0; 4];
    let read = ours.read_exact(&mut connack);
    within(PATIENCE_SECS, "CONNACK", read).await.unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    drop(ours);
    within(PATIENCE_SECS, "the end", serving).await.unwrap();
    broker.stop().await;
}

#[tokio::test]
async fn a_transport_may_take_a_few_bytes_at_a_time() {
    let broker = Broker::start(builder(|_| {})).await;
    let (ours, theirs) = tokio::io::duplex(7);
    let handle = broker.handle.clone();
    let serving = tokio::spawn(async move { handle.serve(theirs, "in memory").await });
    let (mut reader, mut writer) = tokio::io::split(ours);
    let mut bytes = bytes::BytesMut::new();
    crate::harness::connect(Version::V311, "narrow").encode(&mut bytes).unwrap();
    // SUBSCRIBE to `t` at QoS 0, and a message of 5,003 bytes behind its header of three.
    bytes.extend_from_slice(b"\x82\x06\x00\x01\x00\x01t\x00");
    let message = [b"\x30\x8B\x27\x00\x01t".to_vec(), vec![b'x'; 5_000]].concat();
    (0..10).for_each(|_| bytes.extend_from_slice(&message));
    let expected = [b"\x20\x02\x00\x00\x90\x03\x00\x01\x00".to_vec(), message.repeat(10)].concat();
    let mut got = vec![0; expected.len()];
    let write = writer.write_all(&bytes);
    let read = reader.read_exact(&mut got);
    let (written, read) =
        within(PATIENCE_SECS, "the dialogue", async { tokio::join!(write, read) }).await;
    written.unwrap();
    read.unwrap();
    assert!(got == expected);
    drop((reader, writer));
    within(PATIENCE_SECS, "the end", serving).await.unwrap();
    assert_eq!(broker.stop().await.totals.ledger.delivered, 10);
}

/// A transport that counts how often it is written to.
struct Counted<T> {
    io: T,
    writes: Arc<AtomicUsize>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// The first reads of a connection are short. What they leave in the socket is answered with them.
#[tokio::test]
async fn what_came_together_is_answered_together() {
    let broker = Broker::start(builder(|_| {})).await;
    let (mut ours, io) = tokio::io::duplex(64 * 1024);
    let writes = Arc::new(AtomicUsize::new(0));
    let theirs = Counted { io, writes: writes.clone() };
    let handle = broker.handle.clone();
    let serving = tokio::spawn(async move { handle.serve(theirs, "in memory").await });
    let mut bytes = bytes::BytesMut::new();
    crate::harness::connect(Version::V311, "window").encode(&mut bytes).unwrap();
    ours.write_all(&bytes).await.unwrap();
    within(PATIENCE_SECS, "CONNACK", ours.read_exact(&mut [0; 4])).await.unwrap();

    // A window of 100 messages of 62 bytes at QoS 1: packets of 69 bytes, 6,900 in all.
    let window: Vec<u8> = (1..=100)
        .flat_map(|id| [b"\x32\x43\x00\x01t\x00".as_slice(), &[id], &[b'x'; 62]].concat())
        .collect();
    let before = writes.load(Ordering::Relaxed);
    ours.write_all(&window).await.unwrap();
    within(PATIENCE_SECS, "PUBACK", ours.read_exact(&mut [0; 400])).await.unwrap();
    assert_eq!(writes.load(Ordering::Relaxed) - before, 1);
    drop(ours);
    within(PATIENCE_SECS, "the end", serving).await.unwrap();
    broker.stop().await;
}
