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

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use mqtt_packet::{
    Ack, PacketId, PacketType, QoS, RawPublish, ReasonCode, ack, property::Property,
};

use crate::{
    alias::{SentAliases, SentAs},
    delivery::Delivery,
    flights::{Awaits, Flight, Flights},
    inbox::Held,
    ledger::{DropReason, Ledger},
    negotiated::Negotiated,
    output::Output,
    reason_string::refuse_message,
    run::{Frames, Run, Wire},
    store::{Progress, Settled},
    time::Time,
};

/// Payloads below this length are copied behind their header, larger ones referenced.
const COPY_BELOW: usize = 2048;

/// Length of a Topic Alias, in bytes.
const BINDING_ROOM: usize = 3;

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

/// What a [`Sender`] writes to, and by which rules.
pub(crate) struct Transmit<'a> {
    pub(crate) out: &'a mut Output,
    pub(crate) aliases: &'a mut SentAliases,
    pub(crate) negotiated: &'a Negotiated,
    pub(crate) done: &'a mut Ledger,
    /// Messages that will never be acknowledged, for a caller who waits for each of them.
    pub(crate) lost: Option<&'a mut VecDeque<Lost>>,
    /// Where acknowledgements go that have to wait for a disk.
    pub(crate) gated: Option<&'a mut BytesMut>,
    pub(crate) now: Time,
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

/// What became of messages in earlier connections, as far as they are not here again.
#[derive(Debug, Default)]
struct Past {
    /// No message from this one on was sent.
    sent: u64,
    settled: VecDeque<(u64, Settled)>,
}

/// What became of one message in an earlier connection.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
enum Fate {
    Unsent,
    Sent,
    Released,
    Done,
}

impl Past {
    /// What became of a message. Asked for one after the other: what is before is forgotten.
    fn fate(&mut self, number: u64) -> Fate {
        while self.settled.front().is_some_and(|(settled, _)| *settled < number) {
            self.settled.pop_front();
        }
        match self.settled.front() {
            Some((settled, Settled::Done)) if *settled == number => Fate::Done,
            Some((settled, Settled::Released)) if *settled == number => Fate::Released,
            _ if number < self.sent => Fate::Sent,
            _ => Fate::Unsent,
        }
    }

    /// Whether nothing is left to be said of messages from `next` on.
    fn is_over(&self, next: u64) -> bool {
        next >= self.sent && self.settled.back().is_none_or(|(number, _)| *number < next)
    }
}

/// What one PUBLISH needs beside the parts of the message.
struct Header<'a> {
    qos: QoS,
    packet_id: Option<PacketId>,
    dup: bool,
    retain: bool,
    identifiers: Option<&'a [u32]>,
    expires_at: Option<Time>,
}

#[derive(Copy, Clone, Eq, PartialEq)]
enum Written {
    Whole,
    /// Larger than the peer's Maximum Packet Size: treated as sent [MQTT-3.1.2-25].
    TooLarge,
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
        self.pending_messages += self.unfinished(&delivery);
        self.pending_bytes += delivery.run.len();
        self.pending.push_back(delivery);
        self.pump(tx);
    }

    /// Sends what the window allows. Called whenever it may have opened.
    pub(crate) fn pump(&mut self, tx: &mut Transmit<'_>) {
        self.pump_again(tx);
        while let Some(delivery) = self.pending.front() {
            let (mut sent, mut whole) = (0, true);
            let is_expired = delivery.run.is_expired(tx.now);
            for frame in Self::frames_left(delivery, self.pending_at as usize) {
                let placed = delivery.seq.map(|first| first.get() + u64::from(self.pending_taken));
                let fate = match (placed, &mut self.past) {
                    (Some(number), _) if number < self.flights.next() => Fate::Done,
                    (Some(number), Some(past)) => past.fate(number),
                    _ => Fate::Unsent,
                };
                let is_over = match fate {
                    Fate::Done => true,
                    // What has not been sent may still expire [MQTT-3.3.2-5].
                    Fate::Unsent if is_expired => {
                        tx.lose(delivery.mark, None, 1);
                        true
                    }
                    _ => false,
                };
                let must_wait =
                    fate != Fate::Released && self.in_flight >= tx.negotiated.send_window;
                let has_id = placed.is_none_or(|number| self.flights.reach(number));
                let id = self.flights.next_id().filter(|_| has_id);
                if !is_over && (must_wait || id.is_none()) {
                    whole = false;
                    break;
                }
                sent += usize::from(fate != Fate::Done);
                // A run is never longer than the largest packet, or a read.
                self.pending_at = u32::try_from(frame.range.end).unwrap_or(u32::MAX);
                self.pending_taken += 1;
                let mut flight = None;
                if fate == Fate::Released {
                    flight =
                        Some(Flight { mark: delivery.mark, ..Flight::request(Awaits::PubComp) });
                    if let Some(id) = id {
                        tx.ack(PacketType::PubRel, id, ReasonCode::SUCCESS);
                    }
                } else if !is_over {
                    let header = Header {
                        qos: delivery.qos(),
                        packet_id: id,
                        dup: fate == Fate::Sent,
                        retain: delivery.retain,
                        identifiers: delivery.identifiers.as_deref(),
                        expires_at: delivery.run.expires_at(),
                    };
                    match tx.publish(delivery.run.bytes(), frame.publish, &header) {
                        Written::Whole => flight = Some(Flight::new(delivery, &frame)),
                        Written::TooLarge => {
                            tx.lose(delivery.mark, Some(DropReason::PacketTooLarge), 1);
                        }
                    }
                }
                if let Some(flight) = flight {
                    self.in_flight += 1;
                    self.flights.insert(flight);
                } else if let Some(number) = placed {
                    // Its identifier stays unused: the numbers behind it have theirs already.
                    self.progressed = true;
                    self.flights.reach(number.max(self.flights.next() - 1) + 1);
                }
            }
            self.pending_messages = self.pending_messages.saturating_sub(sent);
            if !whole {
                return;
            }
            self.pop_pending();
        }
        if self.past.as_ref().is_some_and(|past| past.is_over(self.flights.next())) {
            self.past = None;
        }
    }

    /// Messages of a delivery that are not known to be finished.
    fn unfinished(&self, delivery: &Delivery) -> usize {
        let count = delivery.count() as usize;
        let (Some(first), Some(past)) = (delivery.seq, &self.past) else { return count };
        let numbers = first.get()..first.get() + u64::from(delivery.count());
        let done =
            |settled: &&(u64, Settled)| numbers.contains(&settled.0) && settled.1 == Settled::Done;
        let before = self.flights.next().clamp(numbers.start, numbers.end) - numbers.start;
        let behind = past.settled.iter().filter(done).count();
        count.saturating_sub(behind + usize::try_from(before).unwrap_or(usize::MAX))
    }

    /// A message from a disk will not be sent. Answers false if it was finished before.
    pub(crate) fn skip(&mut self, number: u64) -> bool {
        let past = self.past.get_or_insert_default();
        let place = past.settled.partition_point(|(settled, _)| *settled < number);
        let is_known = past.settled.get(place).is_some_and(|(settled, _)| *settled == number);
        if is_known || number < self.flights.next() {
            return false;
        }
        past.settled.insert(place, (number, Settled::Done));
        self.progressed = true;
        true
    }

    /// Takes up the queue of a session that is kept on a disk. Its messages come from there again.
    pub(crate) fn continue_from(&mut self, progress: Progress) {
        self.flights = Flights::new();
        self.flights.reach(progress.head);
        self.past = Some(Box::new(Past { sent: progress.sent, settled: progress.settled.into() }));
    }

    /// What has to be written down, if it has changed since the last time.
    pub(crate) fn take_progress(&mut self) -> Option<Progress> {
        std::mem::take(&mut self.progressed).then(|| self.progress())
    }

    /// How far the session is.
    pub(crate) fn progress(&self) -> Progress {
        let next = self.flights.next();
        let settled = |(number, flight): (u64, Option<&Flight>)| match flight {
            None => Some((number, Settled::Done)),
            Some(flight) if flight.awaits == Awaits::PubComp => Some((number, Settled::Released)),
            Some(_) => None,
        };
        let past = self.past.iter().flat_map(|past| past.settled.iter().copied());
        Progress {
            head: self.flights.first(),
            sent: next.max(self.past.as_ref().map_or(0, |past| past.sent)),
            settled: self
                .flights
                .numbered()
                .filter_map(settled)
                .chain(past.filter(|(number, _)| *number >= next))
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
            self.flights.iter().filter(|(_, f)| f.is_request()).map(|(id, _)| id).collect();
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

    /// PUBACK came.
    pub(crate) fn handle_puback(
        &mut self,
        id: PacketId,
        reason: ReasonCode,
        tx: &mut Transmit<'_>,
    ) -> Option<Acknowledged> {
        (self.flights.find(id)?.awaits == Awaits::PubAck).then_some(())?;
        self.finish(id, reason, tx)
    }

    /// PUBREC came. The message is finished only if the peer refused it.
    pub(crate) fn handle_pubrec(
        &mut self,
        id: PacketId,
        reason: ReasonCode,
        tx: &mut Transmit<'_>,
    ) -> Option<Acknowledged> {
        match self.flights.find(id).map(|flight| flight.awaits) {
            Some(Awaits::PubRec) if reason.is_error() => return self.finish(id, reason, tx),
            Some(Awaits::PubRec) => {
                self.flights.release(id);
                self.progressed = true;
                tx.ack(PacketType::PubRel, id, ReasonCode::SUCCESS);
            }
            Some(Awaits::PubComp) => tx.ack(PacketType::PubRel, id, ReasonCode::SUCCESS),
            // Not an identifier of a QoS 2 message: PUBREL tells the peer to forget it.
            None if !reason.is_error() => {
                tx.ack(PacketType::PubRel, id, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND);
            }
            _ => {}
        }
        None
    }

    /// PUBCOMP came. Its reason does not matter: 0x92 says that the peer had forgotten the identifier,
    /// and the message itself was received.
    pub(crate) fn handle_pubcomp(
        &mut self,
        id: PacketId,
        tx: &mut Transmit<'_>,
    ) -> Option<Acknowledged> {
        (self.flights.find(id)?.awaits == Awaits::PubComp).then_some(())?;
        self.finish(id, ReasonCode::SUCCESS, tx)
    }

    fn finish(
        &mut self,
        packet_id: PacketId,
        reason: ReasonCode,
        tx: &mut Transmit<'_>,
    ) -> Option<Acknowledged> {
        let flight = self.flights.remove(packet_id)?;
        self.progressed = true;
        self.in_flight = self.in_flight.saturating_sub(1);
        if reason.is_error() {
            tx.done.drop_messages(DropReason::RefusedByReceiver, 1);
        } else {
            tx.done.delivered += 1;
        }
        Some(Acknowledged { packet_id, reason, mark: flight.mark })
    }

    /// An identifier for a SUBSCRIBE or UNSUBSCRIBE; `None` if all are in use.
    pub(crate) fn begin_request(&mut self, awaits: Awaits) -> Option<PacketId> {
        self.flights.insert(Flight::request(awaits))
    }

    /// The answer to a request came; false if there was no such request.
    pub(crate) fn finish_request(&mut self, id: PacketId, awaits: Awaits) -> bool {
        let known = self.flights.find(id).is_some_and(|flight| flight.awaits == awaits);
        if known {
            self.flights.remove(id);
        }
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
            let at = if place == 0 { self.pending_at as usize } else { 0 };
            let left = Self::frames_left(delivery, at).count();
            let run = delivery.run.last_from(at, left);
            Delivery { run, ..delivery.clone() }
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
                self.pending_messages += delivery.count() as usize;
                self.pending_bytes += delivery.run.len();
                self.pending.push_back(delivery);
            } else {
                done.drop_messages(reason, u64::from(delivery.count()));
            }
        }
    }

    /// Gives unused memory back.
    pub(crate) fn shrink(&mut self) {
        self.flights.shrink();
        if self.pending.is_empty() {
            self.pending.shrink_to(0);
        }
    }
}

/// QoS 0: the run's own bytes where nothing in them is this receiver's alone.
fn send_qos0(delivery: &Delivery, tx: &mut Transmit<'_>) {
    let run = &delivery.run;
    if run.is_expired(tx.now) {
        tx.lose(delivery.mark, None, u64::from(run.count()));
        return;
    }
    if delivery.is_plain(tx.negotiated.wire())
        && run.largest() <= tx.negotiated.maximum_packet_size
        && !tx.aliases.is_active()
    {
        tx.out.push(run.bytes().clone(), run.count());
        return;
    }
    let header = Header {
        qos: QoS::AtMostOnce,
        packet_id: None,
        dup: false,
        retain: delivery.retain,
        identifiers: delivery.identifiers.as_deref(),
        expires_at: run.expires_at(),
    };
    for frame in run.frames() {
        if tx.publish(run.bytes(), frame.publish, &header) == Written::TooLarge {
            tx.lose(delivery.mark, Some(DropReason::PacketTooLarge), 1);
        }
    }
}

/// What the encoder says of properties that came out of a checked packet or are numbers: they fit.
fn push(property: &Property<'_>, extra: &mut Vec<u8>) {
    let fits = property.encode(extra);
    debug_assert!(fits.is_ok(), "{property:?} does not fit");
}

impl Transmit<'_> {
    /// Counts messages that are given up, and tells whoever waits for them.
    fn lose(&mut self, mark: u64, reason: Option<DropReason>, messages: u64) {
        match reason {
            Some(reason) => self.done.drop_messages(reason, messages),
            None => self.done.expired += messages,
        }
        if let Some(lost) = &mut self.lost {
            lost.push_back(Lost { mark, reason });
        }
    }

    /// Writes PUBACK, PUBREC, PUBREL or PUBCOMP; a server says in words what is wrong.
    pub(crate) fn ack(&mut self, packet: PacketType, id: PacketId, reason: ReasonCode) {
        let out = match &mut self.gated {
            Some(gated) => gated,
            None => self.out.tail(),
        };
        let is_server = self.lost.is_none();
        if reason.is_error() && is_server && self.negotiated.wants_words() {
            let ack = Ack::new(id, reason);
            return refuse_message(out, self.negotiated, packet, ack, reason.name());
        }
        ack::encode_short(packet, id, reason, self.negotiated.version, out);
    }

    fn publish(
        &mut self,
        frames: &Bytes,
        mut publish: RawPublish<'_>,
        header: &Header<'_>,
    ) -> Written {
        publish.dup = header.dup;
        publish.qos = header.qos;
        publish.retain = header.retain;
        publish.packet_id = header.packet_id;
        let topic = publish.topic;
        let mut extra = Vec::new();
        let mut binding = None;
        if self.negotiated.wire() == Wire::V5 {
            self.extra_properties(header, &mut extra);
            match self.aliases.plan(topic) {
                SentAs::Topic => {}
                SentAs::Binding(alias) => {
                    binding = Some(alias).filter(|_| self.has_room(&publish, extra.len()));
                }
                SentAs::Alias(alias) => {
                    push(&Property::TopicAlias(alias), &mut extra);
                    publish.topic = &[];
                }
            }
        }
        if let Some(alias) = binding {
            push(&Property::TopicAlias(alias), &mut extra);
        }
        let version = self.negotiated.version;
        let fits = publish.encoded_len(extra.len(), version);
        if fits.is_err() || fits.is_ok_and(|len| len > self.negotiated.maximum_packet_size as usize)
        {
            return Written::TooLarge;
        }
        if publish.encode_header(&extra, version, self.out.tail()).is_err() {
            return Written::TooLarge;
        }
        if let Some(alias) = binding {
            self.aliases.bind(topic, alias);
        }
        let messages = u32::from(header.qos == QoS::AtMostOnce);
        if publish.payload.len() < COPY_BELOW {
            self.out.tail().extend_from_slice(publish.payload);
            self.out.count_messages(messages);
        } else {
            self.out.push(frames.slice_ref(publish.payload), messages);
        }
        Written::Whole
    }

    /// Whether a binding fits as well; it must not be what makes a packet too large.
    fn has_room(&self, publish: &RawPublish<'_>, extra_len: usize) -> bool {
        let len = publish.encoded_len(extra_len + BINDING_ROOM, self.negotiated.version);
        len.is_ok_and(|len| len <= self.negotiated.maximum_packet_size as usize)
    }

    fn extra_properties(&self, header: &Header<'_>, extra: &mut Vec<u8>) {
        if let Some(deadline) = header.expires_at {
            // What is left of the interval, rounded up, so that it is not 0 [MQTT-3.3.2-6].
            let left = deadline.millis_since(self.now).div_ceil(1000).max(1);
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            push(&Property::MessageExpiryInterval(left), extra);
        }
        for identifier in header.identifiers.unwrap_or_default() {
            push(&Property::SubscriptionIdentifier(*identifier), extra);
        }
    }
}
