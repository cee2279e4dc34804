//! What outlasts a message, or a connection.

use crate::harness::Broker;

#[test]
fn a_retained_message_waits_for_whoever_subscribes_later() {
    let broker = Broker::start("");
    broker.publish("-t a/1 -m one -r");
    broker.publish("-t a/2 -m two -r -q 1");
    broker.publish("-t a/3 -m three");
    let printed = broker.tool("sub -t a/# -C 2 -F %r:%p").finish().expect_success();
    let mut lines: Vec<_> = printed.split(|byte| *byte == b'\n').collect();
    lines.sort_unstable();
    assert_eq!(lines, [&b""[..], b"1:one", b"1:two"]);
}

#[test]
fn retained_messages_can_be_removed() {
    let broker = Broker::start("");
    for topic in ["a/1", "a/2", "keep"] {
        broker.publish(&format!("-t {topic} -m x -r"));
    }
    let cleaner = broker.subscribe("-t # --remove-retained -T keep -C 2");
    assert_eq!(cleaner.finish().code, Some(0));
    broker.publish("-t end -m end -r");
    let printed = broker.tool("sub -t # -C 2 -v").finish().expect_success();
    let text = String::from_utf8_lossy(&printed);
    assert!(text.contains("keep x") && text.contains("end end"), "{text}");
}

#[test]
fn retained_only_ends_with_the_first_fresh_message() {
    let broker = Broker::start("");
    broker.publish("-t a -m old -r");
    let subscriber = broker.subscribe("-t a --retained-only");
    broker.publish("-t a -m new");
    assert_eq!(subscriber.finish().stdout, b"old\n");
}

#[test]
fn a_session_keeps_messages_while_its_client_is_away() {
    let broker = Broker::start("");
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        let session = format!("-V {version} -c -i me-{version} -t {version} -q 1");
        broker.tool(&format!("sub {session} -E")).finish().expect_success();
        for text in ["one", "two"] {
            broker.publish(&format!("-t {version} -q 1 -m {text}"));
        }
        let printed = broker.tool(&format!("sub {session} -C 2")).finish().expect_success();
        assert_eq!(String::from_utf8_lossy(&printed), "one\ntwo\n", "{version}");
    }
}

#[test]
fn unsubscribing_ends_a_subscription_of_before() {
    let broker = Broker::start("");
    broker.tool("sub -V 5 -c -i me -t a -t b -q 1 -E").finish().expect_success();
    broker.tool("sub -V 5 -c -i me -U a -q 1").finish().expect_success();
    broker.publish("-t a -q 1 -m a");
    broker.publish("-t b -q 1 -m b");
    let printed = broker.tool("sub -V 5 -c -i me -t c -C 1 -v").finish().expect_success();
    assert_eq!(printed, b"b b\n");
}

#[test]
fn a_will_is_published_when_its_client_is_lost() {
    let broker = Broker::start("");
    let subscriber = broker.subscribe("-V 5 -t gone/# -C 1 -F %t:%q:%p:%C");
    let unlucky = broker.subscribe(
        "-t x --will-topic gone/me --will-payload bye --will-qos 0 \
         -V 5 -D will content-type text",
    );
    unlucky.signal("KILL");
    assert_eq!(unlucky.finish().code, None);
    assert_eq!(String::from_utf8_lossy(&subscriber.finish().stdout), "gone/me:0:bye:text\n");
}

#[test]
fn a_client_that_leaves_in_good_order_has_no_will() {
    let broker = Broker::start("");
    let subscriber = broker.subscribe("-t gone -C 1");
    broker.publish("-t x -m x --will-topic gone --will-payload will");
    broker.publish("-t gone -m marker");
    assert_eq!(subscriber.finish().stdout, b"marker\n");
}

#[test]
fn time_is_over_with_27() {
    let broker = Broker::start("");
    broker.publish("-t a -m x -r");
    let finished = broker.tool("sub -t a -W 1").finish();
    assert_eq!(finished.stdout, b"x\n");
    finished.expect_failure(27, "timed out");
    let quiet = broker.tool("sub -t a -W 1 --quiet").finish();
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(27), ""));
}
