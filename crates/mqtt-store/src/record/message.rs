//! Messages: flags, count, largest, expiry, and the packets up to the end of the record.
//!
//! Messages outside of their entry are their packets alone since format 2: what stands before the
//! packets is in the entry. So a store can keep the bytes that were read from the publisher as they
//! are, without a copy.

use std::sync::Arc;

use bytes::Bytes;
use mqtt_packet::QoS;
use mqtt_session::{StoredMessage, Wire};

use super::{
    reader::Reader,
    writer::{begin, flags, number, text},
};

const V5: u8 = 1 << 2;
const RETAIN: u8 = 1 << 3;
const EXPIRES: u8 = 1 << 4;
const KNOWN: u8 = 0b11 | V5 | RETAIN | EXPIRES;

/// Makes `out` the record of a message outside of its entry, as format 1 has it.
#[cfg(test)]
pub(crate) fn encode_message(out: &mut Vec<u8>, message: &StoredMessage) {
    begin(out);
    write_message(out, message);
}

/// The message of a record outside of its entry, as format 1 has it.
pub(crate) fn decode_message(record: &[u8]) -> Option<StoredMessage> {
    read_message(Reader::new(record)?)
}

/// Makes `out` the record of a retained message: the topic, and the message.
pub(crate) fn encode_retained(out: &mut Vec<u8>, topic: &str, message: &StoredMessage) {
    begin(out);
    text(out, topic);
    write_message(out, message);
}

/// The topic and the message of the record of a retained message.
pub(crate) fn decode_retained(record: &[u8]) -> Option<(Arc<str>, StoredMessage)> {
    let mut reader = Reader::new(record)?;
    let topic = reader.text()?;
    Some((topic, read_message(reader)?))
}

/// Appends a message, which takes the rest of its record.
pub(super) fn write_message(out: &mut Vec<u8>, message: &StoredMessage) {
    write_head(out, message);
    out.extend_from_slice(&message.frames);
}

/// Appends what is before the packets of a message.
pub(super) fn write_head(out: &mut Vec<u8>, message: &StoredMessage) {
    let v5 = message.wire == Wire::V5;
    let marks = [v5, message.retain, message.expires_at_millis.is_some()];
    out.push(message.qos.bits() | flags(marks) << 2);
    number(out, message.count.into());
    number(out, message.largest.into());
    if let Some(millis) = message.expires_at_millis {
        number(out, millis);
    }
}

/// What is before the packets of a message.
#[derive(Copy, Clone, Debug)]
pub(crate) struct MessageHead {
    flags: u8,
    qos: QoS,
    pub(super) count: u32,
    largest: u32,
    pub(super) expires_at_millis: Option<u64>,
}

impl MessageHead {
    /// The message with these packets.
    pub(crate) fn message(self, frames: Bytes) -> StoredMessage {
        StoredMessage {
            frames,
            wire: if self.flags & V5 == 0 { Wire::V3 } else { Wire::V5 },
            qos: self.qos,
            retain: self.flags & RETAIN != 0,
            count: self.count,
            largest: self.largest,
            expires_at_millis: self.expires_at_millis,
        }
    }
}

/// Reads a message up to its packets.
pub(super) fn read_head(reader: &mut Reader<'_>) -> Option<MessageHead> {
    let flags = reader.byte()?;
    if flags & !KNOWN != 0 {
        return None;
    }
    let qos = QoS::from_bits(flags & 0b11)?;
    let count = reader.small().filter(|count| *count != 0)?;
    let largest = reader.small()?;
    let expires_at_millis = if flags & EXPIRES == 0 { None } else { Some(reader.number()?) };
    Some(MessageHead { flags, qos, count, largest, expires_at_millis })
}

/// Reads a message that takes all that is left.
pub(super) fn read_message(mut reader: Reader<'_>) -> Option<StoredMessage> {
    let head = read_head(&mut reader)?;
    Some(head.message(Bytes::copy_from_slice(reader.rest())))
}
