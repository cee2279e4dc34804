//! A server that has used up its memory.

use mqtt_packet::Version;
use mqtt_server::{MemoryLevel, MemoryLimit};

use crate::harness::{Broker, Peer, builder, connect};

#[tokio::test]
async fn new_connections_are_closed_and_counted() {
    // Any process uses more than that.
    let limit = MemoryLimit::Bytes(1);
    let broker = Broker::start(builder(|limits| limits.memory_limit = limit)).await;
    let wait = async {
        while broker.handle.memory().level != MemoryLevel::Full {
            tokio::task::yield_now().await;
        }
    };
    mqtt_testkit::within(30, "measuring", wait).await;
    let mut peer = Peer::open(broker.address, Version::V311).await;
    // Nothing comes but the end, whether or not something was said.
    assert!(matches!(peer.stream.peek(&mut [0]).await, Ok(0) | Err(_)));
    let _ = tokio::io::AsyncWriteExt::write_all(&mut peer.stream, b"\x10").await;
    assert_eq!(broker.handle.connections(), 0);
    let state = broker.handle.memory();
    assert!(state.refused >= 1 && state.resident > 1 && state.limit == Some(1), "{state:?}");
    broker.stop().await;
}

#[tokio::test]
async fn without_a_limit_nobody_is_refused() {
    let broker = Broker::start(builder(|limits| limits.memory_limit = MemoryLimit::None)).await;
    Peer::connect(&broker, &connect(Version::V311, "client")).await;
    assert_eq!(broker.handle.memory().level, MemoryLevel::Fine);
    broker.stop().await;
}
