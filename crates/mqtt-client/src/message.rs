//! A message that came.

use std::fmt;

use bytes::Bytes;
use mqtt_packet::{PacketId, PublishProperties, QoS};
use mqtt_session::{Run, run::Frame};

/// A message that the server sent. A clone shares its bytes.
#[derive(Clone)]
pub struct Message {
    topic: Bytes,
    payload: Bytes,
    properties: Bytes,
    packet_id: Option<PacketId>,
    qos: QoS,
    retain: bool,
    dup: bool,
}

impl Message {
    pub(crate) fn new(run: &Run, frame: &Frame<'_>) -> Self {
        let publish = &frame.publish;
        let part = |part: &[u8]| match part {
            [] => Bytes::new(),
            part => run.bytes().slice_ref(part),
        };
        Self {
            topic: part(publish.topic),
            payload: part(publish.payload),
            properties: part(publish.properties),
            packet_id: publish.packet_id,
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
        }
    }

    /// The topic name; an alias of the server's is resolved.
    #[must_use]
    pub fn topic(&self) -> &str {
        // The topic was checked when the packet was read.
        std::str::from_utf8(&self.topic).unwrap_or_default()
    }

    /// The application message.
    #[must_use]
    pub const fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The payload by itself.
    #[must_use]
    pub fn into_payload(self) -> Bytes {
        self.payload
    }

    /// The QoS that the message was delivered with.
    #[must_use]
    pub const fn qos(&self) -> QoS {
        self.qos
    }

    /// The RETAIN flag: whether the server had kept the message, or, with Retain As Published,
    /// whether it was published so.
    #[must_use]
    pub const fn retain(&self) -> bool {
        self.retain
    }

    /// The DUP flag: whether the server may have sent the message before.
    #[must_use]
    pub const fn dup(&self) -> bool {
        self.dup
    }

    /// The packet identifier; `None` for QoS 0.
    #[must_use]
    pub const fn packet_id(&self) -> Option<PacketId> {
        self.packet_id
    }

    /// All properties of the message, but for the topic alias; empty before 5.0. The Message
    /// Expiry Interval is what was left of it when the server sent the message.
    #[must_use]
    pub fn properties(&self) -> PublishProperties<'_> {
        // The properties were checked when the packet was read.
        PublishProperties::parse(&self.properties).unwrap_or_default()
    }

    /// Bytes of topic, payload and properties, as the limits of a stream count them.
    pub(crate) fn len(&self) -> usize {
        self.topic.len() + self.payload.len() + self.properties.len()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("topic", &self.topic())
            .field("payload", &self.payload)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .finish_non_exhaustive()
    }
}
