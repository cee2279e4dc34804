//! PUBLISH, sent and received.

use super::bytes::{Body, Reader};
use super::property::Props;
use super::version::Version;

/// A PUBLISH packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) dup: bool,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) topic: Vec<u8>,
    /// 0 where there is none; when sent, the peer picks one.
    pub(crate) id: u16,
    pub(crate) props: Props,
    pub(crate) payload: Vec<u8>,
}

impl Publish {
    /// QoS 0, not retained.
    pub(crate) fn new(topic: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> Self {
        Self {
            topic: topic.as_ref().to_vec(),
            payload: payload.as_ref().to_vec(),
            ..Self::default()
        }
    }

    pub(crate) fn qos(mut self, qos: u8) -> Self {
        self.qos = qos;
        self
    }

    pub(crate) fn id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    pub(crate) fn dup(mut self) -> Self {
        self.dup = true;
        self
    }

    pub(crate) fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    pub(crate) fn with(mut self, more: impl FnOnce(Props) -> Props) -> Self {
        self.props = more(self.props);
        self
    }

    pub(crate) fn first_byte(&self) -> u8 {
        0x30 | (u8::from(self.dup) << 3) | ((self.qos & 3) << 1) | u8::from(self.retain)
    }

    /// The whole packet.
    pub(crate) fn bytes(&self, version: Version) -> Vec<u8> {
        let mut body = Body::new().text(&self.topic);
        if self.qos > 0 {
            body = body.u16(self.id);
        }
        if version.is_v5() {
            body = body.raw(self.props.block());
        }
        body.raw(&self.payload).packet(self.first_byte())
    }

    /// Reads the body of a PUBLISH with this first byte.
    pub(crate) fn read(version: Version, first: u8, reader: &mut Reader<'_>) -> Option<Self> {
        let qos = (first >> 1) & 3;
        let topic = reader.text()?.to_vec();
        let id = if qos > 0 { reader.u16()? } else { 0 };
        let props = if version.is_v5() { Props::read(reader)? } else { Props::new() };
        Some(Self {
            dup: first & 8 != 0,
            qos,
            retain: first & 1 != 0,
            topic,
            id,
            props,
            payload: reader.rest().to_vec(),
        })
    }

    /// The payload as text, for messages to people.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).chars().take(60).collect()
    }
}
