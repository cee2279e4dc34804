//! Files that are removed, emptied or damaged: what is lost is said, and what is left is there.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use mqtt_session::{
    Change, Level, QueuedMessage, SessionNumber, SessionStore, StoreErrorKind, Stored,
};
use mqtt_store::{OpenError, Store, StoreOptions};
use mqtt_testkit::Seeded;

use crate::harness::{Scratch, copy_dir, enqueue, loaded, message, place, progress, session};

const SESSIONS: u64 = 3;

/// What a store shows.
#[derive(Clone, Debug, PartialEq)]
struct Content {
    stored: Vec<Stored>,
    queues: BTreeMap<u64, Vec<QueuedMessage>>,
}

impl Content {
    fn of(store: &Store) -> Self {
        let page = |number| store.read(SessionNumber(number), 0, usize::MAX).unwrap();
        let stored = loaded(store);
        Self { stored, queues: (1..=SESSIONS).map(|number| (number, page(number))).collect() }
    }

    fn messages(&self) -> usize {
        self.queues.values().map(Vec::len).sum()
    }

    fn is_part_of(&self, whole: &Self) -> bool {
        self.stored.iter().all(|stored| whole.stored.contains(stored))
            && self.queues.iter().all(|(number, queue)| {
                queue.iter().all(|queued| whole.queues[number].contains(queued))
            })
    }
}

fn options() -> StoreOptions {
    let mut options = StoreOptions::default();
    options.memtable_bytes = 8 * 1024;
    options.apart_bytes = 512;
    options
}

/// A directory with tables, files of large messages, and groups that are in a journal alone.
fn written() -> (Scratch, Content) {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path(), options()).unwrap();
    let sessions = (1..=SESSIONS).map(|number| Change::Session(session(number)));
    store.commit(&sessions.collect::<Vec<_>>(), Level::Disk).unwrap();
    let blobs = scratch.path().join("db/keyspaces/7/blobs");
    let has_blob = || fs::read_dir(&blobs).is_ok_and(|mut files| files.next().is_some());
    let is_enough = |number: &u64| *number > 120 && has_blob();
    for number in (1..2000).take_while(|number| !is_enough(number)) {
        let len = if number % 10 == 0 { 900 } else { 60 };
        let payload = vec![u8::try_from(number % 251).unwrap(); len];
        let retain = Change::Retain {
            topic: format!("retained/{number}").into(),
            message: Some(message(payload.clone())),
        };
        let places = vec![place(2, number), place(3, number)];
        let fan_out =
            Change::Enqueue { message: message(payload.clone()), shared: Some(number), places };
        let group = [enqueue(1, number, payload), fan_out, retain];
        store.commit(&group, Level::Disk).unwrap();
    }
    store.commit(&[progress(1, 1), progress(2, 1), progress(3, 1)], Level::Disk).unwrap();
    let content = Content::of(&store);
    drop(store);
    // What was being written out at the end is finished now.
    drop(Store::open(scratch.path(), options()).unwrap());
    (scratch, content)
}

fn copy_of(scratch: &Scratch) -> Scratch {
    let copy = Scratch::new();
    copy_dir(scratch.path(), copy.path());
    copy
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut rest = vec![dir.to_owned()];
    while let Some(dir) = rest.pop() {
        for file in fs::read_dir(dir).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() { rest.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// The used part of a file: journals have zeros at their end.
fn used(path: &Path) -> usize {
    let bytes = fs::read(path).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// What the store says of a damaged directory; it must not be silent about what is lost.
fn is_honest(dir: &Path, whole: &Content, what: &str) {
    let store = match Store::open(dir, options()) {
        Ok(store) => store,
        Err(OpenError::NewerFormat { .. }) => return,
        Err(OpenError::Damaged { .. }) => return is_salvaged(dir, whole, what),
        Err(other) => panic!("{what}: {other:?}"),
    };
    let content = Content::of(&store);
    assert!(content.is_part_of(whole), "{what}: something is there that was never kept");
    let unread = whole.messages() - content.messages();
    let mut findings = store.take_findings();
    let is_said = !findings.is_empty() || unread > 0;
    assert!(is_said || content.stored == whole.stored, "{what}: something is lost in silence");
    // It goes on, and nobody is locked out.
    store.commit(&[enqueue(1, 999, b"new".to_vec())], Level::Disk).unwrap();
    let before = Content::of(&store);
    drop(store);
    let store = Store::open(dir, options()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let after = Content::of(&store);
    // The next start reads file by file, and may find more; what was there stays.
    let before = Content { stored: Vec::new(), ..before };
    assert!(before.is_part_of(&after), "{what}: the next start has something else");
    findings.extend(store.take_findings());
    assert!(unread == 0 || !findings.is_empty(), "{what}: messages are lost in silence");
}

/// What can be read of a directory that is refused is found in another, and what cannot is said.
fn is_salvaged(dir: &Path, whole: &Content, what: &str) {
    let to = Scratch::new();
    let survey = mqtt_store::salvage(dir, to.path(), &options()).unwrap();
    assert!(!survey.findings.is_empty(), "{what}: nothing is wrong with it");
    let store = Store::open(to.path(), options()).unwrap();
    let content = Content::of(&store);
    assert_eq!(store.take_findings(), Vec::<String>::new(), "{what}");
    assert!(content.is_part_of(whole), "{what}: something is there that was never kept");
    let messages: u64 = content.queues.values().map(|queue| queue.len() as u64).sum();
    assert_eq!(messages, survey.messages, "{what}");
    store.commit(&[enqueue(1, 999, b"new".to_vec())], Level::Disk).unwrap();
}

#[test]
fn what_is_whole_is_salvaged_whole_and_checked_without_a_finding() {
    let (scratch, whole) = written();
    let before = files(scratch.path()).into_iter().map(|path| fs::read(path).unwrap());
    let before: Vec<_> = before.collect();
    let survey = mqtt_store::check(scratch.path()).unwrap();
    assert_eq!(survey.findings, Vec::<String>::new());
    assert_eq!((survey.sessions, survey.messages), (3, whole.messages() as u64));
    let to = Scratch::new();
    mqtt_store::salvage(scratch.path(), to.path(), &options()).unwrap();
    let after = files(scratch.path()).into_iter().map(|path| fs::read(path).unwrap());
    assert!(after.eq(before), "it was changed");
    assert_eq!(Content::of(&Store::open(to.path(), options()).unwrap()), whole);
    let refused = mqtt_store::salvage(scratch.path(), to.path(), &options()).unwrap_err();
    assert!(refused.to_string().contains("there is something in it"), "{refused}");
    let open = Store::open(scratch.path(), options()).unwrap();
    let refused = mqtt_store::check(scratch.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    drop(open);
}

/// Does something to a file.
type Damage = Box<dyn Fn(&Path)>;

#[test]
fn whatever_happens_to_a_file_nothing_is_lost_in_silence() {
    let (scratch, whole) = written();
    let mut seeded = Seeded::new(7);
    for (turn, file) in files(scratch.path()).into_iter().enumerate() {
        let name = file.strip_prefix(scratch.path()).unwrap();
        let len = used(&file);
        let mut damages: Vec<(String, Damage)> = Vec::new();
        damages.push(match turn % 2 {
            0 => ("removed".into(), Box::new(|path| fs::remove_file(path).unwrap())),
            _ => ("emptied".into(), Box::new(|path| fs::write(path, "").unwrap())),
        });
        if len > 0 {
            let (at, bit) = (seeded.below(len), seeded.below(8));
            let flip = move |path: &Path| change(path, |bytes| bytes[at] ^= 1 << bit);
            let cut = move |path: &Path| change(path, |bytes| bytes.truncate(at));
            let clear = move |path: &Path| {
                change(path, |bytes| {
                    bytes.iter_mut().skip(at).take(512).for_each(|byte| *byte = 0);
                });
            };
            // Not everything for each file, to be done in time.
            damages.push(match turn % 3 {
                0 => (format!("flipped at byte {at}"), Box::new(flip)),
                1 => (format!("cut at byte {at}"), Box::new(cut)),
                _ => (format!("cleared from byte {at}"), Box::new(clear)),
            });
        }
        for (how, damage) in damages {
            let copy = copy_of(&scratch);
            damage(&copy.path().join(name));
            is_honest(copy.path(), &whole, &format!("{} {how}", name.display()));
        }
    }
}

/// Why a directory is not opened.
fn refusal(dir: &Path) -> String {
    match Store::open(dir, options()) {
        Err(error @ OpenError::Damaged { .. }) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[test]
fn a_journal_that_is_gone_is_no_empty_start() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store
        .commit(&[Change::Session(session(1)), enqueue(1, 1, b"x".to_vec())], Level::Disk)
        .unwrap();
    let crashed = copy_of(&scratch);
    drop(store);
    for whole in [&scratch, &crashed] {
        for is_removed in [true, false] {
            let copy = copy_of(whole);
            let journal = copy.path().join("db/0.jnl");
            match is_removed {
                true => fs::remove_file(&journal).unwrap(),
                false => fs::write(&journal, "").unwrap(),
            }
            for _ in 0..2 {
                let refusal = refusal(copy.path());
                assert!(refusal.contains("the journal is missing or empty"), "{refusal}");
                assert!(refusal.contains("surgemq store salvage"), "{refusal}");
            }
        }
    }
}

#[test]
fn a_group_that_is_missing_at_the_end_is_noticed_when_it_was_on_the_disk() {
    const TRAILER: &[u8] = b"FJL\x03";
    let scratch = Scratch::new();
    let store = scratch.open();
    for number in 1..=3 {
        store.commit(&[Change::Session(session(number))], Level::Disk).unwrap();
    }
    let crashed = copy_of(&scratch);
    drop(store);
    for whole in [&scratch, &crashed] {
        let copy = copy_of(whole);
        change(&copy.path().join("db/0.jnl"), |bytes| {
            bytes.truncate(used(&whole.path().join("db/0.jnl")));
            let ends = bytes.windows(TRAILER.len()).enumerate().filter(|(_, at)| *at == TRAILER);
            let ends: Vec<_> = ends.map(|(at, _)| at + TRAILER.len()).collect();
            bytes.truncate(ends[1]);
        });
        let refusal = refusal(copy.path());
        assert!(refusal.contains("the journal ends too early"), "{refusal}");
    }
}

#[test]
fn a_database_that_is_gone_is_no_new_directory() {
    let scratch = Scratch::new();
    drop(scratch.open());
    fs::remove_dir_all(scratch.path().join("db")).unwrap();
    assert!(refusal(scratch.path()).contains("db is missing"));
}

#[test]
fn one_damaged_message_costs_that_message() {
    let (scratch, whole) = written();
    let blobs = scratch.path().join("db/keyspaces/7/blobs");
    let blob = files(&blobs).into_iter().next().unwrap();
    change(&blob, |bytes| bytes[100] ^= 1);
    let store = Store::open(scratch.path(), options()).unwrap();
    let content = Content::of(&store);
    let lost = whole.messages() - content.messages();
    assert!(lost == 1 || lost == 2, "one message, of one session or of two: {lost}");
    assert_eq!(store.take_findings(), Vec::<String>::new());
    drop(store);
    // The next start looks closer, and is rid of it.
    let store = Store::open(scratch.path(), options()).unwrap();
    let findings = store.take_findings();
    assert!(findings.iter().any(|line| line.contains("messages of queues")), "{findings:?}");
    assert_eq!(Content::of(&store).queues, content.queues);
    drop(store);
    let store = Store::open(scratch.path(), options()).unwrap();
    assert_eq!(store.take_findings(), Vec::<String>::new());
    assert_eq!(Content::of(&store).queues, content.queues);
}

#[test]
fn a_directory_that_goes_under_the_store_is_noticed_before_the_next_group_is_kept() {
    let removals: [fn(&Path); 4] = [
        |dir| fs::remove_dir_all(dir).unwrap(),
        |dir| fs::remove_dir_all(dir.join("db")).unwrap(),
        |dir| fs::remove_file(dir.join("db/0.jnl")).unwrap(),
        |dir| fs::rename(dir, dir.with_extension("moved")).unwrap(),
    ];
    for remove in removals {
        let scratch = Scratch::new();
        let store = scratch.open();
        store.commit(&[Change::Session(session(1))], Level::Disk).unwrap();
        remove(scratch.path());
        for level in [Level::Disk, Level::Os] {
            let error = store.commit(&[Change::Session(session(2))], level).unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Failed);
            assert!(error.what.contains("was removed, moved or replaced"), "{error}");
        }
        drop(store);
        let _ = fs::remove_dir_all(scratch.path().with_extension("moved"));
    }
}

#[test]
fn tables_that_are_damaged_under_the_store_cost_what_stands_in_them_and_not_the_next_start() {
    let (scratch, whole) = written();
    let store = Store::open(scratch.path(), options()).unwrap();
    for table in files(&scratch.path().join("db/keyspaces/8/tables")) {
        change(&table, |bytes| bytes[40] ^= 1);
    }
    // The engine stops when it merges them, and does not get over it.
    let retain = |number: u64| Change::Retain {
        topic: format!("retained/{}", number % 50).into(),
        message: Some(message(vec![1; 300])),
    };
    let mut groups = 0..20_000_u64;
    let failed = groups.find_map(|number| store.commit(&[retain(number)], Level::Os).err());
    assert!(failed.is_some(), "the tables were never merged");
    drop(store);
    for is_first in [true, false] {
        let store = Store::open(scratch.path(), options()).unwrap();
        assert_eq!(store.take_findings().is_empty(), !is_first);
        assert_eq!(Content::of(&store).queues, whole.queues, "they are in other tables");
        let mut groups = 0..2000_u64;
        assert!(groups.all(|number| store.commit(&[retain(number)], Level::Os).is_ok()));
    }
}

#[test]
fn a_rebuild_that_was_interrupted_is_finished() {
    let (scratch, whole) = written();
    let database = scratch.path().join("db");
    // Between the two renames.
    fs::rename(&database, scratch.path().join("db.rebuilt")).unwrap();
    fs::create_dir(scratch.path().join("db.damaged-1")).unwrap();
    let store = Store::open(scratch.path(), options()).unwrap();
    assert_eq!(Content::of(&store), whole);
}
