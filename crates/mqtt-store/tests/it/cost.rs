//! What messages cost on the disk, and how large ones get there.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use mqtt_session::{Change, FinishedEntry, Level, Progress, SessionNumber, SessionStore};

use crate::harness::{Scratch, enqueue, message, place, session};

/// What the journals take on the disk: they are made with 64 MiB that take nothing.
fn journal_bytes(dir: &Path) -> u64 {
    let files = fs::read_dir(dir.join("db")).unwrap().map(|file| file.unwrap());
    let journals = files.filter(|file| file.path().extension().is_some_and(|name| name == "jnl"));
    journals.map(|file| file.metadata().unwrap().blocks() * 512).sum()
}

#[test]
fn a_fan_out_to_twenty_sessions_costs_one_stored_message() {
    const SESSIONS: u64 = 20;
    const BYTES: usize = 100_000;
    let scratch = Scratch::new();
    let store = scratch.open();
    let sessions: Vec<_> = (1..=SESSIONS).map(|number| Change::Session(session(number))).collect();
    store.commit(&sessions, Level::Os).unwrap();
    let before = journal_bytes(scratch.path());
    let places = (1..=SESSIONS).map(|number| place(number, 1)).collect();
    let message = message(vec![b'x'; BYTES]);
    store.commit(&[Change::Enqueue { message, shared: Some(1), places }], Level::Os).unwrap();
    assert_eq!(store.messages_kept().unwrap(), 1);
    let written = journal_bytes(scratch.path()) - before;
    assert!((90_000..180_000).contains(&written), "{written}");

    for number in 1..=SESSIONS {
        let session = SessionNumber(number);
        let queue = store.read(session, 1, usize::MAX).unwrap();
        assert_eq!(queue[0].message.frames, vec![b'x'; BYTES]);
        let progress = Progress { head: 2, sent: 2, settled: Vec::new() };
        let finished = vec![FinishedEntry { seq: 1, shared: Some(1) }];
        store.commit(&[Change::Progress { session, progress, finished }], Level::Os).unwrap();
        assert_eq!(store.messages_kept().unwrap(), usize::from(number < SESSIONS));
    }
}

#[test]
fn large_messages_come_back_as_they_were_however_they_were_kept() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store.commit(&[Change::Session(session(1))], Level::Os).unwrap();
    // In the entry, copied beside it, and kept as the slice that it is.
    let lengths = [4096, 4097, 16 * 1024 - 1, 16 * 1024, 300_000];
    let bytes = |length: usize| -> Vec<u8> { (0..=250).cycle().take(length).collect() };
    let expected: Vec<_> = lengths.map(bytes).to_vec();
    let put: Vec<_> =
        (1..).zip(&expected).map(|(seq, frames)| enqueue(1, seq, frames.clone())).collect();
    store.commit(&put, Level::Os).unwrap();
    assert_eq!(store.messages_kept().unwrap(), 4);
    let frames = |store: &dyn SessionStore| -> Vec<Vec<u8>> {
        let queue = store.read(SessionNumber(1), 1, usize::MAX).unwrap();
        queue.into_iter().map(|queued| queued.message.frames.to_vec()).collect()
    };
    assert!(frames(&store) == expected);
    drop(store);
    assert!(frames(&scratch.open()) == expected);
}

/// More than the background sync waits for, and more than one journal holds.
#[test]
fn what_is_written_beside_a_background_sync_is_whole() {
    const MESSAGES: u64 = 100;
    const BYTES: usize = 1024 * 1024;
    let scratch = Scratch::new();
    let store = scratch.open();
    store.commit(&[Change::Session(session(1))], Level::Os).unwrap();
    for seq in 1..=MESSAGES {
        let frames = vec![u8::try_from(seq).unwrap(); BYTES];
        store.commit(&[enqueue(1, seq, frames)], Level::Os).unwrap();
    }
    drop(store);
    let store = scratch.open();
    assert_eq!(store.report().cut, None);
    for seq in 1..=MESSAGES {
        let queue = store.read(SessionNumber(1), seq, 1).unwrap();
        assert!(queue[0].message.frames == vec![u8::try_from(seq).unwrap(); BYTES]);
    }
}
