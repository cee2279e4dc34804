//! What two peers keep for each other beyond a connection.

use mqtt_packet::{PacketId, PacketType, QoS, ReasonCode};

use crate::{
    delivery::Delivery,
    flights::Flight,
    inbox::Held,
    ledger::{DropReason, Ledger},
    receiver::Receiver,
    run::Run,
    sender::{Acknowledged, Mismatch, Sender},
    store::Progress,
    time::Time,
    transmit::Transmit,
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

impl Session {
    /// What is unfinished: queued for the window, or in flight.
    #[must_use]
    pub fn held(&self) -> Held {
        self.sender.held()
    }

    /// Whether nothing is kept here: no message, and no identifier that awaits PUBREL.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.unfinished_messages() == 0 && self.receiver.awaiting_release().next().is_none()
    }

    /// How many messages are unfinished: queued for the window, or in flight.
    #[must_use]
    pub fn unfinished_messages(&self) -> usize {
        let flights = self.sender.flights().numbered().filter_map(|(_, awaits)| awaits);
        flights.filter(|awaits| !awaits.is_request()).count()
            + self.sender.pending().map(|delivery| delivery.count() as usize).sum::<usize>()
    }

    /// The messages that the peer does not have for certain, in order: those in flight, then those
    /// that wait for the window.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = Delivery> {
        let in_flight = self.sender.flights().iter().filter_map(|(_, flight)| message(&flight));
        in_flight.chain(self.sender.pending())
    }

    /// What another member of a shared subscription may get, if this session ends: what was not sent,
    /// and what was sent at QoS 1 and is not acknowledged. What was sent at QoS 2 goes to nobody else
    /// [MQTT-4.8.2-5].
    pub fn left_behind(&self) -> impl Iterator<Item = Delivery> {
        let is_at_qos_1 = |delivery: &Delivery| delivery.qos() == QoS::AtLeastOnce;
        let in_flight = self.sender.flights().iter().filter_map(|(_, flight)| message(&flight));
        in_flight.filter(is_at_qos_1).chain(self.sender.unsent())
    }

    /// Identifiers of received QoS 2 messages that await PUBREL.
    pub fn awaiting_release(&self) -> impl Iterator<Item = PacketId> {
        self.receiver.awaiting_release()
    }

    /// A session whose queue is kept on a disk, at the beginning of a connection: its messages are
    /// delivered again, from the first unfinished one on.
    pub fn continue_from(&mut self, progress: Progress) {
        self.sender.continue_from(progress);
    }

    /// Takes up identifiers of received QoS 2 messages that await PUBREL.
    pub fn restore_received(&mut self, ids: impl IntoIterator<Item = PacketId>) {
        self.receiver.restore(ids);
    }

    /// A QoS 2 message that came was not taken after all: its identifier is new again
    /// [MQTT-4.3.3-9].
    pub fn take_back(&mut self, id: PacketId) {
        self.receiver.answered(QoS::ExactlyOnce, id, ReasonCode::UNSPECIFIED_ERROR);
    }

    /// The identifiers of QoS 2 messages that await PUBREL, if they have changed since the last time.
    pub fn take_received(&mut self) -> Option<Vec<PacketId>> {
        self.receiver.take_received()
    }

    /// How far a session is whose queue is kept on a disk.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.sender.progress()
    }

    /// Forgets all messages for the peer, because they are on a disk.
    pub fn forget_messages(&mut self) {
        self.sender.forget();
    }

    /// Drops messages that expired while they waited, for a session without a connection; what was
    /// sent does not expire [MQTT-3.3.2-5]. Returns when the next one does.
    pub fn expire(&mut self, done: &mut Ledger, now: Time) -> Option<Time> {
        self.sender.expire(done, now)
    }

    /// Drops of the waiting messages those that `keep` does not want, counted as `reason`. Messages
    /// that wait together are asked for one by one if `keep` does not want all of them.
    pub fn retain_pending(
        &mut self,
        done: &mut Ledger,
        reason: DropReason,
        keep: impl FnMut(&Delivery) -> bool,
    ) {
        self.sender.retain_pending(done, reason, keep);
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP came. Answers which message that finished, if one.
    #[inline]
    pub(crate) fn handle_ack(
        &mut self,
        packet: PacketType,
        id: PacketId,
        reason: ReasonCode,
        tx: &mut Transmit<'_>,
    ) -> Result<Option<Acknowledged>, Mismatch> {
        match packet {
            PacketType::PubAck => self.sender.handle_puback(id, reason, tx),
            PacketType::PubRec => self.sender.handle_pubrec(id, reason, tx),
            PacketType::PubComp => self.sender.handle_pubcomp(id, tx),
            _ => {
                let known = self.receiver.release(id);
                tx.ack(PacketType::PubComp, id, known);
                Ok(None)
            }
        }
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
        seq: None,
    })
}
