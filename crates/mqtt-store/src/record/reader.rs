//! Takes a record apart. Every function answers `None` where the record is not what it should be.

use std::sync::Arc;

use super::RECORD_VERSION;

/// Takes a number off the beginning of bytes.
pub(crate) fn read_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut reader = Reader { rest: bytes };
    let number = reader.number()?;
    *bytes = reader.rest;
    Some(number)
}

/// What is left of a record.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins with a record and takes its version byte.
    pub(super) fn new(record: &'a [u8]) -> Option<Self> {
        let (version, rest) = record.split_first()?;
        (*version == RECORD_VERSION).then_some(Self { rest })
    }

    /// Begins with a part of a record, which has no version byte.
    pub(super) fn part(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    pub(super) fn fixed(&mut self) -> Option<u64> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u64::from_be_bytes(*bytes))
    }

    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes)
    }

    pub(super) fn counted_bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        self.bytes(len)
    }

    pub(super) fn text(&mut self) -> Option<Arc<str>> {
        std::str::from_utf8(self.counted_bytes()?).ok().map(Arc::from)
    }

    /// A number of things that each take at least a byte.
    pub(super) fn length(&mut self) -> Option<usize> {
        let length = usize::try_from(self.number()?).ok()?;
        (length <= self.rest.len()).then_some(length)
    }

    /// All that is left, without taking it.
    pub(super) fn part_left(&self) -> &'a [u8] {
        self.rest
    }

    /// All that is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Ends the record: nothing may be left.
    pub(super) fn end(self) -> Option<()> {
        self.rest.is_empty().then_some(())
    }
}
