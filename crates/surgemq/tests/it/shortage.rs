//! What the process or the disk lacks for a while: descriptors, room. Nothing of it needs a restart.
#![cfg(target_os = "linux")]

use std::{
    io::Write,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{harness::Broker, mqtt::Client};

/// How long anything may take to come back on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

const SUCCESS: u8 = 0;
const QUOTA_EXCEEDED: u8 = 0x97;

fn data_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A data directory of this test, where nothing is yet.
fn data_dir(name: &str) -> PathBuf {
    let path = data_path(name);
    match std::fs::remove_dir_all(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => path,
    }
}

/// Has a process no more than so many descriptors, or all that it may have.
fn limit_descriptors(broker: &Broker, soft: &str) {
    let pid = broker.id().to_string();
    let status =
        Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={soft}:")]).status();
    assert!(status.expect("prlimit runs").success());
}

/// Publishes until this is the answer.
fn publish_until(publisher: &mut Client, reason: u8) {
    let deadline = Instant::now() + PATIENCE;
    let payload = vec![b'x'; 3000];
    loop {
        let answer = publisher.publish("t", &payload).expect("the connection stays");
        if answer == reason {
            return;
        }
        assert!(matches!(answer, SUCCESS | QUOTA_EXCEEDED), "{answer:#x}");
        assert!(Instant::now() < deadline, "never {reason:#x}");
        if reason == SUCCESS {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The engine opens files for each table that it writes. When it gets none, it stops for good; the
/// store does not.
#[test]
fn a_store_without_descriptors_comes_back_by_itself() {
    let dir = data_dir("no-descriptors");
    let options = format!("--data-dir {} --store-memtable 60000", dir.display());
    let broker = Broker::start(&options);
    let (mut subscriber, ..) = Client::connect(broker.port(), "subscriber").unwrap();
    assert_eq!(subscriber.subscribe("t").unwrap(), 1);
    drop(subscriber);
    let (mut publisher, ..) = Client::connect(broker.port(), "publisher").unwrap();
    publish_until(&mut publisher, SUCCESS);
    limit_descriptors(&broker, "4");
    publish_until(&mut publisher, QUOTA_EXCEEDED);
    publisher.ping().unwrap();
    limit_descriptors(&broker, "500");
    publish_until(&mut publisher, SUCCESS);
    let (mut subscriber, reason, is_present) =
        Client::connect(broker.port(), "subscriber").unwrap();
    assert_eq!((reason, is_present), (SUCCESS, true));
    subscriber.drain(2).unwrap();
    broker.signal("TERM");
    assert_eq!(broker.finish().code, Some(0));
}

/// A small disk in memory at this directory, where mounting is permitted.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(name: &str, mib: u32) -> Option<Self> {
        // A run that was killed left it mounted.
        let _ = Command::new("umount").arg("-l").arg(data_path(name)).output();
        let dir = data_dir(name);
        std::fs::create_dir_all(&dir).expect("the directory is made");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "none"]).arg(&dir);
        if !mount.output().is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: a small disk cannot be mounted here, which takes root");
            return None;
        }
        Some(Self(dir))
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.0.join("ballast")).expect("it is made");
        for size in [1 << 16, 1024, 1] {
            while ballast.write_all(&vec![1; size]).is_ok() {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Sends SIGTERM, and waits until the broker says that it has stopped. A stop has five seconds; the
/// rest is for a machine that is busy with other things.
fn stop(broker: &mut Broker) {
    let asked = Instant::now();
    broker.signal("TERM");
    broker.wait_for_error_text("stopped: ");
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
}

#[test]
fn a_broker_with_a_full_disk_stops_and_says_so_once() {
    let Some(disk) = SmallDisk::mount("full-stop", 48) else { return };
    let dir = disk.0.join("data");
    let mut broker = Broker::start(&format!("--data-dir {}", dir.display()));
    let (mut subscriber, ..) = Client::connect(broker.port(), "subscriber").unwrap();
    assert_eq!(subscriber.subscribe("t").unwrap(), 1);
    let (mut publisher, ..) = Client::connect(broker.port(), "publisher").unwrap();
    publish_until(&mut publisher, SUCCESS);
    disk.fill();
    publish_until(&mut publisher, QUOTA_EXCEEDED);
    drop(subscriber);
    thread::sleep(Duration::from_secs(2));
    stop(&mut broker);
    let finished = broker.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stderr.lines().count() < 10, "{finished:?}");
}

/// A store whose syncs take for ever: strace lets each of them begin a minute late.
#[test]
fn a_broker_with_a_disk_that_hangs_stops() {
    let dir = data_dir("hanging-stop");
    let mut broker = Broker::start(&format!("--data-dir {}", dir.display()));
    let (mut subscriber, ..) = Client::connect(broker.port(), "subscriber").unwrap();
    assert_eq!(subscriber.subscribe("t").unwrap(), 1);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"]);
    strace.args(["-e", "inject=fsync,fdatasync:delay_enter=60s", "-p", &broker.id().to_string()]);
    let Ok(mut strace) = strace.spawn() else {
        eprintln!("skipped: strace is not there");
        return;
    };
    thread::sleep(Duration::from_millis(500));
    if strace.try_wait().unwrap().is_some() {
        eprintln!("skipped: strace may not trace here");
        return;
    }
    let port = broker.port().to_owned();
    let publisher = thread::spawn(move || {
        let mut publisher = Client::connect(&port, "").ok()?.0;
        publisher.publish("t", b"never acknowledged").ok()
    });
    thread::sleep(Duration::from_millis(500));
    stop(&mut broker);
    let _ = strace.kill();
    let _ = strace.wait();
    assert_eq!(broker.finish().code, Some(0));
    assert_eq!(publisher.join().unwrap(), None, "nothing is acknowledged that was not synced");
}
