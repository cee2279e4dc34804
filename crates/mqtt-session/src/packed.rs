//! One message in as little memory as it takes: for messages that are kept, and seldom sent.

use bytes::Bytes;
use mqtt_packet::QoS;

use crate::{
    run::{Run, Wire},
    time::Time,
};

/// Longer packets are referenced, not copied.
const COPY_BELOW: usize = 16 * 1024;

/// A message that is kept, such as a retained one.
///
/// A small one has a copy of its packet and does not keep the buffer alive that it was read into, nor
/// does it need a place for counting references: each [`PackedMessage::unpack`] is another copy.
#[derive(Clone, Debug)]
pub struct PackedMessage(Packed);

#[derive(Clone, Debug)]
enum Packed {
    Small {
        packet: Box<[u8]>,
        expires_at: Option<Time>,
        wire: Wire,
        qos: QoS,
        retain: bool,
    },
    /// A large packet; or several, of which nobody has to make copies.
    Large(Box<Run>),
}

impl PackedMessage {
    /// Packs a run of one message.
    #[must_use]
    pub fn new(run: &Run) -> Self {
        if run.len() >= COPY_BELOW || run.count() != 1 {
            return Self(Packed::Large(Box::new(run.clone())));
        }
        Self(Packed::Small {
            packet: run.bytes().as_ref().into(),
            expires_at: run.expires_at(),
            wire: run.wire(),
            qos: run.qos(),
            retain: run.retain(),
        })
    }

    /// The message as it was packed.
    #[must_use]
    pub fn unpack(&self) -> Run {
        match &self.0 {
            Packed::Small { packet, expires_at, wire, qos, retain } => {
                let len = u32::try_from(packet.len()).unwrap_or(u32::MAX);
                Run::from_checked(Bytes::copy_from_slice(packet), *wire, *qos, *retain, 1, len)
                    .with_expiry(*expires_at)
            }
            Packed::Large(run) => (**run).clone(),
        }
    }

    /// The length of the packet, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Packed::Small { packet, .. } => packet.len(),
            Packed::Large(run) => run.len(),
        }
    }

    /// Whether there is no packet; never true.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When the Message Expiry Interval runs out.
    #[must_use]
    pub fn expires_at(&self) -> Option<Time> {
        match &self.0 {
            Packed::Small { expires_at, .. } => *expires_at,
            Packed::Large(run) => run.expires_at(),
        }
    }

    /// Whether the Message Expiry Interval has run out at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Time) -> bool {
        self.expires_at().is_some_and(|deadline| deadline <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::MessageParts;

    #[test]
    fn it_is_small() {
        assert_eq!(size_of::<PackedMessage>(), 32);
    }

    #[test]
    fn a_message_comes_out_as_it_went_in() {
        for (payload, expires_at) in [(64, None), (64, Some(Time::from_millis(5))), (20_000, None)]
        {
            let run = Run::from_message(&MessageParts {
                topic: "a/b",
                payload: &vec![b'x'; payload],
                properties: &[],
                qos: QoS::AtLeastOnce,
                retain: true,
                packet_id: None,
                expires_at,
            });
            let run = run.unwrap();
            let packed = PackedMessage::new(&run);
            let out = packed.unpack();
            assert_eq!(format!("{out:?}"), format!("{run:?}"));
            assert_eq!(packed.len(), run.len());
            assert_eq!(packed.is_expired(Time::from_millis(5)), expires_at.is_some());
            // A copy has no need of the memory that the message came in.
            assert_eq!(out.bytes().as_ptr() == run.bytes().as_ptr(), payload == 20_000);
        }
    }
}
