//! Understanding a format.

use std::str::Chars;

use super::{Field, Piece, Spec, calendar::Letter};

/// Wider than any message can be, so that a width cannot exhaust memory.
const WIDTH_MAX: usize = 1_000_000;

/// Cuts a format into its pieces.
///
/// # Errors
/// What is wrong, as a part of a line for the user.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = Vec::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        let piece = match char {
            '%' => field(&mut chars)?,
            '@' => time(&mut chars)?,
            '\\' => Piece::Literal(vec![escape(&mut chars)?]),
            other => Piece::Literal(other.encode_utf8(&mut [0; 4]).as_bytes().to_vec()),
        };
        match piece {
            Piece::Literal(bytes) => literal.extend(bytes),
            piece => {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(piece);
            }
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

fn field(chars: &mut Chars<'_>) -> Result<Piece, String> {
    let spec = spec(chars)?;
    let field = match chars.next().ok_or("it ends after a %; write %% for a per cent sign")? {
        '%' => return Ok(Piece::Literal(vec![b'%'])),
        't' => Field::Topic,
        'p' => Field::Payload,
        'x' => Field::PayloadHex { upper: false },
        'X' => Field::PayloadHex { upper: true },
        'l' => Field::PayloadLength,
        'q' => Field::QoS,
        'r' => Field::Retain,
        'm' => Field::PacketId,
        'I' => Field::IsoTime,
        'U' => Field::UnixTime,
        'j' => Field::Json { payload_is_json: false },
        'J' => Field::Json { payload_is_json: true },
        'A' => Field::TopicAlias,
        'C' => Field::ContentType,
        'D' => Field::CorrelationData,
        'E' => Field::ExpiryInterval,
        'F' => Field::PayloadFormat,
        'P' => Field::UserProperties,
        'R' => Field::ResponseTopic,
        'S' => Field::SubscriptionIdentifiers,
        other => return Err(format!("there is no %{other}; see `surgemq sub --help`")),
    };
    Ok(Piece::Field(field, spec))
}

/// Flags, width and greatest width; all may be missing.
fn spec(chars: &mut Chars<'_>) -> Result<Spec, String> {
    let mut spec = Spec::default();
    while let Some(flag) = take_if(chars, |char| matches!(char, '0' | '-')) {
        spec.left |= flag == '-';
        spec.zero |= flag == '0';
    }
    spec.zero &= !spec.left;
    spec.width = number(chars)?.unwrap_or_default();
    if take_if(chars, |char| char == '.').is_some() {
        spec.most = Some(number(chars)?.unwrap_or_default());
    }
    Ok(spec)
}

fn number(chars: &mut Chars<'_>) -> Result<Option<usize>, String> {
    let mut number = None;
    while let Some(digit) = take_if(chars, |c| c.is_ascii_digit()).and_then(|c| c.to_digit(10)) {
        let value = number.unwrap_or(0_usize).saturating_mul(10).saturating_add(digit as usize);
        if value > WIDTH_MAX {
            return Err(format!("a width above {WIDTH_MAX}"));
        }
        number = Some(value);
    }
    Ok(number)
}

fn take_if(chars: &mut Chars<'_>, wanted: impl Fn(char) -> bool) -> Option<char> {
    let next = chars.clone().next().filter(|char| wanted(*char))?;
    chars.next();
    Some(next)
}

fn time(chars: &mut Chars<'_>) -> Result<Piece, String> {
    Ok(match chars.next().ok_or("it ends after an @; write @@ for an at sign")? {
        '@' => Piece::Literal(vec![b'@']),
        'N' => Piece::Nanoseconds,
        other => Piece::Time(
            Letter::new(other).ok_or_else(|| format!("there is no @{other}; see strftime(3)"))?,
        ),
    })
}

fn escape(chars: &mut Chars<'_>) -> Result<u8, String> {
    Ok(match chars.next().ok_or("it ends after a \\; write \\\\ for a backslash")? {
        '\\' => b'\\',
        '0' => 0,
        'a' => 0x07,
        'e' => 0x1b,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        other => return Err(format!("there is no \\{other}; see `surgemq sub --help`")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_literals_are_one_piece() {
        assert_eq!(pieces("a%%@@\\n").unwrap(), [Piece::Literal(b"a%@\n".to_vec())]);
        assert_eq!(pieces("").unwrap(), []);
    }

    #[test]
    fn flags_width_and_greatest_width_are_told_apart() {
        let spec = |text| match pieces(text).unwrap().pop() {
            Some(Piece::Field(_, spec)) => spec,
            other => panic!("{other:?}"),
        };
        assert_eq!(spec("%10.5t"), Spec { width: 10, most: Some(5), ..Spec::default() });
        assert_eq!(spec("%-010t"), Spec { left: true, width: 10, ..Spec::default() });
        assert_eq!(spec("%010t"), Spec { zero: true, width: 10, ..Spec::default() });
        assert_eq!(spec("%.t"), Spec { most: Some(0), ..Spec::default() });
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("%", "ends after a %"),
            ("%10", "ends after a %"),
            ("%z", "no %z"),
            ("%é", "no %é"),
            ("@", "ends after an @"),
            ("@q", "no @q"),
            ("\\", "ends after a \\"),
            ("\\q", "no \\q"),
            ("%99999999999999999999t", "a width above"),
        ] {
            let error = pieces(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
