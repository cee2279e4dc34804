//! What is kept for clients is for the broker's user alone.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::harness::{Broker, Process, data_dir};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// Everything in a directory, and the directory, that others may read or change.
fn open_to_others(dir: &Path) -> Vec<PathBuf> {
    let mut open = Vec::new();
    let mut rest = vec![dir.to_owned()];
    while let Some(path) = rest.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("it can be read");
            rest.extend(entries.map(|entry| entry.expect("it can be read").path()));
        }
        if mode(&path) & 0o077 != 0 {
            open.push(path);
        }
    }
    open
}

/// A broker with queued messages, some of which get into a table.
fn run_once(dir: &Path) {
    let options = format!("--data-dir {} --store-memtable 1000", dir.display());
    let broker = Broker::start(&options);
    broker.tool("sub -V 5 -c -i me -t a/# -q 1 -E").finish().expect_success();
    let lines = "a message that is long enough to fill a table with some others\n".repeat(40);
    broker.tool("pub -t a/b -q 1 -l").give(lines.as_bytes()).finish().expect_success();
    broker.signal("TERM");
    broker.finish();
}

#[test]
fn a_directory_that_was_open_to_everybody_is_closed() {
    let dir = data_dir("open-to-everybody");
    fs::create_dir_all(&dir).unwrap();
    set_mode(&dir, 0o755);
    run_once(&dir);
    assert_eq!(open_to_others(&dir), Vec::<PathBuf>::new());
    // As an earlier version left it.
    for file in ["LOCK", "FORMAT", "db/0.jnl", "db/keyspaces/6/current"] {
        set_mode(&dir.join(file), 0o644);
    }
    for directory in ["db/keyspaces", "db", "."] {
        set_mode(&dir.join(directory), 0o755);
    }
    run_once(&dir);
    assert_eq!(open_to_others(&dir), Vec::<PathBuf>::new());
}

#[test]
fn a_directory_with_other_things_stays_as_it_is_and_what_is_ours_in_it_is_closed() {
    let dir = data_dir("with-other-things");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("other"), "not ours").unwrap();
    set_mode(&dir.join("other"), 0o644);
    set_mode(&dir, 0o755);
    run_once(&dir);
    assert_eq!((mode(&dir), mode(&dir.join("other"))), (0o755, 0o644));
    for ours in ["db", "LOCK", "FORMAT"] {
        assert_eq!(open_to_others(&dir.join(ours)), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_directory_that_everybody_may_change_is_refused_with_what_to_do() {
    let dir = data_dir("for-everybody");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("other"), "not ours").unwrap();
    set_mode(&dir, 0o777);
    let arguments = format!("serve --listen 127.0.0.1:0 --data-dir {}", dir.display());
    Process::start(&arguments).finish().expect_failure(1, "chmod go=");
}
