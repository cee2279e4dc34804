//! The directory: its lock, its format, and what a stop in the middle leaves.

use std::fs;

use mqtt_session::{Change, Level, SessionStore, Stored};
use mqtt_store::{OpenError, Store, StoreOptions};

use crate::harness::{Scratch, loaded, session};

#[test]
fn a_second_opener_is_told_who_has_the_directory() {
    let scratch = Scratch::new();
    let first = scratch.open();
    let error = Store::open(scratch.path(), StoreOptions::default()).unwrap_err();
    let OpenError::Locked { dir, pid } = &error else { panic!("{error:?}") };
    assert_eq!((dir.as_path(), *pid), (scratch.path(), Some(std::process::id())));
    assert!(error.to_string().contains(&scratch.path().display().to_string()), "{error}");
    drop(first);
    assert!(!scratch.open().report().created, "the lock went with the first store");
}

#[test]
fn a_later_format_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    drop(scratch.open());
    fs::write(scratch.path().join("FORMAT"), "3\n").unwrap();
    let error = Store::open(scratch.path(), StoreOptions::default()).unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { found: 3, known: 2, .. }), "{error:?}");
    fs::write(scratch.path().join("FORMAT"), "2\n").unwrap();
    scratch.open();
}

#[test]
fn a_format_that_cannot_be_read_is_not_taken_for_a_new_directory() {
    let scratch = Scratch::new();
    drop(scratch.open());
    let format = scratch.path().join("FORMAT");
    for damage in [Some("one"), None] {
        match damage {
            Some(text) => fs::write(&format, text).unwrap(),
            None => fs::remove_file(&format).unwrap(),
        }
        let error = Store::open(scratch.path(), StoreOptions::default()).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    }
}

#[test]
fn a_directory_that_was_not_finished_is_made_again() {
    let scratch = Scratch::new();
    drop(scratch.open());
    let database = scratch.path().join("db");
    // The machine stopped before the rename: any part of the database may be there.
    let unfinished = scratch.path().join("db.new");
    fs::rename(&database, &unfinished).unwrap();
    fs::remove_file(unfinished.join("version")).unwrap();
    fs::remove_file(scratch.path().join("STATE")).unwrap();
    let store = scratch.open();
    assert!(store.report().created && store.report().unknown);
    assert!(!unfinished.exists());
    assert_eq!(loaded(&store), []);
}

#[test]
fn groups_are_counted_over_a_restart() {
    let scratch = Scratch::new();
    let store = scratch.open();
    assert!(store.report().created);
    store.commit(&[Change::Session(session(1))], Level::Disk).unwrap();
    store.commit(&[Change::Session(session(2))], Level::Os).unwrap();
    drop(store);
    let store = scratch.open();
    assert_eq!((store.report().groups, store.report().cut.clone()), (2, None));
    assert_eq!(loaded(&store), [session(1), session(2)].map(Stored::Session));
}
