//! Messages that no subscription of this client asked for [MQTT-4.5.0-2].

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::{
    message::Message,
    queue::{Place, Queue},
    subscription::Messages,
};

/// The default stream of a connection.
///
/// A session of before may have subscriptions that this client knows nothing of. As long as nobody
/// has asked for the default stream, messages for them are held, up to the capacity of a stream,
/// for whoever subscribes with a filter that matches or asks for the stream. Without such a session
/// nothing is held.
#[derive(Debug)]
pub(crate) struct Unmatched {
    queue: Arc<Queue>,
    holds: bool,
    taken: AtomicBool,
    dropped: AtomicU64,
}

impl Unmatched {
    pub(crate) const fn new(queue: Arc<Queue>, holds: bool) -> Self {
        Self { queue, holds, taken: AtomicBool::new(false), dropped: AtomicU64::new(0) }
    }

    /// Takes messages, if anybody may want them; `None` if they can be acknowledged at once.
    pub(crate) fn push(
        &self,
        count: u32,
        messages: impl Iterator<Item = Message>,
    ) -> Option<Place> {
        let taken = self.taken.load(Ordering::Relaxed);
        let full = self.queue.is_full();
        if self.queue.is_abandoned() || (!taken && (!self.holds || full)) {
            self.dropped.fetch_add(u64::from(count), Ordering::Relaxed);
            return None;
        }
        Some(self.queue.push(messages))
    }

    /// Whether so many messages more, with so many bytes together, are within the capacity.
    pub(crate) fn has_room(&self, messages: usize, bytes: usize) -> bool {
        self.queue.has_room(messages, bytes)
    }

    /// The stream, for the first who asks.
    pub(crate) fn take(&self) -> Option<Messages> {
        let first = !self.taken.swap(true, Ordering::Relaxed);
        first.then(|| Messages::new(self.queue.clone()))
    }

    /// Messages that were held for a subscription that is made now.
    pub(crate) fn claim(&self, wanted: impl Fn(&Message) -> bool) -> Vec<Message> {
        if self.taken.load(Ordering::Relaxed) {
            return Vec::new();
        }
        self.queue.extract(wanted)
    }

    pub(crate) fn has_reader(&self) -> bool {
        self.taken.load(Ordering::Relaxed) && !self.queue.is_abandoned()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.queue.end();
    }
}
