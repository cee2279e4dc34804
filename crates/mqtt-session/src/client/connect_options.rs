//! What a client asks for when it connects.

use std::fmt;

use bytes::BytesMut;
use mqtt_packet::{Connect, ConnectProperties, QoS, UserProperties, Version, Will, WillProperties};
use mqtt_topics::TopicNameRef;

use crate::client::RequestError;

/// Everything that a CONNECT says.
#[derive(Clone)]
pub struct ConnectOptions {
    /// The protocol version.
    pub version: Version,
    /// The client identifier. Empty lets the server choose one; that needs 5.0, or 3.1.1 with
    /// `clean_start` ([MQTT-3.1.3-7] of 3.1.1).
    pub client_id: String,
    /// Whether the server throws an older session away [MQTT-3.1.2-4]. Clean Session of 3.1 and
    /// 3.1.1, where it also means that the session ends with the connection.
    pub clean_start: bool,
    /// The longest silence, in seconds; 0 for no limit. The server may decide on another one
    /// [MQTT-3.1.2-21].
    pub keep_alive_secs: u16,
    /// What the server publishes if the connection ends badly.
    pub will: Option<WillOptions>,
    /// The user name.
    pub user_name: Option<String>,
    /// The password; never shown by `Debug`.
    pub password: Option<Vec<u8>>,
    /// How long the session outlives the connection, in seconds; 0 for not at all, `u32::MAX` for
    /// ever. Before 5.0 it follows from `clean_start`, so it is 0 or `u32::MAX` there and not sent.
    pub session_expiry_secs: u32,
    /// How many QoS 1 and 2 messages are taken unacknowledged; not 0. Unknown before 5.0.
    pub receive_maximum: u16,
    /// The largest packet that is read, in bytes; not 0. Before 5.0 the server is not told.
    pub maximum_packet_size: u32,
    /// The highest topic alias that the server may set. Unknown before 5.0.
    pub topic_alias_maximum: u16,
    /// Whether Response Information is asked for.
    pub request_response_information: bool,
    /// Whether Reason Strings and User Properties are wanted on all packets [MQTT-3.1.2-29].
    pub request_problem_information: bool,
    /// The method of enhanced authentication.
    pub authentication_method: Option<String>,
    /// The first data of enhanced authentication; never shown by `Debug`.
    pub authentication_data: Option<Vec<u8>>,
    /// Names and values for the server.
    pub user_properties: Vec<(String, String)>,
}

/// A will: a message that the server publishes if the connection ends badly.
#[derive(Clone, Debug, Default)]
pub struct WillOptions {
    /// Where to publish it.
    pub topic: String,
    /// What to publish, 65,535 bytes at most.
    pub payload: Vec<u8>,
    /// The QoS to publish it with.
    pub qos: QoS,
    /// Whether to publish it as a retained message.
    pub retain: bool,
    /// How long to wait after the connection has ended, in seconds.
    pub delay_secs: Option<u32>,
    /// Whether the payload is UTF-8.
    pub payload_is_utf8: Option<bool>,
    /// How long the message is good for once published, in seconds.
    pub expiry_secs: Option<u32>,
    /// What the payload is.
    pub content_type: Option<String>,
    /// The topic for an answer.
    pub response_topic: Option<String>,
    /// What an answer is to be known by.
    pub correlation_data: Option<Vec<u8>>,
    /// Names and values for the application, in order.
    pub user_properties: Vec<(String, String)>,
}

/// The largest packet that is read if nothing else is said, in bytes: the protocol's limit.
const PACKET_BYTES_MAX: u32 = 268_435_460;

impl ConnectOptions {
    /// A new session that ends with the connection, and the standard's defaults.
    #[must_use]
    pub fn new(version: Version, client_id: impl Into<String>) -> Self {
        Self {
            version,
            client_id: client_id.into(),
            clean_start: true,
            keep_alive_secs: 60,
            will: None,
            user_name: None,
            password: None,
            session_expiry_secs: 0,
            receive_maximum: u16::MAX,
            maximum_packet_size: PACKET_BYTES_MAX,
            topic_alias_maximum: 0,
            request_response_information: false,
            request_problem_information: true,
            authentication_method: None,
            authentication_data: None,
            user_properties: Vec::new(),
        }
    }

    /// Whether a CONNECT can be made of this.
    ///
    /// # Errors
    /// A value that the version has no place for, or that a server has to refuse.
    pub fn check(&self) -> Result<(), RequestError> {
        self.check_version()?;
        if let Some(will) = &self.will {
            TopicNameRef::with_limit(&will.topic, usize::MAX)?;
        }
        self.encode(&mut BytesMut::new())
    }

    fn check_version(&self) -> Result<(), RequestError> {
        let needs_id = match self.version {
            // D31-04: an empty identifier is never permitted.
            Version::V31 => true,
            Version::V311 => !self.clean_start,
            Version::V5 => false,
        };
        if needs_id && self.client_id.is_empty() {
            return Err(RequestError::ClientIdMissing);
        }
        if self.version.is_v5() {
            return Ok(());
        }
        let will = self.will.as_ref();
        let unknown = [
            ("an authentication method", self.authentication_method.is_some()),
            ("authentication data", self.authentication_data.is_some()),
            ("user properties", !self.user_properties.is_empty()),
            ("will properties", will.is_some_and(WillOptions::has_properties)),
            ("response information", self.request_response_information),
        ];
        match unknown.into_iter().find(|(_, used)| *used) {
            Some((what, _)) => Err(RequestError::NotInVersion { what, version: self.version }),
            None => Ok(()),
        }
    }

    /// Writes the CONNECT.
    pub(crate) fn encode(&self, out: &mut BytesMut) -> Result<(), RequestError> {
        let user_properties = pairs(&self.user_properties);
        let will_properties = self.will.as_ref().map(|will| pairs(&will.user_properties));
        let connect = Connect {
            version: self.version,
            clean_start: self.clean_start,
            keep_alive_secs: self.keep_alive_secs,
            client_id: &self.client_id,
            will: self
                .will
                .as_ref()
                .map(|will| will.packet(will_properties.as_deref().unwrap_or_default())),
            user_name: self.user_name.as_deref(),
            password: self.password.as_deref(),
            properties: self.properties(&user_properties),
        };
        Ok(connect.encode(out)?)
    }

    fn properties<'a>(
        &'a self,
        user_properties: &'a [(&'a str, &'a str)],
    ) -> ConnectProperties<'a> {
        let unless = |value: u32, default: u32| (value != default).then_some(value);
        ConnectProperties {
            session_expiry_interval: unless(self.session_expiry_secs, 0),
            receive_maximum: Some(self.receive_maximum).filter(|maximum| *maximum != u16::MAX),
            maximum_packet_size: Some(self.maximum_packet_size)
                .filter(|maximum| *maximum < PACKET_BYTES_MAX),
            topic_alias_maximum: Some(self.topic_alias_maximum).filter(|maximum| *maximum > 0),
            request_response_information: self.request_response_information.then_some(true),
            request_problem_information: Some(self.request_problem_information),
            authentication_method: self.authentication_method.as_deref(),
            authentication_data: self.authentication_data.as_deref(),
            user_properties: UserProperties::Pairs(user_properties),
        }
    }
}

impl WillOptions {
    fn has_properties(&self) -> bool {
        self.delay_secs.is_some()
            || self.payload_is_utf8.is_some()
            || self.expiry_secs.is_some()
            || self.content_type.is_some()
            || self.response_topic.is_some()
            || self.correlation_data.is_some()
            || !self.user_properties.is_empty()
    }

    fn packet<'a>(&'a self, user_properties: &'a [(&'a str, &'a str)]) -> Will<'a> {
        Will {
            qos: self.qos,
            retain: self.retain,
            topic: &self.topic,
            payload: &self.payload,
            properties: WillProperties {
                delay_interval_secs: self.delay_secs,
                payload_format_indicator: self.payload_is_utf8,
                message_expiry_interval: self.expiry_secs,
                content_type: self.content_type.as_deref(),
                response_topic: self.response_topic.as_deref(),
                correlation_data: self.correlation_data.as_deref(),
                user_properties: UserProperties::Pairs(user_properties),
            },
        }
    }
}

/// Owned pairs as the packets want them.
pub(crate) fn pairs(owned: &[(String, String)]) -> Vec<(&str, &str)> {
    owned.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("version", &self.version)
            .field("client_id", &self.client_id)
            .field("clean_start", &self.clean_start)
            .field("user_name", &self.user_name)
            .finish_non_exhaustive()
    }
}
