//! QoS 0 goes on, whatever the disk does.

use std::{
    io,
    time::{Duration, Instant},
};

use mqtt_packet::{Delivery, Publish, PublishProperties, QoS, SubscriptionOptions};

use super::{
    seat::Seat,
    wire::{Incoming, Wire},
};

/// How many messages go round.
const MESSAGES: u8 = 20;

/// How long they may take, all together.
const PATIENCE: Duration = Duration::from_secs(10);

/// A topic of its own.
const TOPIC: &str = "live/crash";

/// Lets a client that keeps nothing send messages to itself at QoS 0.
///
/// # Errors
/// What did not work, in words.
pub(super) fn goes_on(seat: &Seat) -> Result<(), String> {
    let went = seat.start_clean().and_then(|mut wire| go_round(seat, &mut wire));
    went.map_err(|error| format!("QoS 0 does not go on: {error}"))
}

fn go_round(seat: &Seat, wire: &mut Wire) -> io::Result<()> {
    seat.subscribe(wire, TOPIC, SubscriptionOptions::new(QoS::AtMostOnce))?;
    let suback = |packet: &Incoming| match packet {
        Incoming::SubAck { reason } => Some(*reason),
        _ => None,
    };
    let reason = wire.wait_for(PATIENCE, suback)?;
    if reason.is_error() {
        return Err(io::Error::other(format!("SUBACK 0x{:02X}", reason.0)));
    }
    for number in 0..MESSAGES {
        wire.queue_publish(&Publish {
            dup: false,
            delivery: Delivery::AtMostOnce,
            retain: false,
            topic: TOPIC,
            properties: PublishProperties::default(),
            payload: &[number],
        })?;
    }
    wire.flush()?;
    let deadline = Instant::now() + PATIENCE;
    for number in 0..MESSAGES {
        let left = deadline.saturating_duration_since(Instant::now());
        wire.wait_for(left, |packet| is_number(packet, number).then_some(()))?;
    }
    seat.disconnect(wire)
}

fn is_number(packet: &Incoming, number: u8) -> bool {
    matches!(packet, Incoming::Publish { topic, payload, .. } if topic == TOPIC && *payload == [number])
}
