//! What is large is worked off a page at a time.

use mqtt_packet::{ReasonCode, RetainHandling, SubscriptionOptions, Version};

use super::{
    hello::{hello, persistent},
    world::{Id, World},
};

const FILTERS: usize = 1_000;

/// More than are added up in one go.
const SESSIONS: u64 = 800;

/// A client with many subscriptions, all of which match `x/y`, or one topic each.
fn greedy(world: &mut World) -> Id {
    let client = world.connect(&hello(Version::V5, "greedy"));
    let filters: Vec<_> = (0..FILTERS).map(|number| format!("x/{number}/+")).collect();
    let options = SubscriptionOptions {
        retain_handling: RetainHandling::Never,
        ..SubscriptionOptions::default()
    };
    let filters: Vec<_> = filters.iter().map(|filter| (filter.as_str(), options)).collect();
    assert_eq!(world.subscribe_as(client, &filters, None), [0; FILTERS]);
    client
}

#[test]
fn the_subscriptions_of_a_session_that_is_over_are_taken_away_a_page_at_a_time() {
    let mut world = World::new();
    let client = greedy(&mut world);
    world.disconnect(client, ReasonCode::NORMAL_DISCONNECTION);
    let left = world.broker.routing.subscriptions();
    assert!((FILTERS - 256..FILTERS).contains(&left), "{left} are left");
    // Nobody finds them, and a new session of the client has nothing to do with them.
    let again = world.connect(&hello(Version::V5, "greedy"));
    world.subscribe(again, "x/999/+", 0);
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    for topic in ["x/0/a", "x/999/a"] {
        world.publish(publisher, topic, topic, 0);
    }
    assert_eq!(world.texts(again), ["x/999/a"]);
    assert_eq!(world.broker.totals().traffic.unrouted, 1);
    let mut pages = 0;
    while world.broker.has_leftovers() {
        let before = world.broker.routing.subscriptions();
        assert_eq!(
            world.broker.handle_timeout(world.now),
            Some(world.now).filter(|_| world.broker.has_leftovers())
        );
        assert!(before - world.broker.routing.subscriptions() <= 256);
        pages += 1;
    }
    assert!(pages > 2, "{pages} pages");
    assert_eq!(world.broker.routing.subscriptions(), 1);
}

#[test]
fn the_sum_over_all_sessions_is_made_in_pages_and_counts_each_once() {
    let mut world = World::new();
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    let receivers: Vec<_> = (0..SESSIONS)
        .map(|number| world.connect(&persistent(Version::V5, &format!("receiver {number}"))))
        .collect();
    for receiver in &receivers {
        world.subscribe(*receiver, "t", 0);
    }
    world.publish(publisher, "t", "x", 0);
    assert!(world.broker.sum_some().is_none(), "it is not done at once");
    // Some leave, and some end, before and behind where the sum is.
    for (number, receiver) in receivers.iter().enumerate() {
        match number % 3 {
            0 => world.cut(*receiver),
            1 => {
                let clean = world.connect(&hello(Version::V5, &format!("receiver {number}")));
                world.cut(clean);
            }
            _ => {}
        }
    }
    let sum = std::iter::from_fn(|| Some(world.broker.sum_some())).flatten().next().unwrap();
    assert_eq!(sum.ledger.delivered, SESSIONS);
    assert_eq!(sum.traffic.copies, SESSIONS);
}
