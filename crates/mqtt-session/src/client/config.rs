//! How a client behaves where the protocol leaves it free.

/// A client's own limits and time-outs; nothing of this is sent.
#[derive(Copy, Clone, Debug)]
pub struct ClientConfig {
    /// How long the server may take from CONNECT to CONNACK, in milliseconds, in all.
    pub connect_timeout_millis: u64,
    /// How long the server may be silent after a PINGREQ, in milliseconds; then the connection
    /// counts as lost.
    pub ping_timeout_millis: u64,
    /// How many QoS 1 and 2 messages are sent without acknowledgement to a server that permits
    /// more [MQTT-3.3.4-7].
    pub send_window_max: u16,
    /// How many topic aliases are set towards a server that permits more [MQTT-3.2.2-17].
    pub topic_aliases_max: u16,
    /// How many levels a received topic name may have.
    pub topic_levels_max: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout_millis: 10_000,
            ping_timeout_millis: 10_000,
            send_window_max: 1024,
            topic_aliases_max: 16,
            topic_levels_max: usize::MAX,
        }
    }
}
