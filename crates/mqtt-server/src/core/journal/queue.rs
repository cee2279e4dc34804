//! The queue of one session in the store: where its messages begin and end, and which of them its
//! connection has.

use std::collections::VecDeque;

use mqtt_session::{FinishedEntry, InboxLimits, Progress, Settled};

/// A session's queue. The messages themselves are in the store. There is one for every session
/// that is kept, connected or not, so what only a connection needs is behind a box.
#[derive(Debug)]
pub(super) struct Queue {
    /// How far the session is: see [`Progress`].
    head: u64,
    sent: u64,
    /// Nearly always none.
    settled: Option<Box<Vec<(u64, Settled)>>>,
    /// The number that the next message gets.
    pub(super) next: u64,
    /// Entries from this one on were not given to the connection.
    pub(super) cursor: u64,
    /// Bytes of all entries that are not finished.
    pub(super) bytes: u64,
    reader: Option<Box<Reader>>,
}

/// The connection that has the session.
#[derive(Debug)]
struct Reader {
    /// The number of the connection.
    epoch: u64,
    /// It gets messages as soon as they are written.
    is_fed: bool,
    /// Entries that it was given, and that are not finished.
    loaded: VecDeque<Loaded>,
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
        Self { head: 1, sent: 1, settled: None, next: 1, cursor: 1, bytes: 0, reader: None }
    }

    /// How far the session is.
    pub(super) fn progress(&self) -> Progress {
        let settled = self.settled.as_deref().cloned().unwrap_or_default();
        Progress { head: self.head, sent: self.sent, settled }
    }

    /// The session is so far, as the store says.
    pub(super) fn set_progress(&mut self, progress: Progress) {
        (self.head, self.sent) = (progress.head, progress.sent);
        self.settled = (!progress.settled.is_empty()).then(|| Box::new(progress.settled));
    }

    /// The connection that has the session; 0 for none.
    pub(super) fn epoch(&self) -> u64 {
        self.reader.as_ref().map_or(0, |reader| reader.epoch)
    }

    /// The connection that gets messages as soon as they are written; 0 for none.
    pub(super) fn feeds(&self) -> u64 {
        self.reader.as_ref().filter(|reader| reader.is_fed).map_or(0, |reader| reader.epoch)
    }

    /// The connection of this number has the session.
    pub(super) fn open(&mut self, epoch: u64) {
        self.reader = Some(Box::new(Reader { epoch, is_fed: false, loaded: VecDeque::new() }));
    }

    /// The connection gets messages as soon as they are written, or not any more.
    pub(super) fn feed(&mut self, is_fed: bool) {
        if let Some(reader) = &mut self.reader {
            reader.is_fed = is_fed;
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
        let settled = self.settled.iter().flat_map(|settled| settled.iter());
        let done = settled.filter(|(_, settled)| *settled == Settled::Done).count();
        (self.next - self.head.min(self.next)).saturating_sub(done as u64)
    }

    /// Messages that no connection has.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn on_disk(&self) -> u64 {
        if self.epoch() == 0 { self.messages() } else { self.next - self.cursor }
    }

    /// The connection was given an entry.
    pub(super) fn load(&mut self, entry: Loaded) {
        self.cursor = entry.seq + u64::from(entry.count);
        if let Some(reader) = &mut self.reader {
            reader.loaded.push_back(entry);
        }
    }

    /// The session got on; answers the entries that are used up.
    pub(super) fn advance(&mut self, progress: Progress) -> Vec<FinishedEntry> {
        let mut finished = Vec::new();
        if let Some(reader) = &mut self.reader {
            let is_used_up =
                |entry: &mut Loaded| entry.seq + u64::from(entry.count) <= progress.head;
            while let Some(entry) = reader.loaded.pop_front_if(is_used_up) {
                self.bytes = self.bytes.saturating_sub(entry.bytes);
                finished.push(FinishedEntry { seq: entry.seq, shared: entry.shared });
            }
        }
        self.set_progress(progress);
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
        self.next = self.next.max(self.head).max(self.sent);
        if self.bytes == 0 {
            self.cursor = self.next;
        }
        if was_connected {
            self.sent = self.next;
        }
    }

    /// The connection ended: what it had is to be loaded again.
    pub(super) fn park(&mut self) {
        let reader = self.reader.take();
        if let Some(first) = reader.as_ref().and_then(|reader| reader.loaded.front()) {
            self.cursor = first.seq;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_small() {
        assert_eq!(size_of::<Queue>(), 56);
    }
}
