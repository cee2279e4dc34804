//! How a server answered, in values of their own.

use mqtt_packet::{ConnAck, Disconnect, QoS, ReasonCode, UserProperties};

use crate::client::ConnectOptions;

/// A CONNACK that accepts the connection, with what it leaves out filled in.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct Connected {
    /// Whether the server goes on with a session [MQTT-3.2.2-3].
    pub session_present: bool,
    /// The client identifier: the server's choice, where it made one [MQTT-3.1.3-7].
    pub client_id: String,
    /// How long the session will outlive the connection, in seconds.
    pub session_expiry_secs: u32,
    /// The Keep Alive in force, in seconds [MQTT-3.2.2-21].
    pub keep_alive_secs: u16,
    /// What the server takes.
    pub limits: ServerLimits,
    /// The reason, for people to read.
    pub reason_string: Option<String>,
    /// A basis for response topics.
    pub response_information: Option<String>,
    /// The last data of enhanced authentication.
    pub authentication_data: Option<Vec<u8>>,
    /// Names and values from the server.
    pub user_properties: Vec<(String, String)>,
}

/// What a server takes.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct ServerLimits {
    /// How many QoS 1 and 2 messages it takes unacknowledged.
    pub receive_maximum: u16,
    /// The highest QoS of a PUBLISH.
    pub maximum_qos: QoS,
    /// Whether it keeps retained messages.
    pub retain_available: bool,
    /// The largest packet, in bytes.
    pub maximum_packet_size: u32,
    /// The highest topic alias.
    pub topic_alias_maximum: u16,
    /// Whether it knows wildcards in filters.
    pub wildcard_subscription_available: bool,
    /// Whether it knows subscription identifiers; no server before 5.0 does.
    pub subscription_identifier_available: bool,
    /// Whether it knows shared subscriptions. Before 5.0 nobody says, so it is assumed.
    pub shared_subscription_available: bool,
}

/// A CONNACK that refuses the connection.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct Refused {
    /// Why; for 3.1 and 3.1.1 the reason that stands for the return code.
    pub reason: ReasonCode,
    /// The reason, for people to read.
    pub reason_string: Option<String>,
    /// Another server to use.
    pub server_reference: Option<String>,
    /// Names and values from the server.
    pub user_properties: Vec<(String, String)>,
}

/// A DISCONNECT from the server.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct Disconnected {
    /// Why.
    pub reason: ReasonCode,
    /// The reason, for people to read.
    pub reason_string: Option<String>,
    /// Another server to use.
    pub server_reference: Option<String>,
    /// Names and values from the server.
    pub user_properties: Vec<(String, String)>,
}

/// A SUBACK or UNSUBACK.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct Answer {
    /// The identifier of the request.
    pub packet_id: mqtt_packet::PacketId,
    /// One reason for each filter, in order. An UNSUBACK before 5.0 has none.
    pub reasons: Vec<ReasonCode>,
    /// The reason, for people to read.
    pub reason_string: Option<String>,
    /// Names and values from the server.
    pub user_properties: Vec<(String, String)>,
}

impl Connected {
    pub(crate) fn new(connack: &ConnAck<'_>, options: &ConnectOptions) -> Self {
        let properties = &connack.properties;
        let own = |text: Option<&str>| text.map(str::to_owned);
        Self {
            session_present: connack.session_present,
            client_id: own(properties.assigned_client_identifier)
                .unwrap_or_else(|| options.client_id.clone()),
            session_expiry_secs: match (options.version.is_v5(), options.clean_start) {
                (true, _) => {
                    properties.session_expiry_interval.unwrap_or(options.session_expiry_secs)
                }
                (false, true) => 0,
                (false, false) => u32::MAX,
            },
            keep_alive_secs: properties.server_keep_alive.unwrap_or(options.keep_alive_secs),
            limits: ServerLimits {
                receive_maximum: properties.receive_maximum.unwrap_or(u16::MAX),
                maximum_qos: properties.maximum_qos.unwrap_or(QoS::ExactlyOnce),
                retain_available: properties.retain_available.unwrap_or(true),
                maximum_packet_size: properties.maximum_packet_size.unwrap_or(u32::MAX),
                topic_alias_maximum: properties.topic_alias_maximum.unwrap_or_default(),
                wildcard_subscription_available: properties
                    .wildcard_subscription_available
                    .unwrap_or(true),
                subscription_identifier_available: options.version.is_v5()
                    && properties.subscription_identifier_available.unwrap_or(true),
                shared_subscription_available: properties
                    .shared_subscription_available
                    .unwrap_or(true),
            },
            reason_string: own(properties.reason_string),
            response_information: own(properties.response_information),
            authentication_data: properties.authentication_data.map(<[u8]>::to_vec),
            user_properties: owned_pairs(&properties.user_properties),
        }
    }
}

impl Refused {
    pub(crate) fn new(connack: &ConnAck<'_>) -> Self {
        Self {
            reason: connack.reason,
            reason_string: connack.properties.reason_string.map(str::to_owned),
            server_reference: connack.properties.server_reference.map(str::to_owned),
            user_properties: owned_pairs(&connack.properties.user_properties),
        }
    }
}

impl Disconnected {
    pub(crate) fn new(disconnect: &Disconnect<'_>) -> Self {
        Self {
            reason: disconnect.reason,
            reason_string: disconnect.properties.reason_string.map(str::to_owned),
            server_reference: disconnect.properties.server_reference.map(str::to_owned),
            user_properties: owned_pairs(&disconnect.properties.user_properties),
        }
    }
}

pub(crate) fn owned_pairs(properties: &UserProperties<'_>) -> Vec<(String, String)> {
    properties.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
