//! What a client asks for when it connects.

use std::fmt;

use mqtt_packet::{Connect, QoS, ReasonCode, Version, Will};
use mqtt_topics::TopicNameRef;

use crate::{
    run::{MessageParts, Run},
    time::Time,
    violation::Violation,
};

/// A CONNECT, checked, with what its version leaves out filled in.
pub struct ConnectRequest {
    /// The protocol version.
    pub version: Version,
    /// Whether the client says that it is a bridge (D31-02): it wants none of its own messages back,
    /// and RETAIN as it was published.
    pub is_bridge: bool,
    /// The client identifier; empty if the server is to assign one.
    pub client_id: String,
    /// Whether an older session is to be thrown away [MQTT-3.1.2-4].
    pub clean_start: bool,
    /// How long the session outlives the connection, in seconds; `u32::MAX` for ever. For 3.1 and
    /// 3.1.1 it follows from Clean Session: 0 or for ever.
    pub session_expiry_secs: u32,
    /// The Keep Alive, in seconds; 0 for none.
    pub keep_alive_secs: u16,
    /// The message to publish if the connection ends badly.
    pub will: Option<WillRequest>,
    /// The user name.
    pub user_name: Option<String>,
    /// The password; never shown by `Debug`.
    pub password: Option<Vec<u8>>,
    /// How many messages the client takes unacknowledged.
    pub receive_maximum: u16,
    /// The largest packet the client takes, in bytes.
    pub maximum_packet_size: u32,
    /// The highest topic alias the client takes.
    pub topic_alias_maximum: u16,
    /// Whether the client wants Response Information.
    pub request_response_information: bool,
    /// Whether the client asked for Reason Strings on all packets. One that says nothing permits
    /// them too, but is sent none: what a code says needs no words, and fewer bytes are more exact.
    pub request_problem_information: bool,
    /// The method of enhanced authentication.
    pub authentication_method: Option<String>,
    /// The first data of enhanced authentication; never shown by `Debug`.
    pub authentication_data: Option<Vec<u8>>,
}

/// A will: a message, and how long to wait with it.
#[derive(Clone, Debug)]
pub struct WillRequest {
    /// The message, with its QoS and RETAIN flag; its expiry starts when it is published.
    pub message: Run,
    /// The Message Expiry Interval, in seconds.
    pub expiry_secs: Option<u32>,
    /// The Will Delay Interval, in seconds.
    pub delay_secs: u32,
}

impl WillRequest {
    /// The message as published at `now`.
    #[must_use]
    pub fn published(&self, now: Time) -> Run {
        self.message.clone().with_expiry(self.expiry_secs.map(|secs| now.after_secs(secs)))
    }
}

impl ConnectRequest {
    pub(crate) fn new(connect: &Connect<'_>, topic_levels_max: usize) -> Result<Self, Violation> {
        let properties = &connect.properties;
        let will = connect.will.as_ref().map(|will| will_request(will, topic_levels_max));
        Ok(Self {
            version: connect.version,
            is_bridge: false,
            client_id: connect.client_id.to_owned(),
            clean_start: connect.clean_start,
            session_expiry_secs: match (connect.version.is_v5(), connect.clean_start) {
                (true, _) => properties.session_expiry_interval.unwrap_or_default(),
                (false, true) => 0,
                (false, false) => u32::MAX,
            },
            keep_alive_secs: connect.keep_alive_secs,
            will: will.transpose()?,
            user_name: connect.user_name.map(str::to_owned),
            password: connect.password.map(<[u8]>::to_vec),
            receive_maximum: properties.receive_maximum.unwrap_or(u16::MAX),
            maximum_packet_size: properties.maximum_packet_size.unwrap_or(u32::MAX),
            topic_alias_maximum: properties.topic_alias_maximum.unwrap_or_default(),
            request_response_information: properties
                .request_response_information
                .unwrap_or_default(),
            request_problem_information: properties.request_problem_information == Some(true),
            authentication_method: properties.authentication_method.map(str::to_owned),
            authentication_data: properties.authentication_data.map(<[u8]>::to_vec),
        })
    }
}

fn will_request(will: &Will<'_>, topic_levels_max: usize) -> Result<WillRequest, Violation> {
    TopicNameRef::with_limit(will.topic, topic_levels_max).map_err(|error| {
        let what = "a will topic that is not a topic name";
        Violation::new(ReasonCode::TOPIC_NAME_INVALID, error.statement(), what)
    })?;
    let mut properties = bytes::BytesMut::new();
    let fits = will.properties.encode_forwardable(&mut properties);
    let message = fits
        .and_then(|()| {
            Run::from_message(&MessageParts {
                topic: will.topic,
                payload: will.payload,
                properties: &properties,
                qos: will.qos,
                retain: will.retain,
                packet_id: None,
                expires_at: None,
            })
        })
        .map_err(|_| {
            let what = "a will that does not fit into a packet";
            Violation::new(ReasonCode::PACKET_TOO_LARGE, "MQTT-3.2.2-15", what)
        })?;
    Ok(WillRequest {
        message,
        expiry_secs: will.properties.message_expiry_interval,
        delay_secs: will.properties.delay_interval_secs.unwrap_or_default(),
    })
}

impl ConnectRequest {
    /// Whether the will asks for more than the server offers.
    pub(crate) fn check_will(
        &self,
        maximum_qos: QoS,
        retain_available: bool,
    ) -> Result<(), Violation> {
        let Some(will) = &self.will else { return Ok(()) };
        if will.message.qos() > maximum_qos {
            let what = "a will above the maximum QoS";
            return Err(Violation::new(ReasonCode::QOS_NOT_SUPPORTED, "MQTT-3.2.2-12", what));
        }
        if will.message.retain() && !retain_available {
            let what = "a retained will, but retained messages are switched off";
            return Err(Violation::new(ReasonCode::RETAIN_NOT_SUPPORTED, "MQTT-3.2.2-13", what));
        }
        Ok(())
    }
}

impl fmt::Debug for ConnectRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectRequest")
            .field("version", &self.version)
            .field("client_id", &self.client_id)
            .field("clean_start", &self.clean_start)
            .field("user_name", &self.user_name)
            .finish_non_exhaustive()
    }
}
