//! The types of property values (section 2.2.2.2), each with its reader and its writer.

use nom::number::complete::{be_u8, be_u16, be_u32};

use crate::{
    DecodeErrorKind, EncodeError, QoS,
    parse::{self, Fault, Parsed},
    property::{Owner, PropertyId},
    sink::Sink,
};

/// Which property a value belongs to, and where that stands: for errors.
#[derive(Copy, Clone)]
pub(crate) struct Place {
    pub(crate) id: PropertyId,
    pub(crate) owner: Option<Owner>,
}

/// A byte that is 0 or 1; anything else is a protocol error.
pub(crate) mod flag {
    use super::*;

    pub(crate) fn read(input: &[u8], place: Place) -> Parsed<'_, bool> {
        let (rest, byte) = be_u8(input)?;
        in_range(rest, input, place, (byte < 2).then_some(byte == 1))
    }

    pub(crate) fn write(value: bool, _: Name, out: &mut impl Sink) -> Written {
        out.byte(u8::from(value));
        Ok(())
    }
}

/// A level of delivery that is 0 or 1: nobody announces that QoS 2 is the maximum.
pub(crate) mod qos {
    use super::*;

    pub(crate) fn read(input: &[u8], place: Place) -> Parsed<'_, QoS> {
        let (rest, byte) = be_u8(input)?;
        let qos = QoS::from_bits(byte).filter(|&qos| qos < QoS::ExactlyOnce);
        in_range(rest, input, place, qos)
    }

    pub(crate) fn write(value: QoS, name: Name, out: &mut impl Sink) -> Written {
        writable(value < QoS::ExactlyOnce, name)?;
        out.byte(value.bits());
        Ok(())
    }
}

/// A two byte integer.
pub(crate) mod two_bytes {
    use super::*;

    pub(crate) fn read(input: &[u8], _: Place) -> Parsed<'_, u16> {
        be_u16(input)
    }

    pub(crate) fn write(value: u16, _: Name, out: &mut impl Sink) -> Written {
        out.two_bytes(value);
        Ok(())
    }
}

/// A two byte integer above zero.
pub(crate) mod non_zero_two_bytes {
    use super::*;

    pub(crate) fn read(input: &[u8], place: Place) -> Parsed<'_, u16> {
        let (rest, value) = be_u16(input)?;
        in_range(rest, input, place, (value != 0).then_some(value))
    }

    pub(crate) fn write(value: u16, name: Name, out: &mut impl Sink) -> Written {
        writable(value != 0, name)?;
        out.two_bytes(value);
        Ok(())
    }
}

/// A four byte integer.
pub(crate) mod four_bytes {
    use super::*;

    pub(crate) fn read(input: &[u8], _: Place) -> Parsed<'_, u32> {
        be_u32(input)
    }

    pub(crate) fn write(value: u32, _: Name, out: &mut impl Sink) -> Written {
        out.four_bytes(value);
        Ok(())
    }
}

/// A four byte integer above zero.
pub(crate) mod non_zero_four_bytes {
    use super::*;

    pub(crate) fn read(input: &[u8], place: Place) -> Parsed<'_, u32> {
        let (rest, value) = be_u32(input)?;
        in_range(rest, input, place, (value != 0).then_some(value))
    }

    pub(crate) fn write(value: u32, name: Name, out: &mut impl Sink) -> Written {
        writable(value != 0, name)?;
        out.four_bytes(value);
        Ok(())
    }
}

/// A variable byte integer above zero.
pub(crate) mod non_zero_varint {
    use super::*;

    pub(crate) fn read(input: &[u8], place: Place) -> Parsed<'_, u32> {
        let (rest, value) = parse::varint(input)?;
        in_range(rest, input, place, (value != 0).then_some(value))
    }

    pub(crate) fn write(value: u32, name: Name, out: &mut impl Sink) -> Written {
        writable(value != 0, name)?;
        out.varint(name, value)
    }
}

/// Text.
pub(crate) mod text {
    use super::*;

    pub(crate) fn read(input: &[u8], _: Place) -> Parsed<'_, &str> {
        parse::text(input)
    }

    pub(crate) fn write(value: &str, name: Name, out: &mut impl Sink) -> Written {
        out.text(name, value)
    }
}

/// Text that can be a topic name: not empty, no wildcard [MQTT-3.3.2-14].
pub(crate) mod topic {
    use super::*;

    pub(crate) fn read(input: &[u8], place: Place) -> Parsed<'_, &str> {
        let (rest, text) = parse::text(input)?;
        in_range(rest, input, place, is_topic(text).then_some(text))
    }

    pub(crate) fn write(value: &str, name: Name, out: &mut impl Sink) -> Written {
        writable(is_topic(value), name)?;
        out.text(name, value)
    }

    fn is_topic(text: &str) -> bool {
        !text.is_empty() && !text.bytes().any(|byte| matches!(byte, b'+' | b'#'))
    }
}

/// Two texts, a name and a value [MQTT-1.5.7-1].
pub(crate) mod pair {
    use super::*;

    pub(crate) fn read(input: &[u8], _: Place) -> Parsed<'_, (&str, &str)> {
        let (rest, name) = parse::text(input)?;
        let (rest, value) = parse::text(rest)?;
        Ok((rest, (name, value)))
    }

    pub(crate) fn write(pair: (&str, &str), name: Name, out: &mut impl Sink) -> Written {
        out.text(name, pair.0)?;
        out.text(name, pair.1)
    }
}

/// Binary data.
pub(crate) mod binary {
    use super::*;

    pub(crate) fn read(input: &[u8], _: Place) -> Parsed<'_, &[u8]> {
        parse::binary(input)
    }

    pub(crate) fn write(value: &[u8], name: Name, out: &mut impl Sink) -> Written {
        out.binary(name, value)
    }
}

/// The property's name, for errors.
type Name = &'static str;

type Written = Result<(), EncodeError>;

fn in_range<'a, T>(rest: &'a [u8], at: &'a [u8], place: Place, value: Option<T>) -> Parsed<'a, T> {
    match value {
        Some(value) => Ok((rest, value)),
        None => {
            let kind = DecodeErrorKind::PropertyOutOfRange { id: place.id, owner: place.owner };
            Err(Fault { kind, at }.into())
        }
    }
}

fn writable(in_range: bool, field: Name) -> Written {
    if in_range { Ok(()) } else { Err(EncodeError::OutOfRange { field }) }
}
