//! Operations at random, and those that the fuzzer found.

use proptest::{collection::vec, prelude::*};

use mqtt_packet::{PacketId, Version};
use mqtt_session::QueueFull;

use super::{CLIENTS, FILTERS, Op, ROUND_MAX, TOPICS, model::Model, run};
use crate::core::tests::{client::Seen, hello::hello};

fn count() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(1), 1 => 2..=ROUND_MAX + 1]
}

fn op() -> impl Strategy<Value = Op> {
    let who = || 0..CLIENTS;
    prop_oneof![
        4 => (who(), any::<bool>(), prop::bool::weighted(0.2), prop_oneof![Just(0), Just(5), Just(u32::MAX)])
            .prop_map(|(who, v5, clean, expiry_secs)| Op::Connect { who, v5, clean, expiry_secs }),
        3 => (who(), 0..FILTERS.len(), 0..3_u8)
            .prop_map(|(who, filter, qos)| Op::Subscribe { who, filter, qos }),
        1 => (who(), 0..FILTERS.len()).prop_map(|(who, filter)| Op::Unsubscribe { who, filter }),
        10 => (who(), 0..TOPICS.len(), count(), 0..3_u8, prop::bool::weighted(0.1)).prop_map(
            |(who, topic, count, qos, retain)| Op::Publish { who, topic, count, qos, retain }
        ),
        2 => (who(), any::<bool>()).prop_map(|(who, reads)| Op::Reads { who, reads }),
        1 => who().prop_map(|who| Op::LoseAcks { who }),
        2 => who().prop_map(|who| Op::Cut { who }),
        1 => who().prop_map(|who| Op::Disconnect { who }),
        1 => (who(), 0..TOPICS.len(), 0..3_u8)
            .prop_map(|(who, topic, qos)| Op::Crash { who, topic, qos }),
        2 => prop_oneof![Just(1), Just(700), Just(2_000), Just(5_000)]
            .prop_map(|millis| Op::Pass { millis }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_clients_do_no_message_is_unaccounted_for(
        ops in vec(op(), 1..120),
        when_full in when_full(),
    ) {
        play_with(&ops, false, when_full);
    }

    #[test]
    fn not_even_if_the_broker_dies(ops in vec(op(), 1..120), when_full in when_full()) {
        play_with(&ops, true, when_full);
    }

    #[test]
    fn any_bytes_are_operations(data in vec(any::<u8>(), 0..300)) {
        run(&data);
    }
}

fn when_full() -> impl Strategy<Value = QueueFull> {
    prop_oneof![Just(QueueFull::DropNewest), Just(QueueFull::DropOldest), Just(QueueFull::Refuse)]
}

fn play(ops: &[Op], is_durable: bool) {
    play_with(ops, is_durable, QueueFull::DropNewest);
}

fn play_with(ops: &[Op], is_durable: bool, when_full: QueueFull) {
    let mut model = Model::connected(is_durable, when_full);
    for op in ops {
        model.apply(op);
    }
    model.finish();
}

/// What a subscriber got at QoS 0 before the broker died, its publisher sends again to the next one.
#[test]
fn a_message_that_came_at_qos_0_before_a_crash_may_come_again_at_qos_2() {
    let again = Op::Connect { who: 2, v5: false, clean: false, expiry_secs: 0 };
    let ops = [
        Op::Subscribe { who: 2, filter: 1, qos: 0 },
        Op::Crash { who: 0, topic: 0, qos: 2 },
        again,
        Op::Subscribe { who: 2, filter: 0, qos: 2 },
    ];
    play(&ops, true);
}

/// So does what came to a session that nothing was kept for.
#[test]
fn a_message_that_came_to_a_clean_session_before_a_crash_may_come_to_the_next() {
    let connect = |clean| Op::Connect { who: 2, v5: false, clean, expiry_secs: 0 };
    let ops = [
        connect(true),
        Op::Subscribe { who: 2, filter: 0, qos: 1 },
        Op::Crash { who: 0, topic: 0, qos: 2 },
        connect(false),
        Op::Subscribe { who: 2, filter: 0, qos: 2 },
    ];
    play(&ops, true);
}

/// The end of a session is appended behind what others have published to it.
#[test]
fn a_full_queue_of_a_session_that_ends_meanwhile_is_accounted_for() {
    let publish = |who, qos, count, retain| Op::Publish { who, topic: 0, count, qos, retain };
    let mut ops = vec![
        publish(0, 1, 1, true),
        Op::LoseAcks { who: 1 },
        Op::Subscribe { who: 1, filter: 2, qos: 1 },
        publish(0, 1, 1, false),
        publish(0, 1, 2, false),
        Op::Connect { who: 0, v5: false, clean: false, expiry_secs: 0 },
    ];
    ops.extend([0; 5].map(|who| publish(who, 1, 1, false)));
    ops.extend([publish(0, 0, 2, false), publish(0, 1, 1, false), publish(1, 1, 1, false)]);
    ops.push(Op::Connect { who: 1, v5: false, clean: true, expiry_secs: 0 });
    play(&ops, true);
}

/// A message at QoS 0 does not wait for those at QoS 1 that were published before it.
#[test]
fn a_lower_granted_qos_may_overtake() {
    let publish = |count| Op::Publish { who: 0, topic: 0, count, qos: 1, retain: false };
    let ops = [
        Op::Subscribe { who: 1, filter: 1, qos: 1 },
        Op::Subscribe { who: 1, filter: 0, qos: 0 },
        Op::Connect { who: 1, v5: true, clean: false, expiry_secs: 5 },
        Op::LoseAcks { who: 1 },
        publish(1),
        publish(5),
        Op::Unsubscribe { who: 1, filter: 1 },
        publish(1),
        Op::Connect { who: 1, v5: false, clean: false, expiry_secs: 0 },
    ];
    play(&ops, false);
}

/// Each SUBSCRIBE asks for the retained messages again.
#[test]
fn replays_without_end_stay_within_the_limit_of_a_queue() {
    let publish = |topic| Op::Publish { who: 1, topic, count: 1, qos: 1, retain: true };
    let mut ops = vec![publish(0), publish(1), publish(2), Op::LoseAcks { who: 0 }];
    ops.extend([2; 12].map(|filter| Op::Subscribe { who: 0, filter, qos: 1 }));
    play(&ops, false);
    play(&ops, true);
}

#[test]
fn the_corpus_of_the_fuzzer_holds() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/operations");
    let files: Vec<_> = std::fs::read_dir(corpus).unwrap().collect();
    assert!(!files.is_empty());
    for file in files {
        run(&std::fs::read(file.unwrap().path()).unwrap());
    }
}

#[test]
fn the_model_would_notice_a_message_too_many() {
    let mut model = Model::new(false);
    model.connect(0, &hello(Version::V5, "client 0"));
    model.subscribe(0, 0, 2);
    model.publish(0, 0, 1, 2, false);
    model.check();
    assert_eq!(model.devices[0].got, [0]);
    let client = model.devices[0].connection.unwrap();
    assert!(!model.world.seen(client).contains(&Seen::Closed));
    let twice = std::panic::AssertUnwindSafe(|| {
        let mut model = model;
        // As a broker that forgot the packet identifier would see it.
        model.say_publish(client, 0, PacketId::new(9), false, false);
        model.world.run();
        model.check();
    });
    assert!(std::panic::catch_unwind(twice).is_err());
}
