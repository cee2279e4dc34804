//! The grammar's smallest items, as nom parsers over a whole body (section 1.5).

use nom::{
    IResult, Parser,
    bytes::complete::take,
    error::{ErrorKind, ParseError},
    multi::length_data,
    number::complete::{be_u8, be_u16},
};

use crate::{DecodeError, DecodeErrorKind, PacketId};

/// What a parser gives: what is left of the input and a value, or a fault.
pub(crate) type Parsed<'a, T> = IResult<&'a [u8], T, Fault<'a>>;

/// What is wrong, with the input from where it is wrong. It becomes a [`DecodeError`] where
/// the whole body is known.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Fault<'a> {
    pub(crate) kind: DecodeErrorKind,
    pub(crate) at: &'a [u8],
}

impl Fault<'_> {
    /// The error, its place counted from the start of `body`, of which the fault's input is
    /// a part.
    pub(crate) fn within(self, body: &[u8]) -> DecodeError {
        let offset = self.at.as_ptr().addr().saturating_sub(body.as_ptr().addr());
        DecodeError { kind: self.kind, offset: offset.min(body.len()) }
    }
}

impl<'a> ParseError<&'a [u8]> for Fault<'a> {
    /// All that nom's own parsers can find here is that the input ended too early.
    fn from_error_kind(at: &'a [u8], _: ErrorKind) -> Self {
        Fault { kind: DecodeErrorKind::Truncated, at }
    }

    fn append(_: &'a [u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

impl<'a> From<Fault<'a>> for nom::Err<Fault<'a>> {
    fn from(fault: Fault<'a>) -> Self {
        nom::Err::Error(fault)
    }
}

/// A parser's failure.
pub(crate) fn fail<'a, T>(kind: DecodeErrorKind, at: &'a [u8]) -> Parsed<'a, T> {
    Err(Fault { kind, at }.into())
}

/// Runs a parser over a whole body: bytes left over make the packet malformed.
pub(crate) fn whole<'a, T>(
    body: &'a [u8],
    mut parser: impl FnMut(&'a [u8]) -> Parsed<'a, T>,
) -> Result<T, DecodeError> {
    match plain(parser(body)) {
        Ok(([], value)) => Ok(value),
        Ok((at, _)) => Err(Fault { kind: DecodeErrorKind::TrailingBytes, at }.within(body)),
        Err(fault) => Err(fault.within(body)),
    }
}

/// A parser's outcome without nom's layer around the fault.
#[inline]
pub(crate) fn plain<'a, T>(parsed: Parsed<'a, T>) -> Result<(&'a [u8], T), Fault<'a>> {
    parsed.map_err(|e| match e {
        nom::Err::Error(fault) | nom::Err::Failure(fault) => fault,
        // Complete parsers never ask for more.
        nom::Err::Incomplete(_) => Fault { kind: DecodeErrorKind::Truncated, at: &[] },
    })
}

/// A variable byte integer, section 1.5.5: at most four bytes, in the shortest form
/// [MQTT-1.5.5-1].
pub(crate) fn varint(input: &[u8]) -> Parsed<'_, u32> {
    let mut value = 0;
    let mut rest = input;
    for i in 0..4 {
        let (after, byte) = be_u8(rest)?;
        rest = after;
        value |= u32::from(byte & 0x7F) << (7 * i);
        if byte & 0x80 == 0 {
            if byte == 0 && i > 0 {
                return fail(DecodeErrorKind::VarintNotShortest, input);
            }
            return Ok((rest, value));
        }
    }
    fail(DecodeErrorKind::VarintTooLong, input)
}

/// Binary data, section 1.5.6.
pub(crate) fn binary(input: &[u8]) -> Parsed<'_, &[u8]> {
    length_data(be_u16).parse(input)
}

/// A UTF-8 encoded string, section 1.5.4.
pub(crate) fn text(input: &[u8]) -> Parsed<'_, &str> {
    let (rest, bytes) = binary(input)?;
    Ok((rest, utf8(bytes)?))
}

/// The content of a text field: well-formed UTF-8 [MQTT-1.5.4-1] without U+0000
/// [MQTT-1.5.4-2]. A byte order mark is a character like others [MQTT-1.5.4-3]. Control
/// characters and non-characters are let through everywhere: to refuse them is optional
/// (U5-002), and topics in the field hold them.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, Fault<'_>> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !has_null(bytes) => Ok(text),
        Ok(_) => {
            let i = bytes.iter().position(|&byte| byte == 0).unwrap_or_default();
            Err(Fault { kind: DecodeErrorKind::NullCharacter, at: tail(bytes, i) })
        }
        Err(e) => {
            let at = tail(bytes, e.valid_up_to());
            Err(Fault { kind: DecodeErrorKind::InvalidUtf8, at })
        }
    }
}

/// Whether there is a zero among the bytes. Texts are short: to look at each byte without
/// stopping early is what the compiler makes the best code of.
#[inline]
pub(crate) fn has_null(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, &byte| found | (byte == 0))
}

/// A packet identifier, section 2.2.1.
pub(crate) fn packet_id(input: &[u8]) -> Parsed<'_, PacketId> {
    let (rest, id) = be_u16(input)?;
    match PacketId::new(id) {
        Some(id) => Ok((rest, id)),
        None => fail(DecodeErrorKind::PacketIdZero, input),
    }
}

/// A property block, section 2.2.2: its length, then as many bytes, still unread.
pub(crate) fn property_block(input: &[u8]) -> Parsed<'_, &[u8]> {
    length_data(varint).parse(input)
}

/// All that is left.
pub(crate) fn remainder(input: &[u8]) -> Parsed<'_, &[u8]> {
    take(input.len()).parse(input)
}

fn tail(bytes: &[u8], from: usize) -> &[u8] {
    bytes.get(from..).unwrap_or(bytes)
}
