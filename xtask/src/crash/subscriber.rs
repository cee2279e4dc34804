//! A client that subscribes, acknowledges, and comes and goes.

use std::{
    io,
    time::{Duration, Instant},
};

use mqtt_packet::{PacketId, PacketType, QoS, RetainHandling, SubscriptionOptions};

use super::{
    dice::Dice,
    history::{End, Event},
    message::{Interest, Message},
    seat::{Phase, Seat},
    wire::{Incoming, Wire},
};

/// How long a client that comes and goes stays, and how long it is away, in milliseconds.
const STAY_MILLIS: (u64, u64) = (20, 200);
const AWAY_MILLIS: (u64, u64) = (50, 400);

/// Acknowledgements are held back until more has come once in this many times.
const HOLD_ONCE_IN: u64 = 5;

/// A client that comes and goes leaves before CONNACK once in this many times.
const HASTY_ONCE_IN: u64 = 4;

/// The longest wait for a message before the stage is looked at again.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A subscriber with a persistent session.
#[derive(Debug)]
pub(super) struct Subscriber {
    seat: Seat,
    interest: Interest,
    qos: QoS,
    /// Whether it comes and goes.
    is_restless: bool,
    dice: Dice,
    is_subscribed: bool,
    /// What is to be written.
    answers: Vec<(PacketType, PacketId)>,
}

impl Subscriber {
    /// A subscriber to this.
    pub(super) fn new(
        seat: Seat,
        interest: Interest,
        qos: QoS,
        is_restless: bool,
        dice: Dice,
    ) -> Self {
        let (is_subscribed, answers) = (false, Vec::new());
        Self { seat, interest, qos, is_restless, dice, is_subscribed, answers }
    }

    /// Receives until the stage says that it is over.
    pub(super) fn play(mut self) {
        while !self.seat.stage.has_come_to(Phase::Over) {
            if self.is_restless && self.is_subscribed && self.dice.once_in(HASTY_ONCE_IN) {
                self.seat.knock();
            }
            let Ok((mut wire, session_present)) = self.seat.resume() else {
                self.seat.wait();
                continue;
            };
            if self.converse(&mut wire, session_present).is_err() {
                self.seat.record(Event::Ended(End::Lost));
                self.seat.wait();
            } else {
                drop(wire);
                self.stay_away();
            }
        }
    }

    /// Receives over one connection until it breaks, or until it is time to leave.
    fn converse(&mut self, wire: &mut Wire, session_present: bool) -> io::Result<()> {
        self.answers.clear();
        self.is_subscribed &= session_present;
        if !self.is_subscribed {
            let options = SubscriptionOptions {
                retain_handling: RetainHandling::Never,
                ..SubscriptionOptions::new(self.qos)
            };
            self.seat.subscribe(wire, self.interest.filter(), options)?;
        }
        let leave_at = Instant::now() + self.dice.millis(STAY_MILLIS.0, STAY_MILLIS.1);
        while !self.has_to_leave(leave_at) {
            if let Some(packet) = wire.receive(LOOK_INTERVAL)? {
                self.take(&packet);
            }
            while let Some(packet) = wire.received() {
                self.take(&packet);
            }
            let is_settling = self.seat.stage.has_come_to(Phase::Settle);
            if is_settling || !self.dice.once_in(HOLD_ONCE_IN) {
                self.answer(wire)?;
            }
        }
        self.leave(wire)
    }

    fn has_to_leave(&self, leave_at: Instant) -> bool {
        let is_settling = self.seat.stage.has_come_to(Phase::Settle);
        let wants_to = self.is_restless && self.is_subscribed && !is_settling;
        self.seat.stage.has_come_to(Phase::Over) || (wants_to && Instant::now() >= leave_at)
    }

    /// Every other time without a word.
    fn leave(&mut self, wire: &mut Wire) -> io::Result<()> {
        if !self.seat.stage.has_come_to(Phase::Over) && self.dice.once_in(2) {
            self.seat.record(Event::Ended(End::Dropped));
            return Ok(());
        }
        self.answer(wire)?;
        self.seat.disconnect(wire)
    }

    fn stay_away(&mut self) {
        let back_at = Instant::now() + self.dice.millis(AWAY_MILLIS.0, AWAY_MILLIS.1);
        while Instant::now() < back_at && !self.seat.stage.has_come_to(Phase::Settle) {
            self.seat.wait();
        }
    }

    fn take(&mut self, packet: &Incoming) {
        match packet {
            Incoming::SubAck { reason } if !reason.is_error() => {
                self.seat.record(Event::Subscribed);
                self.is_subscribed = true;
            }
            Incoming::Publish { dup, qos, packet_id, retain, topic, payload, .. } => {
                self.seat.record(received(*dup, *qos, *packet_id, *retain, topic, payload));
                let answer = match qos {
                    QoS::AtMostOnce => None,
                    QoS::AtLeastOnce => Some(PacketType::PubAck),
                    QoS::ExactlyOnce => Some(PacketType::PubRec),
                };
                self.answers.extend(answer.zip(*packet_id));
            }
            Incoming::Ack { packet_type: PacketType::PubRel, packet_id, .. } => {
                self.answers.push((PacketType::PubComp, *packet_id));
            }
            _ => {}
        }
    }

    /// Writes the acknowledgements, in the order of what they answer [MQTT-4.6.0-2].
    fn answer(&mut self, wire: &mut Wire) -> io::Result<()> {
        for (packet_type, packet_id) in self.answers.drain(..) {
            let step = packet_type;
            self.seat.record(Event::Answered { packet_id: packet_id.get(), step });
            wire.queue_ack(packet_type, packet_id)?;
        }
        wire.flush()
    }
}

/// The event that this PUBLISH is.
pub(super) fn received(
    dup: bool,
    qos: QoS,
    packet_id: Option<PacketId>,
    retain: bool,
    topic: &str,
    payload: &[u8],
) -> Event {
    match Message::read(topic, payload) {
        Some(message) => {
            let packet_id = packet_id.map_or(0, PacketId::get);
            Event::Received { message, qos, packet_id, dup, retain }
        }
        None => Event::Foreign {
            topic: topic.into(),
            payload: String::from_utf8_lossy(payload).chars().take(60).collect::<String>().into(),
        },
    }
}
