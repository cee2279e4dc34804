//! Packets as the server sends them.

use super::bytes::{Reader, hex};
use super::property::Props;
use super::publish::Publish;
use super::version::Version;

/// A packet from the server with the bytes that it was.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) raw: Vec<u8>,
    pub(crate) content: Content,
    /// Whether a variable byte integer in it was longer than needed.
    pub(crate) overlong: bool,
}

/// What stands in a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    ConnAck {
        flags: u8,
        code: u8,
        props: Props,
    },
    Publish(Publish),
    /// PUBACK, PUBREC, PUBREL, PUBCOMP: `kind` is the packet type, 4 to 7.
    Ack {
        kind: u8,
        id: u16,
        code: u8,
        props: Props,
    },
    SubAck {
        id: u16,
        codes: Vec<u8>,
        props: Props,
    },
    UnsubAck {
        id: u16,
        codes: Vec<u8>,
        props: Props,
    },
    PingResp,
    Disconnect {
        code: u8,
        props: Props,
    },
    Auth {
        code: u8,
        props: Props,
    },
}

impl Packet {
    pub(crate) fn first(&self) -> u8 {
        self.raw.first().copied().unwrap_or(0)
    }

    /// The name and the bytes, for messages to people.
    pub(crate) fn describe(&self) -> String {
        format!("{} {}", type_name(self.first() >> 4), hex(&self.raw))
    }
}

impl Content {
    pub(crate) fn props(&self) -> Option<&Props> {
        match self {
            Self::ConnAck { props, .. }
            | Self::Ack { props, .. }
            | Self::SubAck { props, .. }
            | Self::UnsubAck { props, .. }
            | Self::Disconnect { props, .. }
            | Self::Auth { props, .. } => Some(props),
            Self::Publish(publish) => Some(&publish.props),
            Self::PingResp => None,
        }
    }
}

/// Cuts the first whole packet from the front of a buffer. `Err` when it can never become one.
pub(crate) fn cut(buffer: &mut Vec<u8>, version: Version) -> Result<Option<Packet>, String> {
    let mut reader = Reader::new(buffer);
    if reader.u8().is_none() {
        return Ok(None);
    }
    let Some(length) = reader.var() else {
        let endless = buffer.len() >= 5;
        return if endless { Err(format!("endless length: {}", hex(buffer))) } else { Ok(None) };
    };
    if reader.left() < length {
        return Ok(None);
    }
    let header_overlong = reader.overlong;
    let header = buffer.len() - reader.left();
    let tail = buffer.split_off(header + length);
    let raw = std::mem::replace(buffer, tail);
    let mut body = Reader::new(raw.get(header..).unwrap_or_default());
    let first = raw.first().copied().unwrap_or(0);
    let content = read(version, first, &mut body).filter(|_| body.is_empty());
    match content {
        Some(content) => {
            Ok(Some(Packet { content, overlong: header_overlong || body.overlong, raw }))
        }
        None => {
            Err(format!("the server sent a malformed {}: {}", type_name(first >> 4), hex(&raw)))
        }
    }
}

fn read(version: Version, first: u8, body: &mut Reader<'_>) -> Option<Content> {
    let v5 = version.is_v5();
    Some(match first >> 4 {
        2 => Content::ConnAck {
            flags: body.u8()?,
            code: body.u8()?,
            // A server that refuses a version answers in the form of the version it knows, so the
            // form does not depend on what was asked; the passive checks see to the rest.
            props: if body.is_empty() { Props::new() } else { Props::read(body)? },
        },
        3 => Content::Publish(Publish::read(version, first, body)?),
        kind @ 4..=7 => {
            let id = body.u16()?;
            let (code, props) = reason(v5, body)?;
            Content::Ack { kind, id, code, props }
        }
        9 => {
            let (id, props) = (body.u16()?, block(v5, body)?);
            Content::SubAck { id, props, codes: body.rest().to_vec() }
        }
        11 => {
            let (id, props) = (body.u16()?, block(v5, body)?);
            Content::UnsubAck {
                id,
                props,
                codes: if v5 { body.rest().to_vec() } else { Vec::new() },
            }
        }
        13 => Content::PingResp,
        14 if v5 => {
            let (code, props) = reason(v5, body)?;
            Content::Disconnect { code, props }
        }
        15 if v5 => {
            let (code, props) = reason(v5, body)?;
            Content::Auth { code, props }
        }
        _ => return None,
    })
}

/// The reason code and the properties, both of which may be left out at the end.
fn reason(v5: bool, body: &mut Reader<'_>) -> Option<(u8, Props)> {
    if !v5 || body.is_empty() {
        return Some((0, Props::new()));
    }
    let code = body.u8()?;
    let props = if body.is_empty() { Props::new() } else { Props::read(body)? };
    Some((code, props))
}

fn block(v5: bool, body: &mut Reader<'_>) -> Option<Props> {
    if v5 { Props::read(body) } else { Some(Props::new()) }
}

/// The name of a packet type.
pub(crate) fn type_name(kind: u8) -> &'static str {
    let names = [
        "type 0",
        "CONNECT",
        "CONNACK",
        "PUBLISH",
        "PUBACK",
        "PUBREC",
        "PUBREL",
        "PUBCOMP",
        "SUBSCRIBE",
        "SUBACK",
        "UNSUBSCRIBE",
        "UNSUBACK",
        "PINGREQ",
        "PINGRESP",
        "DISCONNECT",
        "AUTH",
    ];
    names.get(usize::from(kind)).copied().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_cut_one_by_one() {
        let mut buffer = vec![0x20, 2, 1, 0, 0xD0, 0, 0x90];
        let first = cut(&mut buffer, Version::V311).unwrap().unwrap();
        assert_eq!(first.content, Content::ConnAck { flags: 1, code: 0, props: Props::new() });
        assert_eq!(cut(&mut buffer, Version::V311).unwrap().unwrap().content, Content::PingResp);
        assert!(cut(&mut buffer, Version::V311).unwrap().is_none());
        assert_eq!(buffer, [0x90]);
    }

    #[test]
    fn bytes_left_over_are_an_error() {
        assert!(cut(&mut vec![0xD0, 1, 0], Version::V311).is_err());
        assert!(cut(&mut vec![0xE0, 0], Version::V311).is_err());
    }

    #[test]
    fn short_acks_of_version_5_stand_for_success() {
        let packet = cut(&mut vec![0x40, 2, 0, 7], Version::V5).unwrap().unwrap();
        let expected = Content::Ack { kind: 4, id: 7, code: 0, props: Props::new() };
        assert_eq!(packet.content, expected);
    }
}
