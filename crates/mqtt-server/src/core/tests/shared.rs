//! Shared subscriptions.

use mqtt_packet::{QoS, SubscriptionOptions, Version};

use super::{
    hello::{hello, persistent},
    world::{Id, World},
};

/// A world with and one without a store.
fn both() -> [World; 2] {
    [World::new(), World::durable()]
}

/// A member of the group that acknowledges nothing, and takes `window` messages at a time.
fn reluctant(world: &mut World, id: &str, expiry_secs: u32, window: u16) -> Id {
    let mut hello = persistent(Version::V5, id).expiry(expiry_secs);
    hello.properties.receive_maximum = Some(window);
    let member = world.connect(&hello);
    world.subscribe(member, "$share/g/t", 2);
    world.client(member).answers = false;
    member
}

fn group(world: &mut World, members: usize) -> Vec<Id> {
    let member = |number| {
        let member = world.connect(&persistent(Version::V5, &format!("member {number}")));
        world.subscribe(member, "$share/g/t", 1);
        member
    };
    (0..members).map(member).collect()
}

#[test]
fn each_message_goes_to_one_member_and_the_load_is_even() {
    let mut world = World::new();
    let members = group(&mut world, 3);
    let publishers = ["one", "two"].map(|id| world.connect(&hello(Version::V5, id)));
    for (number, qos) in (0..30).zip([0, 1].into_iter().cycle()) {
        world.publish(publishers[number % 2], "t", &number.to_string(), qos);
    }
    let shares: Vec<_> = members.iter().map(|member| world.texts(*member)).collect();
    assert!(shares.iter().all(|share| share.len() == 10), "{shares:?}");
    let mut all: Vec<usize> = shares.iter().flatten().map(|text| text.parse().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..30).collect::<Vec<_>>());
}

#[test]
fn a_member_that_is_away_is_passed_over() {
    let mut world = World::new();
    let members = group(&mut world, 2);
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.cut(members[0]);
    for _ in 0..4 {
        world.publish(publisher, "t", "x", 1);
    }
    assert_eq!(world.texts(members[1]).len(), 4);
}

#[test]
fn while_all_are_away_messages_wait_for_one_of_them() {
    let mut world = World::new();
    let members = group(&mut world, 2);
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    members.iter().for_each(|member| world.cut(*member));
    for number in 0..4 {
        world.publish(publisher, "t", &number.to_string(), 1);
    }
    let again = [0, 1].map(|n| world.connect(&persistent(Version::V5, &format!("member {n}"))));
    let mut all: Vec<_> = again.into_iter().flat_map(|member| world.texts(member)).collect();
    all.sort_unstable();
    assert_eq!(all, ["0", "1", "2", "3"]);
}

#[test]
fn a_shared_and_an_own_subscription_are_two() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    let options = SubscriptionOptions::new(QoS::AtMostOnce);
    world.subscribe_as(client, &[("$share/g/t", options)], Some(1));
    world.subscribe_as(client, &[("t", options)], Some(2));
    world.publish(client, "t", "x", 0);
    let identifiers: Vec<_> =
        world.messages(client).into_iter().flat_map(|message| message.identifiers).collect();
    assert_eq!(identifiers.len(), 2, "{identifiers:?}");
}

#[test]
fn groups_of_other_names_and_filters_each_get_a_copy() {
    let mut world = World::new();
    let filters = ["$share/g/t", "$share/h/t", "$share/g/#"];
    let members = filters.map(|filter| {
        let member = world.connect(&hello(Version::V311, filter));
        world.subscribe(member, filter, 0);
        member
    });
    world.publish(members[0], "t", "x", 0);
    for member in members {
        assert_eq!(world.texts(member), ["x"]);
    }
}

#[test]
fn a_shared_subscription_gets_no_retained_messages() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    world.retain(client, "t", "retained");
    assert_eq!(world.subscribe(client, "$share/g/t", 0), [0]);
    assert_eq!(world.messages(client), []);
}

#[test]
fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    let mut world = World::new();
    let client = world.connect(&hello(Version::V5, "client"));
    let no_local = SubscriptionOptions { no_local: true, ..Default::default() };
    world.subscribe_as(client, &[("$share/g/t", no_local)], None);
    assert!(!world.is_open(client));
}

#[test]
fn what_a_member_leaves_behind_goes_to_another() {
    for qos in 1..=2 {
        // Its session ends with its connection, or a while later, or because the client wants another.
        for (expiry_secs, comes_back) in [(0, false), (30, false), (300, true)] {
            for mut world in both() {
                let gone = reluctant(&mut world, "gone", expiry_secs, 2);
                let publisher = world.connect(&hello(Version::V5, "publisher"));
                for number in 0..6 {
                    world.publish(publisher, "t", &number.to_string(), qos);
                }
                assert_eq!(world.texts(gone), ["0", "1"]);
                let stays = world.connect(&persistent(Version::V5, "stays"));
                world.subscribe(stays, "$share/g/t", 2);
                world.cut(gone);
                if comes_back {
                    world.connect(&persistent(Version::V5, "gone").clean());
                }
                world.pass(if comes_back { 0 } else { 30_000 });
                // What was sent at QoS 2 may have arrived [MQTT-4.8.2-5].
                let expected: &[_] = match qos {
                    1 => &["0", "1", "2", "3", "4", "5"],
                    _ => &["2", "3", "4", "5"],
                };
                assert_eq!(world.texts(stays), expected, "QoS {qos}, {expiry_secs} s");
                world.assert_balanced();
            }
        }
    }
}

#[test]
fn what_came_by_a_subscription_of_its_own_ends_with_the_session() {
    for mut world in both() {
        let gone = reluctant(&mut world, "gone", 30, 1);
        world.subscribe(gone, "own", 1);
        let stays = world.connect(&persistent(Version::V5, "stays"));
        world.subscribe(stays, "$share/g/t", 2);
        world.cut(gone);
        let publisher = world.connect(&hello(Version::V5, "publisher"));
        world.publish(publisher, "own", "own", 1);
        world.pass(30_000);
        assert_eq!(world.messages(stays), []);
    }
}

#[test]
fn many_messages_are_handed_on_some_at_a_time() {
    for mut world in both() {
        let gone = reluctant(&mut world, "gone", 30, 1);
        world.cut(gone);
        let publisher = world.connect(&hello(Version::V5, "publisher"));
        for number in 0..1_000 {
            world.publish(publisher, "t", &number.to_string(), 1);
        }
        let stays = world.connect(&persistent(Version::V5, "stays"));
        world.subscribe(stays, "$share/g/t", 2);
        world.pass(30_000);
        let texts = world.texts(stays);
        let expected: Vec<_> = (0..1_000).map(|number| number.to_string()).collect();
        // The first may have been sent before: then it comes again.
        assert_eq!(texts, expected);
    }
}

#[test]
fn a_message_too_large_for_the_member_whose_turn_it_is_goes_to_one_that_takes_it() {
    for mut world in both() {
        let mut small = persistent(Version::V5, "small");
        small.properties.maximum_packet_size = Some(100);
        let members = [world.connect(&small), world.connect(&persistent(Version::V5, "large"))];
        for member in members {
            world.subscribe(member, "$share/g/t", 1);
        }
        let publisher = world.connect(&hello(Version::V5, "publisher"));
        for _ in 0..4 {
            world.publish(publisher, "t", &"x".repeat(200), 1);
        }
        assert_eq!(world.texts(members[1]).len(), 4);
        world.publish(publisher, "t", "x", 1);
        world.publish(publisher, "t", "x", 1);
        assert_eq!(members.map(|member| world.texts(member).len()), [1, 1]);
        // One that is away can take it later.
        world.cut(members[1]);
        world.publish(publisher, "t", &"x".repeat(200), 1);
        let back = world.connect(&persistent(Version::V5, "large"));
        assert_eq!(world.texts(back).len(), 1);
    }
}
