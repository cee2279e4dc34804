//! A server that stops.

use mqtt_packet::{QoS, ReasonCode, Version};

use crate::harness::{Broker, Peer, builder, persistent};

#[tokio::test]
async fn clients_are_told_and_the_report_counts_them() {
    let broker = Broker::start(builder(|_| {})).await;
    let mut new = Peer::simple(&broker, Version::V5, "new").await;
    let mut old = Peer::simple(&broker, Version::V311, "old").await;
    let mut stays = Peer::connect(&broker, &persistent(Version::V5, "stays")).await;
    stays.subscribe("t", QoS::ExactlyOnce).await;
    let mut away = Peer::connect(&broker, &persistent(Version::V311, "away")).await;
    away.subscribe("t", QoS::AtLeastOnce).await;
    drop(away);
    broker.until_connections(3).await;
    for _ in 0..3 {
        new.publish_acknowledged("t", b"x").await;
    }
    for _ in 0..3 {
        stays.message().await;
    }
    stays.ping().await;
    let report = broker.stop().await;
    assert_eq!(new.end().await, Some(ReasonCode::SERVER_SHUTTING_DOWN));
    assert_eq!(stays.end().await, Some(ReasonCode::SERVER_SHUTTING_DOWN));
    assert_eq!(old.end().await, None);
    assert_eq!((report.connections, report.cut), (3, 0));
    assert_eq!((report.sessions, report.messages), (2, 3));
}

#[tokio::test]
async fn a_client_that_does_not_read_does_not_hold_the_server_up() {
    let broker = Broker::start(builder(|limits| limits.shutdown_millis = 200)).await;
    let mut stuck = Peer::simple(&broker, Version::V5, "stuck").await;
    stuck.subscribe("t", QoS::AtMostOnce).await;
    let local = broker.handle.local_client("local").unwrap();
    for _ in 0..300 {
        local.publish("t", &vec![0; 100_000], QoS::AtMostOnce, false).unwrap();
        tokio::task::yield_now().await;
    }
    drop(local);
    let report = broker.stop().await;
    assert_eq!((report.connections, report.cut), (1, 1));
    drop(stuck);
}

#[tokio::test]
async fn who_has_not_logged_in_does_not_hold_the_server_up() {
    let broker = Broker::start(builder(|limits| limits.shutdown_millis = 60_000)).await;
    let mut silent = Peer::open(broker.address, Version::V5).await;
    let mut slow = Peer::open(broker.address, Version::V5).await;
    slow.say(&[0x10, 0x20, 0x00]).await;
    broker.until_connections(2).await;
    let report = broker.stop().await;
    assert_eq!((report.connections, report.cut), (2, 0));
    assert_eq!((silent.end().await, slow.end().await), (None, None));
}
