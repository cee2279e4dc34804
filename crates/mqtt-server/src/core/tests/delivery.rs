//! From a publisher to its subscribers.

use mqtt_packet::{PacketType, PublishProperties, ReasonCode, UserProperties, Version};

use super::{
    client::Seen,
    hello::{hello, persistent},
    world::World,
};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

#[test]
fn every_qos_reaches_every_version_from_every_version() {
    for from in VERSIONS {
        for to in VERSIONS {
            for (published, granted) in (0..=2).flat_map(|p| (0..=2).map(move |g| (p, g))) {
                let mut world = World::new();
                let subscriber = world.connect(&hello(to, "subscriber"));
                let publisher = world.connect(&hello(from, "publisher"));
                assert_eq!(world.subscribe(subscriber, "a/+", granted), [granted]);
                world.publish(publisher, "a/b", "x", published);
                let message = world.message(subscriber);
                assert_eq!((message.topic.as_str(), message.payload.as_str()), ("a/b", "x"));
                assert_eq!(message.qos, published.min(granted), "{from} to {to}");
                assert!(!message.retain && !message.dup);
            }
        }
    }
}

#[test]
fn each_qos_is_answered_as_it_should_be() {
    let mut world = World::new();
    let subscriber = world.connect(&hello(Version::V5, "subscriber"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(subscriber, "t", 2);
    world.seen(publisher);
    world.publish(publisher, "t", "0", 0);
    world.publish(publisher, "t", "1", 1);
    world.publish(publisher, "t", "2", 2);
    let answers = [PacketType::PubAck, PacketType::PubRec, PacketType::PubComp];
    let answers = answers.map(|packet| Seen::Ack(packet, ReasonCode::SUCCESS));
    assert_eq!(world.seen(publisher), answers);
    assert_eq!(world.texts(subscriber), ["0", "1", "2"]);
}

#[test]
fn nobody_subscribed_is_told_to_5_0_alone() {
    let mut world = World::new();
    let new = world.connect(&hello(Version::V5, "new"));
    let old = world.connect(&hello(Version::V311, "old"));
    for client in [new, old] {
        world.seen(client);
        world.publish(client, "nobody", "x", 1);
    }
    let reason = ReasonCode::NO_MATCHING_SUBSCRIBERS;
    assert_eq!(world.seen(new), [Seen::Ack(PacketType::PubAck, reason)]);
    assert_eq!(world.seen(old), [Seen::Ack(PacketType::PubAck, ReasonCode::SUCCESS)]);
    assert_eq!(world.broker.totals().traffic.unrouted, 2);
}

#[test]
fn properties_travel_between_5_0_clients_and_stay_behind_for_others() {
    let mut world = World::new();
    let new = world.connect(&hello(Version::V5, "new"));
    let old = world.connect(&hello(Version::V311, "old"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    for client in [new, old] {
        world.subscribe(client, "t", 1);
    }
    let properties = PublishProperties {
        content_type: Some("text"),
        user_properties: UserProperties::Pairs(&[("k", "v")]),
        ..Default::default()
    };
    for qos in 0..=2 {
        world.publish_as(publisher, "t", "x", qos, false, properties);
        assert_eq!(world.message(new).content_type.as_deref(), Some("text"));
        assert_eq!(world.message(old).payload, "x");
    }
}

#[test]
fn order_holds_whatever_comes_in_one_read() {
    let mut world = World::new();
    let subscriber = world.connect(&hello(Version::V5, "subscriber"));
    let publisher = world.connect(&hello(Version::V311, "publisher"));
    world.subscribe(subscriber, "#", 2);
    let expected: Vec<_> = (0..2000).map(|number| number.to_string()).collect();
    for (number, text) in expected.iter().enumerate() {
        let (topic, payload) = (format!("t/{}", number % 7), text.as_bytes());
        let client = world.client(publisher);
        let delivery = match number % 3 {
            0 => mqtt_packet::Delivery::AtMostOnce,
            1 => mqtt_packet::Delivery::AtLeastOnce(client.next_id()),
            _ => mqtt_packet::Delivery::ExactlyOnce(client.next_id()),
        };
        client.send(&mqtt_packet::Packet::Publish(mqtt_packet::Publish {
            dup: false,
            delivery,
            retain: false,
            topic: &topic,
            properties: PublishProperties::default(),
            payload,
        }));
    }
    world.run();
    let messages = world.messages(subscriber);
    for qos in 0..=2 {
        let of_qos = messages.iter().filter(|message| usize::from(message.qos) == qos);
        let texts: Vec<_> = of_qos.map(|message| message.payload.clone()).collect();
        let sent: Vec<_> = expected.iter().skip(qos).step_by(3).cloned().collect();
        assert_eq!(texts, sent, "QoS {qos}");
    }
}

#[test]
fn a_qos_2_message_that_comes_again_is_delivered_once() {
    let mut world = World::new();
    let subscriber = world.connect(&hello(Version::V311, "subscriber"));
    world.subscribe(subscriber, "t", 2);
    let publisher = world.connect(&persistent(Version::V311, "publisher"));
    world.client(publisher).answers = false;
    world.publish(publisher, "t", "once", 2);
    world.cut(publisher);
    let publisher = world.connect(&persistent(Version::V311, "publisher"));
    assert!(world.session_present(publisher));
    // The same packet identifier, with DUP.
    world.say(publisher, b"\x3C\x09\x00\x01t\x00\x01once");
    assert_eq!(world.texts(subscriber), ["once"]);
    assert_eq!(world.seen(publisher).len(), 2, "PUBREC and PUBCOMP");
    // PUBREL made the identifier free: now it is another message.
    world.say(publisher, b"\x34\x09\x00\x01t\x00\x01next");
    assert_eq!(world.texts(subscriber), ["next"]);
}

#[test]
fn clients_do_not_write_below_dollar_sys() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    world.subscribe(client, "$SYS/#", 1);
    world.publish(client, "$SYS/broker/uptime", "lies", 1);
    world.publish(client, "$SYS", "lies", 1);
    assert_eq!(world.texts(client), [""; 0]);
    let denied = Seen::Ack(PacketType::PubAck, ReasonCode::NOT_AUTHORIZED);
    assert_eq!(world.seen(client), [denied.clone(), denied]);
    let now = world.now;
    world.broker.publish_sys(now);
    world.run();
    let messages = world.messages(client);
    assert!(messages.iter().any(|message| message.topic == "$SYS/broker/uptime"));
}

#[test]
fn wildcards_do_not_reach_dollar_topics() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    world.subscribe(client, "#", 1);
    world.subscribe(client, "+/broker/uptime", 1);
    let now = world.now;
    world.broker.publish_sys(now);
    world.run();
    assert_eq!(world.messages(client), []);
}

#[test]
fn what_the_receiver_refuses_is_dropped_and_counted() {
    let mut world = World::new();
    let subscriber = world.connect(&hello(Version::V5, "subscriber"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(subscriber, "t", 1);
    world.client(subscriber).answers = false;
    world.publish(publisher, "t", "x", 1);
    let id = world.message(subscriber).packet_id.unwrap();
    world.say(subscriber, &[0x40, 3, 0, u8::try_from(id).unwrap(), 0x83]);
    assert_eq!(world.dropped(mqtt_session::DropReason::RefusedByReceiver), 1);
}
