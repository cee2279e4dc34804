//! What is torn, and what is flipped: a whole prefix of the groups or an error, never other bytes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use mqtt_session::{Change, Level, QueuedMessage, SessionNumber, SessionStore, Stored};
use mqtt_store::{OpenError, Store, StoreOptions};
use mqtt_testkit::Seeded;

use crate::harness::{Scratch, copy_dir, enqueue, loaded, message, progress, session};

/// What a store shows of its content.
type Content = (Vec<Stored>, Vec<QueuedMessage>);

fn content(store: &Store) -> Content {
    (loaded(store), store.read(SessionNumber(1), 0, usize::MAX).unwrap())
}

/// A closed store with some groups, and what it held after each.
struct Written {
    scratch: Scratch,
    after: Vec<Content>,
}

impl Written {
    fn new(groups: u64, level: Level) -> Self {
        let scratch = Scratch::new();
        let store = scratch.open();
        let mut after = vec![content(&store)];
        for number in 1..=groups {
            let begin = Change::Session(session(number));
            let message = format!("message {number}").into_bytes();
            store
                .commit(&[begin, enqueue(1, number, message), progress(1, number)], level)
                .unwrap();
            after.push(content(&store));
        }
        drop(store);
        let written = Self { scratch, after };
        written.journal().change(|bytes| {
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            bytes.truncate(used);
        });
        written
    }

    fn journal(&self) -> Victim {
        Victim(self.scratch.path().join("db/0.jnl"))
    }

    /// A copy that does not know what it should hold: the machine stopped before that got to the
    /// disk, or an earlier version wrote it.
    fn copy(&self) -> Copy {
        let copy = self.whole_copy();
        fs::remove_file(copy.0.path().join("STATE")).unwrap();
        copy
    }

    fn whole_copy(&self) -> Copy {
        let scratch = Scratch::new();
        copy_dir(self.scratch.path(), scratch.path());
        Copy(scratch)
    }

    /// How many groups a content has; it must be that of a whole number of groups.
    fn groups(&self, content: &Content) -> usize {
        let found = self.after.iter().position(|after| after == content);
        found.unwrap_or_else(|| panic!("not a prefix of the groups: {content:?}"))
    }
}

/// A store to be damaged.
struct Copy(Scratch);

impl Copy {
    fn journal(&self) -> Victim {
        Victim(self.0.path().join("db/0.jnl"))
    }

    /// Why it cannot be opened.
    fn journal_error(&self) -> String {
        match self.try_open() {
            Err(error @ OpenError::Damaged { .. }) => error.to_string(),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was opened"),
        }
    }

    fn try_open(&self) -> Result<Store, OpenError> {
        Store::open(self.0.path(), StoreOptions::default())
    }
}

/// A file to be damaged.
struct Victim(PathBuf);

impl Victim {
    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(&self.0).unwrap();
        change(&mut bytes);
        fs::write(&self.0, bytes).unwrap();
    }

    /// Where the groups of a journal end.
    fn group_ends(&self) -> Vec<usize> {
        const TRAILER: &[u8] = b"FJL\x03";
        let bytes = fs::read(&self.0).unwrap();
        let trailers = bytes.windows(TRAILER.len()).enumerate();
        trailers.filter(|(_, at)| *at == TRAILER).map(|(at, _)| at + TRAILER.len()).collect()
    }

    fn len(&self) -> usize {
        usize::try_from(fs::metadata(&self.0).unwrap().len()).unwrap()
    }
}

#[test]
fn a_journal_that_ends_anywhere_holds_whole_groups() {
    let written = Written::new(6, Level::Disk);
    let len = written.journal().len();
    let ends = written.journal().group_ends();
    for end in len - 220..=len {
        let copy = written.copy();
        // A file that is short, and one whose last pages were never written.
        let fill = if end % 2 == 0 { 0 } else { len - end };
        copy.journal().change(|bytes| {
            bytes.truncate(end);
            bytes.resize(end + fill, 0);
        });
        let store = copy.try_open().unwrap();
        let groups = written.groups(&content(&store));
        let whole = ends.iter().take_while(|group_end| **group_end <= end).count();
        assert_eq!((groups, store.report().groups), (whole, whole as u64), "byte {end}");
        assert_eq!(store.report().cut.is_none(), ends.contains(&end), "byte {end}");
        if end % 16 == 0 {
            goes_on(&copy, store);
        }
    }
}

/// A store that was cut keeps what comes next.
fn goes_on(copy: &Copy, store: Store) {
    store.commit(&[Change::Session(session(99))], Level::Disk).unwrap();
    let content_before = content(&store);
    drop(store);
    let store = copy.try_open().unwrap();
    assert_eq!(store.report().cut, None);
    assert_eq!(content(&store), content_before);
}

#[test]
fn a_flipped_byte_in_a_journal_loses_nothing_in_silence() {
    let written = Written::new(3, Level::Disk);
    let full = written.after.last().unwrap();
    let mut refused = 0;
    for at in 0..written.journal().len() {
        let copy = written.copy();
        copy.journal().change(|bytes| bytes[at] ^= 1 << (at % 8));
        match copy.try_open() {
            Ok(store) if store.report().cut.is_none() => {
                assert_eq!(&content(&store), full, "byte {at}");
            }
            // Nothing tells the last group from one that was being written.
            Ok(store) => assert_eq!(written.groups(&content(&store)), 2, "byte {at}"),
            Err(OpenError::Damaged { .. }) => refused += 1,
            Err(other) => panic!("byte {at}: {other:?}"),
        }
    }
    assert!(refused > written.journal().len() / 3);
}

#[test]
fn a_file_that_is_no_journal_is_refused() {
    let written = Written::new(3, Level::Disk);
    let copy = written.copy();
    copy.journal().change(|bytes| *bytes = b"# settings of another program\n".to_vec());
    let refused = copy.journal_error();
    assert!(refused.contains("is no journal"), "{refused}");
}

#[test]
fn groups_that_were_not_on_the_disk_may_be_cut_from_the_middle_on() {
    let written = Written::new(5, Level::Os);
    let copy = written.copy();
    let at = copy.journal().len() / 2;
    copy.journal().change(|bytes| bytes[at] ^= 1);
    let store = copy.try_open().unwrap();
    let cut = store.report().cut.clone().unwrap();
    let groups = written.groups(&content(&store));
    assert_eq!(groups as u64 + 1 + cut.groups, 5, "what is behind is counted: {cut:?}");
    goes_on(&copy, store);
}

#[test]
fn a_journal_that_is_missing_in_the_middle_is_noticed() {
    let written = Written::new(5, Level::Disk);
    let copy = written.copy();
    // The second and third groups are gone, and nothing is torn.
    let ends = copy.journal().group_ends();
    copy.journal().change(|bytes| drop(bytes.drain(ends[0]..ends[2])));
    let error = copy.try_open().unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
}

#[test]
fn a_journal_that_another_one_follows_is_not_cut() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let mib = message(vec![7; 1 << 20]);
    let retain = Change::Retain { topic: "large".into(), message: Some(mib) };
    store.commit(&[Change::Session(session(1))], Level::Disk).unwrap();
    // A journal is full at 64 MiB, and the next one begins with the next table after that.
    let next = scratch.path().join("db/1.jnl");
    for _ in 0..200 {
        store.commit(std::slice::from_ref(&retain), Level::Os).unwrap();
        if next.exists() {
            break;
        }
    }
    store.commit(&[Change::Session(session(2))], Level::Disk).unwrap();
    let full = content(&store);
    drop(store);
    let copy = Scratch::new();
    copy_dir(scratch.path(), copy.path());
    let store = copy.open();
    assert_eq!(store.report().cut, None);
    assert!(content(&store) == full, "both journals are read");

    // The session is in no table yet.
    let copy = Scratch::new();
    copy_dir(scratch.path(), copy.path());
    fs::remove_file(copy.path().join("db/0.jnl")).unwrap();
    let error = Store::open(copy.path(), StoreOptions::default()).unwrap_err();
    assert!(error.to_string().contains("a journal is missing"), "{error}");
    Victim(scratch.path().join("db/0.jnl")).change(|bytes| bytes[60] ^= 1);
    let error = Store::open(scratch.path(), StoreOptions::default()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
}

/// A store whose entries, and a large message, are in tables.
fn with_tables() -> (Scratch, Content) {
    let scratch = Scratch::new();
    let mut options = StoreOptions::default();
    options.memtable_bytes = 16 * 1024;
    options.apart_bytes = 1024;
    let store = Store::open(scratch.path(), options.clone()).unwrap();
    store.commit(&[Change::Session(session(1))], Level::Os).unwrap();
    for number in 1..=400 {
        let len = if number % 20 == 0 { 2000 } else { 100 };
        let message = vec![u8::try_from(number % 251).unwrap(); len];
        store.commit(&[enqueue(1, number, message)], Level::Os).unwrap();
    }
    let content = content(&store);
    drop(store);
    // What was being written out at the end is finished now.
    drop(Store::open(scratch.path(), options).unwrap());
    (scratch, content)
}

fn files(dir: &Path, into: &mut Vec<PathBuf>) {
    for file in fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else {
            into.push(path);
        }
    }
}

#[test]
fn a_flipped_byte_in_a_table_is_never_read() {
    let (scratch, full) = with_tables();
    let mut tables = Vec::new();
    files(&scratch.path().join("db/keyspaces"), &mut tables);
    let mut seeded = Seeded::new(11);
    let mut found = 0;
    for table in &tables {
        let len = usize::try_from(fs::metadata(table).unwrap().len()).unwrap();
        for _ in 0..6.min(len) {
            let at = seeded.below(len);
            let copy = Scratch::new();
            copy_dir(scratch.path(), copy.path());
            let victim = copy.path().join(table.strip_prefix(scratch.path()).unwrap());
            Victim(victim).change(|bytes| bytes[at] ^= 1 << seeded.below(8));
            if is_found(copy.path(), &full, &format!("byte {at} of {}", table.display())) {
                found += 1;
            }
        }
    }
    assert!(found > tables.len(), "{found} flips found in {} files", tables.len());
}

#[test]
fn a_list_of_tables_that_is_not_the_one_written_is_refused_and_nothing_is_deleted() {
    let (scratch, full) = with_tables();
    let mut tables = Vec::new();
    files(&scratch.path().join("db/keyspaces/6"), &mut tables);
    let is_list = |path: &Path| path.parent().is_some_and(|dir| dir.ends_with("6"));
    // A list that another one has replaced may still be there.
    let current = fs::read(scratch.path().join("db/keyspaces/6/current")).unwrap();
    let counts = u64::from_le_bytes(*current.first_chunk().unwrap());
    let counts = ["current".to_owned(), format!("v{counts}")];
    let counts = |path: &Path| counts.iter().any(|name| path.ends_with(name));
    let lists: Vec<_> = tables.iter().filter(|path| is_list(path) && counts(path)).collect();
    assert!(lists.len() >= 2, "the list, and which list counts: {lists:?}");
    for list in lists {
        let whole = fs::read(list).unwrap();
        for at in (0..whole.len()).step_by(9) {
            Victim(list.clone()).change(|bytes| bytes[at] ^= 1 << (at % 8));
            let error = Store::open(scratch.path(), StoreOptions::default()).unwrap_err();
            assert!(matches!(error, OpenError::Damaged { .. }), "{at}: {error:?}");
            fs::write(list, &whole).unwrap();
        }
        fs::remove_file(list).unwrap();
        let error = Store::open(scratch.path(), StoreOptions::default()).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        fs::write(list, whole).unwrap();
    }
    assert!(content(&scratch.open()) == full);
}

/// Whether damage was found; if it was not, everything is as it was.
fn is_found(dir: &Path, full: &Content, what: &str) -> bool {
    let store = match Store::open(dir, StoreOptions::default()) {
        Ok(store) => store,
        Err(OpenError::Damaged { .. }) => return true,
        Err(other) => panic!("{what}: {other:?}"),
    };
    let (all, page) = content(&store);
    let is_known = |found: &Stored| full.0.contains(found);
    assert!(all.iter().all(is_known), "{what}: something else is read");
    assert!(page.iter().all(|found| full.1.contains(found)), "{what}: something else is read");
    let is_less = (all.len(), page.len()) != (full.0.len(), full.1.len());
    // A message that is damaged where only a reader of its queue looks is missing among its numbers.
    let is_said = !store.take_findings().is_empty() || page.len() < full.1.len();
    assert!(is_said || !is_less, "{what}: something is lost in silence");
    is_said
}
