//! The bounds of a session's queue.

use super::Held;
use crate::run::Run;

/// What becomes of a QoS 1 or 2 message for a session whose queue is at its limit. That is a session
/// without a connection, or one whose connection is stuck: publishers wait for every other one.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub enum QueueFull {
    /// The new message is dropped. Its publisher is told of success, as with most brokers.
    #[default]
    DropNewest,
    /// The oldest messages that were not sent make room.
    DropOldest,
    /// The new message is dropped. A 5.0 publisher is told 0x97 if no receiver took it; before 5.0
    /// there is no such code, and the publisher is told of success.
    Refuse,
}

/// The bounds of an inbox.
#[derive(Copy, Clone, Debug)]
pub struct InboxLimits {
    /// QoS 1 and 2 messages that a session may hold, queued and in flight. At the limit messages that
    /// have expired make room; then [`InboxLimits::when_full`] decides, and what is dropped is counted
    /// as [`DropReason::QueueFull`](crate::DropReason::QueueFull). From an eighth of it on,
    /// acknowledgements of the publishers of a connected receiver wait.
    pub messages_max: usize,
    /// Bytes that a session may hold; the last message may go beyond. As above.
    pub bytes_max: usize,
    /// Above this many bytes in the inbox the publishers of a connected receiver are asked to wait.
    pub high_water_bytes: usize,
    /// In milliseconds: for so long QoS 0 publishers wait for a receiver that does not catch up. Then
    /// it is marked slow: it loses QoS 0 messages. Publishers of QoS 1 and 2 do not wait for a
    /// receiver that finishes no message in this time: it is stuck.
    pub slow_after_millis: u64,
    /// For so long, in milliseconds, publishers of QoS 1 and 2 wait for a receiver that goes on
    /// but does not catch up. Then it counts as stuck.
    pub behind_max_millis: u64,
    /// What becomes of a message for a full queue.
    pub when_full: QueueFull,
}

impl Default for InboxLimits {
    fn default() -> Self {
        Self {
            messages_max: 100_000,
            bytes_max: 32 * 1024 * 1024,
            high_water_bytes: 512 * 1024,
            slow_after_millis: 2_000,
            behind_max_millis: 60_000,
            when_full: QueueFull::DropNewest,
        }
    }
}

impl InboxLimits {
    /// How many messages of a run fit beside what is held.
    #[must_use]
    pub fn room(&self, held: Held, run: &Run) -> u32 {
        let messages = self.messages_max.saturating_sub(held.messages);
        let count = run.count().min(u32::try_from(messages).unwrap_or(u32::MAX));
        let bytes = self.bytes_max.saturating_sub(held.bytes);
        if run.len() <= bytes {
            return count;
        }
        let fitting = run.frames().take(count as usize).take_while(|f| f.range.start < bytes);
        u32::try_from(fitting.count()).unwrap_or(u32::MAX)
    }

    /// What a connected receiver may hold before acknowledgements of its publishers wait.
    pub(super) const fn high_water(&self) -> Held {
        // The other seven eighths are for what publishers have sent without an acknowledgement.
        Held { messages: self.messages_max / 8, bytes: self.bytes_max / 8 }
    }
}
