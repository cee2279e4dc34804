//! A client that reads what is retained.

use std::{
    collections::HashSet,
    io,
    time::{Duration, Instant},
};

use mqtt_packet::{QoS, SubscriptionOptions};

use super::{
    history::{End, Event},
    message::{Interest, Topic},
    seat::Seat,
    subscriber,
    wire::{Incoming, Wire},
};

/// How long a retained message may take to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads the retained messages over a connection of its own. Those of the topics are waited for that
/// are expected when the messages have been asked for: all that was acknowledged until then.
pub(super) fn read(seat: &Seat, expected: impl FnOnce() -> HashSet<Topic>) {
    let Ok(mut wire) = seat.start_clean() else { return };
    let end = read_over(seat, &mut wire, expected).and_then(|()| seat.disconnect(&mut wire));
    if end.is_err() {
        seat.record(Event::Ended(End::Lost));
    }
}

/// A message that is not there is waited for until patience is over.
fn read_over(
    seat: &Seat,
    wire: &mut Wire,
    expected: impl FnOnce() -> HashSet<Topic>,
) -> io::Result<()> {
    let options = SubscriptionOptions::new(QoS::AtMostOnce);
    seat.subscribe(wire, Interest::Retained.filter(), options)?;
    let (topics, mut found) = (expected(), HashSet::new());
    let deadline = Instant::now() + PATIENCE;
    while !topics.is_subset(&found) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let packet = wire.receive(left)?;
        let Some(Incoming::Publish { dup, qos, packet_id, retain, topic, payload, .. }) = packet
        else {
            continue;
        };
        let event = subscriber::received(dup, qos, packet_id, retain, &topic, &payload);
        if let Event::Received { message, retain: true, .. } = event {
            found.insert(message.topic);
        }
        seat.record(event);
    }
    seat.record(Event::ReadAll);
    Ok(())
}
