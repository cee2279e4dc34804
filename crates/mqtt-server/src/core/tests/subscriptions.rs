//! SUBSCRIBE, UNSUBSCRIBE, and what subscriptions ask for.

use mqtt_packet::{PacketType, QoS, ReasonCode, SubscriptionOptions, Version};

use super::{
    client::Seen,
    hello::{hello, persistent},
    world::World,
};

#[test]
fn overlapping_subscriptions_deliver_once_with_the_highest_qos_and_all_identifiers() {
    let mut world = World::new();
    let subscriber = world.connect(&hello(Version::V5, "subscriber"));
    let publisher = world.connect(&hello(Version::V311, "publisher"));
    for (number, (filter, qos)) in [("a/#", 0), ("a/+", 2), ("a/b", 1)].into_iter().enumerate() {
        let options = SubscriptionOptions::new(QoS::from_bits(qos).unwrap());
        let identifier = u32::try_from(number).unwrap() + 1;
        world.subscribe_as(subscriber, &[(filter, options)], Some(identifier));
    }
    for qos in 0..=2 {
        world.publish(publisher, "a/b", "x", qos);
        let mut message = world.message(subscriber);
        message.identifiers.sort_unstable();
        assert_eq!((message.qos, message.identifiers), (qos, vec![1, 2, 3]));
    }
}

#[test]
fn no_local_holds_a_clients_own_messages_back() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    let other = world.connect(&hello(Version::V5, "other"));
    let no_local = SubscriptionOptions { no_local: true, ..Default::default() };
    world.subscribe_as(client, &[("t", no_local)], None);
    world.publish(client, "t", "own", 0);
    world.publish(other, "t", "other's", 0);
    assert_eq!(world.texts(client), ["other's"]);
}

#[test]
fn a_message_that_no_local_alone_holds_back_has_a_matching_subscription() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    let no_local = SubscriptionOptions { no_local: true, ..Default::default() };
    world.subscribe_as(client, &[("t", no_local)], None);
    world.seen(client);
    world.publish(client, "t", "own", 1);
    assert_eq!(world.seen(client), [Seen::Ack(PacketType::PubAck, ReasonCode::SUCCESS)]);
}

#[test]
fn no_local_does_not_take_from_another_subscription() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    let no_local = SubscriptionOptions { no_local: true, ..Default::default() };
    world.subscribe_as(client, &[("t", no_local)], Some(1));
    world.subscribe_as(client, &[("#", SubscriptionOptions::default())], Some(2));
    world.publish(client, "t", "own", 0);
    assert_eq!(world.message(client).identifiers, [2]);
}

#[test]
fn a_second_subscription_to_the_same_filter_replaces_the_first() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    let options = SubscriptionOptions::new(QoS::ExactlyOnce);
    world.subscribe_as(client, &[("t", options)], Some(1));
    world.subscribe(client, "t", 0);
    world.publish(client, "t", "x", 2);
    let message = world.message(client);
    assert_eq!((message.qos, message.identifiers), (0, vec![]));
    assert_eq!(world.broker.routing.subscriptions(), 1);
}

#[test]
fn unsubscribing_ends_a_subscription_and_says_whether_there_was_one() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    world.subscribe(client, "t", 0);
    world.publish(client, "t", "before", 0);
    assert_eq!(world.unsubscribe(client, "t"), [0]);
    assert_eq!(world.unsubscribe(client, "t"), [0x11]);
    world.publish(client, "t", "after", 0);
    assert_eq!(world.texts(client), ["before"]);
}

#[test]
fn unsubscribing_does_not_take_back_what_is_queued() {
    let mut world = World::new();
    let subscriber = world.connect(&hello(Version::V5, "subscriber"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(subscriber, "t", 1);
    world.reads(subscriber, false);
    world.publish(publisher, "t", "queued", 1);
    world.say(subscriber, b"\xA2\x06\x00\x09\x00\x00\x01t");
    world.reads(subscriber, true);
    assert_eq!(world.texts(subscriber), ["queued"]);
}

#[test]
fn every_filter_of_a_packet_has_its_own_answer() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    let options = SubscriptionOptions::new(QoS::AtLeastOnce);
    let filters = [("a", options), ("b/#/c", options), ("$share//x", options), ("c", options)];
    assert_eq!(world.subscribe_as(client, &filters, None), [1, 0x8F, 0x8F, 1]);
}

#[test]
fn a_session_keeps_its_subscriptions() {
    let mut world = World::new();
    let client = world.connect(&persistent(Version::V5, "client"));
    let options = SubscriptionOptions::new(QoS::AtLeastOnce);
    world.subscribe_as(client, &[("t", options)], Some(7));
    world.cut(client);
    let client = world.connect(&persistent(Version::V5, "client"));
    assert!(world.session_present(client));
    world.publish(client, "t", "x", 0);
    assert_eq!(world.message(client).identifiers, [7]);
}

#[test]
fn a_session_has_room_for_so_many_subscriptions() {
    let mut world = World::with(|limits| limits.subscriptions_per_session_max = 2);
    let client = world.connect(&hello(Version::V5, "client"));
    let reasons: Vec<_> =
        ["a", "b", "c", "a"].into_iter().flat_map(|f| world.subscribe(client, f, 1)).collect();
    assert_eq!(reasons, [1, 1, 0x97, 1]);
    world.publish(client, "c", "x", 0);
    assert_eq!(world.messages(client), []);
}

#[test]
fn a_new_subscription_is_seen_by_a_publisher_that_remembers_its_receivers() {
    let mut world = World::new();
    let first = world.connect(&hello(Version::V5, "first"));
    let second = world.connect(&hello(Version::V5, "second"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(first, "t", 0);
    world.publish(publisher, "t", "1", 0);
    world.subscribe(second, "t", 0);
    world.publish(publisher, "t", "2", 0);
    world.cut(first);
    world.publish(publisher, "t", "3", 0);
    assert_eq!(world.texts(first), ["1", "2"]);
    assert_eq!(world.texts(second), ["2", "3"]);
}

#[test]
fn a_ping_is_answered() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V31, "client"));
    world.seen(client);
    world.say(client, &[0xC0, 0]);
    assert_eq!(world.seen(client), [Seen::PingResp]);
}
