//! A second server goes on with what the first one kept.

use std::sync::Arc;

use mqtt_packet::{Packet, PacketId, QoS, Version};
use mqtt_session::MemoryStore;
use mqtt_testkit::within;

use crate::harness::{Broker, PATIENCE_SECS, Peer, builder, persistent};

async fn start(store: &Arc<MemoryStore>) -> Broker {
    Broker::start(builder(|_| {}).sessions(store.clone())).await
}

#[tokio::test]
async fn sessions_come_back_with_their_queues() {
    for version in [Version::V311, Version::V5] {
        let store = Arc::new(MemoryStore::default());
        let first = start(&store).await;
        let mut subscriber = Peer::connect(&first, &persistent(version, "subscriber")).await;
        subscriber.subscribe("t", QoS::ExactlyOnce).await;
        let mut publisher = Peer::simple(&first, Version::V5, "publisher").await;
        // In flight: sent, and never acknowledged.
        publisher.publish_acknowledged("t", b"0").await;
        let raw = subscriber.expect_next().await;
        assert!(matches!(raw.packet(), Packet::Publish(_)));
        drop(subscriber);
        first.until_connections(1).await;
        for payload in ["1", "2"] {
            publisher.publish_acknowledged("t", payload.as_bytes()).await;
        }
        publisher.publish("t", b"3", 2).await;
        publisher.ping().await;
        publisher.ping().await;
        let report = first.stop().await;
        assert_eq!((report.sessions, report.messages), (1, 4));

        let second = start(&store).await;
        assert_eq!(second.handle.sessions(), 1);
        let mut subscriber = Peer::connect(&second, &persistent(version, "subscriber")).await;
        assert!(subscriber.session_present);
        for payload in ["0", "1", "2", "3"] {
            assert_eq!(subscriber.message().await.1, payload);
        }
        // The subscription holds as well.
        subscriber.publish("t", b"4", 0).await;
        assert_eq!(subscriber.message().await.1, "4");
        // PUBREL for the message of QoS 2 goes out when PUBREC is written.
        let completed = async {
            while second.handle.totals().ledger.held() != 0 {
                subscriber.ping().await;
            }
        };
        within(PATIENCE_SECS, "PUBREL", completed).await;
        let report = second.stop().await;
        assert_eq!(report.messages, 0);
    }
}

#[tokio::test]
async fn a_qos_2_message_is_not_taken_twice_by_two_servers() {
    let store = Arc::new(MemoryStore::default());
    let first = start(&store).await;
    let mut publisher = Peer::connect(&first, &persistent(Version::V311, "publisher")).await;
    let mut subscriber = Peer::connect(&first, &persistent(Version::V311, "subscriber")).await;
    subscriber.subscribe("t", QoS::ExactlyOnce).await;
    publisher.publish("t", b"once", 2).await;
    assert_eq!(subscriber.message().await.1, "once");
    subscriber.ping().await;
    subscriber.ping().await;
    // PUBREC is on its way, PUBREL was never sent.
    first.stop().await;

    let second = start(&store).await;
    let mut publisher = Peer::connect(&second, &persistent(Version::V311, "publisher")).await;
    let mut subscriber = Peer::connect(&second, &persistent(Version::V311, "subscriber")).await;
    publisher.say(b"\x3C\x09\x00\x01t\x00\x01once").await;
    publisher.ping().await;
    publisher.publish_with_id("t", b"next", PacketId::new(2).unwrap()).await;
    assert_eq!(subscriber.message().await.1, "next");
    second.stop().await;
}

#[tokio::test]
async fn a_session_that_ended_does_not_come_back() {
    let store = Arc::new(MemoryStore::default());
    let first = start(&store).await;
    drop(Peer::connect(&first, &persistent(Version::V5, "client")).await);
    first.until_connections(0).await;
    assert_eq!(first.stop().await.sessions, 1);
    let second = start(&store).await;
    // A clean start ends it for good.
    drop(Peer::simple(&second, Version::V5, "client").await);
    second.until_connections(0).await;
    second.stop().await;
    let third = start(&store).await;
    assert_eq!(third.handle.sessions(), 0);
    third.stop().await;
}
