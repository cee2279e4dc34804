//! Payloads of all sizes.

use mqtt_packet::{Packet, QoS, Version};

use crate::harness::{Broker, Peer, builder};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payloads_of_no_byte_one_and_twenty_million_arrive() {
    let broker = Broker::start(builder(|limits| {
        limits.protocol.maximum_packet_size = 32 * 1024 * 1024;
        limits.queue.bytes_max = 64 * 1024 * 1024;
    }))
    .await;
    for (from, to) in [(Version::V311, Version::V5), (Version::V5, Version::V5)] {
        let mut subscriber = Peer::simple(&broker, to, "subscriber").await;
        subscriber.subscribe("t", QoS::ExactlyOnce).await;
        let mut publisher = Peer::simple(&broker, from, "publisher").await;
        for (len, qos) in
            [0, 1, 20_000_000].into_iter().flat_map(|len| [(len, 0), (len, 1), (len, 2)])
        {
            let payload: Vec<u8> = (0..len).map(|n: u32| n.to_le_bytes()[1]).collect();
            publisher.publish("t", &payload, qos).await;
            let (_, got) = subscriber.message().await;
            assert!(got == payload, "{len} bytes at QoS {qos} came as {} others", got.len());
            publisher.ping().await;
            subscriber.ping().await;
        }
        for peer in [&mut subscriber, &mut publisher] {
            peer.send(&Packet::Disconnect(Default::default())).await;
            peer.end().await;
        }
    }
    let ledger = broker.stop().await.totals.ledger;
    assert_eq!((ledger.enqueued, ledger.delivered), (18, 18));
}
