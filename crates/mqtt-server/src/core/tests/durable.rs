//! Sessions in a store: what is acknowledged, and what another broker finds.

use mqtt_packet::{Ack, Packet, PacketId, PacketType, ReasonCode, Version};

use super::{
    client::Seen,
    hello::{hello, persistent},
    world::{Id, World},
};

const BOTH: [Version; 2] = [Version::V311, Version::V5];

/// A subscriber of everything at QoS 2 that is away, and a publisher.
fn away(version: Version) -> (World, Id) {
    let mut world = World::durable();
    let subscriber = world.connect(&persistent(version, "subscriber"));
    world.subscribe(subscriber, "#", 2);
    world.cut(subscriber);
    let publisher = world.connect(&persistent(version, "publisher"));
    world.seen(publisher);
    (world, publisher)
}

#[test]
fn nothing_is_acknowledged_before_it_is_written() {
    for version in BOTH {
        for (qos, ack) in [(1, PacketType::PubAck), (2, PacketType::PubRec)] {
            let (mut world, publisher) = away(version);
            world.writes = false;
            world.publish(publisher, "t", "x", qos);
            assert_eq!(world.seen(publisher), []);
            assert!(world.write());
            world.run();
            assert_eq!(world.seen(publisher)[0], Seen::Ack(ack, ReasonCode::SUCCESS));
        }
    }
}

#[test]
fn pubcomp_waits_for_the_disk() {
    let (mut world, publisher) = away(Version::V5);
    world.client(publisher).answers = false;
    world.publish(publisher, "t", "x", 2);
    world.seen(publisher);
    world.writes = false;
    let id = PacketId::new(1).unwrap();
    world.send(publisher, &Packet::PubRel(Ack::new(id, ReasonCode::SUCCESS)));
    assert_eq!(world.seen(publisher), []);
    world.write();
    world.run();
    let answer = world.seen(publisher);
    assert!(matches!(answer[..], [Seen::Ack(PacketType::PubComp, _)]), "{answer:?}");
}

#[test]
fn connack_and_suback_of_a_session_wait_for_the_disk() {
    let mut world = World::durable();
    world.writes = false;
    let client = world.connect(&persistent(Version::V5, "client"));
    assert_eq!(world.seen(client), []);
    world.write();
    world.run();
    assert!(!world.session_present(client));
    assert_eq!(world.subscribe(client, "t", 1), [], "no SUBACK yet");
    world.write();
    world.run();
    assert_eq!(world.seen(client), [Seen::SubAck(vec![1])]);
}

#[test]
fn whoever_nothing_is_kept_for_waits_for_no_disk() {
    let mut world = World::durable();
    world.writes = false;
    let client = world.connect(&hello(Version::V5, "client"));
    assert!(!world.session_present(client));
    assert_eq!(world.subscribe(client, "t", 2), [2]);
    world.publish(client, "t", "x", 2);
    world.publish(client, "t", "y", 1);
    assert_eq!(world.texts(client), ["x", "y"]);
    assert!(!world.write(), "there is nothing to write");
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash_and_what_was_not_is_not() {
    for version in BOTH {
        let (mut world, publisher) = away(version);
        world.publish(publisher, "t", "1", 1);
        world.publish(publisher, "t", "2", 2);
        world.writes = false;
        world.publish(publisher, "t", "3", 1);
        let mut next = world.restart();
        let subscriber = next.connect(&persistent(version, "subscriber"));
        assert!(next.session_present(subscriber));
        let messages = next.messages(subscriber);
        let came: Vec<_> = messages.iter().map(|m| (m.payload.as_str(), m.dup)).collect();
        assert_eq!(came, [("1", false), ("2", false)]);
    }
}

#[test]
fn what_was_in_flight_goes_out_again_with_its_identifiers_in_order() {
    for version in BOTH {
        let mut world = World::durable();
        let subscriber = world.connect(&persistent(version, "subscriber"));
        world.subscribe(subscriber, "#", 2);
        world.client(subscriber).answers = false;
        let publisher = world.connect(&hello(version, "publisher"));
        for (text, qos) in [("1", 1), ("2", 2), ("3", 1)] {
            world.publish(publisher, "t", text, qos);
        }
        let before = world.messages(subscriber);
        let ack = |id| Packet::PubAck(Ack::new(PacketId::new(id).unwrap(), ReasonCode::SUCCESS));
        world.send(subscriber, &ack(before[0].packet_id.unwrap()));
        let mut next = world.restart();
        let subscriber = next.connect(&persistent(version, "subscriber"));
        let after = next.messages(subscriber);
        let again = |m: &super::client::Message| (m.payload.clone(), m.packet_id, m.dup);
        let expected: Vec<_> =
            before[1..].iter().map(|m| (m.payload.clone(), m.packet_id, true)).collect();
        assert_eq!(after.iter().map(again).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_released_message_is_only_released_again_after_a_crash() {
    let mut world = World::durable();
    let subscriber = world.connect(&persistent(Version::V5, "subscriber"));
    world.subscribe(subscriber, "#", 2);
    world.client(subscriber).answers = false;
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.publish(publisher, "t", "once", 2);
    let id = PacketId::new(world.message(subscriber).packet_id.unwrap()).unwrap();
    world.writes = false;
    world.send(subscriber, &Packet::PubRec(Ack::new(id, ReasonCode::SUCCESS)));
    let unreleased = |world: &mut World| world.client(subscriber).unreleased.len();
    assert_eq!(unreleased(&mut world), 1, "PUBREL waits");
    world.write();
    world.run();
    assert_eq!(unreleased(&mut world), 0);
    // PUBCOMP never came; the message is not sent again, and is finished.
    let mut next = world.restart();
    let subscriber = next.connect(&persistent(Version::V5, "subscriber"));
    assert_eq!(next.texts(subscriber), Vec::<String>::new());
    assert_eq!(next.broker.totals().ledger.held(), 0);
}

#[test]
fn a_qos_2_message_is_taken_once_across_a_crash() {
    let (mut world, publisher) = away(Version::V311);
    world.client(publisher).answers = false;
    world.publish(publisher, "t", "once", 2);
    // PUBREC was written; the client did not get it, and asks the next broker.
    let mut next = world.restart();
    let publisher = next.connect(&persistent(Version::V311, "publisher"));
    next.say(publisher, b"\x3C\x09\x00\x01t\x00\x01once");
    let subscriber = next.connect(&persistent(Version::V311, "subscriber"));
    assert_eq!(next.texts(subscriber), ["once"]);
}

#[test]
fn the_state_of_the_journal_is_published() {
    let (mut world, publisher) = away(Version::V5);
    let watcher = world.connect(&hello(Version::V5, "watcher"));
    world.subscribe(watcher, "$SYS/broker/store/#", 0);
    world.broker.publish_sys(world.now);
    world.run();
    world.texts(watcher);
    for _ in 0..10 {
        world.publish(publisher, "t", "x", 1);
    }
    world.pass(2_000);
    world.broker.publish_sys(world.now);
    world.run();
    let seen: std::collections::HashMap<_, _> =
        world.messages(watcher).into_iter().map(|m| (m.topic, m.payload)).collect();
    assert_eq!(seen["$SYS/broker/store/ready"], "1");
    assert_eq!(seen["$SYS/broker/store/commits/per second"], "5");
    assert_eq!(seen["$SYS/broker/store/commits/group size"], "1");
}

#[test]
fn a_message_for_many_is_kept_until_the_last_has_it() {
    let mut world = World::durable();
    let names = ["a", "b", "c"];
    for name in names {
        let client = world.connect(&persistent(Version::V5, name));
        world.subscribe(client, "t", 1);
        world.cut(client);
    }
    world.publish_from_nowhere("t", "x");
    let mut world = world.restart();
    for name in names {
        let client = world.connect(&persistent(Version::V5, name));
        assert_eq!(world.texts(client), ["x"]);
        let mut next = world.restart();
        let client = next.connect(&persistent(Version::V5, name));
        assert_eq!(next.texts(client), Vec::<String>::new(), "{name} has acknowledged it");
    }
}

#[test]
fn what_waits_for_a_client_that_is_away_is_on_the_disk_alone() {
    let (mut world, publisher) = away(Version::V5);
    world.publish(publisher, "t", &"x".repeat(100_000), 1);
    let slots = world.broker.registry.all();
    let away: Vec<_> = slots.iter().filter(|slot| &*slot.client_id == "subscriber").collect();
    let [slot] = away[..] else { panic!("{} sessions", away.len()) };
    let state = slot.lock();
    assert_eq!((state.inbox.queued(), state.session.is_none()), (0, true));
    drop(state);
    let journal = world.broker.journal.as_ref().unwrap();
    assert_eq!(journal.on_disk(slot.number.unwrap()), 1);
}

#[test]
fn a_long_queue_comes_a_page_at_a_time_and_in_order() {
    let (mut world, publisher) = away(Version::V5);
    let padding = "x".repeat(2000);
    for number in 0..500 {
        world.publish(publisher, "t", &format!("{number:04}{padding}"), 1);
    }
    let subscriber = world.connect(&persistent(Version::V5, "subscriber"));
    world.publish(publisher, "t", "last", 1);
    let mut texts = world.texts(subscriber);
    assert_eq!(texts.pop().unwrap(), "last");
    assert!(texts.iter().enumerate().all(|(n, text)| text.starts_with(&format!("{n:04}"))));
    assert_eq!(texts.len(), 500);
}

#[test]
fn a_receiver_that_is_behind_gets_the_rest_from_the_disk() {
    let mut world = World::durable();
    let subscriber = world.connect(&persistent(Version::V5, "subscriber"));
    world.subscribe(subscriber, "#", 1);
    world.client(subscriber).answers = false;
    world.reads(subscriber, false);
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    let padding = "x".repeat(20_000);
    for number in 0..100 {
        world.publish(publisher, "t", &format!("{number:04}{padding}"), 1);
        world.pass(3000);
    }
    world.client(subscriber).answers = true;
    world.reads(subscriber, true);
    let texts = world.texts(subscriber);
    assert!(texts.iter().enumerate().all(|(n, text)| text.starts_with(&format!("{n:04}"))));
    assert_eq!(texts.len(), 100);
}

#[test]
fn a_session_expires_by_the_time_that_really_passed() {
    let mut world = World::durable();
    let client = world.connect(&hello(Version::V5, "client").expiry(10));
    world.cut(client);
    let mut early = world.restart_after(9_000);
    early.pass(999);
    assert_eq!(early.broker.registry.len(), 1);
    early.pass(1);
    assert_eq!(early.broker.registry.len(), 0);
    // The other one was never told of that; it finds it in the store.
    let late = early.restart_after(0);
    assert_eq!(late.broker.registry.len(), 0);
}

/// [E11] What outlives a broker counts by the calendar, whatever has become of that meanwhile.
#[test]
fn a_calendar_that_was_set_to_another_day() {
    const DAY: u64 = 24 * 3_600_000;
    let ten_seconds_left = || {
        let mut world = World::durable();
        let client = world.connect(&hello(Version::V5, "client").expiry(10));
        world.cut(client);
        world
    };
    let mut later = ten_seconds_left().restart_after(DAY);
    later.pass(1);
    assert_eq!(later.broker.registry.len(), 0);
    let mut earlier = ten_seconds_left().restart_before(DAY);
    earlier.pass(DAY + 9_999);
    assert_eq!(earlier.broker.registry.len(), 1);
    earlier.pass(1);
    assert_eq!(earlier.broker.registry.len(), 0);
}

#[test]
fn a_clean_start_is_not_forgotten() {
    let (mut world, _) = away(Version::V5);
    let client = world.connect(&hello(Version::V5, "subscriber"));
    assert!(!world.session_present(client));
    let mut next = world.restart();
    let client = next.connect(&persistent(Version::V5, "subscriber"));
    assert!(!next.session_present(client));
}

#[test]
fn the_retained_message_is_the_last_that_was_acknowledged() {
    let mut world = World::durable();
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    for text in ["1", "2"] {
        world.publish_as(publisher, "t", text, 1, true, Default::default());
    }
    world.retain(publisher, "gone", "x");
    world.publish_as(publisher, "gone", "", 1, true, Default::default());
    let mut next = world.restart();
    let client = next.connect(&persistent(Version::V5, "client"));
    next.subscribe(client, "#", 1);
    let message = next.message(client);
    assert_eq!((message.payload.as_str(), message.retain, message.qos), ("2", true, 1));
    // It went through the queue of the session.
    let mut third = next.restart();
    let client = third.connect(&persistent(Version::V5, "client"));
    assert!(third.session_present(client));
    assert_eq!(third.texts(client), Vec::<String>::new());
}

#[test]
fn a_will_with_a_delay_is_published_by_the_next_broker() {
    let mut world = World::durable();
    let subscriber = world.connect(&persistent(Version::V5, "subscriber"));
    world.subscribe(subscriber, "will", 1);
    world.cut(subscriber);
    let client = world.connect(&persistent(Version::V5, "client").will_to("will", "bye", 5));
    world.cut(client);
    let mut next = world.restart_after(3_000);
    next.pass(1_999);
    let subscriber = next.connect(&persistent(Version::V5, "subscriber"));
    assert_eq!(next.texts(subscriber), Vec::<String>::new());
    next.pass(1);
    assert_eq!(next.texts(subscriber), ["bye"]);
    let mut third = next.restart_after(60_000);
    third.pass(60_000);
    let subscriber = third.connect(&persistent(Version::V5, "subscriber"));
    assert_eq!(third.texts(subscriber), Vec::<String>::new(), "it was published once");
}

#[test]
fn the_will_of_a_client_that_was_connected_waits_for_it_to_come_back() {
    let mut world = World::durable();
    let subscriber = world.connect(&persistent(Version::V5, "subscriber"));
    world.subscribe(subscriber, "will", 1);
    world.connect(&persistent(Version::V5, "client").will_to("will", "bye", 5));
    let mut next = world.restart_after(60_000);
    let subscriber = next.connect(&persistent(Version::V5, "subscriber"));
    next.pass(4_999);
    assert_eq!(next.texts(subscriber), Vec::<String>::new());
    next.pass(1);
    assert_eq!(next.texts(subscriber), ["bye"]);
}

#[test]
fn a_client_that_leaves_before_connack_does_not_set_its_session_back() {
    for (version, restarts) in
        BOTH.into_iter().flat_map(|version| [(version, false), (version, true)])
    {
        let mut world = World::durable();
        let subscriber = world.connect(&persistent(version, "subscriber"));
        world.subscribe(subscriber, "#", 1);
        let publisher = world.connect(&hello(version, "publisher"));
        world.publish(publisher, "t", "before", 1);
        assert_eq!(world.texts(subscriber), ["before"]);
        world.cut(subscriber);
        world.writes = false;
        let hasty = world.connect(&persistent(version, "subscriber"));
        world.cut(hasty);
        world.write();
        world.writes = true;
        world.publish(publisher, "t", "after", 1);
        let mut world = if restarts { world.restart() } else { world };
        let subscriber = world.connect(&persistent(version, "subscriber"));
        let after = world.messages(subscriber);
        assert_eq!(after.len(), 1, "{restarts} {after:?}");
        assert_eq!(after[0].payload, "after");
        // The identifier of the first message is not given away again at once.
        assert_eq!(after[0].packet_id, Some(2));
    }
}
