//! Retained messages.

use std::collections::BTreeSet;

use mqtt_packet::{
    PacketType, PublishProperties, QoS, ReasonCode, RetainHandling, SubscriptionOptions, Version,
};

use super::{client::Seen, hello::hello, world::World};

fn handling(retain_handling: RetainHandling) -> SubscriptionOptions {
    SubscriptionOptions { retain_handling, ..Default::default() }
}

#[test]
fn the_last_message_is_kept_for_later_subscribers() {
    let mut world = World::new();
    let publisher = world.connect(&hello(Version::V311, "publisher"));
    world.retain(publisher, "t", "first");
    world.retain(publisher, "t", "second");
    for version in [Version::V31, Version::V311, Version::V5] {
        let subscriber = world.connect(&hello(version, "subscriber"));
        world.subscribe(subscriber, "+", 1);
        let message = world.message(subscriber);
        assert_eq!((message.payload.as_str(), message.retain, message.qos), ("second", true, 0));
    }
}

#[test]
fn an_empty_message_clears_it_and_is_delivered_like_any_other() {
    let mut world = World::new();
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    let live = world.connect(&hello(Version::V5, "live"));
    world.subscribe(live, "t", 0);
    world.retain(publisher, "t", "kept");
    world.retain(publisher, "t", "");
    let later = world.connect(&hello(Version::V5, "later"));
    world.subscribe(later, "t", 0);
    assert_eq!(world.texts(live), ["kept", ""]);
    assert_eq!(world.messages(later), []);
    assert_eq!(world.broker.retained.count().messages, 0);
}

#[test]
fn a_message_without_retain_leaves_the_retained_one_alone() {
    let mut world = World::new();
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.retain(publisher, "t", "kept");
    world.publish(publisher, "t", "passing", 0);
    world.publish(publisher, "t", "", 0);
    world.subscribe(publisher, "t", 0);
    assert_eq!(world.texts(publisher), ["kept"]);
}

#[test]
fn a_thousand_topics_are_replayed_each_once() {
    for qos in [0, 1, 2] {
        let mut world = World::new();
        let publisher = world.connect(&hello(Version::V5, "publisher"));
        let topics: BTreeSet<_> = (0..1000).map(|n| format!("t/{}/{n}", n % 13)).collect();
        for topic in &topics {
            world.publish_as(publisher, topic, "x", qos, true, PublishProperties::default());
        }
        let subscriber = world.connect(&hello(Version::V311, "subscriber"));
        world.subscribe(subscriber, "t/#", 2);
        let messages = world.messages(subscriber);
        assert_eq!(messages.len(), 1000);
        let seen: BTreeSet<_> = messages.into_iter().map(|message| message.topic).collect();
        assert_eq!(seen, topics);
    }
}

#[test]
fn a_replay_to_a_client_that_does_not_read_waits_without_piling_up() {
    let mut world = World::with(|limits| limits.output_bytes_max = 16 * 1024);
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    let payload = "x".repeat(500);
    for number in 0..2000 {
        world.retain(publisher, &format!("t/{number}"), &payload);
    }
    let subscriber = world.connect(&hello(Version::V5, "subscriber"));
    world.reads(subscriber, false);
    world.subscribe(subscriber, "t/+", 0);
    let waiting = world.client(subscriber).connection.as_ref().unwrap().output().len();
    assert!(waiting < 300 * 1024, "{waiting} bytes wait");
    world.reads(subscriber, true);
    assert_eq!(world.messages(subscriber).len(), 2000);
}

#[test]
fn retain_handling_says_when_retained_messages_come() {
    use RetainHandling::{Never, OnNewSubscription, OnSubscribe};
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    world.retain(client, "t", "kept");
    let steps = [(Never, 0), (OnNewSubscription, 0), (OnSubscribe, 1), (OnSubscribe, 1)];
    for (retain_handling, expected) in steps {
        world.subscribe_as(client, &[("t", handling(retain_handling))], None);
        assert_eq!(world.messages(client).len(), expected, "{retain_handling:?}");
    }
    world.unsubscribe(client, "t");
    world.subscribe_as(client, &[("t", handling(OnNewSubscription))], None);
    assert_eq!(world.messages(client).len(), 1);
}

#[test]
fn retain_as_published_keeps_the_flag_of_live_messages() {
    let mut world = World::new();
    let plain = world.connect(&hello(Version::V5, "plain"));
    let keeping = world.connect(&hello(Version::V5, "keeping"));
    world.subscribe(plain, "t", 1);
    let keep = SubscriptionOptions { retain_as_published: true, ..QoS::AtLeastOnce.into() };
    world.subscribe_as(keeping, &[("t", keep)], None);
    for qos in 0..=1 {
        world.publish_as(plain, "t", "x", qos, true, PublishProperties::default());
        assert!(!world.message(plain).retain);
        assert!(world.message(keeping).retain);
        world.publish(plain, "t", "x", qos);
        assert!(!world.message(keeping).retain);
        world.messages(plain);
    }
}

#[test]
fn a_replay_names_the_subscription() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    world.retain(client, "t", "kept");
    world.subscribe_as(client, &[("t", SubscriptionOptions::default())], Some(9));
    assert_eq!(world.message(client).identifiers, [9]);
}

#[test]
fn there_is_room_for_so_many_retained_messages() {
    let mut world = World::with(|limits| limits.retained_messages_max = 1);
    let client = world.connect(&hello(Version::V5, "client"));
    world.seen(client);
    for (topic, payload) in [("a", "1"), ("b", "1"), ("a", "2")] {
        world.publish_as(client, topic, payload, 1, true, PublishProperties::default());
    }
    let reasons = world.seen(client);
    let quota = Seen::Ack(PacketType::PubAck, ReasonCode::QUOTA_EXCEEDED);
    let nobody = Seen::Ack(PacketType::PubAck, ReasonCode::NO_MATCHING_SUBSCRIBERS);
    assert_eq!(reasons, [nobody.clone(), quota, nobody]);
    world.subscribe(client, "#", 0);
    assert_eq!(world.message(client).payload, "2");
}
