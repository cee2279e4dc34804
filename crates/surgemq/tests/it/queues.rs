//! Queues at their limits, with and without a data directory.

use crate::harness::{Broker, data_dir};

/// Starts a broker in memory, and one with a data directory.
fn both(name: &str, options: &str) -> [Broker; 2] {
    let dir = data_dir(name);
    [String::new(), format!("--data-dir {}", dir.display())]
        .map(|storage| Broker::start(&format!("{options} {storage}")))
}

/// A session whose client is away.
fn away(broker: &Broker) {
    broker.tool("sub -V 5 -c -i away -t t/# -q 1 -E").finish().expect_success();
}

/// What comes when the client is back, that many messages.
fn back(broker: &Broker, count: usize) -> String {
    let line = format!("sub -V 5 -c -i away -t t/# -q 1 -C {count}");
    String::from_utf8_lossy(&broker.tool(&line).finish().expect_success()).into_owned()
}

#[test]
fn a_full_queue_keeps_the_oldest_messages_or_the_newest() {
    for (policy, expected) in [("drop-newest", "0\n1\n2\n"), ("drop-oldest", "2\n3\n4\n")] {
        for broker in both(policy, &format!("--max-queued 3 --queue-full {policy}")) {
            away(&broker);
            for number in 0..5 {
                broker.publish(&format!("-V 5 -t t/a -q 1 -m {number}"));
            }
            assert_eq!(back(&broker, 3), expected, "{policy}");
        }
    }
}

#[test]
fn a_full_queue_may_refuse_and_says_so_where_the_version_can() {
    for broker in both("refuse", "--max-queued 3 --queue-full refuse") {
        away(&broker);
        for number in 0..3 {
            broker.publish(&format!("-V 5 -t t/a -q 1 -m {number}"));
        }
        for qos in [1, 2] {
            let refused = broker.tool(&format!("pub -V 5 -t t/a -q {qos} -m x")).finish();
            assert!(refused.stderr.to_lowercase().contains("quota"), "{refused:?}");
        }
        broker.publish("-V 311 -t t/a -q 1 -m x");
        assert_eq!(back(&broker, 3), "0\n1\n2\n");
        broker.publish("-V 5 -t t/a -q 1 -m 3");
        assert_eq!(back(&broker, 1), "3\n");
    }
}

#[test]
fn retained_messages_beyond_the_limit_of_a_queue_all_come() {
    for broker in both("replay", "--max-queued 3") {
        for number in 0..50 {
            broker.publish(&format!("-t t/{number} -q 1 -r -m {number}"));
        }
        let printed = broker.tool("sub -V 5 -c -i new -t t/# -q 1 -C 50").finish();
        assert_eq!(printed.expect_success().split(|byte| *byte == b'\n').count(), 51);
    }
}

#[test]
fn an_expired_retained_message_makes_room() {
    for broker in both("retained", "--max-retained 1") {
        broker.publish("-V 5 -t t/a -q 1 -r -m old -D publish message-expiry-interval 1");
        let wait = std::time::Instant::now();
        let refused = |_: &()| {
            let new = broker.tool("pub -V 5 -t t/b -q 1 -r -m new").finish();
            new.stderr.to_lowercase().contains("quota")
        };
        // It is refused for a second at most, and then no more.
        std::iter::repeat(()).take_while(refused).for_each(drop);
        assert!(wait.elapsed().as_secs() < 30);
        let printed = broker.tool("sub -V 5 -t t/# -C 1").finish().expect_success();
        assert_eq!(String::from_utf8_lossy(&printed), "new\n");
    }
}
