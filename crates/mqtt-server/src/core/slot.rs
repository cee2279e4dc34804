//! The place of one session: what other connections may touch of it, behind one short lock.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Waker,
};

use mqtt_auth::{Identity, Subject};
use mqtt_packet::{PacketId, QoS};
use mqtt_session::{
    Delivery, DropReason, Held, Inbox, InboxLimits, Ledger, Pressure, Progress, Session,
    SessionNumber, Time, WillRequest, Wire,
};
use parking_lot::{Mutex, MutexGuard};

use super::{
    behind::Standing, cause::Cause, journal::Ticket, memory::Intake, subscriptions::Subscriptions,
    traffic::Traffic,
};
use crate::routing::SubscriberId;

/// The user name of clients inside the process. No peer can have it: a user name holds no U+0000.
pub(crate) const LOCAL_USER: &str = "\0local";

/// One session's place in the server.
///
/// While the session has a connection, the connection's task owns its delivery state; here are the
/// inbox that others fill, and the few words they exchange with the owner. Locks are never nested:
/// whoever holds one takes no other, of this slot or of another.
pub(crate) struct Slot {
    pub(crate) id: SubscriberId,
    pub(crate) client_id: Arc<str>,
    pub(crate) identity: Identity,
    /// The session's number in the store; `None` if it is kept in memory alone.
    pub(crate) number: Option<SessionNumber>,
    /// The form in which the session's connection wants a PUBLISH, in the lowest bit, and its Maximum
    /// Packet Size.
    peer: AtomicU32,
    /// The last group of the journal whose end the owner waits for.
    waits_for_group: AtomicU32,
    state: Mutex<SlotState>,
}

/// What stands behind the lock of a [`Slot`].
pub(crate) struct SlotState {
    pub(crate) inbox: Inbox,
    /// Wakes the owner; kept while it sleeps and while it works.
    waker: Option<Waker>,
    /// The owner knows that there is something to do.
    awake: bool,
    /// Who waits for the session, while somebody does.
    waiting: Option<Box<Waiting>>,
    /// Why the owner has to go.
    pub(crate) leave: Option<Cause>,
    /// The delivery state, while there is no connection; or as the store knows it, for a connection
    /// that is about to take it up.
    pub(crate) session: Option<Box<Session>>,
    pub(crate) subscriptions: Subscriptions,
    /// What the connection counted; that of connections before is with the broker.
    traffic: Option<Box<Traffic>>,
    /// Counts the connections that the session had.
    pub(crate) epoch: u64,
    pub(crate) expiry_secs: u32,
    /// When the session ends, while it has no connection and is not kept for ever.
    pub(crate) expires_at: Option<Time>,
    /// A will whose delay runs, and when it is due.
    pub(crate) will: Option<Box<(WillRequest, Time)>>,
    pub(crate) ended: bool,
    /// Bytes that the connection holds: of a packet that is not complete, and for the socket.
    buffered: u32,
    /// There are messages in the store that the owner has not asked for.
    more_on_disk: bool,
    /// The owner is to look for messages that have expired.
    pub(crate) looks: bool,
    /// QoS 2 messages that the connection before left when the store had not decided on them.
    pub(crate) unsettled: Option<Box<Vec<(PacketId, Ticket)>>>,
}

/// What a slot did with messages from the store.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Fed {
    Taken,
    /// There is no room, or not this connection: they stay on the disk.
    Full,
    /// The session is over.
    Ended,
}

/// What an owner learns when it reports.
pub(crate) struct Exchanged {
    /// Why it has to go.
    pub(crate) leave: Option<Cause>,
    /// There is more in the store: to be fetched by whoever hears it.
    pub(crate) fetch: bool,
    /// Messages may have expired that it holds.
    pub(crate) looks: bool,
}

/// What a publisher waits with for a receiver that is behind.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Waits {
    /// It is not read from.
    Reading,
    /// Its messages are not acknowledged.
    Acks,
}

/// Who waits for something of a session.
#[derive(Default)]
pub(crate) struct Waiting {
    /// Publishers, for room in the inbox.
    publishers: Vec<Arc<Slot>>,
    /// Connections, for the owner to go.
    newcomers: Vec<Waker>,
}

/// What became of messages that were left in a slot.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Pushed {
    /// So many were taken.
    pub(crate) taken: u32,
    /// Whether the publisher should wait for room.
    pub(crate) waits: bool,
    /// When expired messages are to be looked for, if that is news.
    pub(crate) look_at: Option<Time>,
}

impl Slot {
    pub(crate) fn new(
        id: SubscriberId,
        client_id: Arc<str>,
        identity: Identity,
        limits: Arc<InboxLimits>,
        number: Option<SessionNumber>,
    ) -> Self {
        let mut inbox = Inbox::new(limits);
        if number.is_some() {
            inbox.keep_on_disk(0);
        }
        let state = SlotState {
            inbox,
            waker: None,
            awake: true,
            waiting: None,
            leave: None,
            session: None,
            subscriptions: Subscriptions::default(),
            traffic: None,
            epoch: 0,
            expiry_secs: 0,
            expires_at: None,
            will: None,
            ended: false,
            buffered: 0,
            more_on_disk: false,
            looks: false,
            unsettled: None,
        };
        Self {
            id,
            client_id,
            identity,
            number,
            peer: AtomicU32::new(u32::MAX - 1),
            waits_for_group: AtomicU32::new(0),
            state: Mutex::new(state),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock()
    }

    /// Whether the session belongs to the process itself: it may read everything.
    pub(crate) fn is_local(&self) -> bool {
        self.identity.user_name() == Some(LOCAL_USER)
    }

    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject { client_id: &self.client_id, identity: &self.identity }
    }

    pub(crate) fn wire(&self) -> Wire {
        if self.peer.load(Ordering::Relaxed) & 1 == 0 { Wire::V3 } else { Wire::V5 }
    }

    /// The largest packet that the session's connection takes, or the last one did.
    pub(crate) fn packet_bytes_max(&self) -> u32 {
        self.peer.load(Ordering::Relaxed) >> 1
    }

    /// A connection takes packets of this form, up to so many bytes.
    pub(crate) fn set_peer(&self, wire: Wire, packet_bytes_max: u32) {
        let packet_bytes_max = packet_bytes_max.min(u32::MAX >> 1);
        self.peer.store(packet_bytes_max << 1 | u32::from(wire == Wire::V5), Ordering::Relaxed);
    }

    /// Leaves messages for the session; `None` if it has ended: there is nobody to take them.
    pub(crate) fn push(&self, delivery: Delivery, now: Time, intake: Intake) -> Option<Pushed> {
        let due = delivery.run.expires_at();
        let (pushed, waker) = {
            let mut state = self.state.lock();
            if state.ended {
                return None;
            }
            if intake.is_short() && state.drops(&delivery, intake) {
                return Some(Pushed { taken: 0, waits: false, look_at: None });
            }
            let inbox = &mut state.inbox;
            let pushed = inbox.push_below(delivery, now, intake.high_water);
            let mqtt_session::Pushed { taken, pressure } = pushed;
            let look_at = due.and_then(|due| inbox.look_at(due));
            let waits = pressure == Pressure::Wait;
            (Pushed { taken, waits, look_at }, state.rouse())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(pushed)
    }

    /// A message that expires is about to be left in the store. Returns when expired messages are to
    /// be looked for, if that is news.
    pub(crate) fn look_at(&self, due: Time) -> Option<Time> {
        self.state.lock().inbox.look_at(due)
    }

    /// Takes room for messages that the owner is about to deliver, or to append to the journal.
    pub(crate) fn reserve(&self, wanted: usize, owner: Held) -> usize {
        self.state.lock().inbox.reserve(wanted, owner)
    }

    /// Messages on their way to the store whose room is taken.
    pub(crate) fn reserved(&self) -> u32 {
        self.state.lock().inbox.reserved()
    }

    /// Room that was taken is used, or not needed.
    pub(crate) fn unreserve(&self, messages: u32) {
        self.state.lock().inbox.unreserve(messages);
    }

    /// How the session stands with its messages. If `publisher` has to wait for it, with its
    /// acknowledgements or with everything, it is woken when there is room.
    pub(crate) fn holds_back(&self, publisher: &Arc<Slot>, waits: Waits, now: Time) -> Standing {
        let mut state = self.state.lock();
        let standing = state.standing(waits, now);
        if standing.is_pressing {
            let publishers = &mut state.waiting.get_or_insert_default().publishers;
            if !publishers.iter().any(|waiting| waiting.id == publisher.id) {
                publishers.push(publisher.clone());
            }
        }
        standing
    }

    /// How the session stands with its messages.
    pub(crate) fn standing(&self, waits: Waits, now: Time) -> Standing {
        self.state.lock().standing(waits, now)
    }

    /// When a publisher that waits for this session should look again.
    pub(crate) fn given_up_at(&self, waits: Waits) -> Option<Time> {
        let state = self.state.lock();
        match waits {
            Waits::Reading => state.inbox.slow_at(),
            Waits::Acks => state.inbox.stuck_at(),
        }
    }

    /// The owner reports, and takes what waits, up to `bytes_max`.
    pub(crate) fn exchange(
        &self,
        report: Report,
        into: &mut VecDeque<Delivery>,
        bytes_max: usize,
    ) -> Exchanged {
        let (waiting, exchanged) = {
            let mut state = self.state.lock();
            state.inbox.report(report.done, report.held);
            state.buffered = report.buffered;
            state.count(report.traffic);
            let relaxed = match bytes_max {
                0 => state.inbox.relax(),
                _ => state.inbox.drain(into, bytes_max),
            };
            let waiting = state.waiting.as_mut().filter(|_| relaxed);
            let waiting = waiting.map(|waiting| std::mem::take(&mut waiting.publishers));
            let fetch = bytes_max > 0 && state.inbox.is_empty() && state.more_on_disk;
            state.more_on_disk &= !fetch;
            let looks = std::mem::take(&mut state.looks);
            (waiting, Exchanged { leave: state.leave, fetch, looks })
        };
        wake_all(&waiting.unwrap_or_default());
        exchanged
    }

    /// Counts messages that the session does not get. Answers false if it is over.
    pub(crate) fn refuse(&self, reason: DropReason, count: u32) -> bool {
        let mut done = Ledger::of(count.into());
        done.drop_messages(reason, count.into());
        let mut state = self.state.lock();
        if !state.ended {
            state.inbox.count(done);
        }
        !state.ended
    }

    /// Messages for the session are in the store. Answers false if it is over.
    pub(crate) fn note_stored(&self, count: u32, bytes: usize, now: Time) -> bool {
        let mut state = self.state.lock();
        if !state.ended {
            state.inbox.note_stored(count, bytes, now);
        }
        !state.ended
    }

    /// Counts messages that stand in no queue. Returns false if the session is over.
    pub(crate) fn count(&self, done: Ledger) -> bool {
        let mut state = self.state.lock();
        if !state.ended {
            state.inbox.count(done);
        }
        !state.ended
    }

    /// Messages were taken out of the store; their owner may have waited for room.
    pub(crate) fn note_removed(&self, done: Ledger, bytes: u64) {
        let waker = {
            let mut state = self.state.lock();
            if state.ended {
                return;
            }
            state.inbox.note_removed(done, bytes);
            state.rouse()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Leaves messages that are in the store with the connection of this number.
    pub(crate) fn push_stored(&self, delivery: Delivery, epoch: u64, now: Time) -> Fed {
        let waker = {
            let mut state = self.state.lock();
            if state.ended {
                return Fed::Ended;
            }
            if !state.is_owned_by(epoch) {
                state.inbox.note_stored(delivery.count(), delivery.run.len(), now);
                return Fed::Full;
            }
            if !state.inbox.push_stored(delivery, now) {
                state.more_on_disk = true;
                return Fed::Full;
            }
            state.rouse()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Fed::Taken
    }

    /// Leaves messages that were fetched from the store with the connection of this number; `more`
    /// if these are not all. Answers false if it has gone.
    pub(crate) fn push_fetched(
        &self,
        deliveries: Vec<Delivery>,
        epoch: u64,
        more: bool,
        now: Time,
    ) -> bool {
        {
            let mut state = self.state.lock();
            if !state.is_owned_by(epoch) {
                return false;
            }
            state.more_on_disk = more;
            for delivery in deliveries {
                state.inbox.restore(delivery, now);
            }
        }
        self.wake();
        true
    }

    /// Tells the connection of this number how far the session is. Answers false if it has gone.
    pub(crate) fn open(&self, progress: Progress, disk_bytes: u64, epoch: u64) -> bool {
        {
            let mut state = self.state.lock();
            if !state.is_owned_by(epoch) {
                return false;
            }
            state.session.get_or_insert_default().continue_from(progress);
            state.inbox.keep_on_disk(disk_bytes);
        }
        self.wake();
        true
    }

    /// Whether the receiver is behind, so that acknowledgements of its publishers should wait.
    pub(crate) fn defers_acks(&self, now: Time) -> bool {
        self.state.lock().inbox.defers_acks(now)
    }

    /// The owner waits for the end of a group; false if that was known. Called under the lock of the
    /// journal.
    pub(crate) fn waits_for_group(&self, group: u64) -> bool {
        // Groups are far fewer than this can tell apart between two sleeps.
        let group = u32::try_from(group & u64::from(u32::MAX)).unwrap_or_default();
        self.waits_for_group.swap(group, Ordering::Relaxed) != group
    }

    /// The owner is about to sleep. Answers false if there is something to do after all.
    pub(crate) fn sleep(&self, waker: &Waker, takes_messages: bool) -> bool {
        let mut state = self.state.lock();
        if state.leave.is_some() || state.looks || (takes_messages && !state.inbox.is_empty()) {
            return false;
        }
        // An owner that has no room for messages is not woken by them: the socket wakes it.
        state.awake = !takes_messages;
        if !state.waker.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        state.inbox.shrink();
        true
    }

    /// Wakes the owner, whatever it waits for.
    pub(crate) fn wake(&self) {
        let waker = {
            let mut state = self.state.lock();
            state.awake = true;
            state.waker.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Tells the owner to go; `newcomer` is woken when it has gone. Answers false if it has gone
    /// already: then nobody would wake the newcomer.
    pub(crate) fn ask_to_leave(&self, cause: Cause, newcomer: Option<&Waker>) -> bool {
        {
            let mut state = self.state.lock();
            if !state.inbox.is_online() {
                return false;
            }
            state.leave.get_or_insert(cause);
            if let Some(newcomer) = newcomer {
                state.waiting.get_or_insert_default().newcomers.push(newcomer.clone());
            }
        }
        self.wake();
        true
    }
}

/// What the owner of a session did since the last report, and what it holds.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) done: Ledger,
    pub(crate) held: Held,
    pub(crate) traffic: Traffic,
    /// Bytes of a packet that is not complete, and those that wait for the socket.
    pub(crate) buffered: u32,
}

impl Waits {
    /// What a publisher of this QoS waits with.
    pub(crate) const fn of(qos: QoS) -> Self {
        match qos {
            QoS::AtMostOnce => Self::Reading,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Self::Acks,
        }
    }
}

impl SlotState {
    /// Bytes that the session and its connection hold.
    pub(crate) fn bytes(&self) -> usize {
        self.inbox.bytes_held().saturating_add(self.buffered as usize)
    }

    /// Drops messages that there is no memory for, and counts them; false if there is.
    fn drops(&mut self, delivery: &Delivery, intake: Intake) -> bool {
        let is_qos0 = delivery.qos() == QoS::AtMostOnce;
        let (bytes, len) = (self.bytes(), delivery.run.len());
        let drops = intake.drops(is_qos0, self.inbox.is_online(), bytes, len);
        if drops {
            let mut lost = Ledger::of(delivery.count().into());
            lost.drop_messages(DropReason::Memory, delivery.count().into());
            self.inbox.count(lost);
        }
        drops
    }

    fn standing(&mut self, waits: Waits, now: Time) -> Standing {
        let is_pressing = !self.ended
            && match waits {
                Waits::Reading => self.inbox.stops_reading(now),
                Waits::Acks => self.inbox.defers_acks(now),
            };
        Standing {
            epoch: self.epoch,
            is_pressing,
            is_lost: self.ended || !self.inbox.is_online() || self.inbox.is_slow(),
            bytes: self.inbox.bytes(),
            sent: self.traffic().bytes_sent,
        }
    }

    /// The waker to call, if the owner sleeps.
    fn rouse(&mut self) -> Option<Waker> {
        if std::mem::replace(&mut self.awake, true) { None } else { self.waker.clone() }
    }

    /// Adds to what the connection counted.
    fn count(&mut self, traffic: Traffic) {
        if traffic != Traffic::default() {
            **self.traffic.get_or_insert_default() += traffic;
        }
    }

    /// What the connection counted.
    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic.as_deref().copied().unwrap_or_default()
    }

    /// What the connection counted, to be kept elsewhere from now on.
    pub(crate) fn take_traffic(&mut self) -> Traffic {
        self.traffic.take().map(|traffic| *traffic).unwrap_or_default()
    }

    /// Whether the connection of this number has the session.
    const fn is_owned_by(&self, epoch: u64) -> bool {
        self.epoch == epoch && self.inbox.is_online() && !self.ended
    }

    /// Whether the session is still without a connection since the one of this number.
    pub(crate) const fn is_abandoned(&self, epoch: u64) -> bool {
        self.epoch == epoch && !self.inbox.is_online()
    }

    /// The owner is gone: everybody who waited for it may go on.
    pub(crate) fn take_waiting(&mut self) -> Waiting {
        self.waker = None;
        self.awake = true;
        self.leave = None;
        self.more_on_disk = false;
        self.buffered = 0;
        self.waiting.take().map(|waiting| *waiting).unwrap_or_default()
    }
}

impl Waiting {
    /// Wakes everybody; no lock may be held.
    pub(crate) fn wake(self) {
        wake_all(&self.publishers);
        self.newcomers.into_iter().for_each(Waker::wake);
    }
}

/// Wakes the owners of slots; no lock may be held.
pub(crate) fn wake_all(slots: &[Arc<Slot>]) {
    slots.iter().for_each(|slot| slot.wake());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_small() {
        // With the two counts of its Arc it takes 320 bytes; the next size is 384.
        assert!(size_of::<Slot>() <= 304, "{}", size_of::<Slot>());
    }
}
