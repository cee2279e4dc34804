//! Shared subscriptions.

use mqtt_packet::{QoS, SubscriptionOptions, Version};

use super::{
    hello::{hello, persistent},
    world::{Id, World},
};

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
