//! Receivers that do not keep up, and what becomes of their publishers.

use mqtt_packet::{PacketType, Version};
use mqtt_session::DropReason;

use super::{
    client::Seen,
    hello::{hello, persistent},
    world::{Id, World},
};

/// Little room, so that a story need not send much: the output takes 1,000 bytes, the inbox 2,000
/// before publishers wait, for 2 s at most.
fn tight() -> World {
    World::with(|limits| {
        limits.output_bytes_max = 1_000;
        limits.queue.high_water_bytes = 2_000;
        limits.queue.slow_after_millis = 2_000;
    })
}

/// Publishes about 10 KB to `topic` in messages of 500 bytes; each is in a read of its own.
fn flood(world: &mut World, publisher: Id, topic: &str, qos: u8) {
    for number in 0..20 {
        world.publish(publisher, topic, &format!("{number:0500}"), qos);
    }
}

/// How many messages of a publisher were answered since the last time.
fn answered(world: &mut World, publisher: Id) -> usize {
    let answers = [PacketType::PubAck, PacketType::PubRec];
    let is_answer = |seen: &Seen| matches!(seen, Seen::Ack(kind, _) if answers.contains(kind));
    world.seen(publisher).iter().filter(|seen| is_answer(seen)).count()
}

#[test]
fn a_publisher_of_qos_0_is_not_read_from_and_nothing_is_lost() {
    let mut world = tight();
    let receiver = world.connect(&hello(Version::V5, "receiver"));
    let publisher = world.connect(&hello(Version::V311, "publisher"));
    world.subscribe(receiver, "t", 2);
    world.reads(receiver, false);
    flood(&mut world, publisher, "t", 0);
    assert!(world.client(publisher).unread() > 1_000, "the publisher waits");
    world.pass(1_999);
    world.reads(receiver, true);
    assert_eq!(world.client(publisher).unread(), 0);
    assert_eq!(world.messages(receiver).len(), 20);
    assert_eq!(world.broker.totals().ledger.dropped_total(), 0);
}

#[test]
fn a_publisher_of_qos_1_or_2_waits_for_its_answers_and_nothing_is_lost() {
    for qos in 1..=2 {
        let mut world = tight();
        let receiver = world.connect(&hello(Version::V5, "receiver"));
        let publisher = world.connect(&hello(Version::V311, "publisher"));
        world.subscribe(receiver, "t", 2);
        world.reads(receiver, false);
        flood(&mut world, publisher, "t", qos);
        assert_eq!(world.client(publisher).unread(), 0, "QoS {qos}: it is read from");
        let before = answered(&mut world, publisher);
        assert!(before < 20, "QoS {qos}: {before} answers, though the receiver is behind");
        world.pass(1_999);
        assert_eq!(answered(&mut world, publisher), 0, "QoS {qos}: still behind");
        world.reads(receiver, true);
        assert_eq!(before + answered(&mut world, publisher), 20);
        assert_eq!(world.messages(receiver).len(), 20);
        assert_eq!(world.broker.totals().ledger.dropped_total(), 0);
    }
}

#[test]
fn a_client_that_waits_for_no_answers_is_not_read_from_in_the_end() {
    let mut world = World::with(|limits| {
        limits.output_bytes_max = 1_000;
        limits.queue.high_water_bytes = 2_000;
        limits.protocol.receive_maximum = 4;
    });
    let receiver = world.connect(&hello(Version::V5, "receiver"));
    let publisher = world.connect(&hello(Version::V311, "publisher"));
    world.subscribe(receiver, "t", 1);
    world.reads(receiver, false);
    flood(&mut world, publisher, "t", 1);
    assert!(world.client(publisher).unread() > 1_000);
    world.reads(receiver, true);
    assert_eq!(world.client(publisher).unread(), 0);
    assert_eq!(world.messages(receiver).len(), 20);
}

#[test]
fn a_mesh_at_qos_1_does_not_wait_for_itself() {
    // The windows are small, so each client is soon behind until its acknowledgements are read,
    // and these stand behind what it publishes.
    let mut world = World::with(|limits| {
        limits.output_bytes_max = 1_000;
        limits.queue.high_water_bytes = 2_000;
        limits.protocol.send_window_max = 2;
    });
    let mesh: Vec<_> = (0..4)
        .map(|number| world.connect(&hello(Version::V5, &format!("client {number}"))))
        .collect();
    for client in &mesh {
        world.subscribe(*client, "t", 1);
    }
    for client in &mesh {
        flood(&mut world, *client, "t", 1);
    }
    // No time has passed: nobody was marked slow to get out of it.
    for client in &mesh {
        assert_eq!(world.messages(*client).len(), 80);
        assert_eq!(answered(&mut world, *client), 20);
    }
    assert_eq!(world.broker.totals().ledger.dropped_total(), 0);
}

#[test]
fn a_receiver_that_stays_stuck_is_slow_and_loses_qos_0() {
    let mut world = tight();
    let stuck = world.connect(&hello(Version::V5, "stuck"));
    let healthy = world.connect(&hello(Version::V5, "healthy"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(stuck, "t", 0);
    world.subscribe(healthy, "t", 0);
    world.reads(stuck, false);
    flood(&mut world, publisher, "t", 0);
    let before = world.messages(healthy).len();
    assert!(before < 20, "the publisher waits");
    world.pass(2_000);
    assert_eq!(world.client(publisher).unread(), 0, "nobody waits for it any more");
    assert_eq!(before + world.messages(healthy).len(), 20);
    let lost = world.dropped(DropReason::SlowReceiver);
    assert!(lost > 0 && world.broker.totals().ledger.dropped_total() == lost);
    // Further messages do not wait at all.
    flood(&mut world, publisher, "t", 0);
    assert_eq!(world.messages(healthy).len(), 20);
    // Once it has caught up, it is a receiver like any other.
    world.reads(stuck, true);
    world.messages(stuck);
    world.publish(publisher, "t", "well again", 0);
    assert_eq!(world.texts(stuck), ["well again"]);
}

#[test]
fn a_slow_receiver_keeps_its_qos_1_messages() {
    let mut world = tight();
    let stuck = world.connect(&persistent(Version::V5, "stuck"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(stuck, "t", 1);
    world.reads(stuck, false);
    flood(&mut world, publisher, "t", 1);
    world.pass(2_000);
    flood(&mut world, publisher, "t", 0);
    assert_eq!(world.client(publisher).unread(), 0);
    assert_eq!(world.dropped(DropReason::SlowReceiver), 20);
    world.reads(stuck, true);
    assert_eq!(world.messages(stuck).len(), 20);
}

#[test]
fn others_go_on_while_a_publisher_waits() {
    let mut world = tight();
    let stuck = world.connect(&hello(Version::V5, "stuck"));
    let healthy = world.connect(&hello(Version::V5, "healthy"));
    let waiting = world.connect(&hello(Version::V5, "waiting"));
    let other = world.connect(&hello(Version::V5, "other"));
    world.subscribe(stuck, "t", 0);
    world.subscribe(healthy, "other/+", 0);
    world.reads(stuck, false);
    flood(&mut world, waiting, "t", 0);
    assert!(world.client(waiting).unread() > 0);
    flood(&mut world, other, "other/topic", 0);
    assert_eq!(world.messages(healthy).len(), 20);
    assert_eq!(world.broker.totals().ledger.dropped_total(), 0);
}

#[test]
fn a_publisher_that_waits_still_gets_its_messages() {
    let mut world = tight();
    let stuck = world.connect(&hello(Version::V5, "stuck"));
    let both = world.connect(&hello(Version::V5, "both"));
    let other = world.connect(&hello(Version::V5, "other"));
    world.subscribe(stuck, "t", 0);
    world.subscribe(both, "back", 0);
    world.reads(stuck, false);
    flood(&mut world, both, "t", 0);
    assert!(world.client(both).unread() > 0);
    flood(&mut world, other, "back", 0);
    assert_eq!(world.messages(both).len(), 20);
}

#[test]
fn a_ring_of_clients_that_flood_each_other_does_not_lock_up() {
    let mut world = tight();
    let ring: Vec<_> = (0..4)
        .map(|number| world.connect(&hello(Version::V5, &format!("client {number}"))))
        .collect();
    for (number, client) in ring.iter().enumerate() {
        world.subscribe(*client, &format!("t/{number}"), 0);
        world.reads(*client, false);
    }
    for (number, client) in ring.iter().enumerate() {
        flood(&mut world, *client, &format!("t/{}", (number + 1) % 4), 0);
    }
    for client in &ring {
        world.reads(*client, true);
    }
    for client in ring {
        assert_eq!(world.messages(client).len(), 20);
    }
}

#[test]
fn a_publisher_goes_on_when_the_receiver_it_waits_for_is_gone() {
    let mut world = tight();
    let stuck = world.connect(&hello(Version::V5, "stuck"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(stuck, "t", 0);
    world.reads(stuck, false);
    flood(&mut world, publisher, "t", 0);
    assert!(world.client(publisher).unread() > 0);
    world.cut(stuck);
    assert_eq!(world.client(publisher).unread(), 0);
    assert!(world.dropped(DropReason::ConnectionLost) > 0);
}

#[test]
fn a_publisher_that_waits_is_not_taken_for_silent() {
    let mut world = tight();
    let stuck = world.connect(&hello(Version::V5, "stuck"));
    let publisher = world.connect(&hello(Version::V5, "publisher").keep_alive(1));
    world.subscribe(stuck, "t", 0);
    world.reads(stuck, false);
    flood(&mut world, publisher, "t", 0);
    world.pass(1_900);
    assert!(world.is_open(publisher), "it is the broker who does not read");
    world.pass(100);
    assert!(world.is_open(publisher));
    assert_eq!(world.client(publisher).unread(), 0);
}

#[test]
fn a_publisher_that_is_stuck_itself_does_not_spin_when_its_receiver_becomes_slow() {
    let mut world = tight();
    let stuck = world.connect(&hello(Version::V5, "stuck"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    let other = world.connect(&hello(Version::V5, "other"));
    world.subscribe(stuck, "t", 0);
    world.subscribe(publisher, "back", 0);
    world.reads(stuck, false);
    world.reads(publisher, false);
    flood(&mut world, publisher, "t", 0);
    // More than it is read with.
    world.publish(other, "back", &"x".repeat(5_000), 0);
    // The harness fails if a timer stays due.
    world.pass(10_000);
    world.reads(publisher, true);
    assert_eq!(world.messages(publisher).len(), 1);
    assert_eq!(world.client(publisher).unread(), 0);
}

#[test]
fn two_that_wait_for_each_other_and_do_not_read_are_both_slow_in_time() {
    let mut world = tight();
    let pair = ["one", "two"].map(|id| world.connect(&hello(Version::V5, id)));
    world.subscribe(pair[0], "to/one", 0);
    world.subscribe(pair[1], "to/two", 0);
    pair.iter().for_each(|client| world.reads(*client, false));
    for _ in 0..3 {
        flood(&mut world, pair[0], "to/two", 0);
        flood(&mut world, pair[1], "to/one", 0);
    }
    world.pass(5_000);
    pair.iter().for_each(|client| world.reads(*client, true));
    assert!(world.dropped(DropReason::SlowReceiver) > 0);
    assert!(pair.iter().all(|client| world.client(*client).unread() == 0));
}

#[test]
fn a_client_that_asks_and_does_not_read_the_answers_is_not_read_either() {
    let mut world = tight();
    let client = world.connect(&hello(Version::V5, "client"));
    world.reads(client, false);
    for _ in 0..10 {
        world.say(client, &[0xC0, 0].repeat(1_000));
    }
    let waiting = world.client(client).connection.as_ref().unwrap().output().len();
    assert!(waiting <= 2 * 1_000 + 2_000, "{waiting} bytes of answers wait");
    world.reads(client, true);
    assert_eq!(world.seen(client).len(), 1 + 10_000);
}

/// How long a publisher waits while receivers that do not read come and go, each for 400 ms.
fn waited_for(receivers: usize) -> u64 {
    let mut world = tight();
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    let mut waited = 0;
    for number in 0..receivers {
        let stuck = world.connect(&hello(Version::V5, &format!("stuck {number}")));
        world.subscribe(stuck, "t", 0);
        world.reads(stuck, false);
        flood(&mut world, publisher, "t", 0);
        for _ in 0..20 {
            let is_behind = world
                .client(publisher)
                .connection
                .as_ref()
                .is_some_and(|connection| connection.pressure.deadline().is_some());
            waited += if is_behind { 20 } else { 0 };
            world.pass(20);
        }
        world.cut(stuck);
        assert_eq!(world.client(publisher).unread(), 0);
    }
    waited
}

#[test]
fn receivers_that_come_and_never_read_use_up_patience_whatever_they_are_called() {
    // Once 2 s, then what comes back of it, and 200 ms to see that the receiver does not move.
    let waited = waited_for(50);
    assert!(waited >= 2_000, "{waited} ms");
    assert!(waited <= 2_000 + 50 * 220, "{waited} ms of 20,000");
}

#[test]
fn a_receiver_that_reads_slowly_is_waited_for_as_long_as_it_takes() {
    let mut world = tight();
    let slow = world.connect(&hello(Version::V5, "slow"));
    let publisher = world.connect(&hello(Version::V5, "publisher"));
    world.subscribe(slow, "t", 0);
    // Somebody has used the patience up.
    for number in 0..10 {
        let stuck = world.connect(&hello(Version::V5, &format!("stuck {number}")));
        world.subscribe(stuck, "t", 0);
        world.reads(stuck, false);
        flood(&mut world, publisher, "t", 0);
        world.pass(400);
        world.cut(stuck);
    }
    let before = world.messages(slow).len();
    assert_eq!(before, 200);
    // Three messages each 150 ms: it is always behind, and never for two seconds.
    for _ in 0..3 {
        world.reads(slow, false);
        flood(&mut world, publisher, "t", 0);
        for _ in 0..10 {
            world.pass(150);
            world.takes(slow, 1_500);
        }
        world.reads(slow, true);
    }
    assert_eq!(world.messages(slow).len(), 60);
    assert_eq!(world.dropped(DropReason::SlowReceiver), 0);
    assert_eq!(world.dropped(DropReason::QueueFull), 0);
}

#[test]
fn who_publishes_little_is_not_held_up_by_a_queue_that_others_fill() {
    let mut world = tight();
    let stuck = world.connect(&hello(Version::V5, "stuck"));
    let healthy = world.connect(&hello(Version::V5, "healthy"));
    let large = world.connect(&hello(Version::V5, "large"));
    let small = world.connect(&hello(Version::V5, "small"));
    world.subscribe(stuck, "#", 0);
    world.subscribe(healthy, "small", 0);
    world.reads(stuck, false);
    flood(&mut world, large, "t", 0);
    assert!(world.client(large).unread() > 0);
    for _ in 0..20 {
        world.publish(small, "small", "x", 0);
        assert_eq!((world.client(small).unread(), world.messages(healthy).len()), (0, 1));
        world.pass(50);
    }
    // More than an eighth of the high-water mark in a second is not little.
    flood(&mut world, small, "small", 0);
    assert!(world.client(small).unread() > 0);
}
