//! What both sides agreed on: receive maximum, topic aliases, packet sizes, maximum QoS.

use mqtt_packet::{
    Delivery, Packet, PacketId, PacketType, Publish, PublishProperties, QoS, ReasonCode, Version,
};
use mqtt_session::DropReason;

use super::{
    client::Seen,
    hello::{Hello, hello},
    world::{Id, World},
};

fn with(change: impl FnOnce(&mut mqtt_packet::ConnectProperties<'static>)) -> Hello {
    let mut hello = hello(Version::V5, "client");
    change(&mut hello.properties);
    hello
}

/// A client that a message with an alias comes from, or whatever is in `topic`.
fn publish_alias(world: &mut World, client: Id, topic: &str, alias: u16, payload: &str) {
    let properties = PublishProperties { topic_alias: Some(alias), ..Default::default() };
    world.publish_as(client, topic, payload, 1, false, properties);
}

#[test]
fn a_client_has_no_more_in_flight_than_it_takes() {
    for qos in [1, 2] {
        let mut world = World::new();
        let client = world.connect(&with(|p| p.receive_maximum = Some(2)));
        let publisher = world.connect(&hello(Version::V5, "publisher"));
        world.subscribe(client, "t", 2);
        world.client(client).answers = false;
        for number in 0..5 {
            world.publish(publisher, "t", &number.to_string(), qos);
        }
        world.publish(publisher, "t", "QoS 0 does not count", 0);
        let messages = world.messages(client);
        assert_eq!(messages.len(), 3);
        world.client(client).answers = true;
        for message in messages.iter().filter(|message| message.qos > 0) {
            let id = u8::try_from(message.packet_id.unwrap()).unwrap();
            world.say(client, &[if qos == 1 { 0x40 } else { 0x50 }, 2, 0, id]);
        }
        assert_eq!(world.texts(client), ["2", "3", "4"]);
    }
}

#[test]
fn a_client_that_sends_more_than_it_may_is_told_so() {
    let mut world = World::with(|limits| limits.protocol.receive_maximum = 2);
    let client = world.connect(&hello(Version::V5, "client"));
    world.client(client).answers = false;
    for number in 0..3 {
        world.publish(client, "t", &number.to_string(), 2);
    }
    assert!(world.seen(client).contains(&Seen::Disconnect(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED)));
}

#[test]
fn a_message_that_was_acknowledged_makes_room() {
    let mut world = World::with(|limits| limits.protocol.receive_maximum = 2);
    let client = world.connect(&hello(Version::V5, "client"));
    for number in 0..10 {
        world.publish(client, "t", &number.to_string(), 2);
    }
    assert!(world.is_open(client));
}

#[test]
fn an_alias_stands_for_its_topic() {
    let mut world = World::new();
    let subscriber = world.connect(&hello(Version::V311, "subscriber"));
    world.subscribe(subscriber, "#", 1);
    let client = world.connect(&hello(Version::V5, "client"));
    publish_alias(&mut world, client, "first", 1, "a");
    publish_alias(&mut world, client, "", 1, "b");
    publish_alias(&mut world, client, "second", 1, "c");
    publish_alias(&mut world, client, "", 1, "d");
    let got = world.messages(subscriber).into_iter().map(|m| (m.topic, m.payload));
    let got: Vec<_> = got.map(|(topic, payload)| format!("{topic} {payload}")).collect();
    assert_eq!(got, ["first a", "first b", "second c", "second d"]);
}

#[test]
fn an_alias_does_not_outlive_its_connection() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client").expiry(100));
    publish_alias(&mut world, client, "t", 1, "x");
    world.cut(client);
    let again = Hello { clean: false, ..hello(Version::V5, "client") };
    let client = world.connect(&again);
    assert!(world.session_present(client));
    publish_alias(&mut world, client, "", 1, "x");
    assert!(world.seen(client).contains(&Seen::Disconnect(ReasonCode::PROTOCOL_ERROR)));
}

#[test]
fn an_alias_above_the_maximum_ends_the_connection() {
    let mut world = World::with(|limits| limits.protocol.topic_alias_maximum = 2);
    let client = world.connect(&hello(Version::V5, "client"));
    publish_alias(&mut world, client, "t", 2, "x");
    publish_alias(&mut world, client, "t", 3, "x");
    assert!(world.seen(client).contains(&Seen::Disconnect(ReasonCode::TOPIC_ALIAS_INVALID)));
}

#[test]
fn a_client_gets_aliases_only_as_far_as_it_takes_them() {
    for (maximum, aliased) in [(None, 0), (Some(1), 1), (Some(10), 3)] {
        let mut world = World::new();
        let client = world.connect(&with(|p| p.topic_alias_maximum = maximum));
        let publisher = world.connect(&hello(Version::V311, "publisher"));
        world.subscribe(client, "#", 1);
        let topics = ["topic/a", "topic/b", "topic/c"];
        for (topic, qos) in topics.into_iter().flat_map(|topic| [(topic, 0), (topic, 1)]) {
            world.publish(publisher, topic, topic, qos);
        }
        let messages = world.messages(client);
        assert_eq!(messages.len(), 6);
        // The client resolves them, and they are right.
        assert!(messages.iter().all(|message| message.topic == message.payload));
        let with_alias = messages.iter().filter(|message| message.alias.is_some()).count();
        assert_eq!(with_alias, 2 * aliased);
    }
}

#[test]
fn a_packet_that_is_too_large_for_a_client_is_not_sent_to_it() {
    for qos in 0..=2 {
        let mut world = World::new();
        let small = world.connect(&with(|p| p.maximum_packet_size = Some(100)));
        let large = world.connect(&hello(Version::V5, "large"));
        world.subscribe(small, "t", 2);
        world.subscribe(large, "t", 2);
        world.publish(large, "t", &"x".repeat(200), qos);
        world.publish(large, "t", "small", qos);
        assert_eq!(world.texts(small), ["small"]);
        assert_eq!(world.messages(large).len(), 2);
        assert_eq!(world.dropped(DropReason::PacketTooLarge), 1);
    }
}

#[test]
fn messages_that_fit_are_not_lost_with_one_in_the_same_read_that_does_not() {
    let mut world = World::new();
    let small = world.connect(&with(|p| p.maximum_packet_size = Some(100)));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(small, "t", 0);
    for payload in ["before", &"x".repeat(200), "after"] {
        world.client(publisher).send(&Packet::Publish(Publish {
            dup: false,
            delivery: Delivery::AtMostOnce,
            retain: false,
            topic: "t",
            properties: PublishProperties::default(),
            payload: payload.as_bytes(),
        }));
    }
    world.run();
    assert_eq!(world.texts(small), ["before", "after"]);
    assert_eq!(world.dropped(DropReason::PacketTooLarge), 1);
}

#[test]
fn a_packet_that_is_too_large_for_the_broker_is_refused_by_its_header() {
    let mut world = World::with(|limits| limits.protocol.maximum_packet_size = 1000);
    let client = world.connect(&hello(Version::V5, "client"));
    // 5,000 bytes are announced, and none of them is sent.
    world.say(client, &[0x30, 0x88, 0x27]);
    let end = [Seen::Disconnect(ReasonCode::PACKET_TOO_LARGE), Seen::Closed];
    assert!(world.seen(client).ends_with(&end));
}

#[test]
fn a_maximum_qos_holds_for_publish_and_subscribe() {
    let mut world = World::with(|limits| limits.protocol.maximum_qos = QoS::AtLeastOnce);
    let client = world.connect(&hello(Version::V5, "client"));
    assert_eq!(world.subscribe(client, "t", 2), [1]);
    world.publish(client, "t", "x", 2);
    assert!(world.seen(client).contains(&Seen::Disconnect(ReasonCode::QOS_NOT_SUPPORTED)));
}

#[test]
fn packets_that_come_byte_by_byte_are_the_same() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    world.subscribe(client, "t", 1);
    let publish = Publish {
        dup: false,
        delivery: Delivery::AtLeastOnce(PacketId::new(99).unwrap()),
        retain: false,
        topic: "t",
        properties: PublishProperties::default(),
        payload: b"bit by bit",
    };
    let mut bytes = bytes::BytesMut::new();
    publish.encode(Version::V5, &mut bytes).unwrap();
    for byte in bytes {
        world.say(client, &[byte]);
    }
    assert_eq!(world.texts(client), ["bit by bit"]);
    assert_eq!(world.seen(client), [Seen::Ack(PacketType::PubAck, ReasonCode::SUCCESS)]);
}
