//! Where a packet's bytes go: into a buffer, or only counted.
//!
//! Every packet describes its body once, as [`Body::write`]. Lengths that stand in front of
//! what they measure come from running the same description against a [`Counter`], so that
//! they cannot differ from what is written, and so that every error is found before the
//! first byte goes out. Therefore it is the counter that looks into texts; a buffer is handed
//! only what has been counted.

use bytes::{BufMut, BytesMut};

use crate::{
    EncodeError, Version,
    parse::has_null,
    wire::{VARINT_MAX, remaining_length, varint_len},
};

/// Takes bytes. The fields below are the mirror of the parsers in `parse.rs`.
pub(crate) trait Sink: Sized {
    fn bytes(&mut self, bytes: &[u8]);

    #[inline]
    fn byte(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    #[inline]
    fn two_bytes(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    #[inline]
    fn four_bytes(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    #[inline]
    fn varint(&mut self, field: &'static str, value: u32) -> Result<(), EncodeError> {
        let group = |shift| septet(value, shift);
        match value {
            0..=0x7F => self.bytes(&[group(0)]),
            0x80..=0x3FFF => self.bytes(&[group(0) | 0x80, group(7)]),
            0x4000..=0x1F_FFFF => self.bytes(&[group(0) | 0x80, group(7) | 0x80, group(14)]),
            0x20_0000..=VARINT_MAX => {
                self.bytes(&[group(0) | 0x80, group(7) | 0x80, group(14) | 0x80, group(21)]);
            }
            _ => return Err(EncodeError::OutOfRange { field }),
        }
        Ok(())
    }

    #[inline]
    fn binary(&mut self, field: &'static str, value: &[u8]) -> Result<(), EncodeError> {
        self.two_bytes(string_len(field, value)?);
        self.bytes(value);
        Ok(())
    }

    #[inline]
    fn text(&mut self, field: &'static str, value: &str) -> Result<(), EncodeError> {
        self.binary(field, value.as_bytes())
    }

    /// Properties with their length in front.
    fn block(&mut self, properties: &impl Body, version: Version) -> Result<(), EncodeError> {
        let len = remaining_length(properties.len(version)?)?;
        self.varint("property length", len)?;
        properties.write(version, self)
    }
}

/// The length of a text or binary field.
#[inline]
fn string_len(field: &'static str, value: &[u8]) -> Result<u16, EncodeError> {
    u16::try_from(value.len()).map_err(|_| EncodeError::StringTooLong { field, len: value.len() })
}

impl<B: BufMut> Sink for B {
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
    }
}

/// Counts what would be written.
#[derive(Default)]
pub(crate) struct Counter {
    len: usize,
}

impl Counter {
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Sink for Counter {
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.len = self.len.saturating_add(bytes.len());
    }

    #[inline]
    fn text(&mut self, field: &'static str, value: &str) -> Result<(), EncodeError> {
        if has_null(value.as_bytes()) {
            return Err(EncodeError::NullCharacter { field });
        }
        self.binary(field, value.as_bytes())
    }

    fn block(&mut self, properties: &impl Body, version: Version) -> Result<(), EncodeError> {
        let len = remaining_length(properties.len(version)?)?;
        self.len = self.len.saturating_add(varint_len(len) + len as usize);
        Ok(())
    }
}

/// Something with a layout on the wire.
pub(crate) trait Body {
    fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError>;

    fn len(&self, version: Version) -> Result<usize, EncodeError> {
        let mut counter = Counter::default();
        self.write(version, &mut counter)?;
        Ok(counter.len)
    }
}

/// Writes a whole packet; on error nothing.
pub(crate) fn encode(
    first: u8,
    body: &impl Body,
    version: Version,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let len = remaining_length(body.len(version)?)?;
    out.reserve(1 + varint_len(len) + len as usize);
    out.byte(first);
    out.varint("remaining length", len)?;
    body.write(version, out)
}

/// The length of a whole packet in bytes.
pub(crate) fn encoded_len(body: &impl Body, version: Version) -> Result<usize, EncodeError> {
    let len = remaining_length(body.len(version)?)?;
    Ok(1 + varint_len(len) + len as usize)
}

/// Writes properties with their length in front [MQTT-2.2.2-1]; nothing before 5.0.
pub(crate) fn property_block(
    properties: &impl Body,
    version: Version,
    out: &mut impl Sink,
) -> Result<(), EncodeError> {
    if !version.is_v5() {
        return Ok(());
    }
    out.block(properties, version)
}

/// The lowest seven bits behind `shift` others.
#[inline]
fn septet(value: u32, shift: u32) -> u8 {
    let [low, ..] = (value >> shift).to_le_bytes();
    low & 0x7F
}
