//! A full disk: nothing of a group is kept, and later groups are when there is room again.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use mqtt_session::{
    Change, FinishedEntry, Level, Progress, SessionNumber, SessionStore, StoreError, StoreErrorKind,
};
use mqtt_store::{Store, StoreOptions};

use crate::harness::{Scratch, enqueue, progress, session};

fn kind(result: Result<(), StoreError>) -> Result<(), StoreErrorKind> {
    result.map_err(|error| error.kind)
}

/// A small file system in memory, where mounting is permitted.
pub(crate) struct SmallDisk(Scratch);

impl SmallDisk {
    pub(crate) fn mount(mib: u32) -> Option<Self> {
        let scratch = Scratch::new();
        fs::create_dir_all(scratch.path()).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "none"]).arg(scratch.path());
        let status = mount.stderr(Stdio::null()).status().ok()?;
        if !status.success() {
            eprintln!("skipped: a small disk cannot be mounted here, which takes root");
        }
        status.success().then_some(Self(scratch))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all room but this many bytes.
    fn fill(&self, leave: u64) {
        let free = rustix::fs::statvfs(self.path()).unwrap();
        let free = free.f_bavail * free.f_frsize;
        let taken = usize::try_from(free.saturating_sub(leave)).unwrap();
        fs::write(self.path().join("other"), vec![1; taken]).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.path().join("other")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

fn group(number: u64) -> [Change; 2] {
    [enqueue(1, number, vec![u8::try_from(number % 251).unwrap(); 3000]), progress(1, number)]
}

/// Commits until there is no room; how many groups were kept.
fn commit_until_full(store: &Store, from: u64) -> u64 {
    for number in from.. {
        match kind(store.commit(&group(number), Level::Disk)) {
            Ok(()) => {}
            Err(StoreErrorKind::Full) => return number,
            Err(other) => panic!("{other:?} at group {number}"),
        }
        assert!(number < 100_000, "the disk is never full");
    }
    unreachable!()
}

/// Commits a group for which there is room: at the latest when the engine is tried again.
fn commit_when_it_is_taken(store: &Store, number: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(refused) = kind(store.commit(&group(number), Level::Disk)) {
        assert_eq!(refused, StoreErrorKind::Full);
        assert!(Instant::now() < deadline, "there is room, and nothing is taken");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What stands in the queue: at the latest when the engine is tried again.
fn seqs(store: &Store) -> Vec<u64> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match store.read(SessionNumber(1), 0, usize::MAX) {
            Ok(page) => return page.into_iter().map(|queued| queued.place.seq).collect(),
            Err(error) => assert_eq!(error.kind, StoreErrorKind::Full),
        }
        assert!(Instant::now() < deadline, "the queue cannot be read");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Fills a small disk, and expects what is kept to be just what was said to be kept.
fn fills_up_and_recovers(options: &StoreOptions, leave: u64) {
    let Some(disk) = SmallDisk::mount(64) else {
        return;
    };
    let dir = disk.path().join("data");
    let store = Store::open(&dir, options.clone()).unwrap();
    store.commit(&[Change::Session(session(1))], Level::Disk).unwrap();
    store.commit(&group(1), Level::Disk).unwrap();
    disk.fill(leave);
    let mut next = commit_until_full(&store, 2);
    for _ in 0..3 {
        // Tables that are merged in the background may make room.
        match kind(store.commit(&group(next), Level::Disk)) {
            Ok(()) => next += 1,
            refused => assert_eq!(refused, Err(StoreErrorKind::Full)),
        }
    }
    assert_eq!(seqs(&store), (1..next).collect::<Vec<_>>());

    disk.free();
    commit_when_it_is_taken(&store, next);
    for number in next + 1..next + 200 {
        store.commit(&group(number), Level::Disk).unwrap();
    }
    next += 200;
    assert_eq!(seqs(&store), (1..next).collect::<Vec<_>>());
    drop(store);
    let store = Store::open(&dir, options.clone()).unwrap();
    assert_eq!(store.report().cut, None);
    assert_eq!(seqs(&store), (1..next).collect::<Vec<_>>());
}

#[test]
fn the_reserve_keeps_a_full_disk_away() {
    fills_up_and_recovers(&StoreOptions::default(), 18 << 20);
}

#[test]
fn a_disk_that_is_full_in_the_middle_of_a_write_is_survived() {
    for leave in [50_000, 51_500, 53_000, 54_500, 300_000] {
        let mut options = StoreOptions::default();
        options.reserve_bytes = 0;
        fills_up_and_recovers(&options, leave);
    }
}

#[test]
fn a_disk_that_is_full_in_the_background_is_survived() {
    for leave in [1_000_000, 1_100_000, 1_300_000] {
        let mut options = StoreOptions::default();
        options.reserve_bytes = 0;
        options.memtable_bytes = 300_000;
        fills_up_and_recovers(&options, leave);
    }
}

#[test]
fn a_full_store_can_be_emptied() {
    let Some(disk) = SmallDisk::mount(64) else {
        return;
    };
    let store = Store::open(&disk.path().join("data"), StoreOptions::default()).unwrap();
    store.commit(&[Change::Session(session(1))], Level::Disk).unwrap();
    disk.fill(17 << 20);
    let next = commit_until_full(&store, 1);
    let finished = (1..next).map(|seq| FinishedEntry { seq, shared: None }).collect();
    let progress = Progress { head: next, sent: next, settled: Vec::new() };
    let done = Change::Progress { session: SessionNumber(1), progress, finished };
    store.commit(&[done], Level::Disk).unwrap();
    assert_eq!(seqs(&store), []);
}
