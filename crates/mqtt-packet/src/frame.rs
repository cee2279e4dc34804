//! Where one packet ends: the fixed header (section 2.1).

use crate::{DecodeError, DecodeErrorKind, PacketType};

/// The fixed header of a packet: its first byte and how long everything is.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Header {
    /// The packet's first byte: type and flags.
    pub first: u8,
    /// The length of the fixed header in bytes, 2 to 5.
    pub header_len: usize,
    /// The length of what follows in bytes: the standard's Remaining Length.
    pub body_len: usize,
}

impl Header {
    /// The length of the whole packet in bytes.
    #[must_use]
    #[inline]
    pub const fn total_len(&self) -> usize {
        self.header_len + self.body_len
    }

    /// The type that the first byte announces, `None` for the reserved type 0.
    #[must_use]
    #[inline]
    pub const fn packet_type(&self) -> Option<PacketType> {
        PacketType::from_first_byte(self.first)
    }
}

/// Reads the fixed header at the start of `buf`, or `None` if more bytes are needed for it.
/// The body need not be there yet.
///
/// `max_packet_size` bounds the whole packet in bytes, header included, as the property
/// Maximum Packet Size does.
///
/// # Errors
///
/// A remaining length of more than four bytes or not in its shortest form [MQTT-1.5.5-1];
/// a packet above `max_packet_size` ([`DecodeErrorKind::PacketTooLarge`]), which is decided
/// from the header alone, before anything of the body is buffered.
#[inline]
pub fn peek(buf: &[u8], max_packet_size: u32) -> Result<Option<Header>, DecodeError> {
    match *buf {
        [first, len @ 0..=0x7F, ..] => {
            limited(Header { first, header_len: 2, body_len: usize::from(len) }, max_packet_size)
        }
        [first, ref rest @ ..] => peek_long(first, rest, max_packet_size),
        [] => Ok(None),
    }
}

/// The same for a remaining length of two bytes and more.
fn peek_long(first: u8, rest: &[u8], max_packet_size: u32) -> Result<Option<Header>, DecodeError> {
    let mut body_len = 0;
    for (i, &byte) in rest.iter().take(4).enumerate() {
        body_len |= usize::from(byte & 0x7F) << (7 * i);
        if byte & 0x80 == 0 {
            if byte == 0 && i > 0 {
                return Err(DecodeError { kind: DecodeErrorKind::VarintNotShortest, offset: 1 });
            }
            return limited(Header { first, header_len: i + 2, body_len }, max_packet_size);
        }
    }
    if rest.len() >= 4 {
        return Err(DecodeError { kind: DecodeErrorKind::VarintTooLong, offset: 1 });
    }
    Ok(None)
}

#[inline]
fn limited(header: Header, max_packet_size: u32) -> Result<Option<Header>, DecodeError> {
    match u32::try_from(header.total_len()) {
        Ok(len) if len <= max_packet_size => Ok(Some(header)),
        len => {
            let len = len.unwrap_or(u32::MAX);
            let kind = DecodeErrorKind::PacketTooLarge { len, max: max_packet_size };
            Err(DecodeError { kind, offset: 1 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMIT: u32 = u32::MAX;

    fn lens(buf: &[u8]) -> Option<(usize, usize)> {
        peek(buf, NO_LIMIT).unwrap().map(|h| (h.header_len, h.body_len))
    }

    fn kind(buf: &[u8], max: u32) -> DecodeErrorKind {
        peek(buf, max).unwrap_err().kind
    }

    #[test]
    fn every_length_of_the_remaining_length_is_read() {
        assert_eq!(lens(&[0xC0, 0]), Some((2, 0)));
        assert_eq!(lens(&[0x30, 0x7F]), Some((2, 127)));
        assert_eq!(lens(&[0x30, 0x80, 0x01]), Some((3, 128)));
        assert_eq!(lens(&[0x30, 0xFF, 0x7F]), Some((3, 16_383)));
        assert_eq!(lens(&[0x30, 0x80, 0x80, 0x01]), Some((4, 16_384)));
        assert_eq!(lens(&[0x30, 0xFF, 0xFF, 0x7F]), Some((4, 2_097_151)));
        assert_eq!(lens(&[0x30, 0x80, 0x80, 0x80, 0x01]), Some((5, 2_097_152)));
        assert_eq!(lens(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]), Some((5, 268_435_455)));
    }

    #[test]
    fn an_unfinished_header_asks_for_more() {
        for buf in [&[][..], &[0x30], &[0x30, 0x80], &[0x30, 0xFF, 0xFF], &[0x30, 0x80, 0x80, 0x80]]
        {
            assert_eq!(lens(buf), None, "{buf:02X?}");
        }
    }

    #[test]
    fn a_fifth_length_byte_is_refused_without_waiting_for_it() {
        assert_eq!(kind(&[0x10, 0xFF, 0xFF, 0xFF, 0xFF], NO_LIMIT), DecodeErrorKind::VarintTooLong);
    }

    #[test]
    fn a_longer_form_than_needed_is_refused() {
        for buf in [&[0xC0, 0x80, 0x00][..], &[0x30, 0x85, 0x80, 0x00]] {
            assert_eq!(kind(buf, NO_LIMIT), DecodeErrorKind::VarintNotShortest);
        }
    }

    #[test]
    fn the_limit_counts_the_whole_packet() {
        assert!(peek(&[0x30, 98], 100).is_ok());
        let too_large = DecodeErrorKind::PacketTooLarge { len: 101, max: 100 };
        assert_eq!(kind(&[0x30, 99], 100), too_large);
    }
}
