//! The broker's log: what it says, and that the broker does not depend on who reads it.

use std::{
    fs::{self, File},
    io::{Read, Write, pipe},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use crate::harness::{Broker, Process, scratch};

/// How long a socket may take on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// A message goes through the broker at this port.
#[track_caller]
fn assert_serves(port: u16, credentials: &str) {
    let line = format!("sub -d -h 127.0.0.1 -p {port} {credentials} -t a -C 1");
    let mut subscriber = Process::start(&line);
    subscriber.wait_for_error_text("subscribed to");
    let line = format!("pub -h 127.0.0.1 -p {port} {credentials} -t a -q 1 -m through");
    Process::start(&line).finish().expect_success();
    assert_eq!(subscriber.finish().stdout, b"through\n");
}

/// Sends bytes that are not MQTT, which is worth a line of the log, and waits for the end.
fn send_garbage(port: u16) {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("the port is open");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.write_all(b"\x00\x00").expect("two bytes");
    let mut answer = Vec::new();
    // A reset is as good an end as another.
    socket.read_to_end(&mut answer).ok();
}

#[test]
fn a_log_that_cannot_be_written_costs_lines_and_nothing_else() {
    let full = File::options().write(true).open("/dev/full").expect("/dev/full");
    let (reader, gone) = pipe().expect("a pipe");
    drop(reader);
    for stderr in [full.into(), std::process::Stdio::from(gone)] {
        let broker = Process::serve_with_stderr("--log info", stderr);
        let port = broker.ports()[0];
        let mut idle = TcpStream::connect(("127.0.0.1", port)).expect("the port is open");
        for _ in 0..3 {
            send_garbage(port);
        }
        assert_serves(port, "");
        idle.write_all(b"\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0").expect("CONNECT");
        idle.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut answer = [0; 4];
        idle.read_exact(&mut answer).expect("the connection from before is there");
        assert_eq!(answer, *b"\x20\x02\0\0");
        broker.signal("TERM");
        assert_eq!(broker.finish().code, Some(0));
    }
}

#[test]
fn a_pipe_that_nobody_reads_holds_nobody_up() {
    const PIPE_BYTES: usize = 64 * 1024;
    let (reader, mut writer) = pipe().expect("a pipe");
    writer.write_all(&[b'.'; PIPE_BYTES]).expect("a pipe takes so much before it is full");
    let broker = Process::serve_with_stderr("--log debug", writer);
    let port = broker.ports()[0];
    for _ in 0..20 {
        send_garbage(port);
    }
    assert_serves(port, "");
    broker.signal("USR1");
    broker.signal("TERM");
    assert_eq!(broker.finish().code, Some(0), "it does not wait for the reader at its end");
    drop(reader);
}

#[test]
fn a_reader_that_comes_back_is_told_how_much_was_lost() {
    let fifo = scratch("log_fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs");
    assert!(made.success());
    // Both ends at once, so that no open has to wait; the broker's end stays.
    let both = File::options().read(true).write(true).open(&fifo).expect("the FIFO");
    let writer = File::options().write(true).open(&fifo).expect("the FIFO");
    let broker = Process::serve_with_stderr("", writer);
    let port = broker.ports()[0];
    let mut said = Vec::new();
    read_until(&both, &mut said, "listening on");
    drop(both);
    for _ in 0..3 {
        broker.signal("USR2");
        assert_serves(port, "");
    }
    let reader = File::open(&fifo).expect("the FIFO");
    read_until(&reader, &mut said, "lines of the log were lost here");
    broker.signal("USR1");
    read_until(&reader, &mut said, "SIGUSR1 means nothing here");
    broker.signal("TERM");
    read_until(&reader, &mut said, "stopped: ");
    assert_eq!(broker.finish().code, Some(0));
}

fn read_until(mut reader: &File, said: &mut Vec<u8>, part: &str) {
    while !String::from_utf8_lossy(said).contains(part) {
        let mut chunk = [0; 4096];
        let length = reader.read(&mut chunk).expect("the FIFO is read");
        assert!(length > 0, "ended without {part:?}: {}", String::from_utf8_lossy(said));
        said.extend_from_slice(chunk.get(..length).unwrap_or_default());
    }
}

#[test]
fn files_are_loaded_anew_although_the_log_cannot_be_written() {
    let users = scratch("unlogged_passwords");
    for user in ["-c alice", "bob"] {
        let (options, name) = user.rsplit_once(' ').unwrap_or(("", user));
        let line = format!("passwd {options} {} {name} secret", users.display());
        Process::start(&line).finish().expect_success();
    }
    let full = File::options().write(true).open("/dev/full").expect("/dev/full");
    let broker = Process::serve_with_stderr(&format!("--password-file {}", users.display()), full);
    let port = broker.ports()[0];
    let login = |name: &str| {
        let line = format!("pub -h 127.0.0.1 -p {port} -u {name} -P secret -t a -q 1 -m x");
        Process::start(&line).finish().code
    };
    assert_eq!(login("bob"), Some(0));
    let good = fs::read_to_string(&users).expect("the file");
    // What is wrong with this one would be said.
    fs::write(&users, "nonsense\n").expect("the file");
    broker.signal("HUP");
    assert_serves(port, "-u alice -P secret");
    let stricter: Vec<_> = good.lines().filter(|line| line.starts_with("alice:")).collect();
    fs::write(&users, stricter.join("\n") + "\n").expect("the file");
    broker.signal("HUP");
    // Loading takes its time, but it must come.
    let deadline = std::time::Instant::now() + PATIENCE;
    while login("bob") == Some(0) {
        assert!(std::time::Instant::now() < deadline, "the stricter file is never loaded");
    }
    assert_eq!(login("alice"), Some(0));
}

#[test]
fn a_signal_that_means_nothing_is_said_and_survived() {
    for name in ["USR1", "USR2"] {
        let mut broker = Broker::start("");
        broker.signal(name);
        broker.wait_for_error_text(&format!("SIG{name} means nothing here"));
        broker.publish("-t a -m x");
        broker.signal("TERM");
        assert_eq!(broker.finish().code, Some(0));
    }
}

#[test]
fn an_unknown_level_is_refused() {
    for (filter, expected) in [
        ("verbose", "\"verbose\" is not a level; give off, error, warn, info, debug or trace"),
        ("warn,mqtt_sever=debug", "\"mqtt_sever\" is not a part of the program"),
        ("mqtt_server=loud", "\"loud\" is not a level"),
    ] {
        let line = format!("serve --listen 127.0.0.1:0 --log {filter}");
        Process::start(&line).finish().expect_failure(2, expected);
    }
}
