//! A server that was kept from running, on a machine that was stopped or has too much to do. The clock
//! is the runtime's, and the stories move it while nobody else runs.

use std::time::Duration;

use mqtt_packet::{Connect, QoS, Version};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::{Instant, advance, sleep},
};

use crate::harness::{Broker, builder, connect};

/// How much a connection takes that nobody reads from, in bytes.
const PIPE_BYTES: usize = 16 * 1024;

pub(crate) async fn open(broker: &Broker, connect: &Connect<'_>) -> DuplexStream {
    let (mut ours, theirs) = tokio::io::duplex(PIPE_BYTES);
    let handle = broker.handle.clone();
    tokio::spawn(async move { handle.serve(theirs, "in memory").await });
    let mut bytes = bytes::BytesMut::new();
    connect.encode(&mut bytes).unwrap();
    ours.write_all(&bytes).await.unwrap();
    assert_eq!(read(&mut ours, 4).await, [0x20, 2, 0, 0]);
    ours
}

pub(crate) async fn read(client: &mut DuplexStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    client.read_exact(&mut bytes).await.unwrap();
    bytes
}

/// How long it takes the server to end the connection.
pub(crate) async fn seconds_to_the_end(client: &mut DuplexStream) -> u64 {
    let before = Instant::now();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    before.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_came_in_time_counts_however_late_it_is_read() {
    let broker = Broker::start(builder(|_| {})).await;
    let mut client =
        open(&broker, &Connect { keep_alive_secs: 10, ..connect(Version::V311, "pings") }).await;
    client.write_all(&[0xC0, 0]).await.unwrap();
    advance(Duration::from_secs(3_600)).await;
    assert_eq!(read(&mut client, 2).await, [0xD0, 0]);
    // One and a half times the keep alive from then on [MQTT-3.1.2-24].
    assert_eq!(seconds_to_the_end(&mut client).await, 15);
    broker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_client_took_in_time_counts_however_late_that_is_seen() {
    let broker = Broker::start(builder(|limits| limits.write_timeout_millis = 30_000)).await;
    let mut client = open(&broker, &connect(Version::V311, "reads")).await;
    client.write_all(b"\x82\x06\x00\x01\x00\x01t\x00").await.unwrap();
    assert_eq!(read(&mut client, 5).await, [0x90, 3, 0, 1, 0]);
    let local = broker.handle.local_client("local").unwrap();
    local.publish("t", &[b'x'; 100_000], QoS::AtMostOnce, false).unwrap();
    sleep(Duration::from_secs(1)).await;
    read(&mut client, PIPE_BYTES).await;
    advance(Duration::from_secs(3_600)).await;
    // Five bytes of header, and the topic.
    read(&mut client, 100_007 - PIPE_BYTES).await;
    // Who takes nothing for half a minute is given up.
    local.publish("t", &[b'x'; 100_000], QoS::AtMostOnce, false).unwrap();
    sleep(Duration::from_secs(31)).await;
    read(&mut client, PIPE_BYTES).await;
    assert_eq!(seconds_to_the_end(&mut client).await, 0);
    drop(local);
    broker.stop().await;
}
