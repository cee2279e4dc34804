//! Packet identifiers in use by the sender, and what each of them stands for.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use mqtt_packet::{PacketId, QoS};

use crate::{delivery::Delivery, run::Wire, time::Time};

/// There are 65,535 packet identifiers: 1 to 65,535.
const IDS: u64 = 65_535;

/// What an identifier in use waits for.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Awaits {
    /// QoS 1: PUBLISH was sent.
    PubAck,
    /// QoS 2: PUBLISH was sent.
    PubRec,
    /// QoS 2: PUBREL was sent; the message itself is gone.
    PubComp,
    /// A SUBSCRIBE was sent.
    SubAck,
    /// An UNSUBSCRIBE was sent.
    UnsubAck,
}

/// A packet that was sent and not finally acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    /// The PUBLISH as the publisher sent it; empty once only PUBREL is left, and for requests.
    pub(crate) frame: Bytes,
    pub(crate) identifiers: Option<Arc<[u32]>>,
    pub(crate) mark: u64,
    pub(crate) awaits: Awaits,
    pub(crate) wire: Wire,
    pub(crate) retain: bool,
    /// When the Message Expiry Interval runs out, for a PUBLISH that is sent again.
    pub(crate) expires_at: Option<Time>,
}

/// All packets in flight, in the order in which they were first sent.
///
/// Identifiers are given out in sequence, so an identifier's distance from the oldest one is its
/// place in the queue: finding a flight is a subtraction. An identifier is used again only after
/// all older ones are free [MQTT-2.2.1-4], [MQTT-2.3.1-4]; a peer that leaves one message
/// unacknowledged for 65,534 others therefore stops its own stream.
///
/// Flights are numbered from 1 on, and the number decides the identifier. In a queue that is kept on
/// a disk the numbers are those of the queue.
///
/// What messages have in common that were sent together stands once, in their [`Source`]: sending
/// and acknowledging one more of them moves 16 bytes and counts.
#[derive(Debug)]
pub(crate) struct Flights {
    places: VecDeque<Place>,
    /// The number of the first place.
    first: u64,
    /// Nothing while nothing is in flight.
    sources: Option<Box<Sources>>,
    len: u32,
    bytes: usize,
}

/// One identifier, and which part of its source it stands for.
#[derive(Copy, Clone, Debug)]
struct Place {
    source: u32,
    at: u32,
    len: u32,
    /// `None` once it is finished.
    awaits: Option<Awaits>,
}

/// What messages of one delivery that were sent together have in common.
#[derive(Debug)]
struct Source {
    /// Nothing once no message has to be sent again.
    frames: Bytes,
    identifiers: Option<Arc<[u32]>>,
    mark: u64,
    expires_at: Option<Time>,
    wire: Wire,
    retain: bool,
    /// Places that are not finished.
    unfinished: u32,
    /// Places whose message may have to be sent again.
    unreleased: u32,
}

/// The sources of all places, oldest first, numbered one behind the other.
#[derive(Debug, Default)]
struct Sources {
    queue: VecDeque<Source>,
    first: u32,
}

impl Awaits {
    /// What a message of this QoS waits for after its PUBLISH.
    pub(crate) const fn first_of(qos: QoS) -> Self {
        match qos {
            QoS::ExactlyOnce => Self::PubRec,
            _ => Self::PubAck,
        }
    }

    pub(crate) const fn is_request(self) -> bool {
        matches!(self, Self::SubAck | Self::UnsubAck)
    }

    /// Whether the PUBLISH may have to be sent again.
    const fn is_publish(self) -> bool {
        matches!(self, Self::PubAck | Self::PubRec)
    }
}

impl Flight {
    /// The QoS of the PUBLISH that has to be sent again; `None` where only PUBREL is left.
    pub(crate) const fn qos(&self) -> Option<QoS> {
        match self.awaits {
            Awaits::PubAck => Some(QoS::AtLeastOnce),
            Awaits::PubRec => Some(QoS::ExactlyOnce),
            _ => None,
        }
    }
}

impl Flights {
    pub(crate) const fn new() -> Self {
        Self { places: VecDeque::new(), first: 1, sources: None, len: 0, bytes: 0 }
    }

    /// How many identifiers are in use.
    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }

    /// Bytes of the messages in flight.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many identifiers are free for what is to be sent next.
    pub(crate) fn room(&self) -> u32 {
        u32::try_from(IDS.saturating_sub(self.places.len() as u64)).unwrap_or(u32::MAX)
    }

    /// The identifier that the next flight gets; `None` if there is none free.
    pub(crate) fn next_id(&self) -> Option<PacketId> {
        Self::id(self.next()).filter(|_| self.room() > 0)
    }

    /// The number of the first place: everything before it is finished.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next flight gets.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    /// Sees to it that the next flight gets `number`, and what is between is finished. Answers false
    /// if there is no identifier free for it.
    pub(crate) fn reach(&mut self, number: u64) -> bool {
        if self.places.is_empty() {
            self.first = self.first.max(number);
        }
        if number.saturating_sub(self.first) >= IDS {
            return false;
        }
        while self.next() < number {
            self.places.push_back(Place { source: 0, at: 0, len: 0, awaits: None });
        }
        true
    }

    /// Messages of a delivery are about to be sent, and follow with [`Flights::extend`]; answers the
    /// number of what they have in common.
    pub(crate) fn begin(&mut self, delivery: &Delivery) -> u32 {
        self.add_source(Source {
            frames: delivery.run.bytes().clone(),
            identifiers: delivery.identifiers.clone(),
            mark: delivery.mark,
            expires_at: delivery.run.expires_at(),
            wire: delivery.run.wire(),
            retain: delivery.retain,
            unfinished: 0,
            unreleased: 0,
        })
    }

    /// Puts messages of a source behind all others: their packets stand one behind the other in the
    /// run, from `at` on. Answers how many they are; there has to be room for them.
    #[inline]
    pub(crate) fn extend(
        &mut self,
        source: u32,
        at: u32,
        lens: impl IntoIterator<Item = u32>,
        awaits: Awaits,
    ) -> u32 {
        let (before, mut end) = (self.places.len(), at);
        self.places.extend(lens.into_iter().map(|len| {
            let at = end;
            end += len;
            Place { source, at, len, awaits: Some(awaits) }
        }));
        let count = u32::try_from(self.places.len() - before).unwrap_or(u32::MAX);
        self.len += count;
        if awaits.is_publish() {
            self.bytes += (end - at) as usize;
        }
        if let Some(source) = self.sources.as_mut().and_then(|all| all.find(source)) {
            source.unfinished += count;
            source.unreleased += if awaits.is_publish() { count } else { 0 };
        }
        count
    }

    /// Puts a packet behind all others of which only the identifier is kept.
    pub(crate) fn insert(&mut self, mark: u64, awaits: Awaits) -> Option<PacketId> {
        let id = self.next_id()?;
        let source = self.add_source(Source {
            frames: Bytes::new(),
            identifiers: None,
            mark,
            expires_at: None,
            wire: Wire::V5,
            retain: false,
            unfinished: 0,
            unreleased: 0,
        });
        self.extend(source, 0, [0], awaits);
        Some(id)
    }

    /// The packet that an identifier stands for.
    pub(crate) fn find(&self, id: PacketId) -> Option<Flight> {
        self.flight(self.places.get(self.index(id))?)
    }

    /// Frees an identifier, if it waits for what `is` says; answers the mark of the message. Follow
    /// with [`Flights::advance`], once for many.
    #[inline]
    pub(crate) fn finish(&mut self, id: PacketId, is: impl Fn(Awaits) -> bool) -> Option<u64> {
        let index = self.index(id);
        let place = self.places.get_mut(index)?;
        let awaits = place.awaits.filter(|awaits| is(*awaits))?;
        place.awaits = None;
        let place = *place;
        self.len -= 1;
        let source = self.sources.as_deref_mut()?.find(place.source)?;
        source.unfinished -= 1;
        let mark = source.mark;
        if awaits.is_publish() {
            self.bytes = self.bytes.saturating_sub(place.len as usize);
            source.release();
        }
        Some(mark)
    }

    /// What an identifier waits for; `None` if it is free.
    pub(crate) fn awaits(&self, id: PacketId) -> Option<Awaits> {
        self.places.get(self.index(id))?.awaits
    }

    /// Frees an identifier, whatever it waits for.
    pub(crate) fn remove(&mut self, id: PacketId) -> Option<u64> {
        let mark = self.finish(id, |_| true);
        self.advance();
        mark
    }

    /// PUBREC came: if the identifier waits for it, the message is the receiver's now, and only
    /// PUBREL is left to send. Answers what the identifier has waited for; `None` if it is free.
    #[inline]
    pub(crate) fn release(&mut self, id: PacketId) -> Option<Awaits> {
        let index = self.index(id);
        let place = self.places.get_mut(index)?;
        let awaits = place.awaits?;
        if awaits == Awaits::PubRec {
            place.awaits = Some(Awaits::PubComp);
            let place = *place;
            self.bytes = self.bytes.saturating_sub(place.len as usize);
            if let Some(source) = self.sources.as_mut().and_then(|all| all.find(place.source)) {
                source.release();
            }
        }
        Some(awaits)
    }

    /// The flights, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PacketId, Flight)> {
        let numbered = (self.first..).zip(&self.places);
        numbered.filter_map(|(number, place)| Some((Self::id(number)?, self.flight(place)?)))
    }

    /// All places with their numbers, oldest first; `None` for what is finished.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u64, Option<Awaits>)> {
        (self.first..).zip(self.places.iter().map(|place| place.awaits))
    }

    /// Gives unused memory back.
    pub(crate) fn shrink(&mut self) {
        if self.places.is_empty() {
            self.places.shrink_to(0);
            self.sources = None;
        }
    }

    fn flight(&self, place: &Place) -> Option<Flight> {
        let awaits = place.awaits?;
        let source = self.sources.as_deref()?.at(place.source)?;
        let frame = match awaits.is_publish() {
            true => source.frames.slice(place.at as usize..(place.at + place.len) as usize),
            false => Bytes::new(),
        };
        Some(Flight {
            frame,
            identifiers: source.identifiers.clone(),
            mark: source.mark,
            awaits,
            wire: source.wire,
            retain: source.retain,
            expires_at: source.expires_at,
        })
    }

    /// Forgets what is finished at the front.
    pub(crate) fn advance(&mut self) {
        let is_finished = |place: &&Place| place.awaits.is_none();
        let finished = self.places.iter().take_while(is_finished).count();
        if finished > 0 {
            self.places.drain(..finished);
            self.first += finished as u64;
        }
        if let Some(sources) = self.sources.as_deref_mut() {
            sources.advance();
        }
    }

    fn add_source(&mut self, source: Source) -> u32 {
        let sources = self.sources.get_or_insert_default();
        let place = u32::try_from(sources.queue.len()).unwrap_or(u32::MAX);
        sources.queue.push_back(source);
        sources.first.wrapping_add(place)
    }

    #[inline]
    fn index(&self, id: PacketId) -> usize {
        let first = self.first.wrapping_sub(1) % IDS;
        let index = (u64::from(id.get()) - 1 + IDS - first) % IDS;
        usize::try_from(index).unwrap_or(usize::MAX)
    }

    fn id(number: u64) -> Option<PacketId> {
        PacketId::new(u16::try_from(number.wrapping_sub(1) % IDS + 1).ok()?)
    }
}

impl Source {
    /// One message less that may have to be sent again.
    #[inline]
    fn release(&mut self) {
        self.unreleased -= 1;
        if self.unreleased == 0 {
            self.frames = Bytes::new();
        }
    }
}

impl Sources {
    #[inline]
    fn find(&mut self, number: u32) -> Option<&mut Source> {
        self.queue.get_mut(number.wrapping_sub(self.first) as usize)
    }

    fn at(&self, number: u32) -> Option<&Source> {
        self.queue.get(number.wrapping_sub(self.first) as usize)
    }

    fn advance(&mut self) {
        while self.queue.front().is_some_and(|source| source.unfinished == 0) {
            self.queue.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{MessageParts, Run};

    fn delivery() -> Delivery {
        let run = Run::from_message(&MessageParts {
            topic: "t",
            payload: b"payload",
            properties: &[],
            qos: QoS::ExactlyOnce,
            retain: false,
            packet_id: None,
            expires_at: None,
        });
        let (run, granted) = (run.unwrap(), QoS::ExactlyOnce);
        Delivery { run, granted, retain: false, identifiers: None, mark: 7, seq: None }
    }

    /// Sends `count` messages of one delivery.
    fn send(flights: &mut Flights, count: usize) -> Vec<PacketId> {
        let delivery = delivery();
        let len = u32::try_from(delivery.run.len()).unwrap();
        let source = flights.begin(&delivery);
        let mut push = || {
            let id = flights.next_id();
            flights.extend(source, 0, [len], Awaits::PubRec);
            id.unwrap()
        };
        (0..count).map(|_| push()).collect()
    }

    #[test]
    fn identifiers_are_distinct_non_zero_and_wrap() {
        let mut flights = Flights::new();
        for _ in 0..3 {
            let ids = send(&mut flights, 65_535);
            assert!(flights.next_id().is_none());
            assert_eq!(flights.room(), 0);
            for id in ids {
                assert_eq!(flights.remove(id), Some(7));
            }
            assert_eq!((flights.len(), flights.bytes()), (0, 0));
        }
    }

    #[test]
    fn acknowledgements_out_of_order_free_each_identifier_once() {
        let mut flights = Flights::new();
        let ids = send(&mut flights, 4);
        assert!(flights.remove(ids[2]).is_some());
        assert!(flights.remove(ids[2]).is_none());
        let left: Vec<_> = flights.iter().map(|(id, _)| id).collect();
        assert_eq!(left, [ids[0], ids[1], ids[3]]);
        assert!(flights.remove(ids[0]).is_some());
        assert_eq!(flights.find(ids[3]).unwrap().awaits, Awaits::PubRec);
        // The first free identifier is behind all that were given out.
        assert_eq!(flights.next_id(), PacketId::new(5));
    }

    #[test]
    fn a_released_message_holds_no_bytes() {
        let mut flights = Flights::new();
        let ids = send(&mut flights, 2);
        assert_eq!(flights.release(ids[0]), Some(Awaits::PubRec));
        assert_eq!(flights.bytes(), delivery().run.len());
        assert_eq!(flights.find(ids[1]).unwrap().frame, *delivery().run.bytes());
        flights.release(ids[1]);
        assert_eq!(flights.release(ids[1]), Some(Awaits::PubComp));
        assert_eq!((flights.bytes(), flights.len()), (0, 2));
        assert!(flights.sources.as_ref().unwrap().queue[0].frames.is_empty());
    }

    #[test]
    fn sources_go_with_their_last_message() {
        let mut flights = Flights::new();
        let ids = [send(&mut flights, 2), send(&mut flights, 1)].concat();
        let request = flights.insert(0, Awaits::SubAck).unwrap();
        for (id, left) in [(ids[2], 3), (ids[0], 3), (ids[1], 1), (request, 0)] {
            assert!(flights.remove(id).is_some());
            assert_eq!(flights.sources.as_ref().unwrap().queue.len(), left);
        }
        flights.shrink();
        assert!(flights.sources.is_none());
    }
}
