//! A session's bounded queue: where other connections leave messages for it.
//!
//! The server keeps one behind a short lock for every session. While the session has a connection,
//! its owner drains the inbox into the socket; while it has none, the inbox is its offline queue.

mod behind;
mod expiring;
mod limits;

use std::{collections::VecDeque, sync::Arc};

use mqtt_packet::QoS;

pub use self::limits::{InboxLimits, QueueFull};
use self::{behind::Behind, expiring::Expiring};

use crate::{
    delivery::Delivery,
    ledger::{DropReason, Ledger, SmallLedger},
    run::Run,
    time::Time,
};

/// Whether a publisher may go on.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Pressure {
    /// There is room.
    None,
    /// The receiver is behind: go on when [`Inbox::stops_reading`], or [`Inbox::defers_acks`] for a
    /// message of QoS 1 or 2, is false.
    Wait,
}

/// What became of messages that were left in an inbox.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Pushed {
    /// So many were taken, the first ones.
    pub taken: u32,
    /// Whether the publisher may go on.
    pub pressure: Pressure,
}

/// So many expired messages are removed in one go, so that a push has a bound.
const EXPIRED_MAX: usize = 4096;

/// Messages that wait for one session.
#[derive(Debug)]
pub struct Inbox {
    /// Shared by all inboxes of a server.
    limits: Arc<InboxLimits>,
    queue: VecDeque<Delivery>,
    /// QoS 1 and 2 messages in the queue.
    messages: u32,
    online: bool,
    /// The session's queue is on a disk: what is here is a part of it.
    is_stored: bool,
    bytes: usize,
    /// Bytes that are on the disk alone.
    disk_bytes: u64,
    /// What the session's owner took and has not finished: in flight, or waiting for the window.
    owner: Held,
    /// What nearly no inbox needs.
    rare: Option<Box<Rare>>,
    ledger: SmallLedger,
}

/// What an inbox needs while its receiver is behind, or its messages expire.
#[derive(Debug, Default)]
struct Rare {
    behind: Option<Behind>,
    expiring: Expiring,
    /// Messages on their way to the disk whose room is taken.
    reserved: u32,
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
            online: false,
            is_stored: false,
            bytes: 0,
            disk_bytes: 0,
            owner: Held::default(),
            rare: None,
            ledger: SmallLedger::default(),
        }
    }

    /// Leaves messages, as many as the limits allow; the rest is counted as dropped. Expired messages
    /// make room first.
    pub fn push(&mut self, delivery: Delivery, now: Time) -> Pushed {
        self.push_below(delivery, now, self.limits.high_water_bytes)
    }

    /// The same with another high-water mark than [`InboxLimits::high_water_bytes`], for a server
    /// that is short of memory.
    pub fn push_below(&mut self, delivery: Delivery, now: Time, high_water: usize) -> Pushed {
        let count = delivery.count();
        self.ledger.enqueued += u64::from(count);
        if self.takes_at_once(&delivery) {
            self.bytes += delivery.run.len();
            self.queue.push_back(delivery);
            let is_low = self.bytes < high_water;
            let none = Pressure::None;
            let pressure = if is_low { none } else { self.pressure(false, now, high_water) };
            return Pushed { taken: count, pressure };
        }
        let (taken, reason) = self.admit(&delivery, now);
        if taken < count {
            self.ledger.drop_messages(reason, u64::from(count - taken));
        }
        let keeps_last = self.limits.when_full == QueueFull::DropOldest;
        let run = match taken {
            0 => return Pushed { taken, pressure: Pressure::None },
            _ if taken == count => Some(delivery.run),
            _ if keeps_last => Some(delivery.run.without_first(count - taken)),
            _ => delivery.run.first(taken),
        };
        let defers = delivery.granted > QoS::AtMostOnce
            && run.as_ref().is_some_and(|run| run.qos() > QoS::AtMostOnce);
        if let Some(run) = run {
            self.store(Delivery { run, ..delivery });
        }
        Pushed { taken, pressure: self.pressure(defers, now, high_water) }
    }

    /// Whether there is nothing to decide: the receiver of messages at QoS 0 keeps up.
    fn takes_at_once(&self, delivery: &Delivery) -> bool {
        self.online
            && self.rare.is_none()
            && self.bytes < self.limits.bytes_max
            && delivery.qos() == QoS::AtMostOnce
            && delivery.run.expires_at().is_none()
    }

    /// How many of the messages may come in, and why not the others.
    fn admit(&mut self, delivery: &Delivery, now: Time) -> (u32, DropReason) {
        let count = delivery.count();
        if delivery.qos() == QoS::AtMostOnce {
            return match () {
                () if !self.online => (0, DropReason::Offline),
                () if self.is_slow_at(now) => (0, DropReason::SlowReceiver),
                () if self.bytes >= self.limits.bytes_max => (0, DropReason::QueueFull),
                () => (count, DropReason::QueueFull),
            };
        }
        let mut room = self.room(&delivery.run);
        if room < count && self.expire(now) > 0 {
            room = self.room(&delivery.run);
        }
        if room < count && self.limits.when_full == QueueFull::DropOldest {
            room = self.drop_oldest(&delivery.run);
        }
        (room, DropReason::QueueFull)
    }

    /// How many messages of a run there is room for.
    fn room(&self, run: &Run) -> u32 {
        let messages = self.messages as usize + self.owner.messages;
        let bytes = self.bytes + self.owner.bytes;
        self.limits.room(Held { messages, bytes }, run)
    }

    /// Drops messages from the front until there is room for the run, or for as much of it as there
    /// can be. Returns how many of its messages there is room for.
    fn drop_oldest(&mut self, run: &Run) -> u32 {
        loop {
            let room = self.room(run);
            if room == run.count() || self.queue.is_empty() {
                return room;
            }
            let wanted = run.count() - room;
            let Some(front) = self.queue.front_mut() else { return room };
            let (count, is_counted) = (front.count(), front.qos() > QoS::AtMostOnce);
            let is_over_bytes = self.bytes + self.owner.bytes >= self.limits.bytes_max;
            if count > wanted && is_counted && !is_over_bytes {
                let before = front.run.len();
                front.run = front.run.without_first(wanted);
                self.bytes -= before - front.run.len();
                self.messages -= wanted;
                self.ledger.drop_messages(DropReason::QueueFull, wanted.into());
            } else {
                self.pop_front();
                self.ledger.drop_messages(DropReason::QueueFull, count.into());
            }
        }
    }

    fn store(&mut self, delivery: Delivery) {
        self.bytes += delivery.run.len();
        if delivery.qos() != QoS::AtMostOnce {
            self.messages = self.messages.saturating_add(delivery.count());
        }
        // What is on a disk as well expires with its owner, who knows its number.
        if let Some(due) = delivery.run.expires_at()
            && delivery.seq.is_none()
        {
            self.rare.get_or_insert_default().expiring.add(due, self.queue.len());
        }
        self.queue.push_back(delivery);
    }

    /// Takes the first delivery.
    fn pop_front(&mut self) -> Option<Delivery> {
        let delivery = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(delivery.run.len());
        if delivery.qos() != QoS::AtMostOnce {
            self.messages = self.messages.saturating_sub(delivery.count());
        }
        if let Some(rare) = &mut self.rare {
            rare.expiring.empty -= usize::from(delivery.count() == 0);
            rare.expiring.take_first(delivery.run.expires_at().filter(|_| delivery.seq.is_none()));
        }
        Some(delivery)
    }

    /// Removes messages that have expired, at most some thousand of them, and counts them
    /// [MQTT-3.3.2-5]. Returns how many there were.
    pub fn expire(&mut self, now: Time) -> usize {
        let mut count = 0;
        while count < EXPIRED_MAX
            && let Some(rare) = &mut self.rare
            && let Some(place) = rare.expiring.pop(now)
        {
            let Some(delivery) = self.queue.get_mut(place) else { continue };
            self.bytes = self.bytes.saturating_sub(delivery.run.len());
            if delivery.qos() != QoS::AtMostOnce {
                self.messages = self.messages.saturating_sub(delivery.count());
            }
            self.ledger.expire(delivery.count().into());
            // The places behind it stay where they are.
            delivery.run = delivery.run.emptied();
            rare.expiring.empty += 1;
            count += 1;
        }
        let empty = self.rare.as_ref().map_or(0, |rare| rare.expiring.empty);
        if empty > 0 && empty * 2 >= self.queue.len() {
            self.retain(|delivery| delivery.count() > 0);
        }
        count
    }

    /// When to call [`Inbox::expire`], if that was not said before: `due` is when a message expires
    /// that was left here, or anywhere else in the session.
    pub fn look_at(&mut self, due: Time) -> Option<Time> {
        self.rare.get_or_insert_default().expiring.look_at(due)
    }

    /// Whoever was told to look does so. Returns when the next message here expires.
    pub fn look(&mut self, now: Time) -> Option<Time> {
        self.rare.as_mut()?.expiring.looked();
        self.expire(now);
        let next = self.rare.as_ref().and_then(|rare| rare.expiring.next());
        self.tidy();
        next
    }

    /// Keeps some of the deliveries; sees to everything that counts them.
    fn retain(&mut self, keep: impl FnMut(&Delivery) -> bool) {
        self.queue.retain(keep);
        let counted = self.queue.iter().filter(|delivery| delivery.qos() != QoS::AtMostOnce);
        self.messages = counted.map(Delivery::count).sum();
        self.bytes = self.queue.iter().map(|delivery| delivery.run.len()).sum();
        let Some(rare) = &mut self.rare else { return };
        rare.expiring.clear();
        for (place, delivery) in self.queue.iter().enumerate() {
            if delivery.count() == 0 {
                rare.expiring.empty += 1;
            } else if let Some(due) = delivery.run.expires_at().filter(|_| delivery.seq.is_none()) {
                rare.expiring.add(due, place);
            }
        }
    }

    /// Forgets what is rare once there is nothing of it.
    fn tidy(&mut self) {
        let is_over =
            |r: &mut Box<Rare>| r.behind.is_none() && r.reserved == 0 && r.expiring.is_over();
        self.rare.take_if(is_over);
    }

    /// Everything that the session holds at QoS 1 and 2, wherever it is.
    fn held(&self) -> Held {
        let messages = match self.is_stored {
            // What is on the disk is known by the ledger alone.
            true => usize::try_from(self.ledger.counts().held()).unwrap_or(usize::MAX),
            false => self.messages as usize + self.owner.messages,
        };
        let disk = usize::try_from(self.disk_bytes).unwrap_or(usize::MAX);
        Held { messages, bytes: disk.saturating_add(self.bytes + self.owner.bytes) }
    }

    fn pressure(&mut self, defers_acks: bool, now: Time, high_water: usize) -> Pressure {
        let is_waiting = match () {
            () if !self.note_load_above(high_water, now) => false,
            () if defers_acks => self.defers_acks(now),
            () => self.stops_reading(now),
        };
        if is_waiting { Pressure::Wait } else { Pressure::None }
    }

    /// Takes note of when the receiver is behind; returns whether it is.
    fn note_load(&mut self, now: Time) -> bool {
        self.note_load_above(self.limits.high_water_bytes, now)
    }

    fn note_load_above(&mut self, high_water: usize, now: Time) -> bool {
        if !self.online {
            return false;
        }
        let is_behind = self.rare.as_ref().is_some_and(|rare| rare.behind.is_some());
        if is_behind || !self.is_above(high_water, self.limits.high_water()) {
            return is_behind;
        }
        self.rare.get_or_insert_default().behind = Some(Behind::new(high_water, now));
        true
    }

    fn is_above(&self, inbox_bytes: usize, all: Held) -> bool {
        let is_inbox_above = self.bytes >= inbox_bytes;
        is_inbox_above || {
            let held = self.held();
            held.messages > all.messages || held.bytes > all.bytes
        }
    }

    /// Whether publishers of QoS 0 should still wait for this receiver at `now`: from the moment it
    /// reached the high-water mark until it is down to half of it, or was marked slow.
    pub fn stops_reading(&mut self, now: Time) -> bool {
        let Self { limits, rare, online, .. } = self;
        let behind = rare.as_mut().and_then(|rare| rare.behind.as_mut());
        *online && behind.is_some_and(|behind| behind.stops_reading(limits, now))
    }

    fn is_slow_at(&mut self, now: Time) -> bool {
        let Self { limits, rare, .. } = self;
        let behind = rare.as_mut().and_then(|rare| rare.behind.as_mut());
        behind.is_some_and(|behind| !behind.stops_reading(limits, now))
    }

    /// Whether acknowledgements at QoS 1 and 2 should still wait for this receiver at `now`: from the
    /// moment it reached the high-water mark until it is down to half of it, or is stuck.
    pub fn defers_acks(&mut self, now: Time) -> bool {
        let Self { limits, rare, online, .. } = self;
        let behind = rare.as_mut().and_then(|rare| rare.behind.as_mut());
        *online && behind.is_some_and(|behind| behind.defers_acks(limits, now))
    }

    /// When a publisher of QoS 0 that waits should look again, at the latest.
    #[must_use]
    pub fn slow_at(&self) -> Option<Time> {
        self.behind()?.slow_at(&self.limits)
    }

    /// When a publisher whose acknowledgements wait should look again, at the latest.
    #[must_use]
    pub fn stuck_at(&self) -> Option<Time> {
        self.behind()?.stuck_at(&self.limits)
    }

    fn behind(&self) -> Option<&Behind> {
        self.rare.as_ref()?.behind.as_ref()
    }

    /// Takes what fits into `bytes_max`, at least one delivery, into `into`. Returns whether
    /// publishers that wait may go on now.
    pub fn drain(&mut self, into: &mut VecDeque<Delivery>, bytes_max: usize) -> bool {
        if self.rare.is_none() && self.bytes <= bytes_max && into.is_empty() {
            std::mem::swap(&mut self.queue, into);
            (self.bytes, self.messages) = (0, 0);
            return false;
        }
        if self.rare.as_ref().is_some_and(|rare| rare.expiring.empty > 0) {
            self.retain(|delivery| delivery.count() > 0);
        }
        if self.bytes <= bytes_max && into.is_empty() {
            std::mem::swap(&mut self.queue, into);
            self.bytes = 0;
            self.messages = 0;
            if let Some(rare) = &mut self.rare {
                rare.expiring.clear();
            }
            return self.relax();
        }
        let mut taken = 0;
        while taken < bytes_max {
            let Some(delivery) = self.pop_front() else { break };
            taken += delivery.run.len();
            into.push_back(delivery);
        }
        self.relax()
    }

    /// Publishers go on at half the high-water mark, so that they are not woken for every message.
    pub fn relax(&mut self) -> bool {
        let Some(mark) = self.behind().map(|behind| behind.mark) else { return false };
        let Held { messages, bytes } = self.limits.high_water();
        let half = Held { messages: messages / 2, bytes: bytes / 2 };
        if self.is_above(mark / 2 + 1, half) {
            return false;
        }
        self.take_behind()
    }

    fn take_behind(&mut self) -> bool {
        let behind = self.rare.as_mut().and_then(|rare| rare.behind.take());
        self.tidy();
        behind.is_some()
    }

    /// Takes room for up to `wanted` messages that the owner is about to hold, or to put on the disk;
    /// they may wait, so publishers are left most of the room. Returns for how many. The owner's next
    /// report tells what became of the former; for the latter, [`Inbox::unreserve`] does.
    pub fn reserve(&mut self, wanted: usize, owner: Held) -> usize {
        self.owner = owner;
        let (held, high_water) = (self.held(), self.limits.high_water());
        if held.bytes > high_water.bytes / 2 {
            return 0;
        }
        let messages_max = (high_water.messages / 2).max(1).min(self.limits.messages_max);
        let room = messages_max.saturating_sub(held.messages + self.reserved() as usize);
        let granted = room.min(wanted);
        if self.is_stored && granted > 0 {
            let granted = u32::try_from(granted).unwrap_or(u32::MAX);
            self.rare.get_or_insert_default().reserved += granted;
        } else {
            self.owner.messages += granted;
        }
        granted
    }

    /// Room that was taken is used, or not needed.
    pub fn unreserve(&mut self, messages: u32) {
        if let Some(rare) = &mut self.rare {
            rare.reserved = rare.reserved.saturating_sub(messages);
        }
    }

    /// Messages on their way to the disk whose room is taken.
    #[must_use]
    pub fn reserved(&self) -> u32 {
        self.rare.as_ref().map_or(0, |rare| rare.reserved)
    }

    /// The session's queue is on a disk, and has so many bytes that are nowhere else.
    pub const fn keep_on_disk(&mut self, disk_bytes: u64) {
        self.is_stored = true;
        self.disk_bytes = disk_bytes;
    }

    /// Messages are on the disk, and stay there for now.
    pub fn note_stored(&mut self, count: u32, bytes: usize, now: Time) {
        self.ledger.enqueued += u64::from(count);
        self.disk_bytes += bytes as u64;
        self.note_load(now);
    }

    /// Messages have left the disk that were nowhere else.
    pub fn note_removed(&mut self, done: Ledger, bytes: u64) {
        self.ledger += done;
        self.disk_bytes = self.disk_bytes.saturating_sub(bytes);
    }

    /// Leaves messages that are on the disk too. Returns false if there is so much here that they
    /// had better stay there alone.
    pub fn push_stored(&mut self, delivery: Delivery, now: Time) -> bool {
        let (count, bytes) = (delivery.count(), delivery.run.len());
        if self.bytes >= self.limits.high_water_bytes {
            self.note_stored(count, bytes, now);
            return false;
        }
        self.ledger.enqueued += u64::from(count);
        self.store(delivery);
        self.note_load(now);
        true
    }

    /// Leaves messages that were fetched from the disk, whatever waits here.
    pub fn restore(&mut self, delivery: Delivery, now: Time) {
        self.disk_bytes = self.disk_bytes.saturating_sub(delivery.run.len() as u64);
        self.store(delivery);
        self.note_load(now);
    }

    /// Counts messages that were left, or not left, elsewhere.
    pub fn count(&mut self, ledger: Ledger) {
        self.ledger += ledger;
    }

    /// Messages here that are on the disk too and have expired: taken out, for the owner to count and
    /// to skip.
    pub fn take_expired_stored(&mut self, now: Time, into: &mut VecDeque<Delivery>) {
        let is_over = |delivery: &Delivery| delivery.seq.is_some() && delivery.run.is_expired(now);
        if self.queue.iter().any(is_over) {
            into.extend(self.queue.iter().filter(|delivery| is_over(delivery)).cloned());
            self.retain(|delivery| !is_over(delivery));
        }
    }

    /// When the next message expires that is here and on the disk.
    pub fn stored_expiry(&self) -> Option<Time> {
        let stored = self.queue.iter().filter(|delivery| delivery.seq.is_some());
        stored.filter_map(|delivery| delivery.run.expires_at()).min()
    }

    /// The connection ended: QoS 1 and 2 messages are forgotten here, because they are on a disk.
    pub fn forget_stored(&mut self) {
        self.retain(|delivery| delivery.seq.is_none());
    }

    /// Takes note of what the owner did since the last call, and of what it holds.
    pub fn report(&mut self, done: Ledger, held: Held) {
        if let Some(rare) = &mut self.rare
            && let Some(behind) = &mut rare.behind
            && (done.delivered > 0 || done.expired > 0 || done.dropped_total() > 0)
        {
            behind.progress();
        }
        self.ledger += done;
        self.owner = held;
    }

    /// A connection took the session over.
    pub fn go_online(&mut self) {
        self.online = true;
    }

    /// The connection ended: from here on this is the offline queue. QoS 0 messages in it are lost,
    /// and counted. Returns whether publishers waited.
    pub fn go_offline(&mut self) -> bool {
        let was_pressing = self.take_behind();
        self.online = false;
        let lost = |delivery: &&Delivery| delivery.qos() == QoS::AtMostOnce;
        let lost: u32 = self.queue.iter().filter(lost).map(Delivery::count).sum();
        if lost > 0 {
            self.retain(|delivery| delivery.qos() != QoS::AtMostOnce);
            self.ledger.drop_messages(DropReason::ConnectionLost, lost.into());
        }
        self.queue.shrink_to(4);
        was_pressing
    }

    /// The session ended: what it still holds is lost, and counted. Returns what waited here.
    pub fn end(&mut self) -> VecDeque<Delivery> {
        self.ledger.drop_messages(DropReason::SessionEnded, self.ledger().held());
        let queue = std::mem::take(&mut self.queue);
        (self.messages, self.bytes, self.disk_bytes) = (0, 0, 0);
        (self.owner, self.rare) = (Held::default(), None);
        queue
    }

    /// Whether a connection owns the session.
    #[must_use]
    pub const fn is_online(&self) -> bool {
        self.online
    }

    /// Whether the receiver is marked slow.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.behind().is_some_and(|behind| behind.is_slow)
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

    /// Bytes that the session holds: those that wait here, and what its owner reported.
    #[must_use]
    pub const fn bytes_held(&self) -> usize {
        self.bytes.saturating_add(self.owner.bytes)
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
        behind_max_millis: 100,
        when_full: QueueFull::DropNewest,
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
        assert_eq!(inbox.push(big.clone(), Time::ZERO).pressure, Pressure::Wait);
        assert!(inbox.stops_reading(Time::from_millis(9)));
        assert_eq!(inbox.slow_at(), Some(Time::from_millis(10)));
        assert!(!inbox.stops_reading(Time::from_millis(10)));
        assert!(inbox.is_slow());
        assert_eq!(inbox.push(big.clone(), Time::from_millis(11)).pressure, Pressure::None);
        assert_eq!(inbox.ledger().dropped(DropReason::SlowReceiver), 1);
        // It catches up, and is a receiver like any other again.
        assert!(inbox.drain(&mut VecDeque::new(), 1000));
        assert!(!inbox.is_slow());
        assert_eq!(inbox.push(big, Time::from_millis(12)).pressure, Pressure::Wait);
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
