//! Packet identifiers in use by the sender, and what each of them stands for.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use mqtt_packet::{PacketId, QoS};

use crate::{
    delivery::Delivery,
    run::{Frame, Wire},
    time::Time,
};

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

impl Flight {
    /// A message of a delivery that was sent just now.
    pub(crate) fn new(delivery: &Delivery, frame: &Frame<'_>) -> Self {
        Self {
            frame: delivery.run.frame_bytes(frame),
            identifiers: delivery.identifiers.clone(),
            mark: delivery.mark,
            awaits: match delivery.qos() {
                QoS::ExactlyOnce => Awaits::PubRec,
                _ => Awaits::PubAck,
            },
            wire: delivery.run.wire(),
            retain: delivery.retain,
            expires_at: delivery.run.expires_at(),
        }
    }

    /// A SUBSCRIBE or UNSUBSCRIBE: only the identifier is kept.
    pub(crate) const fn request(awaits: Awaits) -> Self {
        Self {
            frame: Bytes::new(),
            identifiers: None,
            mark: 0,
            awaits,
            wire: Wire::V5,
            retain: false,
            expires_at: None,
        }
    }

    pub(crate) const fn is_request(&self) -> bool {
        matches!(self.awaits, Awaits::SubAck | Awaits::UnsubAck)
    }

    /// The QoS of the PUBLISH that has to be sent again; `None` where only PUBREL is left.
    pub(crate) const fn qos(&self) -> Option<QoS> {
        match self.awaits {
            Awaits::PubAck => Some(QoS::AtLeastOnce),
            Awaits::PubRec => Some(QoS::ExactlyOnce),
            _ => None,
        }
    }
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
#[derive(Debug)]
pub(crate) struct Flights {
    slots: VecDeque<Option<Flight>>,
    /// The number of the first slot.
    first: u64,
    len: usize,
    bytes: usize,
}

impl Flights {
    pub(crate) const fn new() -> Self {
        Self { slots: VecDeque::new(), first: 1, len: 0, bytes: 0 }
    }

    /// How many identifiers are in use.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes of the messages in flight.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The identifier that [`Flights::insert`] would give; `None` if there is none free.
    pub(crate) fn next_id(&self) -> Option<PacketId> {
        let is_free = (self.slots.len() as u64) < IDS;
        Self::id(self.next()).filter(|_| is_free)
    }

    /// The number of the first slot: everything before it is finished.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next flight gets.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// Sees to it that the next flight gets `number`, and what is between is finished. Answers false
    /// if there is no identifier free for it.
    pub(crate) fn reach(&mut self, number: u64) -> bool {
        if self.slots.is_empty() {
            self.first = self.first.max(number);
        }
        if number.saturating_sub(self.first) >= IDS {
            return false;
        }
        while self.next() < number {
            self.slots.push_back(None);
        }
        true
    }

    /// Puts a flight behind all others.
    pub(crate) fn insert(&mut self, flight: Flight) -> Option<PacketId> {
        let id = self.next_id()?;
        self.bytes += flight.frame.len();
        self.len += 1;
        self.slots.push_back(Some(flight));
        Some(id)
    }

    pub(crate) fn find(&mut self, id: PacketId) -> Option<&mut Flight> {
        let index = self.index(id);
        self.slots.get_mut(index)?.as_mut()
    }

    /// Frees an identifier.
    pub(crate) fn remove(&mut self, id: PacketId) -> Option<Flight> {
        let index = self.index(id);
        let flight = self.slots.get_mut(index)?.take()?;
        self.len -= 1;
        self.bytes = self.bytes.saturating_sub(flight.frame.len());
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first += 1;
        }
        Some(flight)
    }

    /// PUBREC came: the message is the receiver's now, only PUBREL is left to send.
    pub(crate) fn release(&mut self, id: PacketId) {
        let freed = match self.find(id) {
            Some(flight) => {
                flight.awaits = Awaits::PubComp;
                std::mem::take(&mut flight.frame).len()
            }
            None => 0,
        };
        self.bytes = self.bytes.saturating_sub(freed);
    }

    /// The flights, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PacketId, &Flight)> {
        self.numbered().filter_map(|(number, slot)| Some((Self::id(number)?, slot?)))
    }

    /// All slots with their numbers, oldest first; `None` for what is finished.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u64, Option<&Flight>)> {
        (self.first..).zip(self.slots.iter().map(Option::as_ref))
    }

    /// Gives unused memory back.
    pub(crate) fn shrink(&mut self) {
        if self.slots.is_empty() {
            self.slots.shrink_to(0);
        }
    }

    fn index(&self, id: PacketId) -> usize {
        let first = self.first.wrapping_sub(1) % IDS;
        let index = (u64::from(id.get()) - 1 + IDS - first) % IDS;
        usize::try_from(index).unwrap_or(usize::MAX)
    }

    fn id(number: u64) -> Option<PacketId> {
        PacketId::new(u16::try_from(number.wrapping_sub(1) % IDS + 1).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight() -> Flight {
        Flight {
            frame: Bytes::from_static(b"frame"),
            awaits: Awaits::PubRec,
            ..Flight::request(Awaits::SubAck)
        }
    }

    #[test]
    fn identifiers_are_distinct_non_zero_and_wrap() {
        let mut flights = Flights::new();
        for _ in 0..3 {
            let ids: Vec<u16> =
                std::iter::from_fn(|| flights.insert(flight()).map(PacketId::get)).collect();
            assert_eq!(ids.len(), 65_535);
            assert!(flights.next_id().is_none());
            for id in ids {
                assert!(flights.remove(PacketId::new(id).unwrap()).is_some());
            }
            assert_eq!((flights.len(), flights.bytes()), (0, 0));
        }
    }

    #[test]
    fn acknowledgements_out_of_order_free_each_identifier_once() {
        let mut flights = Flights::new();
        let ids: Vec<_> = (0..4).map(|_| flights.insert(flight()).unwrap()).collect();
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
        let id = flights.insert(flight()).unwrap();
        flights.release(id);
        assert_eq!((flights.bytes(), flights.len()), (0, 1));
    }
}
