//! A run on its way to one receiver.

use std::{num::NonZeroU64, sync::Arc};

use mqtt_packet::QoS;

use crate::run::{Run, Wire};

/// Messages for one session, with what its subscriptions ask for.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The messages, shared with every other receiver.
    pub run: Run,
    /// The highest QoS that the matching subscriptions were granted.
    pub granted: QoS,
    /// The RETAIN flag to send [MQTT-3.3.1-8], [MQTT-3.3.1-9], [MQTT-3.3.1-12], [MQTT-3.3.1-13].
    pub retain: bool,
    /// Subscription Identifiers of all matching subscriptions [MQTT-3.3.4-3].
    pub identifiers: Option<Arc<[u32]>>,
    /// A number that this crate hands back untouched. The server keeps the generation of the access
    /// rules in it that the delivery was checked against, the client the number of its publish.
    pub mark: u64,
    /// The number of the first message in a queue that is kept on a disk; the others follow. `None`
    /// where the queue is in memory, and at QoS 0.
    pub seq: Option<NonZeroU64>,
}

impl Delivery {
    /// The QoS to deliver with: the lower of the published and the granted one [MQTT-3.8.4-8].
    #[must_use]
    pub fn qos(&self) -> QoS {
        self.run.qos().min(self.granted)
    }

    /// How many messages there are.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.run.count()
    }

    /// Whether the run's own bytes can go to a receiver that speaks `wire`: nothing in them is
    /// this receiver's alone.
    #[must_use]
    pub fn is_plain(&self, wire: Wire) -> bool {
        self.run.wire() == wire
            && self.run.qos() == QoS::AtMostOnce
            && self.run.retain() == self.retain
            && self.run.expires_at().is_none()
            && self.identifiers.is_none()
    }
}
