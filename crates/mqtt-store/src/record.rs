//! The bytes of what is kept.
//!
//! Every record begins with a version byte, so that a later version can tell what it reads. A number
//! is seven bits a byte, the lowest first, with the top bit set on all but the last byte. A text is
//! its length and its bytes. What a record leaves over, or lacks, is damage.

mod entry;
mod group;
mod message;
mod progress;
mod reader;
mod received;
mod session;
mod subscription;
mod writer;

pub(crate) use self::{
    entry::{Body, Entry, Kept, encode_entry},
    group::GroupMark,
    message::{MessageHead, decode_message, decode_retained, encode_retained},
    progress::{decode_progress, encode_progress},
    reader::read_number,
    received::{decode_received, encode_received},
    session::{decode_session, encode_session},
    subscription::{decode_subscription, encode_subscription},
};

#[cfg(test)]
use self::message::encode_message;

/// The version byte of all records since format 1.
const RECORD_VERSION: u8 = 1;

#[cfg(test)]
mod tests;
