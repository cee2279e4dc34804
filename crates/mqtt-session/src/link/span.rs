//! Messages that stand one behind the other in the input.

use std::{num::NonZeroU32, ops::Range};

use mqtt_packet::QoS;

/// Consecutive PUBLISH packets of one QoS that can be handed on as they are: a part of the input.
///
/// Made into a [`Run`](crate::Run) by the endpoint's `run`, after as many as possible were joined.
#[derive(Clone, Debug)]
pub struct RunSpan {
    pub(super) range: Range<usize>,
    pub(super) topic: Range<usize>,
    pub(super) qos: QoS,
    pub(super) count: u32,
    pub(super) largest: u32,
    pub(super) class: Option<NonZeroU32>,
}

impl RunSpan {
    /// How many messages there are.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Length of the packets, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there is no message; never true.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The QoS of the messages.
    #[must_use]
    pub const fn qos(&self) -> QoS {
        self.qos
    }

    /// What the owner of the connection said of these topics
    /// ([`ServerEndpoint::classify`](crate::ServerEndpoint::classify)); all messages of the span are
    /// of this class. Where it said nothing, all of them have the same topic.
    #[must_use]
    pub const fn class(&self) -> Option<NonZeroU32> {
        self.class
    }

    /// Takes `next` in, if it stands right behind in the same input and has the same QoS; for
    /// messages of different topics that go to the same receivers.
    pub fn join(&mut self, next: &Self) -> bool {
        let joins = self.range.end == next.range.start && self.qos == next.qos;
        if joins {
            self.range.end = next.range.end;
            self.count += next.count;
            self.largest = self.largest.max(next.largest);
        }
        joins
    }
}
