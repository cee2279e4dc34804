//! The end of a connection: the client can read why it was closed, however long it takes, within
//! bounds. But for the last story the clock is the runtime's.

use std::time::Duration;

use mqtt_packet::{QoS, ReasonCode, Version};
use mqtt_server::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::harness::{Broker, Peer, builder, connect};

/// A 5.0 client in memory, and the task that serves it.
async fn serve(broker: &Broker, id: &str) -> (DuplexStream, JoinHandle<()>) {
    let (mut ours, theirs) = tokio::io::duplex(16 * 1024);
    let handle = broker.handle.clone();
    let task = tokio::spawn(async move { handle.serve(theirs, "in memory").await });
    let mut bytes = bytes::BytesMut::new();
    connect(Version::V5, id).encode(&mut bytes).unwrap();
    ours.write_all(&bytes).await.unwrap();
    let mut connack = [0; 2];
    ours.read_exact(&mut connack).await.unwrap();
    assert_eq!(connack[0], 0x20);
    ours.read_exact(&mut vec![0; usize::from(connack[1])]).await.unwrap();
    (ours, task)
}

fn lingering(change: impl FnOnce(&mut Limits)) -> mqtt_server::ServerBuilder {
    builder(|limits| {
        limits.linger_millis = 30_000;
        change(limits);
    })
}

/// A packet that only servers send: the connection is closed for it.
const OFFENCE: [u8; 2] = [0xD0, 0];

#[tokio::test(start_paused = true)]
async fn a_client_has_the_time_to_read_why_it_was_closed() {
    let broker = Broker::start(lingering(|_| {})).await;
    let (mut client, task) = serve(&broker, "slow").await;
    let began = Instant::now();
    client.write_all(&OFFENCE).await.unwrap();
    for _ in 0..20 {
        sleep(Duration::from_secs(1)).await;
        assert!(!task.is_finished());
        // What it still sends does not lead to a reset.
        client.write_all(&[0xC0, 0]).await.unwrap();
    }
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, [0xE0, 1, 0x82]);
    task.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 30);
    // Who closes at once is closed at once.
    let (mut client, task) = serve(&broker, "quick").await;
    let began = Instant::now();
    client.write_all(&OFFENCE).await.unwrap();
    drop(client);
    task.await.unwrap();
    assert_eq!(began.elapsed().as_millis(), 0);
    broker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn only_so_many_linger_for_long() {
    let broker = Broker::start(lingering(|limits| limits.lingering_max = 3)).await;
    let began = Instant::now();
    let mut clients = Vec::new();
    for number in 0..10 {
        let (mut client, task) = serve(&broker, &format!("c{number}")).await;
        client.write_all(&OFFENCE).await.unwrap();
        clients.push((client, task));
    }
    // Who was never let in has no right to it.
    let (mut stranger, theirs) = tokio::io::duplex(16 * 1024);
    let handle = broker.handle.clone();
    let task = tokio::spawn(async move { handle.serve(theirs, "in memory").await });
    stranger.write_all(&OFFENCE).await.unwrap();
    clients.push((stranger, task));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(clients.iter().filter(|(_, task)| !task.is_finished()).count(), 3);
    for (client, task) in clients {
        task.await.unwrap();
        drop(client);
    }
    assert_eq!(began.elapsed().as_secs(), 30);
    // The places are free again.
    let (mut client, task) = serve(&broker, "last").await;
    client.write_all(&OFFENCE).await.unwrap();
    sleep(Duration::from_secs(20)).await;
    assert!(!task.is_finished());
    broker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn only_so_much_is_read_of_a_client_that_was_closed() {
    let broker = Broker::start(lingering(|limits| limits.linger_bytes_max = 100_000)).await;
    let (mut client, task) = serve(&broker, "floods").await;
    client.write_all(&OFFENCE).await.unwrap();
    let mut written = 0;
    let flood = async {
        while let Ok(bytes) = client.write(&[0; 1024]).await {
            written += bytes;
        }
    };
    assert!(timeout(Duration::from_secs(10), flood).await.is_err(), "it is cut too soon");
    // And what the pipe itself holds.
    assert!((100_000..=120_000).contains(&written), "{written}");
    task.await.unwrap();
    broker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_does_not_wait_for_who_lingers() {
    let broker = Broker::start(lingering(|_| {})).await;
    let (mut early, _task) = serve(&broker, "early").await;
    early.write_all(&OFFENCE).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    let (mut late, _task) = serve(&broker, "late").await;
    late.write_all(&OFFENCE).await.unwrap();
    let began = Instant::now();
    let address = broker.address;
    let _silent = Peer::open(address, Version::V5).await;
    broker.stop().await;
    assert!(began.elapsed().as_millis() <= 1_000, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_megabytes_before_it_learns_why_it_was_closed() {
    let broker = Broker::start(lingering(|_| {})).await;
    let mut slow = Peer::simple(&broker, Version::V5, "slow").await;
    slow.subscribe("t", QoS::AtMostOnce).await;
    let local = broker.handle.local_client("local").unwrap();
    for _ in 0..4 {
        local.publish("t", &vec![0; 1_000_000], QoS::AtMostOnce, false).unwrap();
    }
    slow.ping_and_forget().await;
    let mut heir = Peer::simple(&broker, Version::V5, "slow").await;
    // Longer than every connection may linger. A ping behind the end of a socket resets it.
    for _ in 0..8 {
        sleep(Duration::from_millis(100)).await;
        slow.ping_and_forget().await;
    }
    assert_eq!(slow.end().await, Some(ReasonCode::SESSION_TAKEN_OVER));
    heir.ping().await;
    broker.stop().await;
}
