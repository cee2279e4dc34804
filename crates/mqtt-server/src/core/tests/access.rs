//! Access rules: asked for at every hand-over, and again when they have changed.

use mqtt_packet::{
    Ack, Packet, PacketId, PacketType, QoS, ReasonCode, SubscriptionOptions, Version,
};
use mqtt_session::DropReason;

use super::{
    client::Seen,
    hello::{hello, persistent},
    parts::Act,
    world::World,
};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

#[test]
fn a_message_that_may_not_be_published_reaches_nobody() {
    for version in VERSIONS {
        let mut world = World::new();
        let subscriber = world.connect(&hello(Version::V5, "subscriber"));
        let publisher = world.connect(&hello(version, "publisher"));
        world.subscribe(subscriber, "#", 2);
        world.rules.forbid(Act::Publish, "secret");
        world.seen(publisher);
        for qos in 0..=2 {
            world.publish(publisher, "secret", "x", qos);
        }
        world.retain(publisher, "secret", "x");
        world.publish(publisher, "open", "x", 0);
        assert_eq!(world.message(subscriber).topic, "open");
        assert_eq!(world.broker.retained.count().messages, 0);
        let reason = if version.is_v5() { ReasonCode::NOT_AUTHORIZED } else { ReasonCode::SUCCESS };
        assert_eq!(world.seen(publisher)[0], Seen::Ack(PacketType::PubAck, reason));
        assert_eq!(world.broker.totals().traffic.denied, 4);
    }
}

#[test]
fn a_right_to_publish_that_is_taken_away_ends_at_once() {
    let mut world = World::new();
    let subscriber = world.connect(&hello(Version::V5, "subscriber"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(subscriber, "t", 0);
    world.publish(publisher, "t", "before", 0);
    world.rules.forbid(Act::Publish, "t");
    world.publish(publisher, "t", "after", 0);
    assert_eq!(world.texts(subscriber), ["before"]);
}

#[test]
fn each_filter_is_asked_for() {
    // D10
    for (version, refused) in [(Version::V311, 0x80), (Version::V5, 0x87)] {
        let mut world = World::new();
        let client = world.connect(&hello(version, "client"));
        world.rules.forbid(Act::Subscribe, "secret");
        let options = SubscriptionOptions::new(QoS::AtLeastOnce);
        let filters = [("open", options), ("secret", options), ("other", options)];
        assert_eq!(world.subscribe_as(client, &filters, None), [1, refused, 1]);
        world.publish(client, "secret", "x", 0);
        assert_eq!(world.messages(client), []);
    }
}

#[test]
fn a_share_is_asked_for_by_its_inner_filter() {
    // D08
    for (version, refused) in [(Version::V311, 0x80), (Version::V5, 0x87)] {
        let mut world = World::new();
        let client = world.connect(&hello(version, "client"));
        world.rules.forbid(Act::Subscribe, "secret");
        assert_eq!(world.subscribe(client, "$share/g/secret", 1), [refused]);
        assert_eq!(world.broker.routing.subscriptions(), 0);
    }
}

#[test]
fn a_3_1_client_is_granted_a_forbidden_filter_and_gets_nothing() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V31, "client"));
    world.rules.forbid(Act::Subscribe, "secret");
    assert_eq!(world.subscribe(client, "secret", 1), [1]);
    world.publish(client, "secret", "x", 0);
    assert_eq!(world.messages(client), []);
}

#[test]
fn a_wide_filter_does_not_widen_what_may_be_read() {
    // D11
    for filter in ["#", "+", "+/#", "$share/g/#"] {
        let mut world = World::new();
        let client = world.connect(&hello(Version::V5, "client"));
        world.retain(client, "secret", "retained");
        world.rules.forbid(Act::Receive, "secret");
        world.subscribe(client, filter, 2);
        for qos in 0..=2 {
            world.publish(client, "secret", "live", qos);
            world.publish(client, "open", "live", qos);
        }
        let topics: Vec<_> = world.messages(client).into_iter().map(|m| m.topic).collect();
        assert_eq!(topics, ["open"; 3], "{filter}");
    }
}

#[test]
fn a_right_that_is_taken_away_stops_a_running_subscription() {
    // D12
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    let publisher = world.connect(&hello(Version::V311, "publisher"));
    world.subscribe(client, "#", 1);
    for qos in 0..=2 {
        world.publish(publisher, "t", "before", qos);
    }
    world.rules.forbid(Act::Receive, "t");
    for qos in 0..=2 {
        world.publish(publisher, "t", "after", qos);
    }
    assert_eq!(world.texts(client), ["before"; 3]);
}

#[test]
fn what_waits_in_an_offline_queue_is_asked_for_again() {
    // C31, D12
    let mut world = World::new();
    let client = world.connect(&persistent(Version::V5, "client"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(client, "#", 2);
    world.cut(client);
    for (topic, qos) in [("secret", 1), ("open", 1), ("secret", 2), ("open", 2)] {
        world.publish(publisher, topic, topic, qos);
    }
    world.rules.forbid(Act::Receive, "secret");
    let client = world.connect(&persistent(Version::V5, "client"));
    assert_eq!(world.texts(client), ["open", "open"]);
    assert_eq!(world.dropped(DropReason::NotAuthorized), 2);
}

#[test]
fn what_waits_for_a_slow_client_is_asked_for_again() {
    let mut world = World::with(|limits| limits.output_bytes_max = 100);
    let client = world.connect(&hello(Version::V5, "client"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(client, "#", 1);
    world.reads(client, false);
    let filler = "x".repeat(200);
    world.publish(publisher, "open", &filler, 0);
    for qos in 0..=1 {
        world.publish(publisher, "secret", "x", qos);
    }
    world.rules.forbid(Act::Receive, "secret");
    world.reads(client, true);
    assert_eq!(world.message(client).topic, "open");
    assert_eq!(world.dropped(DropReason::NotAuthorized), 2);
}

#[test]
fn what_waits_for_the_window_is_asked_for_again_after_a_reconnect() {
    let mut world = World::new();
    let mut hello_one = persistent(Version::V5, "client");
    hello_one.properties.receive_maximum = Some(1);
    let client = world.connect(&hello_one);
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(client, "#", 1);
    world.client(client).answers = false;
    for topic in ["open", "secret", "other"] {
        world.publish(publisher, topic, topic, 1);
    }
    world.cut(client);
    world.rules.forbid(Act::Receive, "secret");
    let client = world.connect(&hello_one);
    assert_eq!(world.texts(client), ["open", "other"]);
    assert_eq!(world.dropped(DropReason::NotAuthorized), 1);
}

#[test]
fn rules_that_change_between_the_decision_and_the_hand_over_are_asked_again() {
    for (filter, qos) in [("#", 0), ("#", 1), ("$share/g/#", 1)] {
        for mut world in [World::new(), World::durable()] {
            let client = world.connect(&persistent(Version::V5, "client"));
            let publisher = world.connect(&hello(Version::V5, "publisher"));
            world.subscribe(client, filter, qos);
            world.rules.forbid_behind_the_next_answer(Act::Receive, "secret");
            world.publish(publisher, "secret", "x", qos);
            world.publish(publisher, "open", "x", qos);
            assert_eq!(world.message(client).topic, "open", "{filter} {qos}");
            assert_eq!(world.dropped(DropReason::NotAuthorized), 1, "{filter} {qos}");
        }
    }
}

#[test]
fn what_waits_for_the_window_is_asked_for_again_on_the_same_connection() {
    for mut world in [World::new(), World::durable()] {
        let mut hello_one = persistent(Version::V5, "client");
        hello_one.properties.receive_maximum = Some(1);
        let client = world.connect(&hello_one);
        let publisher = world.connect(&hello(Version::V5, "publisher"));
        world.subscribe(client, "#", 1);
        world.client(client).answers = false;
        for topic in ["open", "secret", "secret", "other", "secret", "last"] {
            world.publish(publisher, topic, topic, 1);
        }
        let first = world.message(client);
        assert_eq!(first.topic, "open");
        world.rules.forbid(Act::Receive, "secret");
        world.client(client).answers = true;
        let id = PacketId::new(first.packet_id.unwrap()).unwrap();
        world.send(client, &Packet::PubAck(Ack::new(id, ReasonCode::SUCCESS)));
        assert_eq!(world.texts(client), ["other", "last"]);
        assert_eq!(world.dropped(DropReason::NotAuthorized), 3);
    }
}

#[test]
fn a_replay_leaves_out_what_may_not_be_read() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    world.retain(client, "open", "x");
    world.retain(client, "secret", "x");
    world.rules.forbid(Act::Receive, "secret");
    world.subscribe(client, "#", 1);
    assert_eq!(world.message(client).topic, "open");
}

#[test]
fn what_was_queued_by_another_server_is_asked_for_again() {
    let mut world = World::durable();
    let client = world.connect(&persistent(Version::V5, "client"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(client, "#", 1);
    world.cut(client);
    for topic in ["open", "secret"] {
        world.publish(publisher, topic, topic, 1);
    }
    let mut next = world.restart();
    next.rules.forbid_from_the_start(Act::Receive, "secret");
    let client = next.connect(&persistent(Version::V5, "client"));
    assert_eq!(next.texts(client), ["open"]);
    assert_eq!(next.dropped(DropReason::NotAuthorized), 1);
}

#[test]
fn a_refused_qos_2_message_leaves_its_identifier_and_its_place_free() {
    let mut world = World::with(|limits| limits.protocol.receive_maximum = 1);
    let client = world.connect(&hello(Version::V5, "client"));
    world.subscribe(client, "#", 2);
    world.rules.forbid(Act::Publish, "secret");
    for _ in 0..3 {
        world.client(client).last_id = 100;
        world.publish(client, "secret", "x", 2);
    }
    world.client(client).last_id = 100;
    world.publish(client, "open", "x", 2);
    assert_eq!(world.message(client).topic, "open");
    let refused = Seen::Ack(PacketType::PubRec, ReasonCode::NOT_AUTHORIZED);
    assert_eq!(world.seen(client).iter().filter(|seen| **seen == refused).count(), 3);
}
