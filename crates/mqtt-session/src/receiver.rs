//! The receiving side of QoS 1 and 2.
//!
//! ```text
//! QoS 1    PUBLISH ──> the message is handed on ──> PUBACK; the identifier is free
//!
//! QoS 2    PUBLISH ──> identifier known? ── no ──> handed on, identifier stored ──> PUBREC
//!                            └── yes ──────────────────────────────────────────> PUBREC
//!          PUBREL  ──> identifier freed ──> PUBCOMP (0x92 if it was not known)
//! ```

use mqtt_packet::{PacketId, QoS, ReasonCode};

use crate::violation::Violation;

/// Which QoS 2 identifiers wait for their PUBREL, and how many messages are unacknowledged.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    awaiting_release: IdSet,
    /// How many QoS 1 and 2 messages the peer may have unacknowledged; `None` for no limit, as a
    /// peer before 5.0 knows none. The 65,535 identifiers are a limit in themselves.
    maximum: Option<u16>,
    /// QoS 1 messages that were read and not acknowledged.
    unacknowledged: u32,
    /// QoS 1 acknowledgements written since the last input: the peer cannot have seen them yet.
    acknowledged: u32,
    /// The identifiers that await PUBREL have changed.
    changed: bool,
}

/// What a PUBLISH with an identifier is.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Admission {
    /// A message to hand on.
    New,
    /// A QoS 2 message that was handed on before: only PUBREC is due [MQTT-4.3.3-10].
    Repeat,
}

impl Receiver {
    /// A connection begins: identifiers that await PUBREL are part of the session and stay.
    pub(crate) fn start(&mut self, maximum: Option<u16>) {
        self.maximum = maximum;
        self.unacknowledged = 0;
        self.acknowledged = 0;
    }

    /// What [`Receiver::start`] set.
    pub(crate) const fn maximum(&self) -> Option<u16> {
        self.maximum
    }

    /// A PUBLISH of QoS 1 or 2 came.
    #[inline]
    pub(crate) fn admit(&mut self, qos: QoS, id: PacketId) -> Result<Admission, Violation> {
        if qos == QoS::ExactlyOnce && self.awaiting_release.contains(id) {
            return Ok(Admission::Repeat);
        }
        if let Some(maximum) = self.maximum {
            let open = self.unacknowledged + self.awaiting_release.len();
            if open >= u32::from(maximum) {
                return Err(Violation::new(
                    ReasonCode::RECEIVE_MAXIMUM_EXCEEDED,
                    "MQTT-3.3.4-7",
                    "more unacknowledged messages than Receive Maximum",
                ));
            }
        }
        match qos {
            QoS::ExactlyOnce => {
                self.awaiting_release.insert(id);
                self.changed = true;
            }
            _ => self.unacknowledged += 1,
        }
        Ok(Admission::New)
    }

    /// The answer to a PUBLISH is written.
    #[inline]
    pub(crate) fn answered(&mut self, qos: QoS, id: PacketId, reason: ReasonCode) {
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.acknowledged += 1,
            // A refused message leaves no trace: its identifier is new again [MQTT-4.3.3-9].
            QoS::ExactlyOnce if reason.is_error() => {
                self.awaiting_release.remove(id);
                self.changed = true;
            }
            QoS::ExactlyOnce => {}
        }
    }

    /// More bytes are about to be read: the answers to what came before are on their way.
    pub(crate) fn next_input(&mut self) {
        let acknowledged = std::mem::take(&mut self.acknowledged);
        self.unacknowledged = self.unacknowledged.saturating_sub(acknowledged);
    }

    /// A PUBREL came; the reason for PUBCOMP.
    pub(crate) fn release(&mut self, id: PacketId) -> ReasonCode {
        if self.awaiting_release.remove(id) {
            self.changed = true;
            ReasonCode::SUCCESS
        } else {
            ReasonCode::PACKET_IDENTIFIER_NOT_FOUND
        }
    }

    /// Identifiers that await PUBREL.
    pub(crate) fn awaiting_release(&self) -> impl Iterator<Item = PacketId> {
        self.awaiting_release.iter()
    }

    /// The identifiers that await PUBREL, if they have changed since the last time.
    pub(crate) fn take_received(&mut self) -> Option<Vec<PacketId>> {
        std::mem::take(&mut self.changed).then(|| self.awaiting_release().collect())
    }

    /// Takes up identifiers of an earlier life of the session.
    pub(crate) fn restore(&mut self, ids: impl IntoIterator<Item = PacketId>) {
        ids.into_iter().for_each(|id| self.awaiting_release.insert(id));
    }
}

/// A set of packet identifiers: nothing while empty, 8 KiB otherwise, and never more.
#[derive(Debug, Default)]
struct IdSet {
    words: Option<Box<[u64; 1024]>>,
    len: u32,
}

impl IdSet {
    const fn len(&self) -> u32 {
        self.len
    }

    const fn place(id: PacketId) -> (usize, u64) {
        let number = id.get() as usize;
        (number / 64, 1 << (number % 64))
    }

    fn contains(&self, id: PacketId) -> bool {
        let (word, bit) = Self::place(id);
        self.words.as_ref().and_then(|words| words.get(word)).is_some_and(|word| word & bit != 0)
    }

    fn insert(&mut self, id: PacketId) {
        let (word, bit) = Self::place(id);
        let words = self.words.get_or_insert_with(|| Box::new([0; 1024]));
        if let Some(word) = words.get_mut(word) {
            self.len += u32::from(*word & bit == 0);
            *word |= bit;
        }
    }

    fn remove(&mut self, id: PacketId) -> bool {
        let (word, bit) = Self::place(id);
        let Some(word) = self.words.as_mut().and_then(|words| words.get_mut(word)) else {
            return false;
        };
        let known = *word & bit != 0;
        *word &= !bit;
        self.len -= u32::from(known);
        known
    }

    fn iter(&self) -> impl Iterator<Item = PacketId> {
        let words = self.words.iter().flat_map(|words| words.iter()).zip(0_u16..);
        words.filter(|(word, _)| **word != 0).flat_map(|(word, place)| {
            let bits = (0..64).filter(move |bit| word & (1 << bit) != 0);
            bits.filter_map(move |bit| PacketId::new(place * 64 + bit))
        })
    }

    /// Gives the 8 KiB back where nothing is in them.
    fn shrink(&mut self) {
        if self.len == 0 {
            self.words = None;
        }
    }
}

impl Receiver {
    /// Gives unused memory back.
    pub(crate) fn shrink(&mut self) {
        self.awaiting_release.shrink();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    #[test]
    fn a_qos_2_message_is_new_once_until_it_is_released() {
        let mut receiver = Receiver::default();
        let mut admit = || receiver.admit(QoS::ExactlyOnce, id(7)).unwrap();
        assert_eq!(
            [admit(), admit(), admit()],
            [Admission::New, Admission::Repeat, Admission::Repeat]
        );
        assert_eq!(receiver.release(id(7)), ReasonCode::SUCCESS);
        assert_eq!(receiver.release(id(7)), ReasonCode::PACKET_IDENTIFIER_NOT_FOUND);
        assert_eq!(receiver.admit(QoS::ExactlyOnce, id(7)), Ok(Admission::New));
    }

    #[test]
    fn a_refused_qos_2_message_frees_its_identifier() {
        let mut receiver = Receiver::default();
        receiver.admit(QoS::ExactlyOnce, id(7)).unwrap();
        receiver.answered(QoS::ExactlyOnce, id(7), ReasonCode::NOT_AUTHORIZED);
        assert_eq!(receiver.admit(QoS::ExactlyOnce, id(7)), Ok(Admission::New));
    }

    #[test]
    fn receive_maximum_is_enforced_over_both_qos() {
        let mut receiver = Receiver::default();
        receiver.start(Some(2));
        receiver.admit(QoS::AtLeastOnce, id(1)).unwrap();
        receiver.admit(QoS::ExactlyOnce, id(2)).unwrap();
        let refused = receiver.admit(QoS::AtLeastOnce, id(3)).unwrap_err();
        assert_eq!(refused.reason, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);
        // Only what the peer can have seen counts as acknowledged.
        receiver.answered(QoS::AtLeastOnce, id(1), ReasonCode::SUCCESS);
        assert!(receiver.admit(QoS::AtLeastOnce, id(3)).is_err());
        receiver.next_input();
        assert!(receiver.admit(QoS::AtLeastOnce, id(3)).is_ok());
    }

    #[test]
    fn all_identifiers_at_once() {
        let mut receiver = Receiver::default();
        receiver.restore((1..=u16::MAX).map(id));
        assert_eq!(receiver.awaiting_release().count(), 65_535);
        for number in 1..=u16::MAX {
            receiver.release(id(number));
        }
        assert_eq!(receiver.awaiting_release().count(), 0);
    }
}
