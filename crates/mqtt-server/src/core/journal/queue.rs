//! The queue of one session in the store: where its messages begin and end, and which of them its
//! connection has.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

use mqtt_packet::QoS;
use mqtt_session::{FinishedEntry, Held, InboxLimits, Progress, QueueFull, Run, Settled, Time};

use super::{QueueTarget, removed::Removed};

/// A session's queue. The messages themselves are in the store. There is one for every session
/// that is kept, connected or not, so what only a connection needs is behind a box.
#[derive(Debug)]
pub(super) struct Queue {
    /// How far the session is: see [`Progress`].
    head: u64,
    sent: u64,
    /// What nearly no queue needs.
    rare: Option<Box<Rare>>,
    /// The number that the next message gets.
    pub(super) next: u64,
    /// Entries from this one on were not given to the connection.
    pub(super) cursor: u64,
    /// Bytes of all entries that are not finished.
    pub(super) bytes: u64,
    reader: Option<Box<Reader>>,
}

/// What is known of a queue out of the ordinary.
#[derive(Debug, Default)]
struct Rare {
    settled: Vec<(u64, Settled)>,
    removed: Removed,
    /// Entries that expire, by their deadlines and numbers.
    expiring: BTreeMap<(Time, u64), Loaded>,
    /// The entries that the connection does not have, where the oldest may have to make room.
    entries: VecDeque<Loaded>,
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

/// An entry of the queue.
#[derive(Copy, Clone, Debug)]
pub(super) struct Loaded {
    pub(super) seq: u64,
    pub(super) count: u32,
    pub(super) bytes: u64,
    pub(super) shared: Option<u64>,
    pub(super) expires_at: Option<Time>,
}

/// Entries that were taken out of a queue.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) finished: Vec<FinishedEntry>,
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl Loaded {
    const fn end(&self) -> u64 {
        self.seq + self.count as u64
    }

    const fn finished(&self) -> FinishedEntry {
        FinishedEntry { seq: self.seq, shared: self.shared }
    }
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self { head: 1, sent: 1, rare: None, next: 1, cursor: 1, bytes: 0, reader: None }
    }

    /// How far the session is.
    pub(super) fn progress(&self) -> Progress {
        let settled = self.rare.as_ref().map(|rare| rare.settled.clone()).unwrap_or_default();
        Progress { head: self.head, sent: self.sent, settled }
    }

    /// The session is so far, as the store says.
    pub(super) fn set_progress(&mut self, progress: Progress) {
        (self.head, self.sent) = (progress.head, progress.sent);
        if self.rare.is_some() || !progress.settled.is_empty() {
            let rare = self.rare.get_or_insert_default();
            rare.settled = progress.settled;
            rare.removed.forget_before(self.head);
            self.tidy();
        }
    }

    /// Forgets what is rare once there is nothing of it.
    fn tidy(&mut self) {
        self.rare.take_if(|rare| {
            rare.settled.is_empty()
                && rare.removed.count() == 0
                && rare.expiring.is_empty()
                && rare.entries.is_empty()
        });
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

    /// How many messages of a run there is room for: the one gate to a queue in the store.
    pub(super) fn room(&self, run: &Run, limits: &InboxLimits, target: &QueueTarget) -> u32 {
        if target.is_reserved {
            return run.count();
        }
        let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let mut held = Held { messages: count(self.messages()), bytes: count(self.bytes) };
        let reserved_max = limits.messages_max / 8;
        if held.messages + run.count() as usize + reserved_max >= limits.messages_max {
            // Otherwise what was taken room for is too little to matter.
            held.messages += target.slot.reserved() as usize;
        }
        limits.room(held, run)
    }

    /// Gives messages their place at the end; there has to be room for them. Returns their number.
    pub(super) fn place(&mut self, run: &Run, shared: Option<u64>, when_full: QueueFull) -> u64 {
        let (seq, count, bytes) = (self.next, run.count(), run.len() as u64);
        self.next += u64::from(count);
        self.bytes += bytes;
        let expires_at = run.expires_at();
        self.note(Loaded { seq, count, bytes, shared, expires_at }, when_full);
        seq
    }

    /// Remembers an entry that may have to be taken out.
    fn note(&mut self, entry: Loaded, when_full: QueueFull) {
        if let Some(due) = entry.expires_at {
            self.rare.get_or_insert_default().expiring.insert((due, entry.seq), entry);
        }
        if when_full == QueueFull::DropOldest {
            self.rare.get_or_insert_default().entries.push_back(entry);
        }
    }

    /// Messages that are not finished.
    pub(super) fn messages(&self) -> u64 {
        let all = self.next - self.head.min(self.next);
        let Some(rare) = &self.rare else { return all };
        let done = rare.settled.iter().filter(|(number, settled)| {
            *settled == Settled::Done && !rare.removed.contains(*number)
        });
        all.saturating_sub(done.count() as u64 + rare.removed.count())
    }

    /// Messages that no connection has.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn on_disk(&self) -> u64 {
        let behind = self.cursor..self.next;
        let removed = self.rare.as_ref().map_or(0, |rare| rare.removed.overlap(&behind));
        if self.epoch() == 0 { self.messages() } else { self.next - self.cursor - removed }
    }

    /// The numbers from the cursor up to `end` that were not removed: where the store has no entry
    /// for them, they are lost.
    pub(super) fn not_removed(&self, end: u64) -> Vec<Range<u64>> {
        let gap = self.cursor..end;
        let removed = self.rare.as_ref().map_or(0, |rare| rare.removed.overlap(&gap));
        if gap.is_empty() || removed == gap.end - gap.start {
            return Vec::new();
        }
        let is_removed = |number| self.rare.as_ref().is_some_and(|r| r.removed.contains(number));
        let mut ranges: Vec<Range<u64>> = Vec::new();
        // Hardly ever does anything get here, and no more than a queue holds.
        for number in gap.filter(|number| !is_removed(*number)) {
            match ranges.last_mut().filter(|last| last.end == number) {
                Some(last) => last.end += 1,
                None => ranges.push(number..number + 1),
            }
        }
        ranges
    }

    /// The connection was given an entry.
    pub(super) fn load(&mut self, entry: Loaded) {
        self.cursor = entry.end();
        if let Some(rare) = &mut self.rare {
            while rare.entries.pop_front_if(|known| known.seq < entry.end()).is_some() {}
        }
        if let Some(reader) = &mut self.reader {
            reader.loaded.push_back(entry);
        }
    }

    /// The session got on; returns the entries that are used up.
    pub(super) fn advance(&mut self, progress: Progress) -> Vec<FinishedEntry> {
        let mut finished = Vec::new();
        if let Some(reader) = &mut self.reader {
            let is_used_up = |entry: &mut Loaded| entry.end() <= progress.head;
            while let Some(entry) = reader.loaded.pop_front_if(is_used_up) {
                self.bytes = self.bytes.saturating_sub(entry.bytes);
                finish(entry, &mut finished);
                if let (Some(due), Some(rare)) = (entry.expires_at, &mut self.rare) {
                    rare.expiring.remove(&(due, entry.seq));
                }
            }
            if reader.loaded.is_empty() && self.cursor >= self.next {
                // What was lost is in no entry, and was counted.
                self.bytes = 0;
            }
        }
        self.set_progress(progress);
        finished
    }

    /// Messages from this one on may be taken out: they were not sent, and no connection has them.
    fn unsent(&self) -> u64 {
        if self.reader.is_some() { self.cursor } else { self.sent.max(self.head) }
    }

    /// Takes out entries that have expired, at most `count` of them [MQTT-3.3.2-5].
    pub(super) fn expire(&mut self, now: Time, count: usize) -> Taken {
        let (unsent, mut taken) = (self.unsent(), Taken::default());
        let Some(rare) = &mut self.rare else { return taken };
        // What a connection has expires there; it stays here for when the connection ends.
        let due = rare.expiring.range(..=(now, u64::MAX)).filter(|((_, seq), _)| *seq >= unsent);
        let due: Vec<_> = due.take(count).map(|(key, entry)| (*key, *entry)).collect();
        for (key, entry) in due {
            rare.expiring.remove(&key);
            self.bytes = self.bytes.saturating_sub(entry.bytes);
            taken.bytes += entry.bytes;
            taken.finished.push(entry.finished());
            let is_known = rare.removed.contains(entry.seq)
                || rare.settled.binary_search_by_key(&entry.seq, |(number, _)| *number).is_ok();
            if !is_known {
                rare.removed.add(entry.seq..entry.end());
                taken.messages += u64::from(entry.count);
            }
        }
        self.move_head();
        taken
    }

    /// When the next entry expires, after `now`.
    pub(super) fn next_expiry(&self, now: Time) -> Option<Time> {
        let rare = self.rare.as_ref()?;
        rare.expiring.range((now.after_millis(1), 0)..).next().map(|((due, _), _)| *due)
    }

    /// When the first entry expires.
    pub(super) fn first_expiry(&self) -> Option<Time> {
        self.rare.as_ref()?.expiring.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes the oldest messages out that were not sent, until there is room for a run or there are
    /// none.
    pub(super) fn drop_oldest(
        &mut self,
        run: &Run,
        limits: &InboxLimits,
        target: &QueueTarget,
    ) -> Taken {
        let mut taken = Taken::default();
        let mut place = 0;
        loop {
            let wanted = u64::from(run.count() - self.room(run, limits, target));
            let (unsent, has_bytes) = (self.unsent(), self.bytes < limits.bytes_max as u64);
            let is_idle = self.reader.is_none() && self.head >= self.sent;
            let Some(rare) = &mut self.rare else { return taken };
            let Some(entry) = rare.entries.get(place).copied().filter(|_| wanted > 0) else {
                self.move_head();
                return taken;
            };
            // Nothing is in flight, so the head may stand in the middle of an entry.
            let start = entry.seq.max(unsent);
            if (entry.seq < unsent && !is_idle) || entry.end() <= start {
                place += 1;
                continue;
            }
            let all = start..entry.end();
            let left = entry.end() - start - rare.removed.overlap(&all);
            if is_idle && has_bytes && left > wanted && left == entry.end() - start {
                self.head = start + wanted;
                self.sent = self.head;
                taken.messages += wanted;
                rare.removed.forget_before(self.head);
                continue;
            }
            rare.entries.remove(place);
            if let Some(due) = entry.expires_at {
                rare.expiring.remove(&(due, entry.seq));
            }
            if left > 0 {
                taken.messages += left;
                taken.bytes += entry.bytes;
                taken.finished.push(entry.finished());
                self.bytes = self.bytes.saturating_sub(entry.bytes);
                rare.removed.add(all);
            }
        }
    }

    /// What is removed in front of everything, while nothing is in flight, is behind the head.
    fn move_head(&mut self) {
        let Some(rare) = &mut self.rare else { return };
        if self.reader.is_none() && self.head >= self.sent {
            while let Some(end) = rare.removed.take_at(self.head) {
                self.head = end;
                self.sent = end;
            }
        }
        self.tidy();
    }

    /// How many of these messages were taken out since they got their places.
    pub(super) fn taken_of(&self, seq: u64, count: u32) -> u64 {
        let all = seq..seq + u64::from(count);
        let before = self.head.clamp(all.start, all.end) - all.start;
        before + self.rare.as_ref().map_or(0, |rare| rare.removed.overlap(&all))
    }

    /// Messages from this number on have lost their places: the numbers are given again.
    pub(super) fn take_back(&mut self, seq: u64) {
        self.next = self.next.min(seq);
        for number in [&mut self.head, &mut self.sent, &mut self.cursor] {
            *number = self.next.min(*number);
        }
        if let Some(rare) = &mut self.rare {
            rare.removed.forget_from(seq);
            rare.entries.retain(|entry| entry.seq < seq);
            rare.expiring.retain(|(_, number), _| *number < seq);
        }
        self.tidy();
    }

    /// Whether another session may have a message that this one leaves behind: it is not finished, and
    /// was not sent at QoS 2 [MQTT-4.8.2-5].
    pub(super) fn is_left(&self, number: u64, qos: QoS) -> bool {
        let is_known = |rare: &Rare| {
            let settled = rare.settled.binary_search_by_key(&number, |(number, _)| *number);
            settled.is_ok() || rare.removed.contains(number)
        };
        number >= self.head
            && !self.rare.as_deref().is_some_and(is_known)
            && (number >= self.sent || qos == QoS::AtLeastOnce)
    }

    /// An entry that was in the store when the server started, in their order.
    pub(super) fn find(&mut self, entry: Loaded, when_full: QueueFull) {
        if self.bytes == 0 {
            self.cursor = entry.seq;
        }
        self.bytes += entry.bytes;
        let gap = self.next.max(self.head)..entry.seq;
        if !gap.is_empty() {
            self.rare.get_or_insert_default().removed.add(gap);
        }
        self.next = self.next.max(entry.end());
        self.note(entry, when_full);
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
    pub(super) fn park(&mut self, when_full: QueueFull) {
        let Some(reader) = self.reader.take() else { return };
        if let Some(first) = reader.loaded.front() {
            self.cursor = first.seq;
        }
        if when_full == QueueFull::DropOldest {
            let rare = self.rare.get_or_insert_default();
            reader.loaded.into_iter().rev().for_each(|entry| rare.entries.push_front(entry));
        }
        self.move_head();
    }
}

/// Tells what is used up. Messages that were lost stand in entries nobody knows of: each of their
/// numbers may be one.
fn finish(entry: Loaded, finished: &mut Vec<FinishedEntry>) {
    let count = if entry.bytes == 0 { entry.count } else { 1 };
    let numbers = (entry.seq..).take(usize::try_from(count).unwrap_or(usize::MAX));
    finished.extend(numbers.map(|seq| FinishedEntry { seq, shared: entry.shared }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_small() {
        assert_eq!(size_of::<Queue>(), 56);
    }
}
