//! QoS 2 over real sockets that break.

use std::{collections::HashSet, sync::Arc};

use mqtt_packet::{Ack, Delivery, Packet, PacketId, PacketType, QoS, ReasonCode, Version};
use mqtt_testkit::{Seeded, within};

use crate::harness::{Broker, PATIENCE_SECS, Peer, builder, persistent};

const PUBLISHERS: usize = 4;
const MESSAGES: u16 = 150;

/// Publishes its messages, `number` in each; breaks off now and then, and goes on with what is not
/// finished.
async fn publish(broker: Arc<Broker>, publisher: usize) {
    let (id, mut random) = (format!("publisher {publisher}"), Seeded::new(publisher as u64));
    // By packet identifier: whether PUBREC came.
    let mut unfinished: Vec<(u16, bool)> = (1..=MESSAGES).map(|id| (id, false)).collect();
    while !unfinished.is_empty() {
        let mut peer = Peer::connect(&broker, &persistent(Version::V311, &id)).await;
        for (number, received) in &unfinished {
            let id = PacketId::new(*number).unwrap();
            if *received {
                peer.send(&Packet::PubRel(Ack::new(id, ReasonCode::SUCCESS))).await;
            } else {
                let payload = format!("{publisher} {number}");
                peer.publish_with_id("t", payload.as_bytes(), id).await;
            }
        }
        let mut patience = 20 + random.below(200);
        while patience > 0 && !unfinished.is_empty() {
            patience -= 1;
            let raw = peer.expect_next().await;
            match raw.packet() {
                Packet::PubRec(ack) => {
                    let id = ack.packet_id;
                    unfinished.iter_mut().for_each(|(number, received)| {
                        *received |= *number == id.get();
                    });
                    peer.send(&Packet::PubRel(Ack::new(id, ReasonCode::SUCCESS))).await;
                }
                Packet::PubComp(ack) => {
                    unfinished.retain(|(number, _)| *number != ack.packet_id.get());
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Collects everything; breaks off now and then.
async fn subscribe(broker: Arc<Broker>, name: String, version: Version) -> Vec<String> {
    let mut random = Seeded::new(name.len() as u64);
    let (mut got, mut unreleased) = (Vec::new(), HashSet::new());
    let all = PUBLISHERS * usize::from(MESSAGES);
    while got.len() < all || !unreleased.is_empty() {
        let mut peer = Peer::connect(&broker, &persistent(version, &name)).await;
        assert!(peer.session_present);
        let mut patience = 30 + random.below(300);
        while patience > 0 && (got.len() < all || !unreleased.is_empty()) {
            patience -= 1;
            let raw = peer.expect_next().await;
            match raw.packet() {
                Packet::Publish(publish) => {
                    let Delivery::ExactlyOnce(id) = publish.delivery else {
                        panic!("{publish:?}");
                    };
                    if unreleased.insert(id) {
                        got.push(String::from_utf8_lossy(publish.payload).into_owned());
                    }
                    peer.send(&Packet::PubRec(Ack::new(id, ReasonCode::SUCCESS))).await;
                }
                packet if packet.packet_type() == PacketType::PubRel => {
                    let Packet::PubRel(ack) = packet else { continue };
                    unreleased.remove(&ack.packet_id);
                    let id = ack.packet_id;
                    peer.send(&Packet::PubComp(Ack::new(id, ReasonCode::SUCCESS))).await;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    got
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_comes_once_and_in_order_however_often_the_sockets_break() {
    let broker = Arc::new(Broker::start(builder(|_| {})).await);
    let names = ["one", "another", "the third"];
    let versions = [Version::V311, Version::V5, Version::V5];
    for (name, version) in names.into_iter().zip(versions) {
        let mut peer = Peer::connect(&broker, &persistent(version, name)).await;
        peer.subscribe("t", QoS::ExactlyOnce).await;
    }
    let subscribers: Vec<_> = names
        .into_iter()
        .zip(versions)
        .map(|(name, version)| tokio::spawn(subscribe(broker.clone(), name.to_owned(), version)))
        .collect();
    let publishers: Vec<_> =
        (0..PUBLISHERS).map(|number| tokio::spawn(publish(broker.clone(), number))).collect();
    for publisher in publishers {
        within(PATIENCE_SECS, "publishing", publisher).await.unwrap();
    }
    for subscriber in subscribers {
        let got = within(PATIENCE_SECS, "receiving", subscriber).await.unwrap();
        for publisher in 0..PUBLISHERS {
            let prefix = format!("{publisher} ");
            let numbers = got.iter().filter_map(|text| text.strip_prefix(&prefix));
            let numbers: Vec<u16> = numbers.map(|number| number.parse().unwrap()).collect();
            assert_eq!(numbers, (1..=MESSAGES).collect::<Vec<_>>(), "of publisher {publisher}");
        }
    }
    broker.until_connections(0).await;
    let report = Arc::into_inner(broker).unwrap().stop().await;
    let ledger = report.totals.ledger;
    assert_eq!(ledger.enqueued, (3 * PUBLISHERS * usize::from(MESSAGES)) as u64);
    assert_eq!(ledger.dropped_total(), 0, "{ledger:?}");
}
