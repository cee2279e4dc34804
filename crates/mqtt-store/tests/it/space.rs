//! What finished messages took of the disk comes back by itself.

use std::{
    fs, io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use mqtt_session::{
    Change, FinishedEntry, Level, Progress, SessionNumber, SessionStore, StoreErrorKind,
};
use mqtt_store::{Store, StoreOptions};

use crate::{
    harness::{Scratch, enqueue, session},
    room::SmallDisk,
};

/// How long space may take to come back on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(6);

/// What is left alone of garbage, in bytes, and what empty tables and journals take.
const SMALL_CHANGE: u64 = 4 << 20;

/// Two sizes of messages: within their entries, and kept apart from them.
const SIZES: [usize; 2] = [3000, 200_000];

fn options() -> StoreOptions {
    let mut options = StoreOptions::default();
    options.memtable_bytes = 1 << 20;
    options.reclaim_every = Duration::from_millis(100);
    options
}

fn open(dir: &Path) -> Store {
    Store::open(dir, options()).unwrap()
}

/// A store with sessions 1 and 2, which take turns with `count` messages of this size.
fn two_queues(dir: &Path, size: usize, count: u64) -> Store {
    let store = open(dir);
    let sessions = [1, 2].map(|number| Change::Session(session(number)));
    store.commit(&sessions, Level::Disk).unwrap();
    for seq in 1..=count {
        let byte = u8::try_from(seq % 251).unwrap();
        let group = [1, 2].map(|number| enqueue(number, seq, vec![byte; size]));
        store.commit(&group, Level::Os).unwrap();
    }
    store
}

/// A session finishes its messages, up to this one.
fn finish(number: u64, up_to: u64) -> Change {
    let finished = (1..=up_to).map(|seq| FinishedEntry { seq, shared: None }).collect();
    let head = up_to + 1;
    let progress = Progress { head, sent: head, settled: Vec::new() };
    Change::Progress { session: SessionNumber(number), progress, finished }
}

/// What a directory takes of the disk, in bytes.
fn taken(dir: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for file in fs::read_dir(dir)? {
        let file = file?;
        bytes += match file.metadata() {
            Ok(found) if found.is_dir() => taken(&file.path())?,
            Ok(found) => found.blocks() * 512,
            // It was removed meanwhile.
            Err(_) => 0,
        };
    }
    Ok(bytes)
}

/// Waits until a directory takes no more than this.
fn wait_until_taken(dir: &Path, bytes_max: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let bytes = taken(dir).unwrap_or(u64::MAX);
        if bytes <= bytes_max {
            return;
        }
        assert!(Instant::now() < deadline, "{bytes} bytes are taken, not {bytes_max}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn count(store: &Store, number: u64) -> usize {
    store.read(SessionNumber(number), 0, usize::MAX).unwrap().len()
}

#[test]
fn a_queue_that_was_drained_leaves_the_disk() {
    for size in SIZES {
        let scratch = Scratch::new();
        let messages = 12_000_000 / size as u64;
        let store = two_queues(scratch.path(), size, messages);
        assert!(taken(scratch.path()).unwrap() > 24_000_000);
        store.commit(&[finish(1, messages), finish(2, messages)], Level::Disk).unwrap();
        wait_until_taken(scratch.path(), SMALL_CHANGE);
        store.commit(&[enqueue(1, messages + 1, vec![7; size])], Level::Disk).unwrap();
        drop(store);
        let store = open(scratch.path());
        assert_eq!((count(&store, 1), count(&store, 2)), (1, 0));
    }
}

#[test]
fn what_lives_stays_and_little_more() {
    for size in SIZES {
        let scratch = Scratch::new();
        let messages = 12_000_000 / size as u64;
        let store = two_queues(scratch.path(), size, messages);
        store.commit(&[finish(1, messages), finish(2, messages / 2)], Level::Disk).unwrap();
        let lives = messages / 2 * size as u64;
        wait_until_taken(scratch.path(), lives + lives / 5 + SMALL_CHANGE);
        let page = store.read(SessionNumber(2), 0, usize::MAX).unwrap();
        assert_eq!(page.len() as u64, messages - messages / 2);
        for (queued, seq) in page.iter().zip(messages / 2 + 1..) {
            assert_eq!(queued.place.seq, seq);
            assert!(queued.message.frames.iter().all(|byte| u64::from(*byte) == seq % 251));
        }
    }
}

#[test]
fn a_store_that_is_opened_again_finds_the_garbage_of_the_one_before() {
    for size in SIZES {
        let scratch = Scratch::new();
        let messages = 12_000_000 / size as u64;
        let mut late = options();
        late.reclaim_every = Duration::from_secs(3600);
        drop(two_queues(scratch.path(), size, messages));
        let store = Store::open(scratch.path(), late).unwrap();
        store.commit(&[finish(1, messages), finish(2, messages)], Level::Disk).unwrap();
        drop(store);
        assert!(taken(scratch.path()).unwrap() > 12_000_000);
        let store = open(scratch.path());
        wait_until_taken(scratch.path(), SMALL_CHANGE);
        drop(store);
    }
}

/// Fills a disk with its own queue, again and again: what was drained has to make room each time.
#[test]
fn a_disk_that_its_own_queues_fill_is_filled_again_when_they_are_drained() {
    for size in [3000, 1_000_000] {
        let Some(disk) = SmallDisk::mount(48) else { return };
        let dir = disk.path().join("data");
        let mut options = StoreOptions::default();
        options.reclaim_every = Duration::from_millis(100);
        let mut store = Store::open(&dir, options.clone()).unwrap();
        store.commit(&[Change::Session(session(1))], Level::Disk).unwrap();
        let mut next = 1;
        for round in 0..3 {
            let first = next;
            let deadline = Instant::now() + PATIENCE;
            // Ten megabytes at least, each time.
            while (next - first) * (size as u64) < 10_000_000 {
                match store.commit(&[enqueue(1, next, vec![1; size])], Level::Disk) {
                    Ok(()) => next += 1,
                    Err(error) => {
                        assert_eq!(error.kind, StoreErrorKind::Full);
                        assert!(Instant::now() < deadline, "round {round}: {error}");
                        thread::sleep(Duration::from_millis(50));
                    }
                }
            }
            while store.commit(&[enqueue(1, next, vec![1; size])], Level::Disk).is_ok() {
                next += 1;
            }
            if round == 1 {
                drop(store);
                store = Store::open(&dir, options.clone()).unwrap();
            }
            let finished = (first..next).map(|seq| FinishedEntry { seq, shared: None }).collect();
            let progress = Progress { head: next, sent: next, settled: Vec::new() };
            let done = Change::Progress { session: SessionNumber(1), progress, finished };
            store.commit(&[done], Level::Disk).expect("draining needs no room of its own");
        }
    }
}
