//! What the log says at its default level when somebody attacks the broker, or has mixed up two
//! ports; and what `$SYS` counts.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

#[cfg(target_os = "linux")]
use crate::harness::data_dir;
use crate::harness::{Broker, Process, scratch};

/// How long a socket may take on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says this, and returns what comes back until the broker closes.
fn exchange(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("the port is open");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.write_all(bytes).expect("it is written");
    let mut answer = Vec::new();
    // A reset is as good an end as another.
    socket.read_to_end(&mut answer).ok();
    answer
}

/// CONNECT of a 3.1.1 client.
fn hello(client_id: &str, user: Option<(&str, &str)>) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x04".to_vec();
    body.extend([if user.is_some() { 0xC2 } else { 0x02 }, 0, 0]);
    let (name, password) = user.unzip();
    for text in [Some(client_id), name, password].into_iter().flatten() {
        let length = u16::try_from(text.len()).expect("a short text");
        body.extend(length.to_be_bytes());
        body.extend(text.as_bytes());
    }
    let mut packet = vec![0x10, u8::try_from(body.len()).expect("a short packet")];
    packet.extend(body);
    packet
}

/// A client that was let in, and stays.
fn client(port: u16, client_id: &str) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("the port is open");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.write_all(&hello(client_id, None)).expect("it is written");
    let mut answer = [0; 4];
    socket.read_exact(&mut answer).expect("CONNACK");
    assert_eq!(answer, *b"\x20\x02\0\0");
    socket
}

fn lines<'a>(log: &'a str, part: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.contains(part)).collect()
}

#[test]
fn an_attack_is_in_the_log_at_its_default_level() {
    let users = scratch("attacked_passwords");
    let line = format!("passwd -c {} alice secret", users.display());
    Process::start(&line).finish().expect_success();
    let options = format!("--allow-anonymous --password-file {}", users.display());
    let mut broker = Broker::start(&options);
    let port = broker.port().parse().expect("a port");
    for number in 0..12 {
        let id = format!("guess {number}\n");
        assert_eq!(exchange(port, &hello(&id, Some(("alice", "wrong")))), b"\x20\x02\0\x05");
    }
    assert_eq!(exchange(port, b"\x10\xff\xff\xff\xff"), b"");
    let mut attacker = client(port, "attacker\u{1b}[31m");
    attacker.write_all(b"\0\0").expect("it is written");
    attacker.read_to_end(&mut Vec::new()).ok();
    broker.wait_for_error_text("closed a connection");
    broker.signal("TERM");
    let log = broker.finish().stderr;

    let guesses = lines(&log, "refused a connection reason=");
    let logins: Vec<_> = guesses.iter().filter(|line| line.contains("user=\"alice\"")).collect();
    assert_eq!(logins.len(), 5, "{log}");
    for part in [
        "WARN",
        "reason=bad-credentials peer=127.0.0.1:",
        "listener=tcp://127.0.0.1:0",
        "client_id=\"guess 0\\n\"",
        "why=Bad User",
    ] {
        assert!(logins[0].contains(part), "{part}: {log}");
    }
    assert_eq!(
        lines(&log, "7 more lines left out: refused a connection (bad-cred").len(),
        1,
        "{log}"
    );
    assert_eq!(guesses.len(), 6, "the packet that is none is said beside the passwords: {log}");
    let closed = lines(&log, "closed a connection peer=127.0.0.1:");
    assert_eq!(closed.len(), 1, "{log}");
    assert!(closed[0].contains("client_id=\"attacker\\u{1b}[31m\""), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}

#[test]
fn who_comes_and_goes_is_said_at_info() {
    let mut broker = Broker::start("--log info");
    let port = broker.port().parse().expect("a port");
    (0..8).for_each(|_| drop(exchange(port, b"\0\0")));
    let mut first = client(port, "both");
    let mut second = client(port, "both");
    first.read_to_end(&mut Vec::new()).expect("the end");
    second.write_all(b"\xe0\0").expect("it is written");
    second.read_to_end(&mut Vec::new()).ok();
    drop(client(port, "lost"));
    broker.wait_for_error_text("the connection was lost");
    broker.signal("TERM");
    let log = broker.finish().stderr;
    assert_eq!(lines(&log, " connected peer=127.0.0.1:").len(), 3, "{log}");
    assert_eq!(
        lines(&log, "client_id=\"both\" version=V311 session_present=false").len(),
        2,
        "{log}"
    );
    assert_eq!(lines(&log, "taken over peer=127.0.0.1:").len(), 1, "{log}");
    for why in ["client_id=\"both\" why=the client left", "client_id=\"lost\" why=the connection"] {
        let said = lines(&log, why);
        assert!(said.len() == 1 && said[0].contains("disconnected peer="), "{why}: {log}");
    }
}

#[test]
fn refused_connections_are_counted_by_reason() {
    let broker = Broker::start("--sys-interval 1 --max-client-id-bytes 5");
    let port = broker.port().parse().expect("a port");
    (0..3).for_each(|_| drop(exchange(port, &hello("too long", None))));
    (0..2).for_each(|_| drop(exchange(port, b"GET / HTTP/1.1\r\n\r\n")));
    exchange(port, b"\0\0");
    let topics = "-t $SYS/broker/connections/refused/# -t $SYS/broker/connections/refused -v";
    let mut sub = broker.subscribe(&format!("-i sys {topics}"));
    for expected in ["/client-id 3\n", "/other-protocol 2\n", "/protocol 1\n", "refused 6\n"] {
        sub.wait_for_output(expected);
    }
    sub.wait_for_output("/bad-credentials 0\n");
}

#[test]
fn another_protocol_is_answered_closed_and_said() {
    let line = "serve --listen 127.0.0.1:0 --listen ws://127.0.0.1:0";
    let mut broker = Process::start(line);
    let said = broker.wait_for_error_text("/mqtt\n");
    let port = |scheme: &str| {
        let place =
            said.split(scheme).nth(1).expect("the address").trim_start_matches("127.0.0.1:");
        let digits = place.split(|c: char| !c.is_ascii_digit()).next().expect("digits");
        digits.parse::<u16>().expect("a port")
    };
    let (tcp, websocket) = (port("tcp://"), port("ws://"));
    let start = Instant::now();
    let http = exchange(tcp, b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n");
    assert!(http.starts_with(b"HTTP/1.1 400 Bad Request\r\n"), "{http:?}");
    let hello_tls = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00";
    assert_eq!(exchange(tcp, hello_tls), b"\x15\x03\x01\0\x02\x02\x28");
    assert_eq!(exchange(websocket, hello_tls), b"\x15\x03\x01\0\x02\x02\x28");
    assert_eq!(exchange(websocket, &hello("lost", None)), b"\x20\x02\0\x03");
    let v5 = b"\x10\x0d\0\x04MQTT\x05\x02\0\0\0\0\0";
    assert_eq!(exchange(websocket, v5), b"\x20\x03\0\x88\0");
    assert_eq!(exchange(tcp, b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"), b"");
    assert!(exchange(websocket, b"GET /x HTTP/1.1\r\n\r\n").starts_with(b"HTTP/1.1 404 "));
    // Each of them waited for the connect timeout, 10 seconds, before.
    assert!(start.elapsed() < Duration::from_secs(40), "{:?}", start.elapsed());
    for hint in [
        "HTTP at a port that speaks MQTT over TCP; for MQTT over WebSocket there are ws://",
        "a TLS handshake at a port without TLS",
        "MQTT over TCP at a port that speaks MQTT over WebSocket",
        "the PROXY protocol, which is not supported",
        "there is no MQTT at this path",
    ] {
        broker.wait_for_error_text(hint);
    }
}

#[test]
fn files_that_let_nobody_do_anything_are_said() {
    let (users, rules) = (scratch("no_users"), scratch("no_rules"));
    std::fs::write(&users, "# nobody yet\n").expect("a file");
    std::fs::write(&rules, "topic deny secret/#\n").expect("a file");
    let (users, rules) = (users.display(), rules.display());
    let mut broker = Broker::start(&format!("--password-file {users} --acl-file {rules}"));
    broker.wait_for_error_text("no user in the file, so nobody can log in");
    broker.wait_for_error_text("no rule permits anything");
}

/// A small file system in memory; unmounted when it is dropped.
#[cfg(target_os = "linux")]
struct SmallDisk(std::path::PathBuf);

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What is left of it is memory of a few MiB, and is mounted over by the next run.
        std::process::Command::new("umount").arg(&self.0).status().ok();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_start_without_room_is_said() {
    const MIB: usize = 1024 * 1024;
    let place = data_dir("no_room");
    std::fs::create_dir_all(&place).expect("a directory");
    let mut mount = std::process::Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=8m", "none"]).arg(&place);
    if !mount.output().is_ok_and(|done| done.status.success()) {
        // Only who may mount can have a disk of this size.
        return;
    }
    let disk = SmallDisk(place);
    let options = format!("--data-dir {}", disk.0.join("data").display());
    let broker = Broker::start(&options);
    broker.signal("TERM");
    assert!(!broker.finish().stderr.contains("no room"), "three quarters are free");
    std::fs::write(disk.0.join("other"), vec![1; 7 * MIB]).expect("there is room for it");
    let mut broker = Broker::start(&options);
    broker.wait_for_error_text("no room to keep messages in");
    broker.signal("TERM");
    assert_eq!(broker.finish().code, Some(0));
}
