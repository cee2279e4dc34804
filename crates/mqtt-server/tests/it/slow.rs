//! Clients whose line is slow: who sends or takes bytes lives, who drips does not. The clock is the
//! runtime's.

use std::time::Duration;

use mqtt_packet::{Connect, QoS, Version};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::{Instant, sleep},
};

use crate::{
    harness::{Broker, builder, connect},
    late::{open, read, seconds_to_the_end},
};

const LARGEST: usize = 12_000_000;

async fn broker() -> Broker {
    let limits = builder(|limits| {
        limits.protocol.maximum_packet_size = 16 * 1024 * 1024;
        limits.protocol.packet_timeout_millis = 60_000;
        limits.queue.bytes_max = 32 * 1024 * 1024;
        limits.write_timeout_millis = 30_000;
    });
    Broker::start(limits).await
}

/// The beginning of a PUBLISH at QoS 0 to `t`, without its payload.
fn publish_head(payload_len: usize) -> Vec<u8> {
    let mut head = vec![0x30];
    let mut len = payload_len + 3;
    while len >= 128 {
        head.push(u8::try_from(len % 128).unwrap() | 128);
        len /= 128;
    }
    head.push(u8::try_from(len).unwrap());
    head.extend(b"\0\x01t");
    head
}

/// Reads `rate` bytes each second for some seconds, and pings.
async fn take_slowly(client: &mut DuplexStream, rate: usize, seconds: usize) {
    for _ in 0..seconds {
        client.write_all(&[0xC0, 0]).await.unwrap();
        for _ in 0..10 {
            read(client, rate / 10).await;
            sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_takes_a_large_message_slowly_and_pings_lives() {
    let broker = broker().await;
    for rate in [1_000_000, 50_000] {
        let hello = Connect { keep_alive_secs: 2, ..connect(Version::V311, "slow") };
        let mut slow = open(&broker, &hello).await;
        slow.write_all(b"\x82\x06\x00\x01\x00\x01t\x00").await.unwrap();
        assert_eq!(read(&mut slow, 5).await, [0x90, 3, 0, 1, 0]);
        let local = broker.handle.local_client("local").unwrap();
        local.publish("t", &vec![b'x'; LARGEST], QoS::AtMostOnce, false).unwrap();
        let whole = publish_head(LARGEST).len() + LARGEST;
        let seconds = whole / rate;
        take_slowly(&mut slow, rate, seconds).await;
        read(&mut slow, whole - seconds * rate).await;
        // Its pings were heard, if late; then silence counts again [MQTT-3.1.2-22].
        for _ in 0..seconds {
            assert_eq!(read(&mut slow, 2).await, [0xD0, 0]);
        }
        let left = seconds_to_the_end(&mut slow).await;
        assert!((2..=3).contains(&left), "{left}");
    }
    broker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_whose_packet_comes_slowly_lives() {
    let broker = broker().await;
    let hello = Connect { keep_alive_secs: 2, ..connect(Version::V311, "slow") };
    let mut slow = open(&broker, &hello).await;
    slow.write_all(&publish_head(100_000)).await.unwrap();
    for _ in 0..100 {
        slow.write_all(&[b'x'; 1_000]).await.unwrap();
        sleep(Duration::from_millis(500)).await;
    }
    slow.write_all(&[0xC0, 0]).await.unwrap();
    assert_eq!(read(&mut slow, 2).await, [0xD0, 0]);
    drop(slow);
    broker.until_connections(0).await;
    assert_eq!(broker.stop().await.totals.traffic.published, 1);
}

/// A byte of a packet each second until the end, and how long that took.
async fn drip(keep_alive_secs: u16) -> (u64, Vec<u8>) {
    let broker = broker().await;
    let hello = Connect { keep_alive_secs, ..connect(Version::V311, "drips") };
    let mut client = open(&broker, &hello).await;
    client.write_all(&publish_head(100_000)).await.unwrap();
    let began = Instant::now();
    let (mut heard, mut byte) = (Vec::new(), [0]);
    loop {
        let wait = tokio::time::timeout(Duration::from_secs(1), client.read(&mut byte));
        match wait.await {
            Ok(Ok(1)) => heard.push(byte[0]),
            Ok(_) => break,
            Err(_) if client.write_all(b"x").await.is_ok() => {}
            Err(_) => break,
        }
        assert!(began.elapsed().as_secs() < 1_000, "it drips for ever");
    }
    broker.stop().await;
    (began.elapsed().as_secs(), heard)
}

#[tokio::test(start_paused = true)]
async fn a_packet_that_drips_is_no_sign_of_life() {
    assert_eq!(drip(2).await, (3, vec![]));
    // With a long Keep Alive, or none, it has the packet timeout.
    assert_eq!(drip(0).await.0, 60);
    assert_eq!(drip(u16::MAX).await.0, 60);
}
