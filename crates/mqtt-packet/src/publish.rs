//! PUBLISH: a message (section 3.3).

use bytes::BytesMut;

use crate::{
    DecodeError, EncodeError, PacketId, PacketType, QoS, RawPublish, SubscriptionIdentifiers,
    UserProperties, Version,
    parse::Fault,
    property::{Owner, Property},
    property_set::property_set,
    sink::{self, Body, Sink},
};

/// A PUBLISH, wholly checked. Wildcards in the topic are not looked for.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Publish<'a> {
    /// Whether this is a repetition; never at QoS 0 [MQTT-3.3.1-2].
    pub dup: bool,
    /// The level of delivery, and the packet identifier that goes with it.
    pub delivery: Delivery,
    /// The RETAIN flag.
    pub retain: bool,
    /// The topic; empty only in 5.0 with a topic alias (U5-049).
    pub topic: &'a str,
    /// The properties; empty before 5.0.
    pub properties: PublishProperties<'a>,
    /// The message.
    pub payload: &'a [u8],
}

/// A level of delivery with the packet identifier that it needs: QoS 0 has none [MQTT-2.2.1-2].
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub enum Delivery {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce(PacketId),
    /// QoS 2.
    ExactlyOnce(PacketId),
}

impl Delivery {
    /// The level.
    #[must_use]
    pub const fn qos(self) -> QoS {
        match self {
            Self::AtMostOnce => QoS::AtMostOnce,
            Self::AtLeastOnce(_) => QoS::AtLeastOnce,
            Self::ExactlyOnce(_) => QoS::ExactlyOnce,
        }
    }

    /// The packet identifier, `None` exactly at QoS 0.
    #[must_use]
    pub const fn packet_id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce(id) | Self::ExactlyOnce(id) => Some(id),
        }
    }

    /// Joins the two; without an identifier there is only QoS 0.
    pub(crate) const fn new(qos: QoS, packet_id: Option<PacketId>) -> Self {
        match (qos, packet_id) {
            (QoS::AtLeastOnce, Some(id)) => Self::AtLeastOnce(id),
            (QoS::ExactlyOnce, Some(id)) => Self::ExactlyOnce(id),
            _ => Self::AtMostOnce,
        }
    }
}

property_set! {
    /// The properties of a PUBLISH (section 3.3.2.3).
    pub struct PublishProperties {
        /// Whether the payload is UTF-8.
        payload_format_indicator: bool = PayloadFormatIndicator,
        /// How long the message is good for, in seconds.
        message_expiry_interval: u32 = MessageExpiryInterval,
        /// A number for the topic on this connection; not 0 [MQTT-3.3.2-8].
        topic_alias: u16 = TopicAlias,
        /// The topic for an answer; not empty, no wildcard [MQTT-3.3.2-14].
        response_topic: &'a str = ResponseTopic,
        /// What an answer is to be known by.
        correlation_data: &'a [u8] = CorrelationData,
        /// What the payload is; any text.
        content_type: &'a str = ContentType,
        ;
        /// Names and values for the application, in order [MQTT-3.3.2-18].
        user_properties: UserProperties = UserProperty,
        /// The subscriptions that the message is sent for; only a server may say that
        /// [MQTT-3.3.4-6].
        subscription_identifiers: SubscriptionIdentifiers = SubscriptionIdentifier,
    }
}

impl<'a> PublishProperties<'a> {
    /// Reads a property block without its length, such as [`RawPublish::properties`].
    ///
    /// # Errors
    ///
    /// What breaks the format; offsets count from the start of the block.
    pub fn parse(block: &'a [u8]) -> Result<Self, DecodeError> {
        read_properties(block).map_err(|fault| fault.within(block))
    }

    /// Writes the properties as a block without its length.
    ///
    /// # Errors
    ///
    /// A value that does not fit or is out of range; then nothing is written.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        self.encoded_len()?;
        self.write(Version::V5, out)
    }

    /// The length of that block in bytes.
    ///
    /// # Errors
    ///
    /// As [`PublishProperties::encode`].
    pub fn encoded_len(&self) -> Result<usize, EncodeError> {
        self.len(Version::V5)
    }

    /// Writes the properties that a server forwards unchanged, as a block without its length:
    /// payload format [MQTT-3.3.2-4], response topic [MQTT-3.3.2-15], correlation data
    /// [MQTT-3.3.2-16], user properties in their order [MQTT-3.3.2-17] [MQTT-3.3.2-18] and
    /// content type [MQTT-3.3.2-20]. Alias, expiry and subscription identifiers are not
    /// among them.
    ///
    /// # Errors
    ///
    /// A value that does not fit or is out of range; never for properties that were parsed.
    pub fn encode_forwardable(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        let forwardable = Forwardable {
            payload_format_indicator: self.payload_format_indicator,
            response_topic: self.response_topic,
            correlation_data: self.correlation_data,
            user_properties: self.user_properties,
            content_type: self.content_type,
        };
        forwardable.encode(out)
    }
}

impl<'a> Publish<'a> {
    /// Reads the body of a PUBLISH.
    ///
    /// # Errors
    ///
    /// What breaks the format.
    pub fn parse(first: u8, body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let raw = RawPublish::split(first, body, version)?;
        raw.check_parts().map_err(|(fault, _)| fault.within(body))
    }

    /// Writes the packet; properties only in 5.0.
    ///
    /// # Errors
    ///
    /// A field that does not fit or is out of range, DUP at QoS 0, an empty topic without an
    /// alias; then nothing is written.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        let first = first_byte(self.dup, self.delivery.qos(), self.retain);
        sink::encode(first, self, version, out)
    }

    /// The length of the whole packet in bytes.
    ///
    /// # Errors
    ///
    /// As [`Publish::encode`].
    pub fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        sink::encoded_len(self, version)
    }

    /// What a receiver would refuse.
    fn check(&self, version: Version) -> Result<(), EncodeError> {
        if self.dup && self.delivery == Delivery::AtMostOnce {
            return Err(EncodeError::Unexpected { field: "DUP" });
        }
        let alias = version.is_v5() && self.properties.topic_alias.is_some();
        if self.topic.is_empty() && !alias {
            return Err(EncodeError::Missing { field: "topic" });
        }
        Ok(())
    }
}

impl Body for Publish<'_> {
    fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        self.check(version)?;
        out.text("topic", self.topic)?;
        if let Some(id) = self.delivery.packet_id() {
            out.two_bytes(id.get());
        }
        sink::property_block(&self.properties, version, out)?;
        out.bytes(self.payload);
        Ok(())
    }
}

/// The first byte of a PUBLISH (section 3.3.1).
#[inline]
pub(crate) const fn first_byte(dup: bool, qos: QoS, retain: bool) -> u8 {
    PacketType::Publish.first_byte() | ((dup as u8) << 3) | (qos.bits() << 1) | retain as u8
}

pub(crate) fn read_properties(block: &[u8]) -> Result<PublishProperties<'_>, Fault<'_>> {
    PublishProperties::read(block, Owner::Publish)
}

/// What a message keeps on its way through a server, from a PUBLISH or from a will.
pub(crate) struct Forwardable<'a> {
    pub(crate) payload_format_indicator: Option<bool>,
    pub(crate) response_topic: Option<&'a str>,
    pub(crate) correlation_data: Option<&'a [u8]>,
    pub(crate) user_properties: UserProperties<'a>,
    pub(crate) content_type: Option<&'a str>,
}

impl Forwardable<'_> {
    /// Writes the block; on error nothing.
    pub(crate) fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.reserve(self.len(Version::V5)?);
        self.write(Version::V5, out)
    }
}

impl Body for Forwardable<'_> {
    fn write(&self, _: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        let properties = [
            self.payload_format_indicator.map(Property::PayloadFormatIndicator),
            self.response_topic.map(Property::ResponseTopic),
            self.correlation_data.map(Property::CorrelationData),
        ];
        for property in properties.into_iter().flatten() {
            property.write(out)?;
        }
        for pair in self.user_properties.iter() {
            Property::UserProperty(pair).write(out)?;
        }
        match self.content_type {
            Some(content_type) => Property::ContentType(content_type).write(out),
            None => Ok(()),
        }
    }
}
