//! The broker's life.

use crate::harness::{Broker, Process, scratch};

#[test]
fn signals_stop_it_in_good_order() {
    for signal in ["TERM", "INT"] {
        let broker = Broker::start("");
        let subscriber = broker.subscribe("-V 5 -t a");
        broker.publish("-t a -m x");
        broker.signal(signal);
        let finished = broker.finish();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let lines: Vec<_> = finished.stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].starts_with("surgemq: stopped: 1 connections closed, 0 of them cut"));
        let told = subscriber.finish();
        assert_eq!(told.code, Some(0x8B), "a client hears that the server shuts down: {told:?}");
        assert!(told.stderr.contains("Server shutting down"), "{told:?}");
    }
}

#[test]
fn everyone_may_come_in_only_where_that_was_asked_for() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let refused = Process::start(&format!("serve --listen {address}")).finish();
        refused.expect_failure(1, "add --password-file FILE, or --allow-anonymous");
    }
    let mut open = Process::start("serve --listen 0.0.0.0:0 --allow-anonymous");
    open.wait_for_error_text("listening on tcp://0.0.0.0:");
    open.signal("TERM");
    assert_eq!(open.finish().code, Some(0));
}

#[test]
fn a_port_that_is_taken_is_explained() {
    let broker = Broker::start("");
    let second = Process::start(&format!("serve --listen 127.0.0.1:{}", broker.port()));
    second.finish().expect_failure(1, "another program has the port");
}

/// The addresses of the line that says where it listens.
fn listening(broker: &mut Process) -> Vec<std::net::SocketAddr> {
    let said = broker.wait_for_error_text("\n");
    assert_eq!(said.lines().count(), 1, "{said}");
    let (_, list) = said.trim_end().split_once("listening on ").expect("addresses");
    list.split(", ")
        .map(|one| one.trim_start_matches("tcp://").parse().expect("an address"))
        .collect()
}

fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

#[test]
fn several_addresses_stand_in_one_line_and_localhost_is_both_families() {
    let mut broker = Process::start("serve --listen 127.0.0.1:0 --listen tcp://localhost:0");
    let addresses = listening(&mut broker);
    assert_eq!(addresses.len(), if has_ipv6() { 3 } else { 2 }, "{addresses:?}");
    let port = addresses[1].port();
    assert!(addresses[1..].iter().all(|a| a.port() == port && a.ip().is_loopback()));
    for address in &addresses {
        let options = format!("pub -h {} -p {} -t a -n", address.ip(), address.port());
        Process::start(&options).finish().expect_success();
    }
    broker.signal("TERM");
    assert_eq!(broker.finish().code, Some(0));
}

#[test]
fn all_addresses_of_both_families_may_be_listened_on_at_one_port() {
    if !has_ipv6() {
        return;
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let line = format!("--listen tcp://0.0.0.0:{free} --listen tcp://[::]:{free}");
    let mut broker = Process::start(&format!("serve --allow-anonymous {line}"));
    assert_eq!(listening(&mut broker).len(), 2);
    for host in ["127.0.0.1", "::1"] {
        Process::start(&format!("pub -h {host} -p {free} -t a -n")).finish().expect_success();
    }
    broker.signal("TERM");
    assert_eq!(broker.finish().code, Some(0));
    let twice = format!("serve --listen 127.0.0.1:{free} --listen localhost:{free}");
    Process::start(&twice).finish().expect_failure(1, "another --listen or another program");
}

#[test]
fn files_that_make_no_sense_are_refused_with_the_line() {
    let passwords = scratch("malformed_passwords");
    std::fs::write(&passwords, "# users\nalice:plain\n").unwrap();
    let line = format!("serve --listen 127.0.0.1:0 --password-file {}", passwords.display());
    Process::start(&line).finish().expect_failure(1, "malformed_passwords, line 2: ");

    let rules = scratch("malformed_rules");
    std::fs::write(&rules, "topic read a\ntopic sometimes b\n").unwrap();
    let line = format!("serve --listen 127.0.0.1:0 --acl-file {}", rules.display());
    Process::start(&line).finish().expect_failure(1, "malformed_rules, line 2: ");
}
