//! The queue of one session in the store: where its messages begin and end, and which of them its
//! connection has.

use std::collections::VecDeque;

use mqtt_session::{FinishedEntry, InboxLimits, Progress, Settled};

/// A session's queue. The messages themselves are in the store.
#[derive(Debug)]
pub(super) struct Queue {
    /// How far the session is.
    pub(super) progress: Progress,
    /// The number that the next message gets.
    pub(super) next: u64,
    /// Entries from this one on were not given to the connection.
    pub(super) cursor: u64,
    /// Entries that were, and are not finished.
    loaded: VecDeque<Loaded>,
    /// Bytes of all entries that are not finished.
    pub(super) bytes: u64,
    /// The connection that gets messages as soon as they are written; 0 for none.
    pub(super) feeds: u64,
    /// The connection that has the session; 0 for none.
    pub(super) epoch: u64,
}

/// An entry that the connection has.
#[derive(Copy, Clone, Debug)]
pub(super) struct Loaded {
    pub(super) seq: u64,
    pub(super) count: u32,
    pub(super) bytes: u64,
    pub(super) shared: Option<u64>,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            progress: Progress { head: 1, sent: 1, settled: Vec::new() },
            next: 1,
            cursor: 1,
            loaded: VecDeque::new(),
            bytes: 0,
            feeds: 0,
            epoch: 0,
        }
    }

    /// How many of `count` more messages there is room for.
    pub(super) fn room(&self, count: u32, limits: &InboxLimits) -> u32 {
        if self.bytes >= limits.bytes_max as u64 {
            return 0;
        }
        let left = (limits.messages_max as u64).saturating_sub(self.messages());
        u32::try_from(left).unwrap_or(u32::MAX).min(count)
    }

    /// Messages that are not finished.
    pub(super) fn messages(&self) -> u64 {
        let done = self.progress.settled.iter().filter(|(_, settled)| *settled == Settled::Done);
        (self.next - self.progress.head.min(self.next)).saturating_sub(done.count() as u64)
    }

    /// Messages that no connection has.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn on_disk(&self) -> u64 {
        if self.epoch == 0 { self.messages() } else { self.next - self.cursor }
    }

    /// The connection was given an entry.
    pub(super) fn load(&mut self, entry: Loaded) {
        self.cursor = entry.seq + u64::from(entry.count);
        self.loaded.push_back(entry);
    }

    /// The session got on; answers the entries that are used up.
    pub(super) fn advance(&mut self, progress: Progress) -> Vec<FinishedEntry> {
        let mut finished = Vec::new();
        while let Some(entry) = self.loaded.front() {
            if entry.seq + u64::from(entry.count) > progress.head {
                break;
            }
            self.bytes = self.bytes.saturating_sub(entry.bytes);
            finished.push(FinishedEntry { seq: entry.seq, shared: entry.shared });
            self.loaded.pop_front();
        }
        self.progress = progress;
        finished
    }

    /// An entry that was in the store when the server started, in their order.
    pub(super) fn find(&mut self, entry: Loaded) {
        if self.bytes == 0 {
            self.cursor = entry.seq;
        }
        self.bytes += entry.bytes;
        self.next = self.next.max(entry.seq + u64::from(entry.count));
    }

    /// Everything was found. Where the server died with the session's connection, nobody knows what
    /// was sent.
    pub(super) fn settle(&mut self, was_connected: bool) {
        self.next = self.next.max(self.progress.head).max(self.progress.sent);
        if self.bytes == 0 {
            self.cursor = self.next;
        }
        if was_connected {
            self.progress.sent = self.next;
        }
    }

    /// The connection ended: what it had is to be loaded again.
    pub(super) fn park(&mut self) {
        if let Some(first) = self.loaded.front() {
            self.cursor = first.seq;
        }
        self.loaded = VecDeque::new();
        (self.feeds, self.epoch) = (0, 0);
    }
}
