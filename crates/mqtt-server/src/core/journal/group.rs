//! One group on its way to the store, and what follows from it.

use std::{
    collections::HashSet,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use mqtt_packet::{PacketId, QoS};
use mqtt_session::{
    Change, Delivery, DropReason, InboxLimits, Ledger, QueueFull, QueuePlace, QueuedMessage, Run,
    SessionNumber, StoreErrorKind, StoredMessage, Time, WallClock,
};

use super::{
    Entry, Journal, Outcome, QueueTarget, Queues, Unsettled, ended,
    facts::fold,
    queue::{Loaded, Queue, Taken},
};
use crate::core::{
    cause::Cause,
    legacy::Legacy,
    slot::{Fed, Slot},
};

/// So many expired messages are taken out of a queue in one go.
const EXPIRED_MAX: usize = 1024;

/// So many bytes of messages are fetched at once.
const PAGE_BYTES: usize = 128 * 1024;

/// So many pages of a session that ends are read for others.
const LEFT_PAGES_MAX: usize = 32;

/// The changes of a group, and what is to be done when they are written.
pub(super) struct Group<'a> {
    queues: &'a mut Queues,
    limits: InboxLimits,
    clock: WallClock,
    now: Time,
    pub(super) changes: Vec<Change>,
    deliveries: Vec<(QueueTarget, Placed)>,
    fetches: Vec<(SessionNumber, Arc<Slot>, Option<u64>)>,
    /// What became of messages that were taken out of queues, and their bytes.
    taken: Vec<(Arc<Slot>, Ledger, u64)>,
    /// QoS 2 identifiers of messages that are refused if the group is.
    identifiers: Vec<(SessionNumber, PacketId)>,
    /// Whether there is room for new messages.
    takes_messages: bool,
    /// New messages were refused.
    pub(super) has_refused: bool,
}

/// Messages that have their place in a queue.
struct Placed {
    run: Run,
    seq: u64,
    shared: Option<u64>,
}

impl<'a> Group<'a> {
    pub(super) fn new(
        queues: &'a mut Queues,
        limits: InboxLimits,
        clock: WallClock,
        now: Time,
        takes_messages: bool,
    ) -> Self {
        let (changes, deliveries, fetches) = (Vec::new(), Vec::new(), Vec::new());
        let (taken, identifiers) = (Vec::new(), Vec::new());
        let has_refused = false;
        Self {
            queues,
            limits,
            clock,
            now,
            changes,
            deliveries,
            fetches,
            taken,
            identifiers,
            takes_messages,
            has_refused,
        }
    }

    pub(super) fn add(&mut self, entry: Entry, journal: &Journal) {
        match entry {
            Entry::Publish { run, targets, .. } if !self.takes_messages => {
                self.has_refused = true;
                journal.not_stored(&targets, run.count());
            }
            Entry::Publish { run, targets, taken } => {
                self.publish(&run, targets, taken.as_deref(), journal);
            }
            Entry::Retain { topic, run } => {
                let message = run.map(|run| StoredMessage::new(&run, self.clock));
                self.retain(topic, message);
            }
            Entry::ForgetRetained { topic } => {
                if !journal.is_retained(topic.as_ref(), self.now) {
                    self.retain(topic.as_str().into(), None);
                }
            }
            Entry::Session(session) => {
                self.queues.by_session.entry(session.number).or_insert_with(Queue::new);
                self.changes.push(Change::Session(session));
            }
            Entry::End(session, legacy) => {
                let queue = self.queues.by_session.remove(&session);
                if let (Some(queue), Some((slot, legacy))) = (&queue, legacy) {
                    leave(journal, session, queue, &legacy, self.clock);
                    journal.schedule.hand_on(&slot, legacy);
                }
                if queue.is_some() {
                    self.changes.push(Change::End(session));
                }
            }
            Entry::Subscribe(subscription) => self.changes.push(Change::Subscribe(subscription)),
            Entry::Unsubscribe { session, filter } => {
                self.changes.push(Change::Unsubscribe { session, filter });
            }
            Entry::Progress { session, progress } => self.advance(session, progress),
            Entry::Park { session, progress } => {
                if let Some(progress) = progress {
                    self.advance(session, progress);
                }
                if let Some(queue) = self.queues.by_session.get_mut(&session) {
                    queue.park(self.limits.when_full);
                }
            }
            Entry::Received { session, mut ids, unsettled, refusable } => {
                for (id, place, taken) in refusable {
                    if taken.load(Ordering::Relaxed) <= place {
                        ids.retain(|kept| *kept != id);
                    }
                }
                if self.queues.by_session.contains_key(&session) {
                    self.receive(session, ids, unsettled, journal);
                }
            }
            Entry::Sync => {}
            Entry::Open { session, slot, epoch } => self.fetches.push((session, slot, Some(epoch))),
            Entry::Expire { session, slot } => self.expire(session, &slot, journal),
            Entry::Fetch { session, slot } => self.fetches.push((session, slot, None)),
        }
    }

    /// A retained message for which there is no room waits for it, and its publisher is refused. A
    /// later word about the topic takes its place.
    fn retain(&mut self, topic: Arc<str>, message: Option<StoredMessage>) {
        match message {
            Some(message) if !self.takes_messages => {
                self.has_refused = true;
                self.queues.unretained.insert(topic, message);
            }
            message => {
                self.queues.unretained.remove(&topic);
                self.changes.push(Change::Retain { topic, message });
            }
        }
    }

    /// Takes in retained messages that waited for room, as many as a group may well have.
    pub(super) fn retain_what_waited(&mut self) {
        const AT_ONCE: usize = 256;
        if !self.takes_messages || self.queues.unretained.is_empty() {
            return;
        }
        let topics: Vec<_> = self.queues.unretained.keys().take(AT_ONCE).cloned().collect();
        for topic in topics {
            if let Some(message) = self.queues.unretained.remove(&topic) {
                self.changes.push(Change::Retain { topic, message: Some(message) });
            }
        }
    }

    fn advance(&mut self, session: SessionNumber, progress: mqtt_session::Progress) {
        let Some(queue) = self.queues.by_session.get_mut(&session) else { return };
        let finished = queue.advance(progress.clone());
        self.changes.push(Change::Progress { session, progress, finished });
    }

    /// Leaves out the identifiers of messages that an earlier group was given up with. Their client
    /// sends these messages again, and they must not be taken for repeated ones then.
    fn receive(
        &mut self,
        session: SessionNumber,
        mut ids: Vec<PacketId>,
        unsettled: Unsettled,
        journal: &Journal,
    ) {
        for (id, ticket) in unsettled {
            match ticket.map_or(Outcome::Pending, |ticket| journal.outcome(ticket)) {
                Outcome::Safe => {}
                Outcome::Refused(_) => ids.retain(|kept| *kept != id),
                // Decided on with this group.
                Outcome::Pending if self.takes_messages => self.identifiers.push((session, id)),
                Outcome::Pending => ids.retain(|kept| *kept != id),
            }
        }
        self.changes.push(Change::Received { session, ids });
    }

    /// Gives messages their places, as far as there is room. They are kept once if there are several.
    fn publish(
        &mut self,
        run: &Run,
        targets: Vec<QueueTarget>,
        most: Option<&AtomicU32>,
        journal: &Journal,
    ) {
        let first = self.deliveries.len();
        let mut places = Vec::with_capacity(targets.len());
        let shared = (targets.len() > 1).then(|| {
            self.queues.last_shared += 1;
            self.queues.last_shared
        });
        for target in targets {
            let Some(queue) = self.queues.by_session.get_mut(&target.session) else {
                // It ended; nobody wrote that down yet.
                self.deliveries.push((target, Placed { run: run.clone(), seq: 0, shared: None }));
                continue;
            };
            let (changes, taken) = (&mut self.changes, &mut self.taken);
            let room = make_room(queue, run, &self.limits, &target, self.now, changes, taken);
            if let Some(most) = most {
                most.fetch_max(room, Ordering::Relaxed);
            }
            let refused = run.count() - room;
            if refused > 0 && !target.slot.refuse(DropReason::QueueFull, refused) {
                // It ended; nobody wrote that down yet.
                journal.lose(ended(refused));
            }
            let kept = match self.limits.when_full {
                QueueFull::DropOldest if room > 0 => Some(run.without_first(run.count() - room)),
                _ => run.first(room),
            };
            let Some(kept) = kept else { continue };
            let shared = shared.filter(|_| room == run.count());
            let seq = queue.place(&kept, shared, self.limits.when_full);
            let place = QueuePlace {
                session: target.session,
                seq,
                granted: target.granted,
                retain: target.retain,
                identifiers: target.identifiers.clone(),
            };
            if room == run.count() {
                places.push(place);
                self.deliveries.push((target, Placed { run: kept, seq, shared }));
            } else {
                let message = StoredMessage::new(&kept, self.clock);
                self.changes.push(Change::Enqueue { message, shared: None, places: vec![place] });
                self.deliveries.push((target, Placed { run: kept, seq, shared: None }));
            }
        }
        let shared = shared.filter(|_| places.len() > 1);
        if shared.is_none() {
            // One place is left of several: the messages stand in it.
            for (_, placed) in self.deliveries.iter_mut().skip(first) {
                placed.shared = None;
            }
        }
        if !places.is_empty() {
            let message = StoredMessage::new(run, self.clock);
            self.changes.push(Change::Enqueue { message, shared, places });
        }
    }

    /// Takes expired messages out of a queue, and sees to it that the next ones are looked for.
    fn expire(&mut self, session: SessionNumber, slot: &Arc<Slot>, journal: &Journal) {
        let Some(queue) = self.queues.by_session.get_mut(&session) else { return };
        let expired = queue.expire(self.now, EXPIRED_MAX);
        let is_all = expired.finished.len() < EXPIRED_MAX;
        let next = if is_all { queue.next_expiry(self.now) } else { Some(self.now) };
        let done = Ledger::of_expired(expired.messages);
        note_taken(queue, session, slot, expired, done, &mut self.changes, &mut self.taken);
        if let Some(at) = next.and_then(|due| slot.look_at(due)) {
            journal.schedule.look(at, slot);
        }
    }

    /// Tells sessions what became of their messages.
    fn count_taken(&mut self) {
        for (slot, done, bytes) in std::mem::take(&mut self.taken) {
            slot.note_removed(done, bytes);
        }
    }

    /// The group is written: messages go to the connections that want them.
    pub(super) fn hand_on(mut self, journal: &Journal, now: Time) {
        for (target, placed) in std::mem::take(&mut self.deliveries) {
            let count = placed.run.count();
            let taken = match self.queues.by_session.get_mut(&target.session) {
                Some(queue) => feed(queue, target, placed, now),
                None => false,
            };
            if !taken {
                journal.lose(ended(count));
            }
        }
        self.count_taken();
        self.fetch_all(journal, now);
    }

    fn fetch_all(&mut self, journal: &Journal, now: Time) {
        let clock = self.clock;
        for (session, slot, epoch) in std::mem::take(&mut self.fetches) {
            let Some(queue) = self.queues.by_session.get_mut(&session) else { continue };
            if let Some(epoch) = epoch
                && !open(queue, &slot, epoch, self.limits.when_full)
            {
                continue;
            }
            let fetched = fetch(journal, session, queue, &slot, clock, now);
            if let Err(error) = fetched {
                if error.kind == StoreErrorKind::Full {
                    journal.fetch_later(session, slot, now);
                    continue;
                }
                tracing::error!(client_id = ?slot.client_id, %error, "cannot read a session's queue");
                slot.ask_to_leave(Cause::Unreadable, None);
            }
        }
    }

    /// Whether it brings new messages.
    pub(super) fn brings_messages(&self) -> bool {
        self.changes.iter().any(|change| {
            matches!(change, Change::Enqueue { .. } | Change::Retain { message: Some(_), .. })
        })
    }

    /// There is no room for new messages: what is left is what makes none, and the group may still
    /// be written.
    pub(super) fn refuse_messages(&mut self, journal: &Journal) {
        self.has_refused = true;
        self.takes_messages = false;
        let mut refused = Vec::new();
        for (target, placed) in std::mem::take(&mut self.deliveries) {
            let count = placed.run.count();
            let queue = self.queues.by_session.get_mut(&target.session);
            let taken = queue.filter(|_| placed.seq > 0).map_or(0, |queue| {
                let taken = queue.taken_of(placed.seq, count);
                if taken < count.into() {
                    queue.bytes = queue.bytes.saturating_sub(placed.run.len() as u64);
                }
                taken
            });
            refused.push((target, placed.seq, count, u32::try_from(taken).unwrap_or(count)));
        }
        for (target, seq, count, taken) in refused {
            if let Some(queue) = self.queues.by_session.get_mut(&target.session)
                && seq > 0
            {
                // Nothing was placed behind it: the numbers are given again.
                queue.take_back(seq);
            }
            // What was taken out again is counted as that.
            if !target.slot.count(Ledger::of(taken.into())) {
                journal.lose(ended(taken));
            }
            journal.not_stored(&[target], count - taken);
        }
        self.count_taken();
        let refused: HashSet<_> = std::mem::take(&mut self.identifiers).into_iter().collect();
        for change in std::mem::take(&mut self.changes) {
            match change {
                Change::Enqueue { .. } => {}
                Change::Retain { topic, message } => self.retain(topic, message),
                Change::Progress { session, mut progress, mut finished } => {
                    // Numbers that are given again are not those of messages that were taken out.
                    let queue = self.queues.by_session.get(&session);
                    let next = queue.map_or(u64::MAX, |queue| queue.next);
                    finished.retain(|entry| entry.seq < next);
                    progress.head = progress.head.min(next);
                    progress.sent = progress.sent.min(next);
                    self.changes.push(Change::Progress { session, progress, finished });
                }
                // A QoS 2 message that is refused gives its identifier back [MQTT-4.3.3-9].
                Change::Received { session, mut ids } => {
                    ids.retain(|id| !refused.contains(&(session, *id)));
                    self.changes.push(Change::Received { session, ids });
                }
                change => self.changes.push(change),
            }
        }
    }

    /// The group is not written. Returns what has happened all the same, and has to be written some
    /// time.
    pub(super) fn give_up(mut self, journal: &Journal, now: Time) -> Vec<Change> {
        self.refuse_messages(journal);
        // What was only to be read can be read, now that the queues end where they did before. Who
        // opens a session is refused.
        self.fetches.retain(|(_, _, epoch)| epoch.is_none());
        self.fetch_all(journal, now);
        fold(self.changes)
    }
}

/// How many messages of a run a queue takes, once expired ones and then, if it is so agreed, the
/// oldest have made room.
fn make_room(
    queue: &mut Queue,
    run: &Run,
    limits: &InboxLimits,
    target: &QueueTarget,
    now: Time,
    changes: &mut Vec<Change>,
    taken: &mut Vec<(Arc<Slot>, Ledger, u64)>,
) -> u32 {
    let room = queue.room(run, limits, target);
    if room == run.count() {
        return room;
    }
    let (session, slot) = (target.session, &target.slot);
    let expired = queue.expire(now, EXPIRED_MAX);
    let done = Ledger::of_expired(expired.messages);
    note_taken(queue, session, slot, expired, done, changes, taken);
    if limits.when_full == QueueFull::DropOldest {
        let dropped = queue.drop_oldest(run, limits, target);
        let mut done = Ledger::default();
        done.drop_messages(DropReason::QueueFull, dropped.messages);
        note_taken(queue, session, slot, dropped, done, changes, taken);
    }
    queue.room(run, limits, target)
}

/// Has entries that were taken out of a queue removed from the store, and their messages counted.
fn note_taken(
    queue: &Queue,
    session: SessionNumber,
    slot: &Arc<Slot>,
    Taken { finished, messages, bytes }: Taken,
    done: Ledger,
    changes: &mut Vec<Change>,
    taken: &mut Vec<(Arc<Slot>, Ledger, u64)>,
) {
    if messages > 0 || !finished.is_empty() {
        changes.push(Change::Progress { session, progress: queue.progress(), finished });
        taken.push((slot.clone(), done, bytes));
    }
}

/// Leaves messages that were just written with the connection, if it has all that was before them.
/// Answers false if the session is over.
fn feed(queue: &mut Queue, target: QueueTarget, placed: Placed, now: Time) -> bool {
    target.give_room_back(placed.run.count());
    let QueueTarget { slot, granted, retain, identifiers, mark, .. } = target;
    let Placed { run, seq, shared } = placed;
    let (count, bytes, expires_at) = (run.count(), run.len() as u64, run.expires_at());
    if queue.taken_of(seq, count) == count.into() {
        // It made room for others at once.
        return slot.count(Ledger::of(count.into()));
    }
    let delivery = Delivery { run, granted, retain, identifiers, mark, seq: NonZeroU64::new(seq) };
    if queue.feeds() == 0 || queue.cursor > seq {
        return slot.note_stored(count, delivery.run.len(), now);
    }
    match slot.push_stored(delivery, queue.feeds(), now) {
        Fed::Taken => queue.load(Loaded { seq, count, bytes, shared, expires_at }),
        Fed::Full => queue.feed(false),
        Fed::Ended => return false,
    }
    true
}

/// Reads what a session that ends leaves to others, of what is in the store alone; at most some of it,
/// as nobody can write meanwhile.
fn leave(
    journal: &Journal,
    session: SessionNumber,
    queue: &Queue,
    legacy: &Legacy,
    clock: WallClock,
) {
    let mut from = queue.cursor;
    for _ in 0..LEFT_PAGES_MAX {
        let Ok(page) = journal.store.read(session, from, PAGE_BYTES) else { return };
        let Some(last) = page.last() else { return };
        from = last.place.seq + u64::from(last.message.count);
        for QueuedMessage { place, message, .. } in page {
            let message =
                StoredMessage { frames: Bytes::copy_from_slice(&message.frames), ..message };
            let run = message.run(clock);
            let qos = run.qos().min(place.granted);
            let left: Vec<_> = (place.seq..)
                .zip(run.frames())
                .filter(|(number, _)| queue.is_left(*number, qos))
                .map(|(_, frame)| run.with_frame(&frame))
                .collect();
            legacy.add(left.into_iter().map(|run| Delivery {
                run,
                granted: place.granted,
                retain: place.retain,
                identifiers: place.identifiers.clone(),
                mark: 0,
                seq: None,
            }));
        }
    }
}

/// A connection takes the session up: it is told how far the session is.
fn open(queue: &mut Queue, slot: &Slot, epoch: u64, when_full: QueueFull) -> bool {
    queue.park(when_full);
    let is_there = slot.open(queue.progress(), queue.bytes, epoch);
    if is_there {
        queue.open(epoch);
    }
    is_there
}

/// What stands for the messages up to `end` that the store does not have any more. The numbers of a
/// queue have no gaps but for what was removed, so they are damaged.
fn lose(slot: &Slot, queue: &mut Queue, end: u64) -> Vec<Delivery> {
    let lost = queue.not_removed(end).into_iter().map(|numbers| {
        let seq = numbers.start;
        let count = u32::try_from(numbers.end - seq).unwrap_or(u32::MAX);
        tracing::error!(client_id = ?slot.client_id, count, "messages of a queue are damaged: lost");
        queue.load(Loaded { seq, count, bytes: 0, shared: None, expires_at: None });
        Delivery {
            run: Run::lost(count),
            granted: QoS::AtLeastOnce,
            retain: false,
            identifiers: None,
            mark: u64::MAX,
            seq: NonZeroU64::new(seq),
        }
    });
    lost.collect()
}

/// Gives a connection its next messages. When it has all, it gets new ones as they are written.
fn fetch(
    journal: &Journal,
    session: SessionNumber,
    queue: &mut Queue,
    slot: &Slot,
    clock: WallClock,
    now: Time,
) -> Result<(), mqtt_session::StoreError> {
    if queue.epoch() == 0 || queue.feeds() != 0 {
        return Ok(());
    }
    let mut page = Vec::new();
    if queue.cursor < queue.next {
        page = journal.store.read(session, queue.cursor, PAGE_BYTES)?;
    }
    let mut deliveries = Vec::with_capacity(page.len());
    if page.is_empty() {
        deliveries.extend(lose(slot, queue, queue.next));
        queue.cursor = queue.next;
    }
    for QueuedMessage { place, message, shared } in page {
        deliveries.extend(lose(slot, queue, place.seq));
        let (count, bytes) = (message.count, message.frames.len() as u64);
        let message = StoredMessage { frames: Bytes::copy_from_slice(&message.frames), ..message };
        let run = message.run(clock);
        let expires_at = run.expires_at();
        queue.load(Loaded { seq: place.seq, count, bytes, shared, expires_at });
        deliveries.push(Delivery {
            run,
            granted: place.granted,
            retain: place.retain,
            identifiers: place.identifiers,
            // The access rules may have changed since.
            mark: u64::MAX,
            seq: NonZeroU64::new(place.seq),
        });
    }
    let has_all = queue.cursor >= queue.next;
    if slot.push_fetched(deliveries, queue.epoch(), !has_all, now) && has_all {
        queue.feed(true);
    }
    Ok(())
}
