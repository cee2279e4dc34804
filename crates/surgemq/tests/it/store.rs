//! A data directory that is damaged: what the broker says, and what `surgemq store` does with it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::harness::{Broker, Finished, Process, data_dir};

/// A data directory with a session that has three messages waiting, and a retained message.
fn written(name: &str) -> PathBuf {
    let dir = data_dir(name);
    let broker = start(&dir);
    broker.tool("sub -V 5 -c -i me -t a/# -q 1 -E").finish().expect_success();
    let lines = b"one\ntwo\nthree\n";
    broker.tool("pub -t a/b -q 1 -l").give(lines).finish().expect_success();
    broker.publish("-t kept -q 1 -r -m retained");
    broker.signal("TERM");
    broker.finish();
    dir
}

fn start(dir: &Path) -> Broker {
    Broker::start(&format!("--data-dir {}", dir.display()))
}

fn store(line: &str) -> Finished {
    Process::start(&format!("store {line}")).finish()
}

fn waiting(broker: &Broker, count: usize) -> String {
    let sub = broker.tool(&format!("sub -V 5 -c -i me -t a/# -q 1 -C {count}"));
    String::from_utf8_lossy(&sub.finish().expect_success()).into_owned()
}

#[test]
fn a_directory_in_order_is_checked_exported_and_salvaged() {
    let dir = written("store-in-order");
    let new = data_dir("store-in-order-new");
    let checked = store(&format!("check {}", dir.display()));
    assert_eq!((checked.code, checked.stdout.len()), (Some(0), 0), "{checked:?}");
    assert!(checked.stderr.contains("1 sessions with 1 subscriptions and 3 messages, 1 retained"));
    let exported = store(&format!("export {}", dir.display()));
    let lines = String::from_utf8_lossy(&exported.stdout).into_owned();
    for part in [
        r#""client_id":"me""#,
        r#""filter":"a/#""#,
        r#""payload":"two""#,
        r#""payload":"retained""#,
        r#""topic":"a/b""#,
    ] {
        assert!(lines.contains(part), "{part} in {lines}");
    }
    assert_eq!(exported.code, Some(0));
    let salvaged = store(&format!("salvage {} --to {}", dir.display(), new.display()));
    assert_eq!(salvaged.code, Some(0), "{salvaged:?}");
    assert_eq!(waiting(&start(&new), 3), "one\ntwo\nthree\n");
    let broker = start(&dir);
    store(&format!("check {}", dir.display())).expect_failure(1, "is in use by process");
    drop(broker);
    store("check /nowhere/at-all").expect_failure(1, "cannot read /nowhere/at-all");
}

#[test]
fn a_journal_that_was_removed_is_no_empty_start() {
    for emptied in [false, true] {
        let dir = written(&format!("store-removed-{emptied}"));
        let journal = dir.join("db/0.jnl");
        match emptied {
            true => fs::write(&journal, "").expect("it is ours"),
            false => fs::remove_file(&journal).expect("it is ours"),
        }
        let arguments = format!("serve --listen 127.0.0.1:0 --data-dir {}", dir.display());
        for _ in 0..2 {
            Process::start(&arguments)
                .finish()
                .expect_failure(1, "the journal is missing or empty");
        }
        let checked = store(&format!("check {}", dir.display()));
        assert_eq!(checked.code, Some(1), "{checked:?}");
        let found = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(found.contains("what came after it is lost"), "{found}");
    }
}

#[test]
fn a_damaged_message_costs_itself_and_its_client_gets_the_others() {
    let dir = data_dir("store-damaged-message");
    let options = format!("--data-dir {} --store-memtable 4000", dir.display());
    let broker = Broker::start(&options);
    broker.tool("sub -V 5 -c -i me -t a/# -q 1 -E").finish().expect_success();
    let blobs = dir.join("db/keyspaces/7/blobs");
    let files = || fs::read_dir(&blobs).map_or(0, Iterator::count);
    let large = "x".repeat(6000);
    let mut sent = 0;
    // Messages get into a file of large ones when a table is written, which happens behind.
    while files() == 0 && sent < 200 {
        broker.tool("pub -t a/b -q 1 -s").give(large.as_bytes()).finish().expect_success();
        sent += 1;
    }
    broker.publish("-t a/b -q 1 -m last");
    broker.signal("TERM");
    broker.finish();
    let blob = fs::read_dir(&blobs).expect("it is there").next().expect("one").expect("one").path();
    let mut bytes = fs::read(&blob).expect("it is ours");
    *bytes.get_mut(1000).expect("a large message") ^= 1;
    fs::write(&blob, bytes).expect("it is ours");

    let mut broker = Broker::start(&format!("{options} --sys-interval 1"));
    let got = waiting(&broker, sent);
    assert_eq!(got.lines().filter(|line| *line == large).count(), sent - 1, "one is lost");
    assert!(got.ends_with("last\n"));
    broker.wait_for_error_text("messages of a queue are damaged: lost");
    broker.tool("sub -t $SYS/broker/messages/dropped/damaged").wait_for_output("1\n");
    drop(broker);
    let broker = Broker::start(&options);
    broker.publish("-t a/b -q 1 -m more");
    assert_eq!(waiting(&broker, 1), "more\n");
}

#[test]
fn a_directory_that_is_removed_under_the_broker_is_noticed_before_the_next_acknowledgement() {
    let dir = written("store-removed-under");
    let mut broker = start(&dir);
    fs::remove_dir_all(&dir).expect("it is ours");
    let refused = broker.tool("pub -V 5 -t a/b -q 1 -m four").finish();
    assert_ne!(refused.code, Some(0), "{refused:?}");
    broker.wait_for_error_text("was removed, moved or replaced while it was in use");
}
