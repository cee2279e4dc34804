//! A session's bounded queue: where other connections leave messages for it.
//!
//! The server keeps one behind a short lock for every session. While the session has a connection,
//! its owner drains the inbox into the socket; while it has none, the inbox is its offline queue.

use std::{collections::VecDeque, sync::Arc};

use mqtt_packet::QoS;

use crate::{
    delivery::Delivery,
    ledger::{DropReason, Ledger, SmallLedger},
    time::Time,
};

/// The bounds of an inbox.
#[derive(Copy, Clone, Debug)]
pub struct InboxLimits {
    /// QoS 1 and 2 messages that a session may hold, queued and in flight. What comes on top is
    /// dropped as [`DropReason::QueueFull`]: the newest message is the one that is lost.
    pub messages_max: usize,
    /// Bytes that a session may hold. What comes on top is dropped as [`DropReason::QueueFull`].
    pub bytes_max: usize,
    /// Above this many bytes the publishers of a connected receiver are asked to wait.
    pub high_water_bytes: usize,
    /// How long publishers wait for a receiver that does not catch up, in milliseconds. Then it is
    /// marked slow: it loses QoS 0 messages and nobody waits for it until it has caught up.
    pub slow_after_millis: u64,
}

impl Default for InboxLimits {
    fn default() -> Self {
        Self {
            messages_max: 100_000,
            bytes_max: 32 * 1024 * 1024,
            high_water_bytes: 512 * 1024,
            slow_after_millis: 2_000,
        }
    }
}

/// Whether a publisher may go on.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Pressure {
    /// There is room.
    None,
    /// The receiver is behind: go on when [`Inbox::is_pressing`] is false.
    Wait,
}

/// Messages that wait for one session.
#[derive(Debug)]
pub struct Inbox {
    /// Shared by all inboxes of a server.
    limits: Arc<InboxLimits>,
    queue: VecDeque<Delivery>,
    /// QoS 1 and 2 messages in the queue.
    messages: u32,
    bytes: usize,
    /// What the session's owner took and has not finished: in flight, or waiting for the window.
    owner: Held,
    online: bool,
    full_since: Option<Time>,
    slow: bool,
    ledger: SmallLedger,
}

/// Messages that the owner of a session holds.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub struct Held {
    /// QoS 1 and 2 messages.
    pub messages: usize,
    /// Their bytes, and those that wait for the socket.
    pub bytes: usize,
}

impl Inbox {
    /// An empty inbox of a session without a connection.
    #[must_use]
    pub fn new(limits: impl Into<Arc<InboxLimits>>) -> Self {
        Self {
            limits: limits.into(),
            queue: VecDeque::new(),
            messages: 0,
            bytes: 0,
            owner: Held::default(),
            online: false,
            full_since: None,
            slow: false,
            ledger: SmallLedger::default(),
        }
    }

    /// Leaves messages, as many as the limits allow; the rest is counted as dropped.
    pub fn push(&mut self, delivery: Delivery, now: Time) -> Pressure {
        self.ledger.enqueued += u64::from(delivery.count());
        let (accepted, reason) = self.admit(&delivery);
        if accepted < delivery.count() {
            self.ledger.drop_messages(reason, u64::from(delivery.count() - accepted));
        }
        if accepted == delivery.count() {
            self.store(delivery);
        } else if let Some(run) = delivery.run.first(accepted) {
            self.store(Delivery { run, ..delivery });
        } else {
            return Pressure::None;
        }
        self.pressure(now)
    }

    /// How many of the messages may come in, and why not the others.
    fn admit(&self, delivery: &Delivery) -> (u32, DropReason) {
        let count = delivery.count();
        if delivery.qos() == QoS::AtMostOnce {
            return match () {
                () if !self.online => (0, DropReason::Offline),
                () if self.slow => (0, DropReason::SlowReceiver),
                () if self.bytes >= self.limits.bytes_max => (0, DropReason::QueueFull),
                () => (count, DropReason::QueueFull),
            };
        }
        if self.bytes + self.owner.bytes >= self.limits.bytes_max {
            return (0, DropReason::QueueFull);
        }
        let held = self.messages as usize + self.owner.messages;
        let room = self.limits.messages_max.saturating_sub(held);
        (count.min(u32::try_from(room).unwrap_or(u32::MAX)), DropReason::QueueFull)
    }

    fn store(&mut self, delivery: Delivery) {
        self.bytes += delivery.run.len();
        if delivery.qos() != QoS::AtMostOnce {
            self.messages = self.messages.saturating_add(delivery.count());
        }
        self.queue.push_back(delivery);
    }

    fn pressure(&mut self, now: Time) -> Pressure {
        if !self.online || self.bytes < self.limits.high_water_bytes {
            return Pressure::None;
        }
        self.full_since.get_or_insert(now);
        if self.is_pressing(now) { Pressure::Wait } else { Pressure::None }
    }

    /// Whether publishers should still wait for this receiver at `now`: from the moment it reached
    /// the high-water mark until it is down to half of it, or was marked slow.
    pub fn is_pressing(&mut self, now: Time) -> bool {
        let Some(since) = self.full_since else { return false };
        if now.millis_since(since) >= self.limits.slow_after_millis {
            self.slow = true;
        }
        self.online && !self.slow
    }

    /// When a publisher that waits should look again, at the latest.
    #[must_use]
    pub fn slow_at(&self) -> Option<Time> {
        let since = self.full_since.filter(|_| !self.slow)?;
        Some(since.after_millis(self.limits.slow_after_millis))
    }

    /// Takes what fits into `bytes_max`, at least one delivery, into `into`; answers whether
    /// publishers that wait may go on now.
    pub fn drain(&mut self, into: &mut VecDeque<Delivery>, bytes_max: usize) -> bool {
        if self.queue.is_empty() {
            return false;
        }
        if self.bytes <= bytes_max && into.is_empty() {
            std::mem::swap(&mut self.queue, into);
            self.bytes = 0;
            self.messages = 0;
            return self.relax();
        }
        let mut taken = 0;
        while taken < bytes_max {
            let Some(delivery) = self.queue.pop_front() else { break };
            taken += delivery.run.len();
            if delivery.qos() != QoS::AtMostOnce {
                self.messages = self.messages.saturating_sub(delivery.count());
            }
            into.push_back(delivery);
        }
        self.bytes = self.bytes.saturating_sub(taken);
        self.relax()
    }

    /// Publishers go on at half the high-water mark, so that they are not woken for every message.
    fn relax(&mut self) -> bool {
        if self.full_since.is_none() || self.bytes > self.limits.high_water_bytes / 2 {
            return false;
        }
        self.full_since = None;
        self.slow = false;
        true
    }

    /// Leaves messages that are kept on a disk too, and were counted before. Answers false if there
    /// is so much here that they had better stay there.
    pub fn push_stored(&mut self, delivery: Delivery, now: Time) -> bool {
        let has_room = self.bytes < self.limits.high_water_bytes;
        if has_room {
            self.restore(delivery, now);
        }
        has_room
    }

    /// Leaves messages that were fetched from a disk, whatever waits here.
    pub fn restore(&mut self, delivery: Delivery, now: Time) {
        self.store(delivery);
        self.pressure(now);
    }

    /// Counts messages that were left, or not left, elsewhere.
    pub fn count(&mut self, ledger: Ledger) {
        self.ledger += ledger;
    }

    /// The connection ended: QoS 1 and 2 messages are forgotten here, because they are on a disk.
    pub fn forget_stored(&mut self) {
        self.queue.retain(|delivery| delivery.seq.is_none());
        self.messages = self.queue.iter().map(Delivery::count).sum();
        self.bytes = self.queue.iter().map(|delivery| delivery.run.len()).sum();
    }

    /// Takes note of what the owner did since the last call, and of what it holds.
    pub fn report(&mut self, done: Ledger, held: Held) {
        self.ledger += done;
        self.owner = held;
    }

    /// A connection took the session over.
    pub fn go_online(&mut self) {
        self.online = true;
    }

    /// The connection ended: from here on this is the offline queue. QoS 0 messages in it are lost,
    /// and counted. Answers whether publishers waited.
    pub fn go_offline(&mut self) -> bool {
        let was_pressing = self.full_since.take().is_some();
        self.online = false;
        self.slow = false;
        let (mut lost, mut bytes) = (0, 0);
        self.queue.retain(|delivery| {
            let keep = delivery.qos() != QoS::AtMostOnce;
            if !keep {
                lost += u64::from(delivery.count());
                bytes += delivery.run.len();
            }
            keep
        });
        self.bytes = self.bytes.saturating_sub(bytes);
        self.ledger.drop_messages(DropReason::ConnectionLost, lost);
        self.queue.shrink_to(4);
        was_pressing
    }

    /// The session ended: what it still holds is lost, and counted.
    pub fn end(&mut self) {
        self.ledger.drop_messages(DropReason::SessionEnded, self.ledger().held());
        self.queue = VecDeque::new();
        (self.messages, self.bytes, self.owner) = (0, 0, Held::default());
    }

    /// Whether a connection owns the session.
    #[must_use]
    pub const fn is_online(&self) -> bool {
        self.online
    }

    /// Whether the receiver is marked slow.
    #[must_use]
    pub const fn is_slow(&self) -> bool {
        self.slow
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes that wait here.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Messages that wait here, of any QoS.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.queue.iter().map(|delivery| u64::from(delivery.count())).sum()
    }

    /// What waits here, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.queue.iter()
    }

    /// What became of the messages so far, as of the owner's last report.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.ledger.counts()
    }

    /// Gives unused memory back.
    pub fn shrink(&mut self) {
        if self.queue.is_empty() {
            self.queue.shrink_to(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{MessageParts, Run};

    const LIMITS: InboxLimits = InboxLimits {
        messages_max: 3,
        bytes_max: 1000,
        high_water_bytes: 100,
        slow_after_millis: 10,
    };

    fn delivery(qos: QoS, payload: usize) -> Delivery {
        let run = Run::from_message(&MessageParts {
            topic: "t",
            payload: &vec![0; payload],
            properties: &[],
            qos,
            retain: false,
            packet_id: None,
            expires_at: None,
        });
        let (run, granted) = (run.unwrap(), QoS::ExactlyOnce);
        Delivery { run, granted, retain: false, identifiers: None, mark: 0, seq: None }
    }

    #[test]
    fn offline_keeps_qos_1_up_to_its_limit_and_counts_the_rest() {
        let mut inbox = Inbox::new(LIMITS);
        for _ in 0..5 {
            inbox.push(delivery(QoS::AtLeastOnce, 1), Time::ZERO);
        }
        inbox.push(delivery(QoS::AtMostOnce, 1), Time::ZERO);
        assert_eq!(inbox.queued(), 3);
        assert_eq!(inbox.ledger().dropped(DropReason::QueueFull), 2);
        assert_eq!(inbox.ledger().dropped(DropReason::Offline), 1);
        assert_eq!(inbox.ledger().held(), inbox.queued());
    }

    #[test]
    fn what_the_owner_holds_counts_against_the_limit() {
        let mut inbox = Inbox::new(LIMITS);
        inbox.go_online();
        inbox.report(Ledger::default(), Held { messages: 2, bytes: 20 });
        inbox.push(delivery(QoS::AtLeastOnce, 1), Time::ZERO);
        inbox.push(delivery(QoS::AtLeastOnce, 1), Time::ZERO);
        assert_eq!(inbox.queued(), 1);
    }

    #[test]
    fn publishers_wait_for_a_receiver_that_is_behind_until_it_is_slow() {
        let mut inbox = Inbox::new(LIMITS);
        inbox.go_online();
        let big = delivery(QoS::AtMostOnce, 120);
        assert_eq!(inbox.push(big.clone(), Time::ZERO), Pressure::Wait);
        assert!(inbox.is_pressing(Time::from_millis(9)));
        assert_eq!(inbox.slow_at(), Some(Time::from_millis(10)));
        assert!(!inbox.is_pressing(Time::from_millis(10)));
        assert!(inbox.is_slow());
        assert_eq!(inbox.push(big.clone(), Time::from_millis(11)), Pressure::None);
        assert_eq!(inbox.ledger().dropped(DropReason::SlowReceiver), 1);
        // It catches up, and is a receiver like any other again.
        assert!(inbox.drain(&mut VecDeque::new(), 1000));
        assert!(!inbox.is_slow());
        assert_eq!(inbox.push(big, Time::from_millis(12)), Pressure::Wait);
    }

    #[test]
    fn going_offline_loses_only_qos_0() {
        let mut inbox = Inbox::new(LIMITS);
        inbox.go_online();
        inbox.push(delivery(QoS::AtMostOnce, 1), Time::ZERO);
        inbox.push(delivery(QoS::ExactlyOnce, 1), Time::ZERO);
        inbox.go_offline();
        assert_eq!(inbox.queued(), 1);
        assert_eq!(inbox.ledger().dropped(DropReason::ConnectionLost), 1);
        inbox.end();
        assert_eq!((inbox.queued(), inbox.ledger().held()), (0, 0));
    }

    #[test]
    fn draining_takes_no_more_than_asked_but_at_least_one() {
        let mut inbox = Inbox::new(LIMITS);
        inbox.go_online();
        for _ in 0..3 {
            inbox.push(delivery(QoS::AtMostOnce, 30), Time::ZERO);
        }
        let mut taken = VecDeque::new();
        inbox.drain(&mut taken, 1);
        assert_eq!((taken.len(), inbox.queued()), (1, 2));
        inbox.drain(&mut taken, 1000);
        assert_eq!((taken.len(), inbox.queued(), inbox.bytes()), (3, 0, 0));
    }
}
