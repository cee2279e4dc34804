//! Queues at their limits: who waits, who makes room, and what is lost.

use mqtt_packet::{PacketType, PublishProperties, ReasonCode, Version};
use mqtt_session::{DropReason, QueueFull};

use super::{
    client::Seen,
    hello::{hello, persistent},
    world::{Id, World},
};
use crate::limits::Limits;

/// A world with and one without a store.
fn both(change: impl Fn(&mut Limits)) -> [World; 2] {
    [World::with(&change), World::durable_with(&change)]
}

/// A client that takes one message at a time and acknowledges none by itself.
fn reluctant(world: &mut World, id: &str) -> Id {
    let mut hello = persistent(Version::V5, id);
    hello.properties.receive_maximum = Some(1);
    let client = world.connect(&hello);
    world.client(client).answers = false;
    client
}

/// Acknowledges the message that a reluctant client has, if it has one. Returns its payload.
fn acknowledge(world: &mut World, client: Id) -> Option<String> {
    let message = world.messages(client).pop()?;
    let [high, low] = message.packet_id.unwrap().to_be_bytes();
    match message.qos {
        1 => world.say(client, &[0x40, 2, high, low]),
        _ => {
            world.say(client, &[0x50, 2, high, low]);
            world.say(client, &[0x70, 2, high, low]);
        }
    }
    Some(message.payload)
}

/// How many messages of a publisher were answered since the last time.
fn answered(world: &mut World, publisher: Id) -> usize {
    let answers = [PacketType::PubAck, PacketType::PubRec];
    let is_answer = |seen: &Seen| matches!(seen, Seen::Ack(kind, _) if answers.contains(kind));
    world.seen(publisher).iter().filter(|seen| is_answer(seen)).count()
}

#[test]
fn replays_wait_for_room_in_the_queue() {
    for mut world in both(|limits| limits.queue.messages_max = 3) {
        let publisher = world.connect(&hello(Version::V5, "publisher"));
        for number in 0..50 {
            let properties = PublishProperties::default();
            let topic = format!("t/{number:02}");
            world.publish_as(publisher, &topic, &number.to_string(), 1, true, properties);
        }
        let client = reluctant(&mut world, "client");
        world.subscribe(client, "t/#", 1);
        world.assert_balanced();
        let held = world.broker.totals().ledger.held();
        assert!(held <= 3, "{held} messages are in a queue for 3");
        let mut count = 0;
        while acknowledge(&mut world, client).is_some() {
            count += 1;
        }
        assert_eq!(count, 50);
        assert_eq!(world.broker.totals().ledger.dropped_total(), 0);
    }
}

#[test]
fn acknowledgements_wait_for_a_receiver_that_is_slower_than_its_publishers() {
    for qos in 1..=2 {
        for mut world in both(|limits| limits.queue.messages_max = 80) {
            let receiver = reluctant(&mut world, "receiver");
            world.subscribe(receiver, "t", 2);
            let publishers =
                [0, 1, 2, 3].map(|n| world.connect(&hello(Version::V5, &format!("pub {n}"))));
            let (mut unanswered, mut sent, mut got) = ([0_usize; 4], 0, 0);
            for _ in 0..500 {
                for (publisher, unanswered) in publishers.into_iter().zip(&mut unanswered) {
                    while *unanswered < 8 && sent < 400 {
                        world.publish(publisher, "t", &sent.to_string(), qos);
                        *unanswered += 1;
                        sent += 1;
                        *unanswered -= answered(&mut world, publisher);
                    }
                }
                // One every second: it goes on, but never catches up by itself.
                world.pass(1_000);
                got += usize::from(acknowledge(&mut world, receiver).is_some());
                for (publisher, unanswered) in publishers.into_iter().zip(&mut unanswered) {
                    *unanswered -= answered(&mut world, publisher);
                }
                if sent == 400 && got == 400 {
                    break;
                }
            }
            assert_eq!((sent, got), (400, 400), "QoS {qos}");
            assert_eq!(world.broker.totals().ledger.dropped_total(), 0, "QoS {qos}");
        }
    }
}

#[test]
fn nobody_waits_for_a_receiver_that_takes_nothing() {
    for mut world in both(|limits| limits.queue.messages_max = 80) {
        let receiver = reluctant(&mut world, "receiver");
        world.subscribe(receiver, "t", 1);
        let publisher = world.connect(&hello(Version::V5, "publisher"));
        for number in 0..50 {
            world.publish(publisher, "t", &number.to_string(), 1);
        }
        let before = answered(&mut world, publisher);
        assert!(before < 50, "the receiver is behind");
        world.pass(2_000);
        assert_eq!(before + answered(&mut world, publisher), 50, "it is stuck");
        // It is one that is away now: its queue fills, and what is too much is dropped.
        for number in 50..100 {
            world.publish(publisher, "t", &number.to_string(), 1);
        }
        assert_eq!(answered(&mut world, publisher), 50);
        assert_eq!(world.dropped(DropReason::QueueFull), 20);
    }
}

#[test]
fn nobody_waits_for_ever_for_a_receiver_that_does_not_catch_up() {
    let change = |limits: &mut Limits| {
        limits.queue.messages_max = 80;
        limits.queue.behind_max_millis = 10_000;
    };
    for mut world in both(change) {
        let receiver = reluctant(&mut world, "receiver");
        world.subscribe(receiver, "t", 1);
        let publisher = world.connect(&hello(Version::V5, "publisher"));
        for number in 0..50 {
            world.publish(publisher, "t", &number.to_string(), 1);
        }
        let mut seen = answered(&mut world, publisher);
        for _ in 0..9 {
            world.pass(1_000);
            acknowledge(&mut world, receiver);
        }
        seen += answered(&mut world, publisher);
        assert!(seen < 50, "it goes on, so it is waited for");
        world.pass(3_000);
        assert_eq!(seen + answered(&mut world, publisher), 50);
    }
}

#[test]
fn messages_that_have_expired_make_room() {
    for mut world in both(|limits| limits.queue.messages_max = 10) {
        let away = world.connect(&persistent(Version::V5, "away"));
        world.subscribe(away, "t", 1);
        world.cut(away);
        let publisher = world.connect(&hello(Version::V5, "publisher"));
        let for_a_while =
            PublishProperties { message_expiry_interval: Some(1), ..Default::default() };
        world.publish(publisher, "t", "first", 1);
        for number in 1..10 {
            world.publish_as(publisher, "t", &number.to_string(), 1, false, for_a_while);
        }
        world.pass(999);
        world.publish(publisher, "t", "too much", 1);
        assert_eq!(world.dropped(DropReason::QueueFull), 1);
        world.pass(1);
        for number in 0..9 {
            world.publish(publisher, "t", &format!("new {number}"), 1);
        }
        assert_eq!(world.dropped(DropReason::QueueFull), 1);
        assert_eq!(world.broker.totals().ledger.expired, 9);
        let back = world.connect(&persistent(Version::V5, "away"));
        let texts = world.texts(back);
        assert_eq!((texts.len(), &*texts[0], &*texts[9]), (10, "first", "new 8"));
    }
}

#[test]
fn messages_expire_though_nobody_looks() {
    for mut world in both(|_| {}) {
        let away = world.connect(&persistent(Version::V5, "away"));
        let stuck = reluctant(&mut world, "stuck");
        for client in [away, stuck] {
            world.subscribe(client, "t", 1);
        }
        world.cut(away);
        let publisher = world.connect(&hello(Version::V5, "publisher"));
        world.publish(publisher, "t", "stays", 1);
        for secs in [1, 5, 5] {
            let properties =
                PublishProperties { message_expiry_interval: Some(secs), ..Default::default() };
            world.publish_as(publisher, "t", "passes", 1, false, properties);
        }
        world.pass(2_000);
        world.assert_balanced();
        let ledger = world.broker.totals().ledger;
        assert_eq!((ledger.expired, ledger.held()), (2, 6));
        world.pass(5_000);
        world.assert_balanced();
        let ledger = world.broker.totals().ledger;
        assert_eq!((ledger.expired, ledger.held()), (6, 2));
        assert_eq!(acknowledge(&mut world, stuck).unwrap(), "stays");
        assert_eq!(acknowledge(&mut world, stuck), None);
        let back = world.connect(&persistent(Version::V5, "away"));
        assert_eq!(world.texts(back), ["stays"]);
        world.assert_balanced();
    }
}

#[test]
fn what_has_expired_is_gone_from_the_store_too() {
    let mut world = World::durable();
    let away = world.connect(&persistent(Version::V5, "away"));
    world.subscribe(away, "t", 1);
    world.cut(away);
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    for secs in [Some(2), None, Some(2), Some(60), Some(2)] {
        let properties = PublishProperties { message_expiry_interval: secs, ..Default::default() };
        world.publish_as(publisher, "t", &format!("{secs:?}"), 1, false, properties);
    }
    world.disconnect(publisher, ReasonCode::NORMAL_DISCONNECTION);
    world.pass(3_000);
    assert_eq!(world.stored_messages(), 2);
    // The next broker knows of the other deadline, and gives numbers behind what is left.
    let mut next = world.restart();
    assert_eq!(next.stored_messages(), 2);
    next.pass(60_000);
    assert_eq!(next.stored_messages(), 1);
    next.publish_from_nowhere("t", "new");
    let mut last = next.restart();
    let back = last.connect(&persistent(Version::V5, "away"));
    assert_eq!(last.texts(back), ["None", "new"]);
}

#[test]
fn retained_messages_that_have_expired_make_room() {
    for mut world in both(|limits| limits.retained_messages_max = 3) {
        let publisher = world.connect(&hello(Version::V5, "publisher"));
        world.seen(publisher);
        for (number, secs) in [Some(1), Some(1), None].into_iter().enumerate() {
            let properties =
                PublishProperties { message_expiry_interval: secs, ..Default::default() };
            world.publish_as(publisher, &format!("t/{number}"), "x", 1, true, properties);
        }
        let reason = |world: &mut World| match world.seen(publisher)[..] {
            [.., Seen::Ack(_, reason)] => reason,
            ref other => panic!("{other:?}"),
        };
        let properties = PublishProperties::default();
        world.publish_as(publisher, "t/new", "x", 1, true, properties);
        assert_eq!(reason(&mut world), ReasonCode::QUOTA_EXCEEDED);
        world.now = world.now.after_millis(1_000);
        // Nobody had the time to look.
        world.publish_as(publisher, "t/new", "x", 1, true, properties);
        assert_eq!(reason(&mut world), ReasonCode::NO_MATCHING_SUBSCRIBERS);
        assert_eq!(world.broker.retained.count().messages, 2);
    }
}

#[test]
fn retained_messages_expire_though_nobody_looks_and_leave_the_store() {
    let mut world = World::durable();
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    for (number, secs) in [Some(1), Some(100), None, Some(5)].into_iter().enumerate() {
        let properties = PublishProperties { message_expiry_interval: secs, ..Default::default() };
        world.publish_as(publisher, &format!("t/{number}"), "x", 1, true, properties);
    }
    world.pass(1_000);
    assert_eq!((world.broker.retained.count().messages, world.stored_retained()), (3, 3));
    let mut next = world.restart_after(10_000);
    next.run();
    assert_eq!((next.broker.retained.count().messages, next.stored_retained()), (2, 2));
    next.pass(100_000);
    assert_eq!((next.broker.retained.count().messages, next.stored_retained()), (1, 1));
}

#[test]
fn a_retained_message_that_took_the_place_of_an_expired_one_stays_in_the_store() {
    let mut world = World::durable();
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    let short = PublishProperties { message_expiry_interval: Some(1), ..Default::default() };
    world.publish_as(publisher, "t", "old", 1, true, short);
    // The end of the old one is appended behind the new one.
    world.writes = false;
    world.now = world.now.after_millis(1_000);
    let mut expired = Vec::new();
    world.broker.retained.expire(world.now, 9, &mut expired);
    world.publish_as(publisher, "t", "new", 1, true, PublishProperties::default());
    world.broker.forget_retained(expired, world.now);
    world.writes = true;
    world.run();
    let mut next = world.restart();
    let client = next.connect(&hello(Version::V5, "client"));
    next.subscribe(client, "t", 1);
    assert_eq!(next.texts(client), ["new"]);
}

/// A world whose queues hold three messages, a subscriber that is away, and a publisher.
fn full(when_full: QueueFull, version: Version) -> [(World, Id); 2] {
    let change = |limits: &mut Limits| {
        limits.queue.messages_max = 3;
        limits.queue.when_full = when_full;
    };
    both(change).map(|mut world| {
        let away = world.connect(&persistent(Version::V5, "away"));
        world.subscribe(away, "t/#", 2);
        world.cut(away);
        let publisher = world.connect(&persistent(version, "publisher"));
        world.seen(publisher);
        (world, publisher)
    })
}

/// The reasons of PUBACK and PUBREC since the last time.
fn reasons(world: &mut World, publisher: Id) -> Vec<ReasonCode> {
    let reason = |seen| match seen {
        Seen::Ack(PacketType::PubAck | PacketType::PubRec, reason) => Some(reason),
        _ => None,
    };
    world.seen(publisher).into_iter().filter_map(reason).collect()
}

/// What comes to the subscriber that was away.
fn kept(world: &mut World) -> Vec<String> {
    let back = world.connect(&persistent(Version::V5, "away"));
    let texts = world.texts(back);
    world.assert_balanced();
    world.cut(back);
    texts
}

/// Publishes so many messages in one write: they travel together.
fn publish_together(world: &mut World, publisher: Id, numbers: std::ops::Range<usize>, qos: u8) {
    for number in numbers {
        let id = world.client(publisher).next_id();
        let delivery = match qos {
            1 => mqtt_packet::Delivery::AtLeastOnce(id),
            _ => mqtt_packet::Delivery::ExactlyOnce(id),
        };
        let (payload, properties) = (number.to_string(), PublishProperties::default());
        let publish = mqtt_packet::Publish {
            dup: false,
            delivery,
            retain: false,
            topic: "t/a",
            properties,
            payload: payload.as_bytes(),
        };
        world.client(publisher).send(&mqtt_packet::Packet::Publish(publish));
    }
    world.run();
}

#[test]
fn a_full_queue_drops_the_newest_messages_or_the_oldest() {
    for (when_full, expected) in
        [(QueueFull::DropNewest, ["0", "1", "2"]), (QueueFull::DropOldest, ["6", "7", "8"])]
    {
        for qos in 1..=2 {
            // Alone, all together, and in two parts that do not fit side by side.
            for parts in [vec![0..1, 1..2, 2..3, 3..9], vec![0..0, 0..9], vec![0..2, 2..7, 7..9]] {
                for (mut world, publisher) in full(when_full, Version::V5) {
                    for part in &parts {
                        publish_together(&mut world, publisher, part.clone(), qos);
                    }
                    assert_eq!(reasons(&mut world, publisher), [ReasonCode::SUCCESS; 9]);
                    assert_eq!(world.dropped(DropReason::QueueFull), 6);
                    assert_eq!(kept(&mut world), expected, "{when_full:?} {parts:?}");
                }
            }
        }
    }
}

#[test]
fn dropping_the_oldest_leaves_what_is_in_flight_alone() {
    let change = |limits: &mut Limits| {
        limits.queue.messages_max = 3;
        limits.queue.when_full = QueueFull::DropOldest;
    };
    for mut world in both(change) {
        let client = reluctant(&mut world, "away");
        world.subscribe(client, "t", 2);
        let publisher = world.connect(&hello(Version::V5, "publisher"));
        for number in 0..2 {
            world.publish(publisher, "t", &number.to_string(), 2);
        }
        world.cut(client);
        for number in 2..8 {
            world.publish(publisher, "t", &number.to_string(), 2);
        }
        assert_eq!(world.dropped(DropReason::QueueFull), 5);
        // The first comes as a duplicate. Without a store what the connection had is the session's, and
        // not to be dropped any more.
        let is_stored = world.broker.journal.is_some();
        assert_eq!(kept(&mut world), if is_stored { ["6", "7"] } else { ["1", "7"] });
        world.assert_balanced();
    }
}

#[test]
fn the_oldest_are_gone_from_the_store_as_well() {
    let change = |limits: &mut Limits| {
        limits.queue.messages_max = 3;
        limits.queue.when_full = QueueFull::DropOldest;
    };
    let mut world = World::durable_with(change);
    let away = world.connect(&persistent(Version::V5, "away"));
    world.subscribe(away, "t/a", 1);
    world.cut(away);
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    for number in 0..50 {
        publish_together(&mut world, publisher, number..number + 1, 1);
    }
    assert_eq!(world.stored_messages(), 3);
    let mut next = world.restart();
    assert_eq!(kept(&mut next), ["47", "48", "49"]);
}

#[test]
fn a_publisher_is_told_if_no_receiver_has_room() {
    for qos in 1..=2 {
        for (mut world, publisher) in full(QueueFull::Refuse, Version::V5) {
            publish_together(&mut world, publisher, 0..5, qos);
            let told = reasons(&mut world, publisher);
            let quota = ReasonCode::QUOTA_EXCEEDED;
            assert_eq!(told[..3], [ReasonCode::SUCCESS; 3]);
            assert_eq!(told[3..], [quota; 2]);
            // One that has room is enough.
            let other = world.connect(&hello(Version::V5, "other"));
            world.subscribe(other, "t/a", 1);
            publish_together(&mut world, publisher, 5..6, qos);
            assert_eq!(reasons(&mut world, publisher), [ReasonCode::SUCCESS]);
            assert_eq!(world.texts(other), ["5"]);
            world.cut(other);
            assert_eq!(kept(&mut world), ["0", "1", "2"]);
            // There is room again, also for a packet identifier that was refused at QoS 2.
            world.client(publisher).last_id = 3;
            publish_together(&mut world, publisher, 6..7, qos);
            assert_eq!(reasons(&mut world, publisher), [ReasonCode::SUCCESS]);
            assert_eq!(kept(&mut world), ["6"]);
        }
        for (mut world, publisher) in full(QueueFull::Refuse, Version::V311) {
            publish_together(&mut world, publisher, 0..5, qos);
            assert_eq!(reasons(&mut world, publisher), [ReasonCode::SUCCESS; 5]);
            assert!(world.is_open(publisher));
            assert_eq!(world.dropped(DropReason::QueueFull), 2);
        }
    }
}
