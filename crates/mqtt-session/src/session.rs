//! What two peers keep for each other beyond a connection.

use mqtt_packet::PacketId;

use crate::{
    delivery::Delivery,
    flights::{Awaits, Flight},
    inbox::Held,
    ledger::{DropReason, Ledger},
    receiver::Receiver,
    run::Run,
    sender::Sender,
};

/// The delivery state of one session, for one side [MQTT-4.1.0-1]: messages in flight or waiting,
/// and the identifiers of received QoS 2 messages that await PUBREL.
///
/// A connection's endpoint owns it while there is one; `end` gives it back.
#[derive(Debug)]
pub struct Session {
    pub(crate) sender: Sender,
    pub(crate) receiver: Receiver,
}

impl Default for Session {
    fn default() -> Self {
        Self { sender: Sender::new(), receiver: Receiver::default() }
    }
}

/// A message that was sent and not finally acknowledged, as a store keeps it.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// The identifier it went out with.
    pub packet_id: PacketId,
    /// The message; `None` once PUBREC came and only PUBREL is left to send.
    pub message: Option<Delivery>,
}

impl Session {
    /// What is unfinished: queued for the window, or in flight.
    #[must_use]
    pub fn held(&self) -> Held {
        self.sender.held()
    }

    /// The messages in flight, in the order in which they were first sent.
    pub fn in_flight(&self) -> impl Iterator<Item = InFlight> {
        let flights = self.sender.flights().iter().filter(|(_, flight)| !flight.is_request());
        flights.map(|(packet_id, flight)| InFlight { packet_id, message: message(flight) })
    }

    /// The messages that wait for the window, in order.
    pub fn pending(&self) -> impl Iterator<Item = Delivery> {
        self.sender.pending()
    }

    /// Identifiers of received QoS 2 messages that await PUBREL.
    pub fn awaiting_release(&self) -> impl Iterator<Item = PacketId> {
        self.receiver.awaiting_release()
    }

    /// Builds a session from what a store kept.
    #[must_use]
    pub fn restore(
        in_flight: impl IntoIterator<Item = InFlight>,
        awaiting_release: impl IntoIterator<Item = PacketId>,
    ) -> Self {
        let mut session = Self::default();
        for InFlight { packet_id, message } in in_flight {
            let flight = match message {
                Some(delivery) => Flight {
                    frame: delivery.run.bytes().clone(),
                    identifiers: delivery.identifiers.clone(),
                    mark: delivery.mark,
                    awaits: match delivery.qos() {
                        mqtt_packet::QoS::ExactlyOnce => Awaits::PubRec,
                        _ => Awaits::PubAck,
                    },
                    wire: delivery.run.wire(),
                    retain: delivery.retain,
                    expires_at: delivery.run.expires_at(),
                },
                None => Flight::request(Awaits::PubComp),
            };
            session.sender.flights_mut().restore(packet_id, flight);
        }
        session.receiver.restore(awaiting_release);
        session
    }

    /// Drops of the waiting messages those that `keep` does not want, counted as `reason`.
    pub fn retain_pending(
        &mut self,
        done: &mut Ledger,
        reason: DropReason,
        keep: impl FnMut(&Delivery) -> bool,
    ) {
        self.sender.retain_pending(done, reason, keep);
    }

    /// Gives unused memory back.
    pub fn shrink(&mut self) {
        self.sender.shrink();
        self.receiver.shrink();
    }
}

fn message(flight: &Flight) -> Option<Delivery> {
    let qos = flight.qos()?;
    let frame = flight.frame.clone();
    let largest = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    Some(Delivery {
        run: Run::from_checked(frame, flight.wire, qos, flight.retain, 1, largest)
            .with_expiry(flight.expires_at),
        granted: qos,
        retain: flight.retain,
        identifiers: flight.identifiers.clone(),
        mark: flight.mark,
    })
}
