//! Publishers with many topics: what is remembered of a topic must hold for each of its messages.

use mqtt_packet::{
    Delivery, Packet, Publish, PublishProperties, Subscribe, SubscribeProperties,
    SubscriptionOptions, Unsubscribe, UnsubscribeProperties, Version,
};

use super::{
    client::Client,
    hello::hello,
    parts::Act,
    world::{Id, World},
};

/// Publishes numbers, all of them in one write.
fn publish_all(world: &mut World, client: Id, qos: u8, topics: &[String]) {
    say_all(world.client(client), qos, topics);
    world.run();
}

/// Puts messages on the wire.
fn say_all(client: &mut Client, qos: u8, topics: &[String]) {
    for (number, topic) in topics.iter().enumerate() {
        let delivery = match qos {
            0 => Delivery::AtMostOnce,
            1 => Delivery::AtLeastOnce(client.next_id()),
            _ => Delivery::ExactlyOnce(client.next_id()),
        };
        client.send(&Packet::Publish(Publish {
            dup: false,
            delivery,
            retain: false,
            topic,
            properties: PublishProperties::default(),
            payload: number.to_string().as_bytes(),
        }));
    }
}

fn subscribe(client: &mut Client, filter: &str) {
    let packet_id = client.next_id();
    let filters = &[(filter, SubscriptionOptions::default())][..];
    let properties = SubscribeProperties::default();
    client.send(&Packet::Subscribe(Subscribe { packet_id, properties, filters: filters.into() }));
}

fn unsubscribe(client: &mut Client, filter: &str) {
    let packet_id = client.next_id();
    let filters = &[filter][..];
    let properties = UnsubscribeProperties::default();
    client.send(&Packet::Unsubscribe(Unsubscribe {
        packet_id,
        properties,
        filters: filters.into(),
    }));
}

/// The numbers of the messages whose topics are wanted.
fn numbers(topics: &[String], is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let wanted = topics.iter().enumerate().filter(|(_, topic)| is_wanted(topic));
    wanted.map(|(number, _)| number.to_string()).collect()
}

#[test]
fn each_topic_of_a_round_goes_to_its_own_receivers_in_order() {
    for version in [Version::V311, Version::V5] {
        for qos in 0..=2 {
            let mut world = World::new();
            let [all, lamps, doors] = ["all", "lamps", "doors"].map(|name| {
                let client = world.connect(&hello(Version::V5, name));
                let filter = if name == "all" { "#".to_owned() } else { format!("{name}/+") };
                world.subscribe(client, &filter, qos);
                client
            });
            let publisher = world.connect(&hello(version, "publisher"));
            let round = ["lamps/1", "lamps/2", "doors/1", "lamps/2", "other", "doors/2", "doors/1"];
            let topics: Vec<String> =
                round.iter().cycle().take(40).map(|it| (*it).into()).collect();
            for _ in 0..3 {
                publish_all(&mut world, publisher, qos, &topics);
                assert_eq!(world.texts(all), numbers(&topics, |_| true));
                assert_eq!(world.texts(lamps), numbers(&topics, |it| it.starts_with("lamps/")));
                assert_eq!(world.texts(doors), numbers(&topics, |it| it.starts_with("doors/")));
            }
        }
    }
}

#[test]
fn a_right_that_one_topic_of_a_round_lacks_is_that_topics_alone() {
    let mut world = World::new();
    let subscriber = world.connect(&hello(Version::V5, "subscriber"));
    world.subscribe(subscriber, "#", 0);
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    let topics: Vec<String> =
        ["a", "b", "c"].iter().cycle().take(30).map(|it| (*it).into()).collect();
    publish_all(&mut world, publisher, 0, &topics);
    assert_eq!(world.texts(subscriber).len(), topics.len());
    world.rules.forbid(Act::Publish, "b");
    publish_all(&mut world, publisher, 0, &topics);
    assert_eq!(world.texts(subscriber), numbers(&topics, |it| it != "b"));
}

#[test]
fn a_client_that_subscribes_between_its_messages_gets_what_comes_behind() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    let topics: Vec<String> = ["a", "b"].iter().cycle().take(10).map(|it| (*it).into()).collect();
    // The topics are known, and that nobody wants them.
    publish_all(&mut world, client, 0, &topics);
    let this = world.client(client);
    say_all(this, 0, &topics);
    subscribe(this, "a");
    say_all(this, 0, &topics);
    world.run();
    assert_eq!(world.texts(client), numbers(&topics, |it| it == "a"));
    let this = world.client(client);
    say_all(this, 0, &topics);
    unsubscribe(this, "a");
    say_all(this, 0, &topics);
    world.run();
    assert_eq!(world.texts(client), numbers(&topics, |it| it == "a"));
}

#[test]
fn more_topics_than_are_remembered() {
    let mut world = World::new();
    let all = world.connect(&hello(Version::V311, "all"));
    world.subscribe(all, "#", 0);
    let some = world.connect(&hello(Version::V311, "some"));
    world.subscribe(some, "+/7", 0);
    let publisher = world.connect(&hello(Version::V311, "publisher"));
    let topics: Vec<String> =
        (0..2000).map(|number| format!("{}/{}", number % 700, number % 10)).collect();
    for _ in 0..2 {
        publish_all(&mut world, publisher, 0, &topics);
        assert_eq!(world.texts(all), numbers(&topics, |_| true));
        assert_eq!(world.texts(some), numbers(&topics, |it| it.ends_with("/7")));
    }
}
