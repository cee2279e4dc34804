//! A stream's queue, between the connection's task and whoever reads the stream.
//!
//! The queue itself takes every message. Its capacity decides when a message of QoS 1 or 2 is
//! acknowledged, so that a server stops at its send window, and when reading stops for QoS 0.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::{bell::Bell, message::Message};

/// How much a stream holds for its reader.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Capacity {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// Messages for one stream.
#[derive(Debug)]
pub(crate) struct Queue {
    capacity: Capacity,
    inner: Mutex<Inner>,
    bell: Arc<Bell>,
}

#[derive(Debug, Default)]
struct Inner {
    messages: VecDeque<Message>,
    /// Messages and bytes that ever came in, and that ever were taken.
    pushed: Count,
    taken: Count,
    reader: Option<Waker>,
    /// Nothing more will come.
    ended: bool,
    /// Nobody will take anything.
    abandoned: bool,
}

#[derive(Copy, Clone, Debug, Default)]
struct Count {
    messages: u64,
    bytes: u64,
}

/// Where a message stands in a queue.
#[derive(Debug)]
pub(crate) struct Place {
    queue: Arc<Queue>,
    at: Count,
}

impl Queue {
    pub(crate) fn new(capacity: Capacity, bell: Arc<Bell>) -> Arc<Self> {
        Arc::new(Self { capacity, inner: Mutex::default(), bell })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it holds the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends messages, and answers where the last of them stands.
    pub(crate) fn push(self: &Arc<Self>, messages: impl Iterator<Item = Message>) -> Place {
        let mut inner = self.inner();
        for message in messages {
            inner.pushed.messages += 1;
            inner.pushed.bytes += message.len() as u64;
            if !inner.abandoned {
                inner.messages.push_back(message);
            }
        }
        let reader = inner.reader.take();
        let at = inner.pushed;
        drop(inner);
        if let Some(reader) = reader {
            reader.wake();
        }
        Place { queue: self.clone(), at }
    }

    /// Whether the reader is behind by the whole capacity.
    pub(crate) fn is_full(&self) -> bool {
        let inner = self.inner();
        let bytes = inner.pushed.bytes - inner.taken.bytes;
        !inner.abandoned
            && (inner.messages.len() >= self.capacity.messages
                || bytes >= self.capacity.bytes as u64)
    }

    /// Whether so many messages more, with so many bytes together, are within the capacity.
    pub(crate) fn has_room(&self, messages: usize, bytes: usize) -> bool {
        let inner = self.inner();
        let held = inner.pushed.bytes - inner.taken.bytes;
        inner.abandoned
            || (inner.messages.len() + messages <= self.capacity.messages
                && held + bytes as u64 <= self.capacity.bytes as u64)
    }

    pub(crate) fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<Message>> {
        let mut inner = self.inner();
        let Some(message) = inner.messages.pop_front() else {
            if inner.ended {
                return Poll::Ready(None);
            }
            inner.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        inner.taken.messages += 1;
        inner.taken.bytes += message.len() as u64;
        drop(inner);
        self.bell.ring();
        Poll::Ready(Some(message))
    }

    /// Takes out the messages that `wanted` says yes to.
    pub(crate) fn extract(&self, wanted: impl Fn(&Message) -> bool) -> Vec<Message> {
        let mut inner = self.inner();
        let (out, keep): (Vec<_>, VecDeque<_>) = {
            let all = std::mem::take(&mut inner.messages);
            let mut out = Vec::new();
            let mut keep = VecDeque::new();
            for message in all {
                if wanted(&message) { out.push(message) } else { keep.push_back(message) }
            }
            (out, keep)
        };
        inner.taken.messages += out.len() as u64;
        inner.taken.bytes += out.iter().map(|message| message.len() as u64).sum::<u64>();
        inner.messages = keep;
        out
    }

    /// Nothing more will come: the reader sees the end once it has taken what is there.
    pub(crate) fn end(&self) {
        let mut inner = self.inner();
        inner.ended = true;
        let reader = inner.reader.take();
        drop(inner);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The reader is gone: what is left is dropped, and nothing is held back for it.
    pub(crate) fn abandon(&self) {
        let mut inner = self.inner();
        inner.abandoned = true;
        inner.messages = VecDeque::new();
        drop(inner);
        self.bell.ring();
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.inner().abandoned
    }
}

impl Place {
    /// Whether the stream has room for the message: it is among those that the capacity counts,
    /// or the next one to be taken.
    pub(crate) fn has_room(&self) -> bool {
        let (inner, capacity) = (self.queue.inner(), self.queue.capacity);
        let ahead = self.at.messages.saturating_sub(inner.taken.messages);
        let bytes_ahead = self.at.bytes.saturating_sub(inner.taken.bytes);
        inner.abandoned
            || ahead <= 1
            || (ahead <= capacity.messages as u64 && bytes_ahead <= capacity.bytes as u64)
    }
}
