//! Cheap requests that cost much: others go on meanwhile.
//!
//! The broker has one thread here, so whoever does not let go of it holds up everybody.

use bytes::BytesMut;
use mqtt_packet::{
    Packet, PacketId, QoS, RetainHandling, Subscribe, SubscribeFilters, SubscribeProperties,
    SubscriptionOptions, UnsubscribeFilters, Version,
};
use mqtt_server::Limits;
use mqtt_testkit::within;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Broker, PATIENCE_SECS, Peer, builder};

/// How long a ping may take beside what used to take half a minute and more, in seconds.
const PING_SECS: u64 = 10;

const QUIET: SubscriptionOptions = SubscriptionOptions {
    retain_handling: RetainHandling::Never,
    ..SubscriptionOptions::new(QoS::AtMostOnce)
};

/// A SUBSCRIBE with these filters, and an identifier of its own if there is a number.
fn subscribe(
    id: u16,
    filters: &[String],
    options: SubscriptionOptions,
    identifier: Option<u32>,
) -> BytesMut {
    let filters: Vec<_> = filters.iter().map(|filter| (filter.as_str(), options)).collect();
    let properties =
        SubscribeProperties { subscription_identifier: identifier, ..Default::default() };
    let packet_id = PacketId::new(id).unwrap();
    let filters = SubscribeFilters::new(&filters);
    let mut bytes = BytesMut::new();
    let packet = Packet::Subscribe(Subscribe { packet_id, properties, filters });
    packet.encode(Version::V5, &mut bytes).unwrap();
    bytes
}

/// The reasons of the next SUBACK; messages that come before it are passed over.
async fn suback(peer: &mut Peer) -> Vec<u8> {
    loop {
        if let Packet::SubAck(suback) = peer.expect_next().await.packet() {
            return suback.reasons.to_vec();
        }
    }
}

/// All filters of so many levels that are `a` or `+`.
fn overlapping(levels: u32) -> Vec<String> {
    let level = |bits: u32, bit| if (bits >> bit) & 1 == 1 { "+" } else { "a" };
    let filter = |bits| (0..levels).map(|bit| level(bits, bit)).collect::<Vec<_>>().join("/");
    (0..1 << levels).map(filter).collect()
}

/// A PUBLISH of 3.1.1.
fn publish(topic: &str, payload: &str) -> Vec<u8> {
    let rest = 2 + topic.len() + payload.len();
    let len = [u8::try_from(rest).unwrap(), 0, u8::try_from(topic.len()).unwrap()];
    [&[0x30], &len[..], topic.as_bytes(), payload.as_bytes()].concat()
}

/// Pings so many times while others have their way.
async fn ping_all_the_time(bystander: &mut Peer, times: usize) {
    for _ in 0..times {
        within(PING_SECS, "a ping in between", bystander.ping()).await;
    }
}

async fn broker(change: impl FnOnce(&mut Limits)) -> (Broker, Peer) {
    let broker = Broker::start(builder(change)).await;
    let bystander = Peer::simple(&broker, Version::V5, "bystander").await;
    (broker, bystander)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn filters_that_look_at_all_retained_topics_and_find_nothing_hold_up_nobody() {
    let (broker, mut bystander) = broker(|_| {}).await;
    let local = broker.handle.local_client("local").unwrap();
    for number in 0..20_000 {
        local.publish(&format!("a/{number}"), b"x", QoS::AtMostOnce, true).unwrap();
    }
    // Thirty seconds of work for a broker that does it in one piece, and it has three of them.
    let mut peers = Vec::new();
    for name in ["one", "two", "three"] {
        let filters: Vec<_> = (0..1_000).map(|number| format!("+/+/{name}{number}")).collect();
        let mut peer = Peer::simple(&broker, Version::V5, name).await;
        let options = SubscriptionOptions::new(QoS::AtMostOnce);
        peer.say(&subscribe(1, &filters, options, None)).await;
        peers.push(peer);
    }
    assert_eq!(suback(&mut peers[0]).await, [0; 1_000]);
    ping_all_the_time(&mut bystander, 20).await;
    // Nobody works for those who are gone, and the broker stops when it is told to.
    peers.pop();
    within(PING_SECS, "noticing that one has left", broker.until_connections(4)).await;
    drop(local);
    let stopped = within(2 * PING_SECS, "the shutdown", broker.stop()).await;
    assert_eq!(stopped.cut, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn filters_that_overlap_are_limited_and_their_identifiers_are_a_set() {
    let (broker, _bystander) = broker(|_| {}).await;
    let mut peer = Peer::simple(&broker, Version::V5, "greedy").await;
    let mut granted = 0;
    for (id, filters) in (1..).zip(overlapping(10).chunks(4)) {
        // Every second packet has the identifier of the one before.
        peer.say(&subscribe(id, filters, QUIET, Some(u32::from(id) / 2 + 1))).await;
        let reasons = suback(&mut peer).await;
        assert!(reasons.iter().all(|reason| matches!(reason, 0 | 0x97)), "{reasons:?}");
        granted += reasons.iter().filter(|reason| **reason == 0).count();
    }
    // One of them has no wildcard.
    assert_eq!(granted, Limits::default().overlaps_per_session_max + 1);
    peer.publish(&["a"; 10].join("/"), b"x", 0).await;
    let raw = peer.expect_next().await;
    let Packet::Publish(message) = raw.packet() else { panic!("no message but {raw:?}") };
    let mut identifiers: Vec<_> = message.properties.subscription_identifiers.iter().collect();
    let count = identifiers.len();
    identifiers.sort_unstable();
    identifiers.dedup();
    assert_eq!((identifiers.len(), count), (granted / 8 + 1, granted / 8 + 1));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn many_topics_that_match_many_filters_hold_up_nobody() {
    let (broker, mut bystander) = broker(|limits| limits.overlaps_per_session_max = 5_000).await;
    let mut peer = Peer::simple(&broker, Version::V5, "greedy").await;
    for (id, filters) in (1..).zip(overlapping(12).chunks(512)) {
        peer.say(&subscribe(id, filters, QUIET, Some(u32::from(id)))).await;
        assert_eq!(suback(&mut peer).await, vec![0; filters.len()]);
    }
    // One write, a thousand topics, and each matches two thousand filters.
    let topics = (0..1_000).map(|number| format!("{}{number}", "a/".repeat(11)));
    let all: Vec<_> = topics.flat_map(|topic| publish(&topic, "x")).collect();
    let mut publisher = Peer::simple(&broker, Version::V311, "publisher").await;
    publisher.say(&all).await;
    ping_all_the_time(&mut bystander, 20).await;
    let mut messages = 0;
    while messages < 1_000 {
        messages += usize::from(matches!(peer.expect_next().await.packet(), Packet::Publish(_)));
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn groups_of_one_client_are_limited_and_hold_up_nobody() {
    let (broker, mut bystander) = broker(|_| {}).await;
    let mut peer = Peer::simple(&broker, Version::V5, "greedy").await;
    let filters: Vec<_> = (0..1_000).map(|number| format!("$share/{number}/a")).collect();
    peer.say(&subscribe(1, &filters, QUIET, None)).await;
    let reasons = suback(&mut peer).await;
    let granted = reasons.iter().filter(|reason| **reason == 0).count();
    assert_eq!(granted, Limits::default().shared_overlaps_per_session_max);
    assert!(reasons.iter().all(|reason| matches!(reason, 0 | 0x97)));
    // Each of these few bytes comes back as 64 messages.
    let mut publisher = Peer::simple(&broker, Version::V311, "publisher").await;
    publisher.say(&publish("a", "").repeat(5_000)).await;
    ping_all_the_time(&mut bystander, 20).await;
    let mut messages = 0;
    while messages < 64 * 5_000 {
        messages += usize::from(matches!(peer.expect_next().await.packet(), Packet::Publish(_)));
    }
    assert_eq!(broker.stop().await.totals.ledger.dropped_total(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn subscriptions_wait_for_retained_messages_and_are_not_refused() {
    let (broker, _bystander) = broker(|_| {}).await;
    let local = broker.handle.local_client("local").unwrap();
    for number in 0..1_000 {
        local.publish(&format!("a/{number}"), b"x", QoS::AtMostOnce, true).unwrap();
    }
    drop(local);
    let mut peer = Peer::simple(&broker, Version::V5, "many").await;
    let options = SubscriptionOptions::new(QoS::AtMostOnce);
    let filters: Vec<_> = (0..14_000).map(|number| format!("a/{number}")).collect();
    peer.say(&subscribe(1, &filters[..5_000], options, None)).await;
    assert_eq!(suback(&mut peer).await, [0; 5_000]);
    for _ in 0..1_000 {
        assert!(matches!(peer.expect_next().await.packet(), Packet::Publish(_)));
    }
    let pipelined: Vec<_> = (2..)
        .zip(filters.chunks(500))
        .flat_map(|(id, f)| subscribe(id, f, options, None))
        .collect();
    let (packets, mut messages) = (filters.len() / 500, 0);
    peer.say(&pipelined).await;
    let mut answered = 0;
    while answered < packets || messages < 1_000 {
        match peer.expect_next().await.packet() {
            Packet::SubAck(suback) => {
                assert_eq!(suback.reasons, [0; 500]);
                answered += 1;
            }
            Packet::Publish(_) => messages += 1,
            other => panic!("{other:?}"),
        }
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn packets_that_bring_many_answers_hold_up_nobody() {
    let (broker, mut bystander) = broker(|_| {}).await;
    let peer = Peer::simple(&broker, Version::V5, "greedy").await;
    let (mut read, mut write) = peer.stream.into_split();
    let filters = vec!["x"; 100_000];
    let filters = UnsubscribeFilters::new(&filters);
    let packet_id = PacketId::new(1).unwrap();
    let mut bytes = BytesMut::new();
    let properties = Default::default();
    let unsubscribe = mqtt_packet::Unsubscribe { packet_id, properties, filters };
    Packet::Unsubscribe(unsubscribe).encode(Version::V5, &mut bytes).unwrap();
    // PINGREQ, PUBACK and PUBREL for what was never sent, and a hundred thousand filters.
    for packet in [&[0xC0, 0][..], &[0x40, 2, 0, 1], &[0x62, 2, 0, 1]] {
        bytes.extend_from_slice(&packet.repeat(50_000));
    }
    // A reason for each filter, PINGRESP, PUBCOMP with 0x92.
    let expected = 100_000 + (2 + 5) * 50_000;
    let reading = tokio::spawn(async move {
        tokio::io::copy(&mut (&mut read).take(expected), &mut tokio::io::sink()).await
    });
    let writing = tokio::spawn(async move { write.write_all(&bytes).await.map(|()| write) });
    ping_all_the_time(&mut bystander, 20).await;
    within(PATIENCE_SECS, "writing", writing).await.unwrap().unwrap();
    let read = within(PATIENCE_SECS, "reading", reading).await.unwrap().unwrap();
    assert_eq!(read, expected);
    broker.stop().await;
}
