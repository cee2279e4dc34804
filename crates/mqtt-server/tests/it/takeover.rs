//! Many connections with one client identifier at the same time.

use std::{collections::HashSet, sync::Arc};

use mqtt_packet::{Connect, ConnectProperties, QoS, Version, Will, WillProperties};
use mqtt_session::{MemoryStore, SessionStore, Stored};
use mqtt_testkit::{Seeded, within};

use crate::harness::{Broker, PATIENCE_SECS, Peer, builder, connect, persistent};

const MESSAGES: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_fought_for_loses_nothing() {
    let store = Arc::new(MemoryStore::default());
    let broker = Arc::new(Broker::start(builder(|_| {}).sessions(store.clone())).await);
    let mut first = Peer::connect(&broker, &persistent(Version::V5, "contested")).await;
    first.subscribe("t", QoS::AtLeastOnce).await;

    let mut publisher = Peer::simple(&broker, Version::V311, "publisher").await;
    let publishing = tokio::spawn(async move {
        for number in 0..MESSAGES {
            publisher.publish_acknowledged("t", number.to_string().as_bytes()).await;
        }
        publisher
    });
    let fighters: Vec<_> = (0..4)
        .map(|_| {
            let broker = broker.clone();
            tokio::spawn(async move {
                let mut seen = HashSet::new();
                for _ in 0..25 {
                    let hello = persistent(Version::V5, "contested");
                    let (mut peer, _) = Peer::try_connect(&broker, &hello).await;
                    seen.extend(peer.payloads_until_end(5).await);
                }
                seen
            })
        })
        .collect();
    let mut seen = HashSet::new();
    for fighter in fighters {
        seen.extend(within(PATIENCE_SECS, "the fight", fighter).await.unwrap());
    }
    let publisher = within(PATIENCE_SECS, "publishing", publishing).await.unwrap();
    let mut last = Peer::connect(&broker, &persistent(Version::V5, "contested")).await;
    assert!(last.session_present);
    // Messages keep their order within one connection, and this one has to get what is left.
    while seen.len() < MESSAGES {
        seen.insert(last.message().await.1);
    }
    last.ping().await;
    broker.until_connections(2).await;
    assert_eq!(broker.handle.sessions(), 2);
    drop((first, last, publisher));
    let report = Arc::into_inner(broker).unwrap().stop().await;
    let mut held = 0;
    store.load(&mut |stored| held += usize::from(matches!(stored, Stored::Queued { .. }))).unwrap();
    assert_eq!(report.messages, held as u64, "what the report says is in the store");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clean_and_resuming_connections_at_once_leave_one_that_works() {
    let broker = Arc::new(Broker::start(builder(|_| {})).await);
    for round in 0..20 {
        let fighters: Vec<_> = (0..6)
            .map(|number| {
                let broker = broker.clone();
                tokio::spawn(async move {
                    let mut random = Seeded::new(round * 10 + number);
                    let hello = match random.below(3) {
                        0 => connect(Version::V5, "contested"),
                        1 => persistent(Version::V5, "contested"),
                        _ => persistent(Version::V311, "contested"),
                    };
                    Peer::try_connect(&broker, &hello).await.0
                })
            })
            .collect();
        let mut peers = Vec::new();
        for fighter in fighters {
            peers.push(within(PATIENCE_SECS, "the fight", fighter).await.unwrap());
        }
        broker.until_connections(1).await;
        assert_eq!(broker.handle.sessions(), 1);
        let mut survivor = Peer::simple(&broker, Version::V5, "contested").await;
        survivor.subscribe("t", QoS::AtLeastOnce).await;
        survivor.publish("t", b"x", 1).await;
        assert_eq!(survivor.message().await.1, "x");
        drop(peers);
    }
    Arc::into_inner(broker).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_left_before_coming_back_has_no_will_and_is_not_taken_over() {
    let broker = Broker::start(builder(|_| {})).await;
    let mut observer = Peer::simple(&broker, Version::V5, "observer").await;
    observer.subscribe("will", QoS::AtMostOnce).await;
    let will = Will {
        topic: "will",
        payload: b"never",
        qos: QoS::AtMostOnce,
        retain: false,
        properties: WillProperties::default(),
    };
    let properties =
        ConnectProperties { session_expiry_interval: Some(60), ..ConnectProperties::default() };
    let hello = Connect {
        will: Some(will),
        clean_start: false,
        properties,
        ..connect(Version::V5, "hasty")
    };
    for _ in 0..200 {
        let mut peer = Peer::connect(&broker, &hello).await;
        assert!(!peer.session_present, "the session was to end with the connection before");
        // DISCONNECT with a Session Expiry Interval of 0, and nothing waits for its effect.
        peer.say(&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 0]).await;
    }
    let mut last = Peer::simple(&broker, Version::V311, "last").await;
    last.publish_acknowledged("will", b"last").await;
    assert_eq!(observer.message().await.1, "last");
    drop((observer, last));
    broker.stop().await;
}
