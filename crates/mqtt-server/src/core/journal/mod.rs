//! What has to be on a disk before it is acknowledged, and the order in which it gets there.
//!
//! ```text
//! connections ── append ──> the next group ── commit ──> the store ── then ──> deliveries to their
//!                           (collects while the group before it is written)    inboxes, and whoever
//!                                                                              waits is woken
//! ```
//!
//! A connection appends what belongs together as one [`Transaction`], after it has worked off what
//! it read, and gets a [`Ticket`] for it. One thread, or a test, calls [`Journal::commit`]: it writes
//! everything that came since the last time as one group.
//!
//! Where there is no room for more, a group is parted: what brings new messages is refused, and the
//! rest is written, so that queues can always be drained.
//!
//! The queues of sessions are only touched by `commit`, so the order of a queue is that of the
//! journal. A message goes to the inbox of its receiver when it is committed: if the receiver is
//! connected and has taken what was before it. Otherwise it stays on the disk and is fetched.

mod facts;
mod group;
mod queue;
mod removed;
mod restore;
mod state;
mod ticket;
mod transaction;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use mqtt_packet::ReasonCode;
use mqtt_session::time::earliest;
use mqtt_session::{
    Change, ClockMark, InboxLimits, Ledger, Level, SessionNumber, SessionStore, StoreError,
    StoreErrorKind, StoredMessage, Time, WallClock,
};
use mqtt_topics::{TopicFilterRef, TopicNameRef};
use parking_lot::{Condvar, Mutex};

use self::{
    group::Group,
    queue::Queue,
    state::{State, Telling},
    ticket::{Refusals, Refused},
};
pub(crate) use self::{
    ticket::Ticket,
    transaction::{Entry, QueueTarget, Refusable, Transaction, Unsettled},
};
use super::{
    schedule::Schedule,
    slot::{Slot, wake_all},
};
use crate::retained::Retained;

/// Above so many bytes in the next group, whoever waits for it is not read from.
const PENDING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Progress of sessions alone is not worth a group at once: it may wait so long for company.
const LAZY: Duration = Duration::from_millis(20);

/// A full store is asked again so often.
const RETRY_MILLIS: u64 = 1_000;

/// The same, by a journal that stops.
const LAST_RETRY_MILLIS: u64 = 100;

/// How long a journal that stops waits for a store that takes nothing.
const STOP_MILLIS: u64 = 1_000;

/// What has become of a [`Ticket`].
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Outcome {
    Pending,
    /// As safe as was asked for.
    Safe,
    /// The store did not take it.
    Refused(ReasonCode),
}

/// The journal of a server with a store.
pub(crate) struct Journal {
    store: Arc<dyn SessionStore>,
    pub(crate) clock: WallClock,
    limits: InboxLimits,
    /// When sessions are looked at for expired messages.
    schedule: Arc<Schedule>,
    retained: Arc<dyn Retained>,
    pending: Mutex<Pending>,
    work: Condvar,
    /// Who waits for the group that is being written.
    writing: Mutex<Vec<Arc<Slot>>>,
    /// The number of the last group that is over.
    over: AtomicU64,
    /// Groups from this one on are lost: nobody writes them any more.
    broken: AtomicU64,
    refusals: Mutex<Refusals>,
    has_refused: AtomicBool,
    /// There is no room for new messages: nothing else that grows is begun either.
    lacks_room: AtomicBool,
    telling: Telling,
    queues: Mutex<Queues>,
    last_session: AtomicU64,
    /// What became of messages whose sessions were gone before they were written.
    lost: Mutex<Ledger>,
    pub(crate) meter: Meter,
}

/// What is to be written next.
#[derive(Default)]
struct Pending {
    group: u64,
    entries: Vec<Entry>,
    /// Changes of a group that the store had no room for.
    again: Vec<Change>,
    level: Level,
    /// Somebody waits for it.
    is_urgent: bool,
    bytes: usize,
    waiting: Vec<Arc<Slot>>,
    /// Pages that could not be read for now, and when they are tried again.
    later: Option<(Time, Vec<Entry>)>,
    state: State,
    is_stopping: bool,
    /// Set while it stops: until then it waits for a store that takes nothing.
    stops_by: Option<Time>,
}

/// The queues of all sessions in the store.
#[derive(Default)]
pub(crate) struct Queues {
    by_session: HashMap<SessionNumber, Queue>,
    last_shared: u64,
    /// Retained messages that wait for room. No more than there are retained messages.
    unretained: HashMap<Arc<str>, StoredMessage>,
}

/// What the journal has done so far, for whoever watches.
#[derive(Default)]
pub(crate) struct Meter {
    pub(crate) groups: AtomicU64,
    pub(crate) transactions: AtomicU64,
    pub(crate) failures: AtomicU64,
    /// How long the last groups took, in microseconds: a mean that forgets.
    pub(crate) commit_micros: AtomicU64,
    /// When [`Meter::rates`] was last asked for, and the groups and transactions until then.
    asked: Mutex<(Time, u64, u64)>,
}

impl Journal {
    pub(crate) fn new(
        store: Arc<dyn SessionStore>,
        limits: InboxLimits,
        clock: WallClock,
        schedule: Arc<Schedule>,
        retained: Arc<dyn Retained>,
    ) -> Self {
        Self {
            schedule,
            retained,
            store,
            clock,
            limits,
            pending: Mutex::new(Pending { group: 1, ..Pending::default() }),
            work: Condvar::new(),
            writing: Mutex::default(),
            over: AtomicU64::new(0),
            broken: AtomicU64::new(u64::MAX),
            refusals: Mutex::default(),
            has_refused: AtomicBool::new(false),
            lacks_room: AtomicBool::new(false),
            telling: Telling::default(),
            queues: Mutex::default(),
            last_session: AtomicU64::new(0),
            lost: Mutex::default(),
            meter: Meter::default(),
        }
    }

    /// Has the store keep what the clocks show.
    pub(crate) fn note_clock(&self, mark: ClockMark) {
        self.store.note_clock(mark);
    }

    /// A number that no session had before.
    pub(crate) fn next_session(&self) -> SessionNumber {
        SessionNumber(self.last_session.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Appends a transaction. `waiter` is woken when its group is over; without one, nobody waits.
    ///
    /// # Errors
    /// The store takes nothing at all that somebody waits for. The transaction is dropped then, but
    /// for what has already happened, and its messages are counted.
    pub(crate) fn append(
        &self,
        transaction: Transaction,
        waiter: Option<&Arc<Slot>>,
        now: Time,
    ) -> Result<Ticket, ReasonCode> {
        let is_urgent = waiter.is_some();
        let transaction = transaction.contents();
        let mut pending = self.pending.lock();
        if let Some(reason) = pending.state.refuses(now).filter(|_| is_urgent) {
            let facts = transaction.entries.into_iter();
            pending.entries.extend(facts.filter_map(|entry| self.without_messages(entry)));
            drop(pending);
            self.work.notify_one();
            return Err(reason);
        }
        self.meter.transactions.fetch_add(1, Ordering::Relaxed);
        let wakes = is_urgent && !pending.is_urgent || pending.entries.is_empty();
        pending.bytes += transaction.bytes;
        pending.level = pending.level.max(transaction.level);
        pending.entries.extend(transaction.entries);
        pending.is_urgent |= is_urgent;
        if let Some(waiter) = waiter
            && waiter.waits_for_group(pending.group)
        {
            pending.waiting.push(waiter.clone());
        }
        let ticket = Ticket::new(pending.group, transaction.brings_messages);
        drop(pending);
        if wakes {
            self.work.notify_one();
        }
        Ok(ticket)
    }

    /// What has happened already, of an entry that is refused with its messages.
    fn without_messages(&self, entry: Entry) -> Option<Entry> {
        match entry {
            Entry::Publish { run, targets, .. } => {
                self.not_stored(&targets, run.count());
                None
            }
            Entry::Received { session, mut ids, mut unsettled, refusable } => {
                let is_new = |id| unsettled.contains(&(id, None));
                ids.retain(|id| !is_new(*id));
                unsettled.retain(|(_, ticket)| ticket.is_some());
                Some(Entry::Received { session, ids, unsettled, refusable })
            }
            entry => Some(entry),
        }
    }

    /// Whether there is a retained message of a topic that may go into the store.
    fn is_retained(&self, topic: TopicNameRef<'_>, now: Time) -> bool {
        let mut found = Vec::new();
        if let Ok(filter) = TopicFilterRef::with_limit(topic.as_str(), usize::MAX) {
            self.retained.scan(filter, None, 1, now, &mut found);
        }
        !found.is_empty()
    }

    /// What has become of a ticket.
    pub(crate) fn outcome(&self, ticket: Ticket) -> Outcome {
        if ticket.group() >= self.broken.load(Ordering::Acquire) {
            return Outcome::Refused(ReasonCode::UNSPECIFIED_ERROR);
        }
        if ticket.group() > self.over.load(Ordering::Acquire) {
            return Outcome::Pending;
        }
        if self.has_refused.load(Ordering::Relaxed)
            && let Some(reason) = self.refusals.lock().reason(ticket)
        {
            return Outcome::Refused(reason);
        }
        Outcome::Safe
    }

    /// Whether so much waits for the disk that no more should be read.
    pub(crate) fn is_overfull(&self) -> bool {
        self.pending.lock().bytes > PENDING_BYTES_MAX
    }

    /// Waits until there is something to commit. Returns false when the journal is stopped and
    /// everything is written, or the store took nothing until the time for that was over.
    pub(crate) fn wait(&self, now: impl Fn() -> Time) -> bool {
        let mut pending = self.pending.lock();
        loop {
            let at = now();
            let is_late = pending.stops_by.is_some_and(|by| by <= at);
            if is_late && pending.has_work(at) && matches!(pending.state, State::Full(_)) {
                let left = pending.entries.len() + pending.again.len();
                tracing::error!(
                    changes = left,
                    "stopped without writing all: the store takes nothing"
                );
                return false;
            }
            if let State::Full(retry) = pending.state
                && at < retry
            {
                let left = Duration::from_millis(retry.millis_since(at));
                self.work.wait_for(&mut pending, left);
                continue;
            }
            let has_work = pending.has_work(at);
            match (has_work, pending.is_urgent || pending.is_stopping) {
                (true, true) => return true,
                (true, false) => {
                    if self.work.wait_for(&mut pending, LAZY).timed_out() {
                        return true;
                    }
                }
                (false, _) if pending.is_stopping => return false,
                (false, _) => match pending.next_look() {
                    None => self.work.wait(&mut pending),
                    Some(look) if look <= at => return true,
                    Some(look) => {
                        let left = Duration::from_millis(look.millis_since(at));
                        self.work.wait_for(&mut pending, left);
                    }
                },
            }
        }
    }

    /// Whoever writes the journal cannot go on: everything that was not written is refused, the group
    /// in the middle of which that happened included.
    pub(crate) fn break_down(&self) {
        let waiting = {
            let mut pending = self.pending.lock();
            pending.state = State::Failed;
            std::mem::take(&mut pending.waiting)
        };
        self.broken.store(self.over.load(Ordering::Acquire) + 1, Ordering::Release);
        wake_all(&std::mem::take(&mut *self.writing.lock()));
        wake_all(&waiting);
    }

    /// Writes what is there, and ends [`Journal::wait`] then.
    pub(crate) fn stop(&self, now: Time) {
        let mut pending = self.pending.lock();
        pending.is_stopping = true;
        pending.stops_by = Some(now.after_millis(STOP_MILLIS));
        if let State::Full(retry) = &mut pending.state {
            *retry = now;
        }
        drop(pending);
        self.work.notify_one();
    }

    /// Writes everything that was appended as one group; then hands it on. Returns whether there was
    /// anything.
    pub(crate) fn commit(&self, now: Time) -> bool {
        let takes_messages = self.look_for_room(now);
        let Some(mut taken) = self.take(now) else { return false };
        *self.writing.lock() = std::mem::take(&mut taken.waiting);
        let mut queues = self.queues.lock();
        let mut group = Group::new(&mut queues, self.limits, self.clock, now, takes_messages);
        group.changes = taken.again;
        group.retain_what_waited();
        for entry in taken.entries {
            group.add(entry, self);
        }
        let mut written = self.write(&group, taken.level);
        let no_room = written.as_ref().err().filter(|error| error.kind == StoreErrorKind::Full);
        if no_room.is_some() && group.brings_messages() {
            let why = written.err();
            group.refuse_messages(self);
            written = self.write(&group, taken.level);
            if let (Ok(()), Some(error)) = (&written, why) {
                self.run_short(&error, now);
            }
        } else if written.is_ok() && takes_messages {
            self.recover(now);
        }
        if group.has_refused {
            self.refuse(taken.group, Refused::Messages, ReasonCode::QUOTA_EXCEEDED);
        }
        match written {
            Ok(()) => {
                group.hand_on(self, now);
                if takes_messages && !queues.unretained.is_empty() {
                    self.pending.lock().entries.push(Entry::Sync);
                }
            }
            Err(error) => self.fail(taken.group, &error, group, now),
        }
        drop(queues);
        self.meter.groups.fetch_add(1, Ordering::Relaxed);
        self.over.store(taken.group, Ordering::Release);
        wake_all(&std::mem::take(&mut *self.writing.lock()));
        true
    }

    fn write(&self, group: &Group<'_>, level: Level) -> Result<(), StoreError> {
        let needs_store = !group.changes.is_empty() || level > Level::Memory;
        if needs_store { self.store.commit(&group.changes, level) } else { Ok(()) }
    }

    fn take(&self, now: Time) -> Option<Pending> {
        let mut pending = self.pending.lock();
        let is_early = matches!(pending.state, State::Full(retry) if now < retry);
        if !pending.has_work(now) || (is_early && !pending.is_stopping && !pending.is_urgent) {
            return None;
        }
        let next = Pending {
            group: pending.group + 1,
            level: Level::Memory,
            later: pending.later.take_if(|(due, _)| *due > now),
            state: pending.state,
            is_stopping: pending.is_stopping,
            stops_by: pending.stops_by,
            ..Pending::default()
        };
        let mut taken = std::mem::replace(&mut *pending, next);
        if let Some((_, pages)) = taken.later.take() {
            taken.entries.extend(pages);
        }
        Some(taken)
    }

    /// Nothing of the group is acknowledged. What has happened already is written as soon as there
    /// is room; what was only asked for is gone.
    fn fail(&self, number: u64, error: &StoreError, group: Group<'_>, now: Time) {
        let facts = group.give_up(self, now);
        self.meter.failures.fetch_add(1, Ordering::Relaxed);
        let mut pending = self.pending.lock();
        let pause = if pending.is_stopping { LAST_RETRY_MILLIS } else { RETRY_MILLIS };
        let (reason, state) = match error.kind {
            StoreErrorKind::Full => {
                (ReasonCode::QUOTA_EXCEEDED, State::Full(now.after_millis(pause)))
            }
            _ => (ReasonCode::UNSPECIFIED_ERROR, State::Failed),
        };
        if state != State::Failed {
            pending.again = facts;
        }
        let before = pending.state;
        if before != State::Failed {
            self.set_state(&mut pending, state);
        }
        drop(pending);
        self.refuse(number, Refused::All, reason);
        if self.telling.is_due(before, state, now) {
            tracing::error!(%error, "the store fails: durable messages are refused");
        }
    }

    /// Remembers what was refused of a group. Nobody asks before the group is over.
    fn refuse(&self, group: u64, what: Refused, reason: ReasonCode) {
        self.refusals.lock().add(group, what, reason);
        self.has_refused.store(true, Ordering::Relaxed);
    }

    /// A page of a queue cannot be read for now: the connection gets it later.
    fn fetch_later(&self, session: SessionNumber, slot: Arc<Slot>, now: Time) {
        let mut pending = self.pending.lock();
        let later = || (now.after_millis(RETRY_MILLIS), Vec::new());
        pending.later.get_or_insert_with(later).1.push(Entry::Fetch { session, slot });
    }

    /// Counts messages for sessions that did not live to see them written.
    fn lose(&self, ledger: Ledger) {
        *self.lost.lock() += ledger;
    }

    /// Counts messages that the store did not take.
    fn not_stored(&self, targets: &[QueueTarget], count: u32) {
        for target in targets {
            target.give_room_back(count);
            if !target.slot.refuse(mqtt_session::DropReason::NotStored, count) {
                self.lose(ended(count));
            }
        }
    }

    /// What became of messages whose sessions were gone before they were written.
    pub(crate) fn lost(&self) -> Ledger {
        *self.lost.lock()
    }

    /// Whether the store takes messages.
    pub(crate) fn is_ready(&self) -> bool {
        self.pending.lock().state == State::Ready
    }

    /// Messages of a session that are in the store.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn stored(&self, session: SessionNumber) -> u64 {
        self.queues.lock().by_session.get(&session).map_or(0, Queue::messages)
    }

    /// Messages of a session that are on the disk alone.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn on_disk(&self, session: SessionNumber) -> u64 {
        self.queues.lock().by_session.get(&session).map_or(0, Queue::on_disk)
    }
}

impl Meter {
    /// Groups in a second, and transactions in a group, since this was last asked for.
    pub(crate) fn rates(&self, now: Time) -> (u64, u64) {
        let groups = self.groups.load(Ordering::Relaxed);
        let transactions = self.transactions.load(Ordering::Relaxed);
        let before = std::mem::replace(&mut *self.asked.lock(), (now, groups, transactions));
        let millis = now.millis_since(before.0).max(1);
        let (groups, transactions) = (groups - before.1, transactions - before.2);
        (groups * 1000 / millis, transactions.checked_div(groups).unwrap_or_default())
    }

    /// A group took so long.
    pub(crate) fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mean = self.commit_micros.load(Ordering::Relaxed);
        // Only the journal's thread writes it.
        self.commit_micros.store((mean * 15 + took) / 16, Ordering::Relaxed);
    }
}

impl Pending {
    fn has_work(&self, now: Time) -> bool {
        let has_pages = self.later.as_ref().is_some_and(|(due, _)| *due <= now);
        !self.entries.is_empty() || !self.again.is_empty() || has_pages
    }

    /// When to look again although nothing is appended.
    fn next_look(&self) -> Option<Time> {
        let pages = self.later.as_ref().map(|(due, _)| *due);
        let room = if let State::Short(look) = self.state { Some(look) } else { None };
        earliest(pages, room)
    }
}

/// Messages for a session that is over.
fn ended(count: u32) -> Ledger {
    let mut ledger = Ledger::of(count.into());
    ledger.drop_messages(mqtt_session::DropReason::SessionEnded, count.into());
    ledger
}
