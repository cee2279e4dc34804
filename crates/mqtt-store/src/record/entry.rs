//! Entries of a queue: flags, Subscription Identifiers, and the messages or where they are.

use std::sync::Arc;

use mqtt_packet::QoS;
use mqtt_session::{QueuePlace, SessionNumber, StoredMessage};

use super::{
    message::{MessageHead, read_head, read_message, write_head, write_message},
    reader::Reader,
    writer::{begin, flags, length, number},
};

const RETAIN: u8 = 1 << 2;
const IDENTIFIERS: u8 = 1 << 3;
const KIND: u8 = 0b11 << 4;
const INLINE: u8 = 0;
const SHARED: u8 = 1 << 4;
const APART: u8 = 2 << 4;
/// What stands before the packets is here, not with the packets outside of the entry.
const HEAD: u8 = 1 << 6;
const KNOWN: u8 = 0b11 | RETAIN | IDENTIFIERS | KIND | HEAD;

/// Where the messages of an entry are.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    /// In the entry.
    Inline(&'a StoredMessage),
    /// Kept once for several sessions, under this number.
    Shared(u64, &'a StoredMessage),
    /// Kept apart, because they are large.
    Apart(&'a StoredMessage),
}

/// Makes `out` the record of an entry. The session and the number are the key.
pub(crate) fn encode_entry(out: &mut Vec<u8>, place: &QueuePlace, body: &Body<'_>) {
    begin(out);
    let kind = match body {
        Body::Inline(_) => INLINE,
        Body::Shared(..) => SHARED | HEAD,
        Body::Apart(_) => APART | HEAD,
    };
    let marks = flags([place.retain, place.identifiers.is_some()]);
    out.push(place.granted.bits() | marks << 2 | kind);
    if let Some(identifiers) = &place.identifiers {
        length(out, identifiers.len());
        identifiers.iter().for_each(|identifier| number(out, (*identifier).into()));
    }
    match body {
        Body::Inline(message) => write_message(out, message),
        Body::Shared(shared, message) => {
            number(out, *shared);
            write_outside(out, message);
        }
        Body::Apart(message) => write_outside(out, message),
    }
}

/// What an entry says of messages whose packets are not in it.
fn write_outside(out: &mut Vec<u8>, message: &StoredMessage) {
    write_head(out, message);
    length(out, message.frames.len());
}

/// An entry of a queue, taken apart no further than it has to be.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// How many messages there are.
    pub(crate) count: u32,
    /// The length of their packets together, in bytes.
    pub(crate) bytes: u64,
    /// When they expire, as far as the entry knows.
    pub(crate) expires_at_millis: Option<u64>,
    /// Where they are.
    pub(crate) kept: Kept<'a>,
    /// What is before the packets, if those are kept without it.
    pub(crate) head: Option<MessageHead>,
    flags: u8,
    granted: QoS,
    identifiers: &'a [u8],
}

/// Where the messages of an entry are that was read.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Kept<'a> {
    /// In the entry: this part of it.
    Inline(&'a [u8]),
    /// Under a number that several sessions share.
    Shared(u64),
    /// Apart, because they are large.
    Apart,
}

impl<'a> Entry<'a> {
    /// The entry of a record.
    pub(crate) fn decode(record: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(record)?;
        let flags = reader.byte()?;
        if flags & !KNOWN != 0 {
            return None;
        }
        let granted = QoS::from_bits(flags & 0b11)?;
        let before = reader.part_left();
        if flags & IDENTIFIERS != 0 {
            read_identifiers(&mut reader)?;
        }
        let identifiers = before.get(..before.len() - reader.part_left().len())?;
        let entry = |count, bytes, kept, head: Option<MessageHead>| {
            let expires_at_millis = head.and_then(|head| head.expires_at_millis);
            Some(Self { count, bytes, expires_at_millis, kept, head, flags, granted, identifiers })
        };
        match flags & KIND {
            INLINE if flags & HEAD == 0 => {
                let message = reader.part_left();
                let head = read_head(&mut reader)?;
                let bytes = reader.rest().len() as u64;
                let inline = entry(head.count, bytes, Kept::Inline(message), Some(head));
                inline.map(|inline| Self { head: None, ..inline })
            }
            SHARED => {
                let kept = Kept::Shared(reader.number()?);
                let (count, bytes, head) = read_outside(reader, flags)?;
                entry(count, bytes, kept, head)
            }
            APART => {
                let (count, bytes, head) = read_outside(reader, flags)?;
                entry(count, bytes, Kept::Apart, head)
            }
            _ => None,
        }
    }

    /// The number under which several sessions share the messages.
    pub(crate) fn shared(&self) -> Option<u64> {
        match self.kept {
            Kept::Shared(shared) => Some(shared),
            Kept::Inline(_) | Kept::Apart => None,
        }
    }

    /// The place of the entry, which has this key.
    pub(crate) fn place(&self, session: SessionNumber, seq: u64) -> Option<QueuePlace> {
        let identifiers = if self.flags & IDENTIFIERS == 0 {
            None
        } else {
            Some(read_identifiers(&mut Reader::part(self.identifiers))?)
        };
        let retain = self.flags & RETAIN != 0;
        Some(QueuePlace { session, seq, granted: self.granted, retain, identifiers })
    }
}

impl Kept<'_> {
    /// The messages, if they are in the entry.
    pub(crate) fn inline(self) -> Option<StoredMessage> {
        match self {
            Self::Inline(part) => read_message(Reader::part(part)),
            Self::Shared(_) | Self::Apart => None,
        }
    }
}

fn read_identifiers(reader: &mut Reader<'_>) -> Option<Arc<[u32]>> {
    let length = reader.length()?;
    (0..length).map(|_| reader.small()).collect()
}

fn read_outside(mut reader: Reader<'_>, flags: u8) -> Option<(u32, u64, Option<MessageHead>)> {
    let (count, head) = if flags & HEAD == 0 {
        (reader.small().filter(|count| *count != 0)?, None)
    } else {
        let head = read_head(&mut reader)?;
        (head.count, Some(head))
    };
    let bytes = reader.number()?;
    reader.end()?;
    Some((count, bytes, head))
}
