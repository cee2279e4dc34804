//! The output format of `sub -F`, as mosquitto_sub has it.

mod calendar;
mod json;
mod parse;

use std::{fmt, io::Write, str::FromStr, time::SystemTime};

use mqtt_packet::{PublishProperties, QoS};

use self::calendar::Moment;

/// A message, as far as it can be printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printable<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// `None` at QoS 0.
    pub(crate) packet_id: Option<u16>,
    pub(crate) properties: PublishProperties<'a>,
    /// When it arrived.
    pub(crate) at: SystemTime,
}

/// A format, understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Format {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    /// Printed as it is.
    Literal(Vec<u8>),
    /// Something of the message.
    Field(Field, Spec),
    /// What strftime makes of this letter, in UTC.
    Time(calendar::Letter),
    /// The nanoseconds of the second.
    Nanoseconds,
}

/// What can be printed of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    Topic,
    Payload,
    PayloadHex { upper: bool },
    PayloadLength,
    QoS,
    Retain,
    PacketId,
    IsoTime,
    UnixTime,
    Json { payload_is_json: bool },
    TopicAlias,
    ContentType,
    CorrelationData,
    ExpiryInterval,
    PayloadFormat,
    UserProperties,
    ResponseTopic,
    SubscriptionIdentifiers,
}

/// How wide it is printed, and where in this width.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Spec {
    left: bool,
    zero: bool,
    /// At least so many bytes; exactly so many for payloads, as mosquitto_sub does.
    width: usize,
    /// At most so many bytes of a text.
    most: Option<usize>,
}

/// `%J` was asked for, and the payload is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotJson;

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self { pieces: parse::pieces(text)? })
    }
}

impl Format {
    /// Appends the message to `out`; on an error nothing.
    ///
    /// # Errors
    /// The format has `%J`, and the payload is not JSON.
    pub(crate) fn print(&self, message: &Printable<'_>, out: &mut Vec<u8>) -> Result<(), NotJson> {
        let start = out.len();
        let moment = Moment::new(message.at);
        for piece in &self.pieces {
            match piece {
                Piece::Literal(bytes) => out.extend_from_slice(bytes),
                Piece::Field(field, spec) => {
                    if let Err(not_json) = field.print(message, *spec, &moment, out) {
                        out.truncate(start);
                        return Err(not_json);
                    }
                }
                Piece::Time(letter) => append(out, format_args!("{}", letter.of(&moment))),
                Piece::Nanoseconds => append(out, format_args!("{:09}", moment.nanoseconds())),
            }
        }
        Ok(())
    }
}

impl Field {
    fn print(
        self,
        message: &Printable<'_>,
        spec: Spec,
        moment: &Moment,
        out: &mut Vec<u8>,
    ) -> Result<(), NotJson> {
        let properties = &message.properties;
        match self {
            Self::Topic => spec.text(message.topic.as_bytes(), out),
            Self::Payload => spec.payload(message.payload, out),
            Self::PayloadHex { upper } => spec.payload(&hex(message.payload, upper), out),
            Self::PayloadLength => spec.number(message.payload.len(), out),
            Self::QoS => append(out, format_args!("{}", message.qos.bits())),
            Self::Retain => append(out, format_args!("{}", u8::from(message.retain))),
            Self::PacketId => spec.number(message.packet_id.unwrap_or_default(), out),
            Self::IsoTime => spec.text(moment.iso().as_bytes(), out),
            Self::UnixTime => append(out, format_args!("{}", moment.unix())),
            Self::Json { payload_is_json } => json::print(message, moment, payload_is_json, out)?,
            Self::TopicAlias => spec.numbers(properties.topic_alias, out),
            Self::ContentType => {
                spec.text(properties.content_type.unwrap_or_default().as_bytes(), out);
            }
            Self::CorrelationData => {
                out.extend_from_slice(properties.correlation_data.unwrap_or_default());
            }
            Self::ExpiryInterval => spec.numbers(properties.message_expiry_interval, out),
            Self::PayloadFormat => {
                spec.numbers(properties.payload_format_indicator.map(u8::from), out);
            }
            Self::UserProperties => print_user_properties(properties, out),
            Self::ResponseTopic => {
                spec.text(properties.response_topic.unwrap_or_default().as_bytes(), out);
            }
            Self::SubscriptionIdentifiers => {
                spec.numbers(properties.subscription_identifiers.iter(), out);
            }
        }
        Ok(())
    }
}

impl Spec {
    /// Numbers with spaces between them; nothing at all if there is none.
    fn numbers(self, numbers: impl IntoIterator<Item = impl fmt::Display>, out: &mut Vec<u8>) {
        for (index, number) in numbers.into_iter().enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            self.number(number, out);
        }
    }

    fn number(self, number: impl fmt::Display, out: &mut Vec<u8>) {
        self.pad(number.to_string().as_bytes(), if self.zero { b'0' } else { b' ' }, out);
    }

    fn text(self, text: &[u8], out: &mut Vec<u8>) {
        self.pad(text.get(..self.most.unwrap_or(usize::MAX)).unwrap_or(text), b' ', out);
    }

    fn payload(self, payload: &[u8], out: &mut Vec<u8>) {
        let most = if self.width == 0 { usize::MAX } else { self.width };
        let shown = payload.get(..most).unwrap_or(payload);
        self.pad(shown, if self.zero { b'0' } else { b' ' }, out);
    }

    fn pad(self, bytes: &[u8], padding: u8, out: &mut Vec<u8>) {
        let missing = self.width.saturating_sub(bytes.len());
        let with_padding =
            |out: &mut Vec<u8>, byte| out.resize(out.len().saturating_add(missing), byte);
        if self.left {
            out.extend_from_slice(bytes);
            with_padding(out, b' ');
        } else {
            with_padding(out, padding);
            out.extend_from_slice(bytes);
        }
    }
}

fn print_user_properties(properties: &PublishProperties<'_>, out: &mut Vec<u8>) {
    for (index, (name, value)) in properties.user_properties.iter().enumerate() {
        let space = if index > 0 { " " } else { "" };
        append(out, format_args!("{space}{name}:{value}"));
    }
}

fn hex(payload: &[u8], upper: bool) -> Vec<u8> {
    let digits = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let digit = |value: u8| digits.get(usize::from(value)).copied().unwrap_or(b'?');
    payload.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]).collect()
}

/// Writing into memory does not fail.
fn append(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    drop(out.write_fmt(text));
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use mqtt_packet::{SubscriptionIdentifiers, UserProperties};

    use super::*;

    fn message() -> Printable<'static> {
        Printable {
            topic: "a/b",
            payload: b"{\"x\":1}",
            qos: QoS::AtLeastOnce,
            retain: true,
            packet_id: Some(1),
            properties: PublishProperties {
                payload_format_indicator: Some(true),
                message_expiry_interval: Some(100),
                response_topic: Some("r/t"),
                correlation_data: Some(b"corr"),
                content_type: Some("ct"),
                user_properties: UserProperties::Pairs(&[("k", "v"), ("k2", "v2\"x")]),
                subscription_identifiers: SubscriptionIdentifiers::Ids(&[7]),
                ..PublishProperties::default()
            },
            at: UNIX_EPOCH + Duration::new(1_795_345_528, 561_240_020),
        }
    }

    fn print(format: &str, message: &Printable<'_>) -> Result<String, NotJson> {
        let mut out = b">".to_vec();
        let printed = format.parse::<Format>().unwrap().print(message, &mut out);
        let text = String::from_utf8_lossy(&out).into_owned();
        assert!(printed.is_ok() || text == ">", "nothing is printed on an error: {text}");
        printed.map(|()| text.trim_start_matches('>').to_owned())
    }

    /// What mosquitto_sub 2.0.11 printed for the same message, but for its time zone "Z+0000".
    #[test]
    fn the_output_is_that_of_mosquitto_sub() {
        for (format, expected) in [
            (
                "%t|%p|%q|%r|%l|%m|%x|%X|%A|%C|%D|%E|%F|%P|%R|%S|%%",
                "a/b|{\"x\":1}|1|1|7|1|7b2278223a317d|7B2278223A317D||ct|corr|100|1|k:v k2:v2\"x|r/t|7|%",
            ),
            ("%I %U", "2026-11-22T11:05:28+0000 1795345528.561240020"),
            (
                "%10l|%-10l|%010l|%20t|%-20t|%.2t|%5.2t|%4p|%4x|%04E|%05F|%8m|%08m",
                "         7|7         |0000000007|                 a/b|a/b                 |a/|   a/\
                 |{\"x\"|7b22|0100|00001|       1|00000001",
            ),
            ("x@Y-@m-@d @N @@ \\n\\\\ \\e[0m", "x2026-11-22 561240020 @ \n\\ \u{1b}[0m"),
            ("@s", "1795345528"),
            (
                "%j",
                "{\"tst\":\"2026-11-22T11:05:28.561240+0000\",\"topic\":\"a/b\",\"qos\":1,\"retain\":1,\
                 \"payloadlen\":7,\"mid\":1,\"properties\":{\"subscription-identifier\":7,\
                 \"user-properties\":{\"k\":\"v\",\"k2\":\"v2\\\"x\"},\"content-type\":\"ct\",\
                 \"correlation-data\":\"corr\",\"payload-format-indicator\":1,\"response-topic\":\"r/t\",\
                 \"message-expiry-interval\":100},\"payload\":\"{\\\"x\\\":1}\"}",
            ),
        ] {
            assert_eq!(print(format, &message()).unwrap(), expected, "{format}");
        }
        let with_json = print("%J", &message()).unwrap();
        assert!(with_json.ends_with(",\"payload\":{\"x\":1}}"), "{with_json}");
    }

    #[test]
    fn what_a_message_does_not_have_is_not_printed() {
        let bare = Printable {
            qos: QoS::AtMostOnce,
            packet_id: None,
            properties: PublishProperties::default(),
            ..message()
        };
        assert_eq!(print("%A%C%D%E%F%P%R%S|%m|%8E|", &bare).unwrap(), "|0||");
        let json = print("%j", &bare).unwrap();
        assert!(!json.contains("mid") && !json.contains("properties"), "{json}");
    }

    #[test]
    fn a_payload_that_is_not_json_is_not_printed_as_json() {
        for payload in [&b"{"[..], b"", b"\xff", b"1 2"] {
            let message = Printable { payload, ..message() };
            assert_eq!(print("%t %J", &message), Err(NotJson), "{payload:?}");
        }
    }

    #[test]
    fn binary_payloads_are_printed_as_they_are() {
        let message = Printable { payload: b"\x00\xff\n", ..message() };
        let mut out = Vec::new();
        "%p%x".parse::<Format>().unwrap().print(&message, &mut out).unwrap();
        assert_eq!(out, b"\x00\xff\n00ff0a");
    }
}
