//! The sending side of QoS 0, 1 and 2.
//!
//! ```text
//! QoS 0    PUBLISH ──> done
//!
//! QoS 1    waiting ── window open ──> PUBLISH, AwaitPubAck ── PUBACK ──> done
//!
//! QoS 2    waiting ── window open ──> PUBLISH, AwaitPubRec ── PUBREC < 0x80 ──> PUBREL,
//!          AwaitPubComp ── PUBCOMP ──> done;   PUBREC >= 0x80 ──> done, refused
//!
//! resume   AwaitPubAck, AwaitPubRec: PUBLISH again, DUP 1, old identifier, old order, as far as
//!          the window is open;   AwaitPubComp: PUBREL again
//! ```

use std::{collections::VecDeque, num::NonZeroU64};

use mqtt_packet::{PacketId, PacketType, QoS, ReasonCode, publish_id};

use crate::{
    delivery::Delivery,
    flights::{Awaits, Flights},
    inbox::Held,
    ledger::{DropReason, Ledger},
    past::{Fate, Past},
    run::{Frame, Frames, Run},
    store::{Progress, Settled},
    time::{Time, earliest},
    transmit::{Header, Transmit, Written, send_qos0},
    violation::Violation,
};

/// A run with larger packets than this is not copied whole: their payloads are referenced.
const COPIED_MAX: u32 = 2048;

/// Everything that waits for a peer or for its acknowledgement. Part of the session: it outlives
/// the connection.
#[derive(Debug)]
pub(crate) struct Sender {
    flights: Flights,
    /// PUBLISH and PUBREL packets of this connection that are not finally acknowledged.
    in_flight: u16,
    /// Messages that wait for the window; the first run may be sent in part.
    pending: VecDeque<Delivery>,
    /// Where the first unsent packet of the first run begins.
    pending_at: u32,
    /// How many packets of the first run are behind that.
    pending_taken: u32,
    pending_messages: usize,
    pending_bytes: usize,
    /// Messages of an earlier connection that have to go out again, in order.
    again: Option<Box<VecDeque<PacketId>>>,
    /// What earlier connections did with messages that come from a disk.
    past: Option<Box<Past>>,
    /// Something changed that [`Sender::progress`] tells.
    progressed: bool,
}

/// A message that was given up before the peer answered it.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Lost {
    /// [`Delivery::mark`] of the message.
    pub mark: u64,
    /// Why; `None` where its Message Expiry Interval ran out.
    pub reason: Option<DropReason>,
}

/// A message that the peer finally answered.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Acknowledged {
    /// The identifier, free again.
    pub packet_id: PacketId,
    /// The peer's reason code.
    pub reason: ReasonCode,
    /// [`Delivery::mark`] of the message.
    pub mark: u64,
}

/// PUBACK for a message of QoS 2, PUBREC or PUBCOMP for one of QoS 1, PUBCOMP before PUBREL: the two
/// sides do not mean the same message.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Mismatch;

impl From<Mismatch> for Violation {
    /// 5.0 calls it a Protocol Error, as it does not fit the state of the session; before, it is a
    /// violation like others [MQTT-4.8.0-1].
    fn from(_: Mismatch) -> Self {
        let what = "an acknowledgement of another kind than its message waits for";
        Self::protocol("MQTT-4.13.1-1", what)
    }
}

impl Sender {
    pub(crate) const fn new() -> Self {
        Self {
            flights: Flights::new(),
            in_flight: 0,
            pending: VecDeque::new(),
            pending_at: 0,
            pending_taken: 0,
            pending_messages: 0,
            pending_bytes: 0,
            again: None,
            past: None,
            progressed: false,
        }
    }

    /// Sends messages, or keeps them until the window opens.
    pub(crate) fn send(&mut self, delivery: Delivery, tx: &mut Transmit<'_>) {
        if delivery.qos() == QoS::AtMostOnce {
            return send_qos0(&delivery, tx);
        }
        self.wait(delivery);
        self.pump(tx);
    }

    /// Counts messages that cannot be read any more, and goes on behind them.
    pub(crate) fn lose(&mut self, delivery: &Delivery, tx: &mut Transmit<'_>) {
        let Some(first) = delivery.seq.map(NonZeroU64::get) else { return };
        let numbers = first..first.saturating_add(delivery.count().into());
        let mut lost = 0;
        for number in numbers.clone() {
            lost += u64::from(self.skip(number));
        }
        tx.lose(delivery.mark, Some(DropReason::Damaged), lost);
        // Where nothing waits before them the session is past them at once.
        if self.pending.is_empty() && self.flights.next() >= first {
            self.pass_over(numbers.end.checked_sub(1));
        }
        self.pump(tx);
    }

    /// Sends what the window allows. Called whenever it may have opened.
    pub(crate) fn pump(&mut self, tx: &mut Transmit<'_>) {
        self.flights.advance();
        self.pump_again(tx);
        while let Some(delivery) = self.pending.front() {
            let is_whole = match self.is_copied(delivery, tx) {
                true => self.send_copies(tx),
                false => self.send_each(tx),
            };
            if !is_whole {
                return;
            }
            self.pop_pending();
        }
        self.pass_over_skipped();
        if self.past.as_ref().is_some_and(|past| past.is_over(self.flights.next())) {
            self.past = None;
        }
    }

    /// Nothing waits: numbers that were skipped behind everything that was sent are finished.
    fn pass_over_skipped(&mut self) {
        let skipped = self.past.as_ref().and_then(|past| past.last_skipped());
        if let Some(number) = skipped.filter(|number| *number >= self.flights.next()) {
            self.flights.reach(number + 1);
            self.flights.advance();
        }
    }

    /// Whether the packets of a delivery go out as they came in, but for flags and identifiers.
    fn is_copied(&self, delivery: &Delivery, tx: &Transmit<'_>) -> bool {
        let run = &delivery.run;
        let is_next =
            |first: NonZeroU64| first.get() + u64::from(self.pending_taken) == self.flights.next();
        self.past.is_none()
            && delivery.seq.is_none_or(is_next)
            && delivery.identifiers.is_none()
            && run.expires_at().is_none()
            && run.wire() == tx.negotiated.wire()
            && run.largest() <= tx.negotiated.maximum_packet_size.min(COPIED_MAX)
            && !tx.aliases.is_active()
    }

    /// Sends of the first delivery what the window allows, in one piece. Answers whether that was
    /// all of it.
    fn send_copies(&mut self, tx: &mut Transmit<'_>) -> bool {
        let Some(delivery) = self.pending.front() else { return true };
        let window = tx.negotiated.send_window.saturating_sub(self.in_flight);
        let left = delivery.count().saturating_sub(self.pending_taken);
        let count = left.min(window.into()).min(self.flights.room());
        if count == 0 {
            return left == 0;
        }
        let all = delivery.run.bytes().get(self.pending_at as usize..).unwrap_or_default();
        let packets = if count == left { all } else { first_packets(all, count) };
        let out = tx.out.tail();
        let start = out.len();
        out.extend_from_slice(packets);
        let mut copies = out.get_mut(start..).unwrap_or_default();

        let (qos, retain) = (delivery.qos(), delivery.retain);
        let source = self.flights.begin(delivery);
        let mut id = self.flights.next_id();
        let write = || {
            let len = publish_id::write(copies, qos, retain, id?)?;
            copies = std::mem::take(&mut copies).get_mut(len..)?;
            id = id.map(next_id);
            u32::try_from(len).ok()
        };
        let lens = std::iter::from_fn(write);
        let sent = self.flights.extend(source, self.pending_at, lens, Awaits::first_of(qos));
        debug_assert_eq!(sent, count, "a run that does not hold what it says");

        self.in_flight = self.in_flight.saturating_add(u16::try_from(sent).unwrap_or(u16::MAX));
        self.pending_messages = self.pending_messages.saturating_sub(sent as usize);
        self.pending_at += u32::try_from(packets.len()).unwrap_or(u32::MAX);
        self.pending_taken += count;
        count == left
    }

    /// Sends of the first delivery what the window allows, each message by itself. Answers whether
    /// that was all of it.
    fn send_each(&mut self, tx: &mut Transmit<'_>) -> bool {
        let Some(delivery) = self.pending.front().cloned() else { return true };
        let mut source = None;
        for frame in delivery.run.frames().starting_at(self.pending_at as usize) {
            if !self.send_one(&delivery, &frame, &mut source, tx) {
                return false;
            }
            // A run is never longer than the largest packet, or a read.
            self.pending_at = u32::try_from(frame.range.end).unwrap_or(u32::MAX);
            self.pending_taken += 1;
        }
        true
    }

    /// Sends the next message of the first delivery, or passes it over. Answers false if it has to
    /// wait.
    fn send_one(
        &mut self,
        delivery: &Delivery,
        frame: &Frame<'_>,
        source: &mut Option<u32>,
        tx: &mut Transmit<'_>,
    ) -> bool {
        let number = delivery.seq.map(|first| first.get() + u64::from(self.pending_taken));
        let fate = self.fate(number);
        if fate == Fate::Done {
            self.pass_over(number);
            return true;
        }
        // What has not been sent may still expire [MQTT-3.3.2-5].
        if fate == Fate::Unsent && delivery.run.is_expired(tx.now) {
            tx.lose(delivery.mark, None, 1);
            self.pending_messages = self.pending_messages.saturating_sub(1);
            self.pass_over(number);
            return true;
        }
        let must_wait = fate != Fate::Released && self.in_flight >= tx.negotiated.send_window;
        let has_id = number.is_none_or(|number| self.flights.reach(number));
        let Some(id) = self.flights.next_id().filter(|_| has_id && !must_wait) else {
            return false;
        };
        self.pending_messages = self.pending_messages.saturating_sub(1);
        let is_in_flight = if fate == Fate::Released {
            tx.ack(PacketType::PubRel, id, ReasonCode::SUCCESS);
            self.flights.insert(delivery.mark, Awaits::PubComp).is_some()
        } else {
            self.send_publish(delivery, frame, id, fate == Fate::Sent, source, tx)
        };
        if is_in_flight {
            self.in_flight += 1;
        } else {
            self.pass_over(number);
        }
        true
    }

    /// Writes a PUBLISH. Answers false if the peer does not take one as large.
    fn send_publish(
        &mut self,
        delivery: &Delivery,
        frame: &Frame<'_>,
        id: PacketId,
        dup: bool,
        source: &mut Option<u32>,
        tx: &mut Transmit<'_>,
    ) -> bool {
        let header = Header {
            qos: delivery.qos(),
            packet_id: Some(id),
            dup,
            retain: delivery.retain,
            identifiers: delivery.identifiers.as_deref(),
            expires_at: delivery.run.expires_at(),
        };
        if tx.publish(delivery.run.bytes(), frame.publish, &header) == Written::TooLarge {
            tx.lose(delivery.mark, Some(DropReason::PacketTooLarge), 1);
            return false;
        }
        let source = *source.get_or_insert_with(|| self.flights.begin(delivery));
        let at = u32::try_from(frame.range.start).unwrap_or(u32::MAX);
        let len = u32::try_from(frame.range.len()).unwrap_or(u32::MAX);
        self.flights.extend(source, at, [len], Awaits::first_of(delivery.qos()));
        true
    }

    /// What became of a message in earlier connections; `None` has no number, and none.
    fn fate(&mut self, number: Option<u64>) -> Fate {
        match (number, &mut self.past) {
            (Some(number), _) if number < self.flights.next() => Fate::Done,
            (Some(number), Some(past)) => past.fate(number),
            _ => Fate::Unsent,
        }
    }

    /// A message that is not sent: its identifier stays unused, as the numbers behind it have theirs
    /// already.
    fn pass_over(&mut self, number: Option<u64>) {
        let Some(number) = number else { return };
        self.progressed = true;
        if number >= self.flights.next() {
            self.flights.reach(number + 1);
        }
    }

    /// Messages of a delivery that are not known to be finished.
    fn unfinished(&self, delivery: &Delivery) -> usize {
        let next = self.flights.next();
        match (&self.past, delivery.seq) {
            (Some(past), _) => past.unfinished(delivery, next),
            // The first entry of a queue may begin before its head.
            (None, Some(first)) if first.get() < next => {
                let before = usize::try_from(next - first.get()).unwrap_or(usize::MAX);
                (delivery.count() as usize).saturating_sub(before)
            }
            (None, _) => delivery.count() as usize,
        }
    }

    /// Drops messages that have expired before they were sent [MQTT-3.3.2-5]. Returns when the next
    /// one does.
    pub(crate) fn expire(&mut self, done: &mut Ledger, now: Time) -> Option<Time> {
        let next = self.flights.next();
        let mut first_due = None;
        let (mut numbers, mut bytes, mut count) = (Vec::new(), 0, 0);
        let (past, mut is_first) = (&self.past, true);
        self.pending.retain(|delivery| {
            let starts_late = std::mem::take(&mut is_first) && self.pending_taken > 0;
            let Some(due) = delivery.run.expires_at().filter(|_| !starts_late) else { return true };
            let number = delivery.seq.map(NonZeroU64::get);
            let may_be_sent = number.is_some_and(|number| {
                number < next || past.as_ref().is_some_and(|past| past.is_known(number))
            });
            if may_be_sent {
                return true;
            }
            if due > now {
                first_due = earliest(first_due, Some(due));
                return true;
            }
            count += delivery.count() as usize;
            bytes += delivery.run.len();
            numbers.extend(number);
            false
        });
        done.expired += count as u64;
        self.pending_messages = self.pending_messages.saturating_sub(count);
        self.pending_bytes = self.pending_bytes.saturating_sub(bytes);
        for number in numbers {
            self.skip(number);
        }
        first_due
    }

    /// A message from a disk will not be sent. Answers false if it was finished before.
    pub(crate) fn skip(&mut self, number: u64) -> bool {
        let is_new =
            number >= self.flights.next() && self.past.get_or_insert_default().skip(number);
        self.progressed |= is_new;
        is_new
    }

    /// Takes up the queue of a session that is kept on a disk. Its messages come from there again.
    pub(crate) fn continue_from(&mut self, progress: Progress) {
        self.flights = Flights::new();
        self.flights.reach(progress.head);
        self.past = Some(Box::new(progress.into()));
    }

    /// What has to be written down, if it has changed since the last time.
    pub(crate) fn take_progress(&mut self) -> Option<Progress> {
        std::mem::take(&mut self.progressed).then(|| self.progress())
    }

    /// How far the session is.
    pub(crate) fn progress(&self) -> Progress {
        let next = self.flights.next();
        let settled = |(number, awaits)| match awaits {
            None => Some((number, Settled::Done)),
            Some(Awaits::PubComp) => Some((number, Settled::Released)),
            Some(_) => None,
        };
        let past = self.past.as_deref();
        Progress {
            head: self.flights.first(),
            sent: next.max(past.map_or(0, Past::sent)),
            settled: self
                .flights
                .numbered()
                .filter_map(settled)
                .chain(past.into_iter().flat_map(|past| past.settled_from(next)))
                .collect(),
        }
    }

    /// Forgets all messages: they are on a disk.
    pub(crate) fn forget(&mut self) {
        *self = Self::new();
    }

    fn frames_left(delivery: &Delivery, at: usize) -> Frames<'_> {
        delivery.run.frames().starting_at(at)
    }

    fn pop_pending(&mut self) {
        if let Some(delivery) = self.pending.pop_front() {
            self.pending_bytes = self.pending_bytes.saturating_sub(delivery.run.len());
        }
        (self.pending_at, self.pending_taken) = (0, 0);
    }

    /// A connection begins: what is unacknowledged goes out again [MQTT-4.4.0-1].
    pub(crate) fn resume(&mut self, tx: &mut Transmit<'_>) {
        let requests: Vec<_> =
            self.flights.iter().filter(|(_, f)| f.awaits.is_request()).map(|(id, _)| id).collect();
        for id in requests {
            self.flights.remove(id);
        }
        self.in_flight = 0;
        self.again = None;
        for (id, flight) in self.flights.iter() {
            match flight.awaits {
                Awaits::PubComp => {
                    self.in_flight = self.in_flight.saturating_add(1);
                    tx.ack(PacketType::PubRel, id, ReasonCode::SUCCESS);
                }
                _ => self.again.get_or_insert_default().push_back(id),
            }
        }
        self.pump(tx);
    }

    fn pump_again(&mut self, tx: &mut Transmit<'_>) {
        while self.in_flight < tx.negotiated.send_window {
            let Some(again) = &mut self.again else { return };
            let Some(id) = again.pop_front() else {
                self.again = None;
                return;
            };
            let Some(flight) = self.flights.find(id) else { continue };
            let Some(qos) = flight.qos() else { continue };
            let run = Run::from_checked(flight.frame.clone(), flight.wire, qos, false, 1, 0);
            let Some(frame) = run.frames().next() else { continue };
            let header = Header {
                qos,
                packet_id: Some(id),
                dup: true,
                retain: flight.retain,
                identifiers: flight.identifiers.as_deref(),
                // Delivery has begun, so the message does not expire any more [MQTT-4.3.3-7];
                // but the receiver is told what is left of the interval [MQTT-3.3.2-6].
                expires_at: flight.expires_at,
            };
            if tx.publish(run.bytes(), frame.publish, &header) == Written::TooLarge {
                tx.lose(flight.mark, Some(DropReason::PacketTooLarge), 1);
                self.flights.remove(id);
                self.progressed = true;
                continue;
            }
            self.in_flight += 1;
        }
    }

    /// PUBACK came. Whatever finished a message, [`Sender::pump`] follows, once for many.
    #[inline]
    pub(crate) fn handle_puback(
        &mut self,
        id: PacketId,
        reason: ReasonCode,
        tx: &mut Transmit<'_>,
    ) -> Result<Option<Acknowledged>, Mismatch> {
        self.finish(id, Awaits::PubAck, reason, tx)
    }

    /// PUBREC came. The message is finished only if the peer refused it.
    #[inline]
    pub(crate) fn handle_pubrec(
        &mut self,
        id: PacketId,
        reason: ReasonCode,
        tx: &mut Transmit<'_>,
    ) -> Result<Option<Acknowledged>, Mismatch> {
        if reason.is_error() && self.flights.awaits(id) == Some(Awaits::PubRec) {
            return self.finish(id, Awaits::PubRec, reason, tx);
        }
        match self.flights.release(id) {
            Some(Awaits::PubRec) => {
                self.progressed = true;
                tx.ack(PacketType::PubRel, id, ReasonCode::SUCCESS);
            }
            Some(Awaits::PubComp) => tx.ack(PacketType::PubRel, id, ReasonCode::SUCCESS),
            // A refusal of what is not there needs no answer.
            None if reason.is_error() => {}
            // Not an identifier of a QoS 2 message: PUBREL tells the peer to forget it.
            None => tx.ack(PacketType::PubRel, id, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND),
            Some(_) => return Err(Mismatch),
        }
        Ok(None)
    }

    /// PUBCOMP came. Its reason does not matter: 0x92 says that the peer had forgotten the identifier,
    /// and the message itself was received.
    #[inline]
    pub(crate) fn handle_pubcomp(
        &mut self,
        id: PacketId,
        tx: &mut Transmit<'_>,
    ) -> Result<Option<Acknowledged>, Mismatch> {
        self.finish(id, Awaits::PubComp, ReasonCode::SUCCESS, tx)
    }

    #[inline]
    fn finish(
        &mut self,
        packet_id: PacketId,
        awaits: Awaits,
        reason: ReasonCode,
        tx: &mut Transmit<'_>,
    ) -> Result<Option<Acknowledged>, Mismatch> {
        let Some(mark) = self.flights.finish(packet_id, |held| held == awaits) else {
            // An identifier that is free may have been acknowledged twice, which does no harm.
            return if self.flights.awaits(packet_id).is_none() { Ok(None) } else { Err(Mismatch) };
        };
        self.progressed = true;
        self.in_flight = self.in_flight.saturating_sub(1);
        if reason.is_error() {
            tx.done.drop_messages(DropReason::RefusedByReceiver, 1);
        } else {
            tx.done.delivered += 1;
        }
        Ok(Some(Acknowledged { packet_id, reason, mark }))
    }

    /// An identifier for a SUBSCRIBE or UNSUBSCRIBE; `None` if all are in use.
    pub(crate) fn begin_request(&mut self, awaits: Awaits) -> Option<PacketId> {
        self.flights.insert(0, awaits)
    }

    /// The answer to a request came; false if there was no such request.
    pub(crate) fn finish_request(&mut self, id: PacketId, awaits: Awaits) -> bool {
        let known = self.flights.finish(id, |held| held == awaits).is_some();
        self.flights.advance();
        known
    }

    /// What waits here, for the limits of the session's queue.
    pub(crate) fn held(&self) -> Held {
        Held {
            messages: self.pending_messages + self.flights.len(),
            bytes: self.pending_bytes + self.flights.bytes(),
        }
    }

    /// Bytes of the messages that wait for the window to open.
    pub(crate) const fn waiting_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// The messages that wait for the window, in order, less those of the first run that were sent.
    pub(crate) fn pending(&self) -> impl Iterator<Item = Delivery> {
        self.pending.iter().enumerate().map(|(place, delivery)| {
            let (at, taken) = match place {
                0 => (self.pending_at as usize, self.pending_taken),
                _ => (0, 0),
            };
            let left = Self::frames_left(delivery, at).count();
            let run = delivery.run.last_from(at, left);
            let seq = delivery.seq.map(|first| first.saturating_add(taken.into()));
            Delivery { run, seq, ..delivery.clone() }
        })
    }

    /// The messages that wait for the window and were not sent by an earlier connection either, but
    /// for those of QoS 1, which may be sent again.
    pub(crate) fn unsent(&self) -> impl Iterator<Item = Delivery> {
        let next = self.flights.next();
        self.pending().filter(move |delivery| {
            let Some(first) = delivery.seq else { return true };
            let is_known = self.past.as_ref().is_some_and(|past| past.is_known(first.get()));
            first.get() >= next && (!is_known || delivery.qos() == QoS::AtLeastOnce)
        })
    }

    pub(crate) const fn flights(&self) -> &Flights {
        &self.flights
    }

    /// Keeps of the waiting messages only those that `keep` wants; the others are dropped for
    /// `reason`. What was sent before is not touched.
    pub(crate) fn retain_pending(
        &mut self,
        done: &mut Ledger,
        reason: DropReason,
        mut keep: impl FnMut(&Delivery) -> bool,
    ) {
        let pending: Vec<_> = self.pending().collect();
        self.pending.clear();
        (self.pending_at, self.pending_taken) = (0, 0);
        (self.pending_messages, self.pending_bytes) = (0, 0);
        for delivery in pending {
            if keep(&delivery) {
                self.wait(delivery);
                continue;
            }
            for (place, frame) in (0..).zip(delivery.run.frames()) {
                let seq = delivery.seq.map(|first| first.saturating_add(place));
                let run = delivery.run.with_frame(&frame);
                let single = Delivery { run, seq, ..delivery.clone() };
                if keep(&single) {
                    self.wait(single);
                } else if seq.is_none_or(|number| self.skip(number.get())) {
                    done.drop_messages(reason, 1);
                }
            }
        }
    }

    /// Puts messages behind those that wait for the window.
    fn wait(&mut self, delivery: Delivery) {
        self.pending_messages += self.unfinished(&delivery);
        self.pending_bytes += delivery.run.len();
        self.pending.push_back(delivery);
    }

    /// Gives unused memory back.
    pub(crate) fn shrink(&mut self) {
        self.flights.shrink();
        if self.pending.is_empty() {
            self.pending.shrink_to(0);
        }
    }
}

/// The first `count` of packets that stand one behind the other.
fn first_packets(packets: &[u8], count: u32) -> &[u8] {
    let mut len = 0;
    for _ in 0..count {
        let Some((_, next)) = packets.get(len..).and_then(publish_id::read) else { break };
        len += next;
    }
    packets.get(..len).unwrap_or_default()
}

/// The identifier behind this one.
fn next_id(id: PacketId) -> PacketId {
    PacketId::new(id.get().wrapping_add(1)).unwrap_or(PacketId::MIN)
}
