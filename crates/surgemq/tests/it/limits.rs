//! What the broker is told not to do.

use crate::harness::Broker;
#[cfg(target_os = "linux")]
use crate::harness::Process;

#[test]
fn a_message_above_the_limit_is_refused() {
    let broker = Broker::start("--max-packet-size 1000");
    // A client of 5.0 knows the limit and does not send it; others lose the connection.
    let large = "x".repeat(2000);
    let refused = broker.tool("pub -V 5 -t a -q 1 -s").give(large.as_bytes()).finish();
    refused.expect_failure(1, "2009 bytes where the server takes 1000");
    let cut = broker.tool("pub -V 311 -t a -q 1 -s").give(large.as_bytes()).finish();
    assert_eq!(cut.code, Some(1), "{cut:?}");
    broker.publish("-V 311 -t a -q 1 -m small");
}

#[test]
fn what_is_switched_off_is_refused() {
    let broker =
        Broker::start("--max-qos 1 --no-retain --no-wildcards --no-shared --no-subscription-ids");
    for (line, expected) in [
        ("pub -V 5 -t a -q 2 -m x", "takes no messages above QoS 1"),
        ("pub -V 5 -t a -r -m x", "keeps no retained messages"),
        ("sub -V 5 -t a/#", "does not support wildcards"),
        ("sub -V 5 -t $share/g/a", "does not support shared subscriptions"),
        ("sub -V 5 -t a -D subscribe subscription-identifier 1", "subscription identifiers"),
    ] {
        broker.tool(line).finish().expect_failure(1, expected);
    }
    let all_refused = broker.tool("sub -V 311 -t a/#").finish();
    all_refused.expect_failure(128, "0x80");
    broker.publish("-V 5 -t a -q 1 -m x");
}

#[test]
fn a_client_identifier_above_the_limit_is_refused() {
    let broker = Broker::start("--max-client-id-bytes 5");
    broker.tool("pub -V 311 -i toolong -t a -n").finish().expect_failure(2, "Identifier");
    broker.tool("pub -V 5 -i toolong -t a -n").finish().expect_failure(133, "Identifier");
    broker.publish("-V 5 -i short -t a -n");
}

#[cfg(target_os = "linux")]
#[test]
fn it_may_open_as_many_descriptors_as_the_system_lets_it() {
    let mut broker = Process::start_by_shell(
        "ulimit -Sn 100 && ulimit -Hn 500 && exec \"$0\" serve --listen 127.0.0.1:0 --in-memory",
    );
    broker.wait_for_error_text("listening on");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", broker.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<_> = files.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers, ["500", "500"]);
    broker.signal("TERM");
    assert_eq!(broker.finish().code, Some(0));
}
