//! Messages that are good for a while only.

use mqtt_packet::{PublishProperties, Version};

use super::{
    hello::{hello, persistent},
    world::{Id, World},
};

fn publish(world: &mut World, client: Id, qos: u8, retain: bool, secs: u32) {
    let properties =
        PublishProperties { message_expiry_interval: Some(secs), ..Default::default() };
    world.publish_as(client, "t", &format!("for {secs} s"), qos, retain, properties);
}

#[test]
fn a_message_expires_in_the_queue_or_comes_with_what_is_left() {
    let mut world = World::new();
    let client = world.connect(&persistent(Version::V5, "client"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(client, "t", 2);
    world.cut(client);
    for (qos, secs) in [(1, 5), (1, 100), (2, 5), (2, 100)] {
        publish(&mut world, publisher, qos, false, secs);
    }
    world.pass(30_000);
    let client = world.connect(&persistent(Version::V5, "client"));
    let left: Vec<_> =
        world.messages(client).into_iter().map(|m| (m.payload, m.expiry_secs)).collect();
    assert_eq!(left, [("for 100 s".to_owned(), Some(70)), ("for 100 s".to_owned(), Some(70))]);
    assert_eq!(world.broker.totals().ledger.expired, 2);
}

#[test]
fn a_message_that_is_delivered_at_once_has_all_its_time() {
    let mut world = World::new();
    let new = world.connect(&hello(Version::V5, "new"));
    let old = world.connect(&hello(Version::V311, "old"));
    world.subscribe(new, "t", 1);
    world.subscribe(old, "t", 1);
    for qos in 0..=1 {
        publish(&mut world, new, qos, false, 60);
        assert_eq!(world.message(new).expiry_secs, Some(60));
        assert_eq!(world.message(old).payload, "for 60 s");
    }
}

#[test]
fn a_retained_message_expires() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    publish(&mut world, client, 0, true, 60);
    world.pass(20_000);
    world.subscribe(client, "t", 0);
    assert_eq!(world.message(client).expiry_secs, Some(40));
    world.pass(40_000);
    world.subscribe(client, "t", 0);
    assert_eq!(world.messages(client), []);
    assert_eq!(world.broker.retained.count().messages, 0);
}

#[test]
fn a_message_expires_while_its_receiver_does_not_acknowledge() {
    let mut world = World::new();
    let mut hello_one = hello(Version::V5, "client");
    hello_one.properties.receive_maximum = Some(1);
    let client = world.connect(&hello_one);
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(client, "t", 1);
    world.client(client).answers = false;
    publish(&mut world, publisher, 1, false, 1000);
    publish(&mut world, publisher, 1, false, 5);
    publish(&mut world, publisher, 1, false, 900);
    let first = world.message(client);
    world.pass(10_000);
    world.client(client).answers = true;
    let id = u8::try_from(first.packet_id.unwrap()).unwrap();
    world.say(client, &[0x40, 2, 0, id]);
    assert_eq!(world.texts(client), ["for 900 s"]);
    assert_eq!(world.broker.totals().ledger.expired, 1);
}

#[test]
fn an_expiry_of_0_is_over_at_once_for_whoever_is_away() {
    let mut world = World::new();
    let client = world.connect(&persistent(Version::V5, "client"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(client, "t", 1);
    world.cut(client);
    publish(&mut world, publisher, 1, false, 0);
    world.pass(1);
    let client = world.connect(&persistent(Version::V5, "client"));
    assert_eq!(world.messages(client), []);
}
