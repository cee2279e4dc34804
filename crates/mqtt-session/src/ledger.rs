//! Counting every message once.

use std::ops::AddAssign;

/// Why a message was not delivered. The list is closed: there is no other way to lose one.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
#[repr(u8)]
pub enum DropReason {
    /// The session's queue was at its limit in messages or bytes.
    QueueFull,
    /// The receiver was marked slow; QoS 0 only.
    SlowReceiver,
    /// QoS 0 for a session without a connection.
    Offline,
    /// The connection ended before the bytes were written; QoS 0 only.
    ConnectionLost,
    /// Larger than the receiver's Maximum Packet Size [MQTT-3.1.2-25].
    PacketTooLarge,
    /// The receiver answered with a reason code of 0x80 or more [MQTT-4.4.0-2].
    RefusedByReceiver,
    /// The receiver may not read the topic (any more).
    NotAuthorized,
    /// The session ended with the message still in it.
    SessionEnded,
    /// The session's queue is on a disk that did not take the message. Its publisher was told.
    NotStored,
    /// The session's queue is on a disk, and the message cannot be read there any more.
    Damaged,
    /// The server is short of memory, and the receiver is behind or has no connection.
    Memory,
}

impl DropReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::QueueFull,
        Self::SlowReceiver,
        Self::Offline,
        Self::ConnectionLost,
        Self::PacketTooLarge,
        Self::RefusedByReceiver,
        Self::NotAuthorized,
        Self::SessionEnded,
        Self::NotStored,
        Self::Damaged,
        Self::Memory,
    ];

    /// The name under which counters show the reason.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue-full",
            Self::SlowReceiver => "slow-receiver",
            Self::Offline => "offline",
            Self::ConnectionLost => "connection-lost",
            Self::PacketTooLarge => "packet-too-large",
            Self::RefusedByReceiver => "refused-by-receiver",
            Self::NotAuthorized => "not-authorized",
            Self::SessionEnded => "session-ended",
            Self::NotStored => "not-stored",
            Self::Damaged => "damaged",
            Self::Memory => "memory",
        }
    }
}

/// What became of the messages of one session, or of many together.
///
/// At any time `enqueued == delivered + expired + dropped + held`, where `held` is what the queues
/// and the in-flight window hold right now; [`Ledger::held`] is computed from the rest, so a test
/// compares it with what the structures really contain.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub struct Ledger {
    /// Messages that were meant for the session.
    pub enqueued: u64,
    /// Messages written to the connection (QoS 0) or acknowledged by the receiver (QoS 1 and 2).
    pub delivered: u64,
    /// Messages whose Message Expiry Interval ran out before delivery began [MQTT-3.3.2-5].
    pub expired: u64,
    dropped: [u64; DropReason::ALL.len()],
}

impl Ledger {
    /// The ledger of messages that were meant for a session, and nothing else.
    #[must_use]
    pub fn of(enqueued: u64) -> Self {
        Self { enqueued, ..Self::default() }
    }

    /// The ledger of messages that expired, and nothing else.
    #[must_use]
    pub fn of_expired(expired: u64) -> Self {
        Self { expired, ..Self::default() }
    }

    /// Counts `messages` lost for `reason`.
    pub fn drop_messages(&mut self, reason: DropReason, messages: u64) {
        if let Some(count) = self.dropped.get_mut(reason as usize) {
            *count += messages;
        }
    }

    /// Messages lost for `reason`.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or_default()
    }

    /// Messages lost for any reason.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Messages that are neither delivered, expired nor dropped: queued or in flight.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.enqueued
            .saturating_sub(self.delivered)
            .saturating_sub(self.expired)
            .saturating_sub(self.dropped_total())
    }
}

/// A [`Ledger`] for a place that there are many of, most of which never lost a message.
#[derive(Debug, Default)]
pub(crate) struct SmallLedger {
    pub(crate) enqueued: u64,
    delivered: u64,
    expired: u64,
    dropped: Option<Box<[u64; DropReason::ALL.len()]>>,
}

impl SmallLedger {
    /// All counts.
    pub(crate) fn counts(&self) -> Ledger {
        let dropped = self.dropped.as_deref().copied().unwrap_or_default();
        let Self { enqueued, delivered, expired, .. } = *self;
        Ledger { enqueued, delivered, expired, dropped }
    }

    /// Counts `messages` that expired.
    pub(crate) const fn expire(&mut self, messages: u64) {
        self.expired += messages;
    }

    /// Counts `messages` lost for `reason`.
    pub(crate) fn drop_messages(&mut self, reason: DropReason, messages: u64) {
        if messages > 0
            && let Some(count) = self.dropped.get_or_insert_default().get_mut(reason as usize)
        {
            *count += messages;
        }
    }
}

impl AddAssign<Ledger> for SmallLedger {
    fn add_assign(&mut self, other: Ledger) {
        self.enqueued += other.enqueued;
        self.delivered += other.delivered;
        self.expired += other.expired;
        if other.dropped_total() > 0 {
            let dropped = self.dropped.get_or_insert_default();
            for (mine, theirs) in dropped.iter_mut().zip(other.dropped) {
                *mine += theirs;
            }
        }
    }
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        self.enqueued += other.enqueued;
        self.delivered += other.delivered;
        self.expired += other.expired;
        for (mine, theirs) in self.dropped.iter_mut().zip(other.dropped) {
            *mine += theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_numbered_in_the_order_of_the_list() {
        for (number, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
        }
    }

    #[test]
    fn a_small_ledger_counts_the_same() {
        assert_eq!(size_of::<SmallLedger>(), 32);
        let mut small = SmallLedger::default();
        small.drop_messages(DropReason::Offline, 0);
        assert!(small.dropped.is_none(), "nothing was lost");
        let mut ledger = Ledger { enqueued: 9, delivered: 2, expired: 1, ..Ledger::default() };
        small += ledger;
        assert_eq!(small.counts(), ledger);
        ledger.drop_messages(DropReason::Offline, 3);
        small.drop_messages(DropReason::Offline, 3);
        assert_eq!(small.counts(), ledger);
        small += ledger;
        ledger += ledger;
        assert_eq!(small.counts(), ledger);
    }

    #[test]
    fn what_is_held_is_what_is_left() {
        let mut ledger = Ledger { enqueued: 10, delivered: 3, expired: 2, ..Ledger::default() };
        ledger.drop_messages(DropReason::QueueFull, 1);
        assert_eq!(ledger.held(), 4);
        let mut sum = ledger;
        sum += ledger;
        assert_eq!((sum.held(), sum.dropped(DropReason::QueueFull)), (8, 2));
    }
}
