//! Brings the journal to the disk behind the scenes, where nobody waits for the disk.
//!
//! The engine syncs its journal whenever it writes a table, and takes no group meanwhile. Where
//! groups come faster than anybody asks for a sync, that is many megabytes at a time: every sixteen
//! of them, groups stood still for 20 ms. So what was written is synced every few megabytes from
//! here, without the engine's lock, and the engine finds little left to do.
//!
//! Nothing relies on it. An error is not lost either: the operating system tells it to every handle
//! of the file, so the engine hears it with its own next sync.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use crate::journal;

/// So many bytes are synced at once.
const STEP_BYTES: u64 = 4 * 1024 * 1024;

/// Syncs the journals of a database in a thread, which begins when there is something to do.
#[derive(Debug)]
pub(crate) struct Presync {
    database: PathBuf,
    unsynced_bytes: u64,
    worker: Option<Worker>,
}

#[derive(Debug)]
struct Worker {
    wanted: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Presync {
    pub(crate) fn new(database: PathBuf) -> Self {
        Self { database, unsynced_bytes: 0, worker: None }
    }

    /// So many bytes were written, and are left to the operating system.
    pub(crate) fn written(&mut self, bytes: u64) {
        self.unsynced_bytes = self.unsynced_bytes.saturating_add(bytes);
        if self.unsynced_bytes >= STEP_BYTES {
            self.unsynced_bytes = 0;
            self.start();
        }
    }

    /// Everything that was written is on the disk.
    pub(crate) fn synced(&mut self) {
        self.unsynced_bytes = 0;
    }

    fn start(&mut self) {
        if self.worker.is_none() {
            self.worker = Worker::spawn(self.database.clone());
        }
        if let Some(worker) = &self.worker {
            // One sync is enough for all that was written until it begins.
            let _full_or_gone = worker.wanted.try_send(());
        }
    }
}

impl Drop for Presync {
    fn drop(&mut self) {
        if let Some(Worker { wanted, thread }) = self.worker.take() {
            drop(wanted);
            let _panicked = thread.join();
        }
    }
}

impl Worker {
    /// `None` where there can be no other thread: then the engine waits as it did before.
    fn spawn(database: PathBuf) -> Option<Self> {
        let (wanted, asked) = sync_channel(1);
        let work = move || sync_when_asked(&database, &asked);
        let thread = thread::Builder::new().name("store-presync".to_owned()).spawn(work).ok()?;
        Some(Self { wanted, thread })
    }
}

fn sync_when_asked(database: &Path, asked: &Receiver<()>) {
    while asked.recv().is_ok() {
        // It is opened each time, because the engine begins another now and then, and because a
        // store that runs out of room has to see all of them closed.
        if let Some(file) = journal::newest(database).and_then(|path| File::open(path).ok()) {
            let _told_to_the_engine = file.sync_data();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_begins_when_there_is_something_to_do() {
        let mut presync = Presync::new(PathBuf::from("/nowhere"));
        presync.written(STEP_BYTES - 1);
        assert!(presync.worker.is_none());
        presync.synced();
        presync.written(STEP_BYTES - 1);
        assert!(presync.worker.is_none(), "nothing was left to do");
        presync.written(1);
        assert!(presync.worker.is_some());
        assert_eq!(presync.unsynced_bytes, 0);
    }
}
