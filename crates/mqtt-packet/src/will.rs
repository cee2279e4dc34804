//! The will: a message that a client leaves with the server (section 3.1.2.5).

use bytes::BytesMut;

use crate::{EncodeError, QoS, UserProperties, property_set::property_set, publish::Forwardable};

/// A will.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Will<'a> {
    /// The QoS to publish it with.
    pub qos: QoS,
    /// Whether to publish it as a retained message.
    pub retain: bool,
    /// Where to publish it; never empty [MQTT-4.7.3-1]. Wildcards are not looked for.
    pub topic: &'a str,
    /// What to publish, 65,535 bytes at most.
    pub payload: &'a [u8],
    /// Its properties; empty before 5.0.
    pub properties: WillProperties<'a>,
}

property_set! {
    /// The properties of a will (section 3.1.3.2).
    pub struct WillProperties {
        /// How long to wait after the connection has ended, in seconds.
        delay_interval_secs: u32 = WillDelayInterval,
        /// Whether the payload is UTF-8.
        payload_format_indicator: bool = PayloadFormatIndicator,
        /// How long the message is good for once published, in seconds.
        message_expiry_interval: u32 = MessageExpiryInterval,
        /// What the payload is; any text.
        content_type: &'a str = ContentType,
        /// The topic for an answer.
        response_topic: &'a str = ResponseTopic,
        /// What an answer is to be known by.
        correlation_data: &'a [u8] = CorrelationData,
        ;
        /// Names and values for the application [MQTT-3.1.3-10].
        user_properties: UserProperties = UserProperty,
    }
}

impl WillProperties<'_> {
    /// Writes the properties that go with the message when it is published, as a block
    /// without its length: payload format, response topic, correlation data, user properties
    /// in their order, content type. The expiry is left to whoever knows the time.
    ///
    /// # Errors
    ///
    /// A value that does not fit or is out of range; never for properties that were parsed.
    pub fn encode_forwardable(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        self.forwardable().encode(out)
    }

    fn forwardable(&self) -> Forwardable<'_> {
        Forwardable {
            payload_format_indicator: self.payload_format_indicator,
            response_topic: self.response_topic,
            correlation_data: self.correlation_data,
            user_properties: self.user_properties,
            content_type: self.content_type,
        }
    }
}
