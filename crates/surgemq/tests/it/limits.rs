//! What the broker is told not to do.

use crate::harness::Broker;
#[cfg(target_os = "linux")]
use crate::harness::{Process, data_dir};

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
    // The broker says what happened, and what permits more.
    broker.signal("TERM");
    let said = broker.finish().stderr;
    assert!(
        said.contains("a packet above the maximum size") && said.contains("more than 1000 bytes"),
        "{said}"
    );
    assert!(said.contains("see --max-packet-size"), "{said}");
}

#[test]
fn a_message_of_3_mb_needs_no_option() {
    let broker = Broker::start("");
    let large = "x".repeat(3_000_000);
    for version in ["311", "5"] {
        let sent = broker.tool(&format!("pub -V {version} -t a -q 1 -s")).give(large.as_bytes());
        sent.finish().expect_success();
    }
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

/// More clients than descriptors, that say nothing.
#[cfg(target_os = "linux")]
#[test]
fn silent_connections_leave_the_broker_what_it_needs() {
    use std::{
        io::{Read, Write},
        net::TcpStream,
        time::Duration,
    };

    let dir = data_dir("few_descriptors");
    let mut broker = Process::start_by_shell(&format!(
        "ulimit -n 80 && exec \"$0\" serve --listen 127.0.0.1:0 --max-connections 1000 \
         --sys-interval 1 --data-dir {}",
        dir.display()
    ));
    let said = broker.wait_for_error_text("listening on tcp://127.0.0.1:");
    let cut = said.lines().find(|line| line.contains("--max-connections")).expect("a line");
    let room = cut.split("no more than ").nth(1).and_then(|rest| rest.split(' ').next());
    let room: usize = room.expect("a number").parse().expect("a number");
    assert!((5..60).contains(&room), "{cut}");
    let port = broker.ports()[0];
    let tool = |line: &str| Process::start(&format!("{line} -h 127.0.0.1 -p {port}"));

    let mut kept = tool("sub -d -V 5 -i kept -c -x 1000 -q 1 -t a -C 2");
    kept.wait_for_error_text("subscribed to");
    let connect = || {
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("the port is open");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        socket
    };
    // Many times what there is room for: whoever says nothing makes room, and the store can still
    // open what it needs.
    let silent: Vec<_> = (0..5 * room).map(|_| connect()).collect();
    broker.wait_for_error_text("it made room for another connection");
    for number in ["1", "2"] {
        tool(&format!("pub -V 5 -t a -q 1 -m {number}")).finish().expect_success();
    }
    assert_eq!(kept.finish().stdout, b"1\n2\n");
    drop(silent);
    // Clients that were let in keep their place; one more is closed at once.
    let is_let_in = |number: usize| {
        let mut socket = connect();
        socket.write_all(b"\x10\x0f\0\x04MQTT\x04\x02\0\0\0\x03").expect("CONNECT");
        socket.write_all(format!("{number:03}").as_bytes()).expect("its identifier");
        socket.read_exact(&mut [0; 4]).is_ok().then_some(socket)
    };
    let clients: Vec<_> = (0..=room).map_while(is_let_in).collect();
    assert!(clients.len() <= room, "{} for {room}", clients.len());
    broker.wait_for_error_text("there are as many connections as there may be");
    drop(clients);
    broker.signal("TERM");
    let finished = broker.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(!finished.stderr.contains("cannot accept"), "{}", finished.stderr);
    let refusals = finished.stderr.lines().filter(|line| line.contains("refused a connection"));
    assert!(refusals.count() < 40, "{}", finished.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn too_few_descriptors_are_refused_at_the_start() {
    let broker = Process::start_by_shell(
        "ulimit -n 30 && exec \"$0\" serve --listen 127.0.0.1:0 --in-memory",
    );
    broker.finish().expect_failure(1, "raise the limit, for example with `ulimit -n`");
}

/// No descriptors at all: the system's table is full, or the limit was lowered behind our back.
#[cfg(target_os = "linux")]
#[test]
fn a_listener_that_cannot_accept_says_so_once_and_goes_on() {
    use std::{
        io::{Read, Write},
        net::TcpStream,
        time::Duration,
    };

    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

    let mut broker = Process::start("serve --listen 127.0.0.1:0");
    broker.wait_for_error_text("listening on tcp://127.0.0.1:");
    let port = broker.ports()[0];
    let id = i32::try_from(broker.id()).ok().and_then(Pid::from_raw);
    let none = Rlimit { current: Some(3), ..getrlimit(Resource::Nofile) };
    let before = prlimit(id, Resource::Nofile, none).expect("the limit is lowered");
    let mut waiting: Vec<_> = (0..3)
        .map(|_| TcpStream::connect(("127.0.0.1", port)).expect("the system takes it"))
        .collect();
    broker.wait_for_error_text("cannot accept connections");
    // Ten more tries.
    std::thread::sleep(Duration::from_secs(1));
    prlimit(id, Resource::Nofile, before).expect("the limit is raised");
    for socket in &mut waiting {
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        socket.write_all(b"\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0").expect("CONNECT");
        let mut answer = [0; 4];
        socket.read_exact(&mut answer).expect("CONNACK");
        assert_eq!(answer, *b"\x20\x02\0\0");
    }
    broker.signal("TERM");
    let log = broker.finish().stderr;
    assert_eq!(log.matches("cannot accept").count(), 1, "{log}");
}
