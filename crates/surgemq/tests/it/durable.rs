//! What a broker finds again that was killed.

use crate::harness::{Broker, Process, data_dir};

/// Starts a broker that keeps its data there.
fn start(dir: &std::path::Path) -> Broker {
    Broker::start(&format!("--data-dir {}", dir.display()))
}

#[test]
fn a_killed_broker_has_what_it_acknowledged() {
    let dir = data_dir("killed");
    let broker = start(&dir);
    broker.tool("sub -V 5 -c -i me -t a/# -q 2 -E").finish().expect_success();
    for number in 0..5 {
        broker.publish(&format!("-t a/b -q {} -m {number}", 1 + number % 2));
    }
    broker.publish("-t kept -q 1 -r -m retained");
    broker.signal("KILL");
    assert_eq!(broker.finish().code, None);

    let broker = start(&dir);
    let printed = broker.tool("sub -V 5 -c -i me -t a/# -q 2 -C 5").finish().expect_success();
    assert_eq!(String::from_utf8_lossy(&printed), "0\n1\n2\n3\n4\n");
    let printed = broker.tool("sub -t kept -C 1").finish().expect_success();
    assert_eq!(String::from_utf8_lossy(&printed), "retained\n");
}

#[test]
fn a_directory_that_cannot_be_made_is_named_with_what_to_do() {
    let scratch = data_dir("in-the-way");
    std::fs::create_dir_all(&scratch).unwrap();
    let file = scratch.join("file");
    std::fs::write(&file, "not a directory").unwrap();
    let dir = file.join("data");
    let arguments = format!("serve --listen 127.0.0.1:0 --data-dir {}", dir.display());
    let finished = Process::start(&arguments).finish();
    assert!(finished.stderr.contains("cannot make the directory"), "{finished:?}");
    finished.expect_failure(1, "--data-dir, or keep everything in memory with --in-memory");
}

#[test]
fn one_broker_has_the_data_directory() {
    let dir = data_dir("locked");
    let broker = start(&dir);
    let second =
        Process::start(&format!("serve --listen 127.0.0.1:0 --data-dir {}", dir.display()));
    second.finish().expect_failure(1, "is in use by process");
    broker.signal("TERM");
    let said = broker.finish().stderr;
    assert!(said.contains("0 sessions with 0 messages are kept"), "{said}");
    drop(start(&dir));
}
