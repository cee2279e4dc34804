//! What two peers agreed on.

use mqtt_packet::Version;

use crate::run::Wire;

/// What a peer may be sent: decided when the connection is made, read by everything behind it.
///
/// The version is asked for here and nowhere else; a difference in behaviour is a field.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Negotiated {
    /// The version both speak.
    pub version: Version,
    /// How many QoS 1 and 2 messages may be unacknowledged [MQTT-3.3.4-9]; not 0.
    pub send_window: u16,
    /// The largest packet that the peer takes, in bytes [MQTT-3.1.2-24].
    pub maximum_packet_size: u32,
    /// The highest Topic Alias that the peer takes; 0 for none [MQTT-3.1.2-26], [MQTT-3.1.2-27].
    pub topic_alias_maximum: u16,
    /// Whether the peer asked for Reason Strings on all packets [MQTT-3.1.2-29].
    pub problem_information: bool,
    /// Whether the connection ends after 1.5 times this many seconds without a packet; 0 for never.
    pub keep_alive_secs: u16,
}

impl Negotiated {
    /// What holds for a peer that said nothing about itself.
    #[must_use]
    pub const fn new(version: Version) -> Self {
        Self {
            version,
            send_window: u16::MAX,
            maximum_packet_size: u32::MAX,
            topic_alias_maximum: 0,
            problem_information: false,
            keep_alive_secs: 0,
        }
    }

    /// Whether an answer that says no says why in words, on any packet [MQTT-3.1.2-29].
    pub(crate) const fn wants_words(&self) -> bool {
        self.version.is_v5() && self.problem_information
    }

    /// The form of a PUBLISH to the peer.
    #[must_use]
    pub fn wire(&self) -> Wire {
        self.version.into()
    }
}
