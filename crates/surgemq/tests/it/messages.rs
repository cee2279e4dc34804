//! From `pub` to `sub`.

use crate::harness::{Broker, Process, scratch};

#[test]
fn all_versions_and_levels_of_delivery_reach_each_other() {
    let broker = Broker::start("");
    let versions = ["mqttv31", "mqttv311", "mqttv5"];
    let subscribers: Vec<_> = versions
        .iter()
        .map(|version| broker.subscribe(&format!("-V {version} -t a/+ -q 2 -C 9 -F %t:%q:%p")))
        .collect();
    for version in versions {
        for qos in 0..3 {
            broker.publish(&format!("-V {version} -t a/{qos} -q {qos} -m {version}"));
        }
    }
    for subscriber in subscribers {
        let finished = subscriber.finish();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let lines: Vec<_> = versions
            .iter()
            .flat_map(|version| (0..3).map(move |qos| format!("a/{qos}:{qos}:{version}\n")))
            .collect();
        assert_eq!(String::from_utf8_lossy(&finished.stdout), lines.concat());
    }
}

#[test]
fn payloads_arrive_as_they_are_whatever_their_size() {
    let broker = Broker::start("--max-packet-size 33554432");
    let large: Vec<u8> =
        (0..20_000_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for payload in [vec![], b"\n".to_vec(), b"\x00\xff\r\n".to_vec(), large] {
        let subscriber = broker.subscribe("-t a -q 1 -C 1 -N");
        broker.tool("pub -t a -q 1 -s").give(&payload).finish().expect_success();
        let received = subscriber.finish().stdout;
        assert_eq!(received.len(), payload.len());
        assert!(received == payload, "{} bytes are not those that were sent", payload.len());
    }
}

#[test]
fn a_file_is_one_message() {
    let broker = Broker::start("");
    let path = scratch("a_file_is_one_message");
    std::fs::write(&path, "one\ntwo\n").unwrap();
    broker.publish(&format!("-t a -r -f {}", path.display()));
    let received = broker.tool("sub -t a -C 1 -N").finish().expect_success();
    assert_eq!(received, b"one\ntwo\n");
}

#[test]
fn each_line_is_one_message_in_order() {
    let broker = Broker::start("");
    for qos in 0..3 {
        let subscriber = broker.subscribe(&format!("-t a -q {qos} -C 500"));
        let lines: String = (0..500).map(|i| format!("line {i}\n")).collect();
        let publisher = broker.tool(&format!("pub -t a -q {qos} -l")).give(lines.as_bytes());
        publisher.finish().expect_success();
        assert_eq!(String::from_utf8(subscriber.finish().stdout).unwrap(), lines, "QoS {qos}");
    }
}

#[test]
fn what_is_received_is_printed_at_once() {
    let broker = Broker::start("");
    let mut subscriber = broker.subscribe("-t a");
    broker.publish("-t a -m hello");
    subscriber.wait_for_output("hello\n");
    subscriber.signal("INT");
    assert_eq!(subscriber.finish().code, Some(0));
}

#[test]
fn a_message_can_be_repeated() {
    let broker = Broker::start("");
    let subscriber = broker.subscribe("-t a -C 3");
    broker.publish("-t a -m x --repeat 3 --repeat-delay 0.01");
    assert_eq!(subscriber.finish().stdout, b"x\nx\nx\n");
}

#[test]
fn properties_travel_with_the_message() {
    let broker = Broker::start("");
    let subscriber = broker.subscribe(
        "-t a -C 1 -V 5 -D subscribe subscription-identifier 7 \
         -F %C|%D|%F|%R|%S|%P",
    );
    broker.publish(
        "-t a -m x -D publish content-type text -D publish correlation-data 42 \
         -D publish payload-format-indicator 1 -D publish response-topic back \
         -D publish user-property k v -D publish user-property k w",
    );
    let printed = subscriber.finish().stdout;
    assert_eq!(String::from_utf8_lossy(&printed), "text|42|1|back|7|k:v k:w\n");
}

#[test]
fn a_message_that_expires_says_how_long_it_has() {
    let broker = Broker::start("");
    broker.publish("-t a -m x -r -D publish message-expiry-interval 4000000000");
    let printed = broker.tool("sub -V 5 -t a -C 1 -F %E").finish().expect_success();
    let left: u32 = String::from_utf8_lossy(&printed).trim().parse().unwrap();
    assert!((3_999_999_000..=4_000_000_000).contains(&left), "{left}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let broker = Broker::start("");
    let mut subscriber = broker.subscribe("-t a");
    subscriber.stop_reading();
    // The first message makes the pipe known as broken, at the latest the second one ends it.
    let mut publisher = broker.tool("pub -t a -l --quiet");
    publisher = publisher.give(&b"x\n".repeat(100_000));
    publisher.finish().expect_success();
    let finished = subscriber.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(!finished.stderr.contains("panicked"), "{finished:?}");
}

#[test]
fn a_url_says_where_and_what() {
    let broker = Broker::start("");
    let url = |topic: &str| format!("mqtt://127.0.0.1:{}/{topic}", broker.port());
    Process::start(&format!("pub -L {} -m x -r", url("a/b"))).finish().expect_success();
    let printed = Process::start(&format!("sub -L {} -C 1 -v", url("a/#"))).finish();
    assert_eq!(printed.expect_success(), b"a/b x\n");
}
