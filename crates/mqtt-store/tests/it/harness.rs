//! A directory for a test, and things to put into a store.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use mqtt_packet::{QoS, SubscriptionOptions};
use mqtt_session::{
    Change, Progress, QueuePlace, SessionNumber, SessionStore, Stored, StoredMessage,
    StoredSession, StoredSubscription, Wire,
};
use mqtt_store::{Store, StoreOptions};

/// A directory that goes when the test ends.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mqtt-store-it-{}-{number}", std::process::id());
        // In memory where there is such a place: what a disk adds is time.
        let memory = PathBuf::from("/dev/shm");
        let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let dir = parent.join(name);
        let _ = fs::remove_dir_all(&dir);
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(&self.0, StoreOptions::default()).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn loaded(store: &dyn SessionStore) -> Vec<Stored> {
    let mut all = Vec::new();
    store.load(&mut |stored| all.push(stored)).unwrap();
    all
}

pub(crate) fn session(number: u64) -> StoredSession {
    StoredSession {
        number: SessionNumber(number),
        client_id: format!("client-{number}").into(),
        user_name: None,
        expiry_secs: 60,
        parked_at_millis: None,
        will: None,
    }
}

pub(crate) fn subscription(session: u64, filter: &str) -> StoredSubscription {
    StoredSubscription {
        session: SessionNumber(session),
        filter: filter.into(),
        options: SubscriptionOptions::new(QoS::AtLeastOnce),
        identifier: Some(7),
    }
}

pub(crate) fn message(frames: Vec<u8>) -> StoredMessage {
    StoredMessage {
        largest: u32::try_from(frames.len()).unwrap(),
        frames: Bytes::from(frames),
        wire: Wire::V5,
        qos: QoS::AtLeastOnce,
        retain: false,
        count: 1,
        expires_at_millis: None,
    }
}

pub(crate) fn place(session: u64, seq: u64) -> QueuePlace {
    QueuePlace {
        session: SessionNumber(session),
        seq,
        granted: QoS::AtLeastOnce,
        retain: false,
        identifiers: None,
    }
}

pub(crate) fn enqueue(session: u64, seq: u64, frames: Vec<u8>) -> Change {
    Change::Enqueue { message: message(frames), shared: None, places: vec![place(session, seq)] }
}

pub(crate) fn progress(session: u64, head: u64) -> Change {
    let progress = Progress { head, sent: head, settled: Vec::new() };
    Change::Progress { session: SessionNumber(session), progress, finished: Vec::new() }
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let to = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy_dir(&file.path(), &to);
        } else {
            fs::copy(file.path(), to).unwrap();
        }
    }
}
