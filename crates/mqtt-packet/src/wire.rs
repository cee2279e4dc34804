//! The smallest fields on their way out, for whoever builds frames or property blocks by hand.

use bytes::{BufMut, BytesMut};

use crate::{
    EncodeError,
    sink::{Counter, Sink},
};

/// The largest variable byte integer, 268,435,455: also the longest body of a packet in bytes
/// and the largest subscription identifier.
pub const VARINT_MAX: u32 = 0x0FFF_FFFF;

/// The longest text or binary field in bytes.
pub const STRING_MAX: usize = 0xFFFF;

/// The number of bytes, 1 to 4, that a variable byte integer takes (section 1.5.5).
#[must_use]
#[inline]
pub const fn varint_len(value: u32) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// Writes a variable byte integer in its shortest form [MQTT-1.5.5-1].
///
/// # Errors
///
/// [`EncodeError::OutOfRange`] above [`VARINT_MAX`]; then nothing is written.
#[inline]
pub fn put_varint(value: u32, out: &mut impl BufMut) -> Result<(), EncodeError> {
    out.varint("variable byte integer", value)
}

/// Writes a UTF-8 encoded string with its length (section 1.5.4). `field` names it in errors.
///
/// # Errors
///
/// [`EncodeError::StringTooLong`] above [`STRING_MAX`] bytes, [`EncodeError::NullCharacter`] if
/// it holds U+0000 [MQTT-1.5.4-2]; then nothing is written.
pub fn put_str(field: &'static str, value: &str, out: &mut impl BufMut) -> Result<(), EncodeError> {
    Counter::default().text(field, value)?;
    out.text(field, value)
}

/// Writes binary data with its length (section 1.5.6). `field` names it in errors.
///
/// # Errors
///
/// [`EncodeError::StringTooLong`] above [`STRING_MAX`] bytes; then nothing is written.
pub fn put_binary(
    field: &'static str,
    value: &[u8],
    out: &mut impl BufMut,
) -> Result<(), EncodeError> {
    out.binary(field, value)
}

/// Writes a fixed header: the first byte and the remaining length.
///
/// # Errors
///
/// [`EncodeError::PacketTooLarge`] for a body above [`VARINT_MAX`] bytes; then nothing is
/// written.
#[inline]
pub fn put_header(first: u8, body_len: usize, out: &mut BytesMut) -> Result<(), EncodeError> {
    let len = remaining_length(body_len)?;
    out.bytes(&[first]);
    put_varint(len, out)
}

/// The remaining length for a body of so many bytes.
#[inline]
pub(crate) fn remaining_length(body_len: usize) -> Result<u32, EncodeError> {
    match u32::try_from(body_len) {
        Ok(len) if len <= VARINT_MAX => Ok(len),
        _ => Err(EncodeError::PacketTooLarge { len: body_len }),
    }
}
