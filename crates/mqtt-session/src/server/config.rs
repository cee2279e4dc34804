//! What a server announces, and what it enforces.

use mqtt_packet::QoS;

/// A server's side of the agreement with each client.
#[derive(Copy, Clone, Debug)]
pub struct ServerConfig {
    /// How long a connection may take until its CONNECT is accepted, in milliseconds, in all.
    pub connect_timeout_millis: u64,
    /// How long the next 1 KiB of a packet may take that has begun, or its end if that comes before,
    /// in milliseconds. A client that takes longer is closed with 0x83, whatever its Keep Alive is.
    /// While a packet comes faster, each KiB of it counts as a sign of life.
    pub packet_timeout_millis: u64,
    /// The largest CONNECT that is read, in bytes: what a connection may hold before it is known who
    /// it is. A larger one is refused with 0x95 (return code 3 before 5.0).
    pub connect_bytes_max: u32,
    /// The largest packet that is read, in bytes, header included. Announced up to 268,435,455.
    pub maximum_packet_size: u32,
    /// How many QoS 1 and 2 messages a 5.0 client may have unacknowledged; enforced with 0x93.
    pub receive_maximum: u16,
    /// How many topic aliases a client may set.
    pub topic_alias_maximum: u16,
    /// How many levels a topic name or filter may have.
    pub topic_levels_max: usize,
    /// How many QoS 1 and 2 messages are sent without acknowledgement to a client that permits more.
    pub send_window_max: u16,
    /// The highest QoS that clients may publish with [MQTT-3.2.2-9].
    pub maximum_qos: QoS,
    /// Whether clients may publish retained messages [MQTT-3.2.2-14].
    pub retain_available: bool,
    /// Whether filters may hold wildcards.
    pub wildcards_available: bool,
    /// Whether SUBSCRIBE may carry a Subscription Identifier.
    pub subscription_identifiers_available: bool,
    /// Whether `$share` works.
    pub shared_subscriptions_available: bool,
    /// A Keep Alive that overrides what 5.0 clients ask for, in seconds [MQTT-3.2.2-21]. Older clients
    /// cannot be told of it: their own counts.
    pub server_keep_alive_secs: Option<u16>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            connect_timeout_millis: 10_000,
            packet_timeout_millis: 60_000,
            connect_bytes_max: 128 * 1024,
            maximum_packet_size: 16 * 1024 * 1024,
            receive_maximum: 1024,
            topic_alias_maximum: 64,
            topic_levels_max: mqtt_topics::MAX_LEVELS,
            send_window_max: 1024,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            wildcards_available: true,
            subscription_identifiers_available: true,
            shared_subscriptions_available: true,
            server_keep_alive_secs: None,
        }
    }
}
