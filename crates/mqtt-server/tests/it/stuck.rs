//! Clients that do not take what they are sent.

use mqtt_packet::{Packet, QoS, Version};
use mqtt_testkit::within;

use crate::harness::{Broker, PATIENCE_SECS, Peer, builder};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_is_closed_and_holds_up_nobody_for_long() {
    let broker = Broker::start(builder(|limits| {
        limits.queue.slow_after_millis = 500;
        // Time enough for the healthy one on a machine that others have.
        limits.write_timeout_millis = 3_000;
    }))
    .await;
    let mut stuck = Peer::simple(&broker, Version::V311, "stuck").await;
    stuck.subscribe("t", QoS::AtMostOnce).await;
    let mut healthy = Peer::simple(&broker, Version::V311, "healthy").await;
    healthy.subscribe("t", QoS::AtMostOnce).await;
    let mut publisher = Peer::simple(&broker, Version::V311, "publisher").await;
    let payload = vec![0; 100_000];
    // Far more than the sockets of the stuck one take.
    for _ in 0..300 {
        publisher.publish("t", &payload, 0).await;
        let (_, got) = healthy.message().await;
        assert_eq!(got.len(), payload.len());
    }
    broker.until_connections(2).await;
    let report = broker.stop().await;
    let ledger = report.totals.ledger;
    assert_eq!(ledger.enqueued, 600);
    assert!(ledger.delivered >= 300 && ledger.dropped_total() > 0, "{ledger:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_everything_and_slows_its_publisher_only() {
    let broker =
        Broker::start(builder(|limits| limits.queue.slow_after_millis = 1_000 * PATIENCE_SECS))
            .await;
    let mut slow = Peer::simple(&broker, Version::V5, "slow").await;
    slow.subscribe("slow", QoS::AtMostOnce).await;
    let mut publisher = Peer::simple(&broker, Version::V5, "publisher").await;
    let publishing = tokio::spawn(async move {
        let payload = vec![0; 50_000];
        for _ in 0..400 {
            publisher.publish("slow", &payload, 0).await;
        }
        publisher
    });
    // In the meantime others talk to each other.
    let mut other = Peer::simple(&broker, Version::V5, "other").await;
    other.subscribe("other", QoS::AtLeastOnce).await;
    for _ in 0..50 {
        other.publish("other", b"x", 1).await;
        other.message().await;
    }
    for _ in 0..400 {
        assert_eq!(slow.message().await.1.len(), 50_000);
    }
    within(PATIENCE_SECS, "publishing", publishing).await.unwrap();
    assert_eq!(broker.stop().await.totals.ledger.dropped_total(), 0);
}

/// A client whose socket is full.
async fn stuck(broker: &Broker, version: Version) -> Peer {
    let mut stuck = Peer::simple(broker, version, "stuck").await;
    stuck.subscribe("t", QoS::AtMostOnce).await;
    let local = broker.handle.local_client("local").unwrap();
    let payload = vec![0; 1_000_000];
    for _ in 0..30 {
        local.publish("t", &payload, QoS::AtMostOnce, false).unwrap();
        tokio::task::yield_now().await;
    }
    stuck
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_client_that_was_taken_over_is_closed_in_the_end() {
    for version in [Version::V311, Version::V5] {
        let broker = Broker::start(builder(|limits| limits.write_timeout_millis = 300)).await;
        let stuck = stuck(&broker, version).await;
        let mut heir = Peer::simple(&broker, version, "stuck").await;
        heir.ping().await;
        broker.until_connections(1).await;
        drop(stuck);
        broker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_breaks_off_with_a_full_socket_leaves_nothing_behind() {
    let broker = Broker::start(builder(|limits| limits.write_timeout_millis = 300)).await;
    let mut stuck = stuck(&broker, Version::V5).await;
    stuck.send(&Packet::Disconnect(Default::default())).await;
    drop(stuck);
    broker.until_connections(0).await;
    broker.stop().await;
}
