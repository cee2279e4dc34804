//! A client that publishes, and forgets nothing when the connection breaks.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use mqtt_packet::{Delivery, PacketId, PacketType, Publish, PublishProperties, QoS, ReasonCode};

use super::{
    dice::Dice,
    history::{End, Event},
    message::{Message, Topic},
    seat::{Phase, Seat},
    wire::{Incoming, Wire},
};

/// How many messages may be without their last acknowledgement.
const WINDOW: usize = 20;

/// Packet identifiers go round in this many, so that each is soon used again.
const IDENTIFIERS: u16 = 48;

/// The most messages that are written at once, and how long until the next ones.
const BURST_MAX: u64 = 8;
const PAUSE_MILLIS: (u64, u64) = (5, 30);

/// The longest wait for an acknowledgement before the stage is looked at again.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A publisher with a persistent session.
#[derive(Debug)]
pub(super) struct Publisher {
    seat: Seat,
    index: u8,
    qos: QoS,
    topics: Vec<Topic>,
    dice: Dice,
    numbers: HashMap<Topic, u32>,
    last_id: u16,
    /// What was sent and is not done, in the order of sending.
    flights: VecDeque<Flight>,
    next_burst: Instant,
    idle: Arc<AtomicBool>,
}

/// A message on its way.
#[derive(Debug)]
struct Flight {
    packet_id: PacketId,
    message: Message,
    /// PUBREC has come: from here on PUBREL is repeated, not PUBLISH.
    is_released: bool,
}

impl Publisher {
    /// A publisher of this number that takes these topics in turn.
    pub(super) fn new(seat: Seat, index: u8, qos: QoS, topics: &[Topic], dice: Dice) -> Self {
        Self {
            seat,
            index,
            qos,
            topics: topics.to_vec(),
            dice,
            numbers: HashMap::new(),
            last_id: 0,
            flights: VecDeque::new(),
            next_burst: Instant::now(),
            idle: Arc::default(),
        }
    }

    /// Whether everything is acknowledged and nothing new comes, as a flag to look at.
    pub(super) fn idle(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.idle)
    }

    /// Publishes until the stage says that it is over.
    pub(super) fn play(mut self) {
        while !self.seat.stage.has_come_to(Phase::Over) {
            let Ok((mut wire, session_present)) = self.seat.resume() else {
                self.seat.wait();
                continue;
            };
            let conversation = self.converse(&mut wire, session_present);
            let end = conversation.and_then(|()| self.seat.disconnect(&mut wire));
            if end.is_err() {
                self.seat.record(Event::Ended(End::Lost));
                self.seat.wait();
            }
        }
    }

    /// Publishes over one connection until it breaks or the stage says that it is over.
    fn converse(&mut self, wire: &mut Wire, session_present: bool) -> io::Result<()> {
        if session_present {
            self.repeat(wire)?;
        } else {
            self.abandon();
        }
        while !self.seat.stage.has_come_to(Phase::Over) {
            let is_settling = self.seat.stage.has_come_to(Phase::Settle);
            self.idle.store(is_settling && self.flights.is_empty(), Ordering::SeqCst);
            if !is_settling && Instant::now() >= self.next_burst {
                self.burst(wire)?;
            }
            if let Some(packet) = wire.receive(self.patience(is_settling))? {
                self.take(wire, &packet)?;
            }
            while let Some(packet) = wire.received() {
                self.take(wire, &packet)?;
            }
            wire.flush()?;
        }
        Ok(())
    }

    fn patience(&self, is_settling: bool) -> Duration {
        let until_burst = self.next_burst.saturating_duration_since(Instant::now());
        if is_settling { LOOK_INTERVAL } else { until_burst.min(LOOK_INTERVAL) }
    }

    /// Sends again what is not done [MQTT-4.4.0-1], in the old order [MQTT-4.6.0-1].
    fn repeat(&mut self, wire: &mut Wire) -> io::Result<()> {
        for flight in &self.flights {
            if flight.is_released {
                wire.queue_ack(PacketType::PubRel, flight.packet_id)?;
            } else {
                self.queue(wire, flight, true)?;
            }
        }
        wire.flush()
    }

    /// Forgets what is not done, because the session that it belongs to is gone.
    fn abandon(&mut self) {
        for flight in self.flights.drain(..) {
            self.seat.record(Event::Abandoned { message: flight.message });
        }
    }

    fn burst(&mut self, wire: &mut Wire) -> io::Result<()> {
        let room = WINDOW.saturating_sub(self.flights.len());
        let wanted = usize::try_from(1 + self.dice.below(BURST_MAX)).unwrap_or(1);
        for _ in 0..wanted.min(room) {
            let flight = self.next_flight();
            self.queue(wire, &flight, false)?;
            self.flights.push_back(flight);
        }
        self.next_burst = Instant::now() + self.dice.millis(PAUSE_MILLIS.0, PAUSE_MILLIS.1);
        wire.flush()
    }

    fn next_flight(&mut self) -> Flight {
        let choice = self.dice.below(self.topics.len() as u64);
        let topic = usize::try_from(choice).ok().and_then(|choice| self.topics.get(choice));
        let topic = topic.copied().unwrap_or(Topic::Direct);
        let number = self.numbers.entry(topic).or_insert(0);
        *number += 1;
        let message = Message { publisher: self.index, topic, number: *number };
        Flight { packet_id: self.free_id(), message, is_released: false }
    }

    /// The next identifier that is not in use; there are more of them than the window is wide.
    fn free_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id % IDENTIFIERS + 1;
            let id = PacketId::new(self.last_id).unwrap_or(PacketId::MIN);
            if self.flights.iter().all(|flight| flight.packet_id != id) {
                return id;
            }
        }
    }

    fn queue(&self, wire: &mut Wire, flight: &Flight, dup: bool) -> io::Result<()> {
        let (message, id) = (flight.message, flight.packet_id);
        self.seat.record(Event::Sent { message, packet_id: id.get(), dup });
        let is_exact = self.qos == QoS::ExactlyOnce;
        let publish = Publish {
            dup,
            delivery: if is_exact { Delivery::ExactlyOnce(id) } else { Delivery::AtLeastOnce(id) },
            retain: matches!(message.topic, Topic::Retained(_)),
            topic: &message.topic_name(),
            properties: PublishProperties::default(),
            payload: &message.payload(),
        };
        wire.queue_publish(&publish)
    }

    fn take(&mut self, wire: &mut Wire, packet: &Incoming) -> io::Result<()> {
        let Incoming::Ack { packet_type, packet_id, reason } = packet else { return Ok(()) };
        let place = self.flights.iter().position(|flight| flight.packet_id == *packet_id);
        match packet_type {
            PacketType::PubAck => self.finish(place, PacketType::PubAck, *reason),
            PacketType::PubRec if reason.is_error() => {
                self.finish(place, PacketType::PubRec, *reason);
            }
            PacketType::PubRec => {
                self.release(place);
                wire.queue_ack(PacketType::PubRel, *packet_id)?;
            }
            // "Packet identifier not found" is good as well: an earlier PUBREL had come.
            PacketType::PubComp => self.finish(place, PacketType::PubComp, ReasonCode::SUCCESS),
            _ => {}
        }
        Ok(())
    }

    fn release(&mut self, place: Option<usize>) {
        if let Some(flight) = place.and_then(|place| self.flights.get_mut(place)) {
            flight.is_released = true;
            let message = flight.message;
            self.seat.record(Event::Acknowledged { message, step: PacketType::PubRec });
        }
    }

    fn finish(&mut self, place: Option<usize>, step: PacketType, reason: ReasonCode) {
        let Some(flight) = place.and_then(|place| self.flights.remove(place)) else { return };
        let message = flight.message;
        self.seat.record(if reason.is_error() {
            Event::Refused { message, reason: reason.0 }
        } else {
            Event::Acknowledged { message, step }
        });
    }
}
