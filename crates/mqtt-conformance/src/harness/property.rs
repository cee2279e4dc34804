//! Properties of MQTT 5.0 (section 2.2.2), sent and received.

use super::bytes::{Body, Reader};

/// The property ids by their names in the standard.
pub(crate) mod prop {
    pub(crate) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(crate) const MESSAGE_EXPIRY: u8 = 0x02;
    pub(crate) const CONTENT_TYPE: u8 = 0x03;
    pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
    pub(crate) const CORRELATION_DATA: u8 = 0x09;
    pub(crate) const SUBSCRIPTION_ID: u8 = 0x0B;
    pub(crate) const SESSION_EXPIRY: u8 = 0x11;
    pub(crate) const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub(crate) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(crate) const AUTH_METHOD: u8 = 0x15;
    pub(crate) const AUTH_DATA: u8 = 0x16;
    pub(crate) const REQUEST_PROBLEM_INFO: u8 = 0x17;
    pub(crate) const WILL_DELAY: u8 = 0x18;
    pub(crate) const REQUEST_RESPONSE_INFO: u8 = 0x19;
    pub(crate) const RESPONSE_INFO: u8 = 0x1A;
    pub(crate) const REASON_STRING: u8 = 0x1F;
    pub(crate) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(crate) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub(crate) const TOPIC_ALIAS: u8 = 0x23;
    pub(crate) const MAXIMUM_QOS: u8 = 0x24;
    pub(crate) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(crate) const USER_PROPERTY: u8 = 0x26;
    pub(crate) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub(crate) const SUBSCRIPTION_IDS_AVAILABLE: u8 = 0x29;
    pub(crate) const SHARED_AVAILABLE: u8 = 0x2A;
}

/// The value of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Byte(u8),
    Two(u16),
    Four(u32),
    Var(usize),
    /// A string or binary data.
    Text(Vec<u8>),
    Pair(Vec<u8>, Vec<u8>),
    /// Bytes as they are, behind the id: for what is wrong on purpose.
    Raw(Vec<u8>),
}

/// A list of properties in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Props(pub(crate) Vec<(u8, Value)>);

/// The order of properties with different ids has no meaning (section 2.2.2.2).
impl PartialEq for Props {
    fn eq(&self, other: &Self) -> bool {
        let by_id = |props: &Self| {
            let mut all = props.0.clone();
            all.sort_by_key(|(id, _)| *id);
            all
        };
        by_id(self) == by_id(other)
    }
}

impl Eq for Props {}

impl Props {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with(mut self, id: u8, value: Value) -> Self {
        self.0.push((id, value));
        self
    }

    pub(crate) fn byte(self, id: u8, value: u8) -> Self {
        self.with(id, Value::Byte(value))
    }

    pub(crate) fn two(self, id: u8, value: u16) -> Self {
        self.with(id, Value::Two(value))
    }

    pub(crate) fn four(self, id: u8, value: u32) -> Self {
        self.with(id, Value::Four(value))
    }

    pub(crate) fn var(self, id: u8, value: usize) -> Self {
        self.with(id, Value::Var(value))
    }

    pub(crate) fn text(self, id: u8, value: impl AsRef<[u8]>) -> Self {
        self.with(id, Value::Text(value.as_ref().to_vec()))
    }

    pub(crate) fn user(self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        let pair = Value::Pair(name.as_ref().to_vec(), value.as_ref().to_vec());
        self.with(prop::USER_PROPERTY, pair)
    }

    /// Every property of `self` once more: each once-only property then stands there twice.
    pub(crate) fn twice(mut self) -> Self {
        self.0.extend(self.0.clone());
        self
    }

    /// All values under this id, in order.
    pub(crate) fn all(&self, id: u8) -> Vec<&Value> {
        self.0.iter().filter(|(each, _)| *each == id).map(|(_, value)| value).collect()
    }

    /// The first value under this id.
    pub(crate) fn first(&self, id: u8) -> Option<&Value> {
        self.0.iter().find(|(each, _)| *each == id).map(|(_, value)| value)
    }

    pub(crate) fn has(&self, id: u8) -> bool {
        self.first(id).is_some()
    }

    /// The number under this id.
    pub(crate) fn number(&self, id: u8) -> Option<u32> {
        match self.first(id)? {
            Value::Byte(value) => Some(u32::from(*value)),
            Value::Two(value) => Some(u32::from(*value)),
            Value::Four(value) => Some(*value),
            Value::Var(value) => u32::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The string under this id.
    pub(crate) fn string(&self, id: u8) -> Option<&[u8]> {
        match self.first(id)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The property length and the properties.
    pub(crate) fn block(&self) -> Vec<u8> {
        let inner = self.inner();
        Body::new().var(inner.len()).raw(inner).bytes()
    }

    /// The properties without their length.
    pub(crate) fn inner(&self) -> Vec<u8> {
        let mut body = Body::new();
        for (id, value) in &self.0 {
            body = body.u8(*id);
            body = match value {
                Value::Byte(value) => body.u8(*value),
                Value::Two(value) => body.u16(*value),
                Value::Four(value) => body.u32(*value),
                Value::Var(value) => body.var(*value),
                Value::Text(text) => body.text(text),
                Value::Pair(name, text) => body.text(name).text(text),
                Value::Raw(bytes) => body.raw(bytes),
            };
        }
        body.bytes()
    }

    /// Reads a block: its length, then the properties.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let length = reader.var()?;
        let mut inner = Reader::new(reader.take(length)?);
        let mut props = Self::new();
        while !inner.is_empty() {
            let id = inner.u8()?;
            props = props.with(id, read_value(id, &mut inner)?);
        }
        reader.overlong |= inner.overlong;
        Some(props)
    }
}

fn read_value(id: u8, inner: &mut Reader<'_>) -> Option<Value> {
    Some(match id {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => Value::Byte(inner.u8()?),
        0x13 | 0x21 | 0x22 | 0x23 => Value::Two(inner.u16()?),
        0x02 | 0x11 | 0x18 | 0x27 => Value::Four(inner.u32()?),
        0x0B => Value::Var(inner.var()?),
        0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => {
            Value::Text(inner.text()?.to_vec())
        }
        0x26 => Value::Pair(inner.text()?.to_vec(), inner.text()?.to_vec()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let props = Props::new()
            .four(prop::SESSION_EXPIRY, 7)
            .two(prop::RECEIVE_MAXIMUM, 3)
            .byte(prop::PAYLOAD_FORMAT, 1)
            .var(prop::SUBSCRIPTION_ID, 200)
            .text(prop::CONTENT_TYPE, "text")
            .user("a", "b");
        assert_eq!(Props::read(&mut Reader::new(&props.block())), Some(props));
    }

    #[test]
    fn order_counts_among_equal_ids_only() {
        let mixed = Props::new().user("a", "1").byte(prop::PAYLOAD_FORMAT, 1).user("b", "2");
        let sorted = Props::new().byte(prop::PAYLOAD_FORMAT, 1).user("a", "1").user("b", "2");
        let swapped = Props::new().byte(prop::PAYLOAD_FORMAT, 1).user("b", "2").user("a", "1");
        assert_eq!(mixed, sorted);
        assert_ne!(mixed, swapped);
    }

    #[test]
    fn a_cut_property_is_refused() {
        assert_eq!(Props::read(&mut Reader::new(&[2, prop::SESSION_EXPIRY, 0])), None);
        assert_eq!(Props::read(&mut Reader::new(&[1, 0x7F])), None);
    }
}
