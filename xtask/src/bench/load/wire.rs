//! The few packets that the load needs, encoded and walked by hand.
//!
//! The load shares no code with the broker that it measures: an error in the codec cannot hide
//! on both sides, and any other broker sees the same bytes.

use crate::bench::spec::Version;

/// One whole packet: the first byte of its fixed header, and what follows the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) first: u8,
    pub(crate) body: &'a [u8],
}

/// The remaining length of a packet was longer than four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Takes the first packet off `bytes`; `None` while it is not complete.
#[inline]
pub(crate) fn split_frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, &[u8])>, Malformed> {
    let Some((&first, mut rest)) = bytes.split_first() else { return Ok(None) };
    let mut length = 0_usize;
    for shift in [0, 7, 14, 21] {
        let Some((&byte, after)) = rest.split_first() else { return Ok(None) };
        rest = after;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            let split = rest.split_at_checked(length);
            return Ok(split.map(|(body, after)| (Frame { first, body }, after)));
        }
    }
    Err(Malformed)
}

/// What the receive path needs to know of a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    pub(crate) topic: &'a [u8],
    pub(crate) qos: u8,
    /// Zero at QoS 0.
    pub(crate) packet_id: u16,
    pub(crate) payload: &'a [u8],
}

/// Reads a PUBLISH; `None` where its parts do not fit into its length.
#[inline]
pub(crate) fn read_publish(frame: Frame<'_>, version: Version) -> Option<Publish<'_>> {
    let qos = (frame.first >> 1) & 3;
    let (topic, mut rest) = split_string(frame.body)?;
    let mut packet_id = 0;
    if qos > 0 {
        let (id, after) = rest.split_first_chunk::<2>()?;
        packet_id = u16::from_be_bytes(*id);
        rest = after;
    }
    if version == Version::V5 {
        rest = skip_properties(rest)?;
    }
    Some(Publish { topic, qos, packet_id, payload: rest })
}

/// The packet id that an acknowledgement starts with, and its reason code, zero where it has
/// none.
pub(crate) fn read_ack(frame: Frame<'_>) -> Option<(u16, u8)> {
    let (id, rest) = frame.body.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*id), rest.first().copied().unwrap_or(0)))
}

/// What a CONNACK says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connack {
    /// Zero is success in every version.
    pub(crate) code: u8,
    /// The broker had the session.
    pub(crate) session_present: bool,
    /// How many QoS 1 and 2 publishes the broker takes at a time.
    pub(crate) receive_maximum: u16,
}

/// Reads a CONNACK; `None` where it is no CONNACK.
pub(crate) fn read_connack(frame: Frame<'_>, version: Version) -> Option<Connack> {
    let &[flags, code, ref rest @ ..] = frame.body else { return None };
    if frame.first != 0x20 {
        return None;
    }
    let properties = if version == Version::V5 { split_properties(rest)?.0 } else { &[] };
    let receive_maximum = receive_maximum(properties).unwrap_or(u16::MAX);
    Some(Connack { code, session_present: flags & 1 != 0, receive_maximum })
}

/// Finds property 0x21 among those that a CONNACK may carry.
fn receive_maximum(mut properties: &[u8]) -> Option<u16> {
    while let Some((&id, rest)) = properties.split_first() {
        properties = match id {
            0x21 => return rest.first_chunk::<2>().map(|value| u16::from_be_bytes(*value)),
            0x24 | 0x25 | 0x28 | 0x29 | 0x2a => rest.get(1..)?,
            0x13 | 0x22 => rest.get(2..)?,
            0x11 | 0x27 => rest.get(4..)?,
            0x26 => split_string(split_string(rest)?.1)?.1,
            _ => split_string(rest)?.1,
        };
    }
    None
}

/// Takes a length-prefixed string off `bytes`.
#[inline]
pub(crate) fn split_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[inline]
fn skip_properties(bytes: &[u8]) -> Option<&[u8]> {
    match bytes.split_first()? {
        (0, rest) => Some(rest),
        _ => Some(split_properties(bytes)?.1),
    }
}

fn split_properties(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = bytes;
    let mut length = 0_usize;
    for shift in [0, 7, 14, 21] {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return rest.split_at_checked(length);
        }
    }
    None
}

/// A CONNECT without a keep-alive, with a clean start or with a session that is kept for ever.
pub(crate) fn connect(version: Version, client_id: &str, kept: bool) -> Vec<u8> {
    let mut body = Vec::new();
    push_string(&mut body, b"MQTT");
    body.extend(match (version, kept) {
        (Version::V311, false) => [4, 2, 0, 0].as_slice(),
        (Version::V311, true) => &[4, 0, 0, 0],
        (Version::V5, false) => &[5, 2, 0, 0, 0],
        (Version::V5, true) => &[5, 0, 0, 0, 5, 0x11, 0xFF, 0xFF, 0xFF, 0xFF],
    });
    push_string(&mut body, client_id.as_bytes());
    packet(0x10, &body)
}

/// A SUBSCRIBE with many filters.
pub(crate) fn subscribe(version: Version, packet_id: u16, filters: &[String], qos: u8) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    if version == Version::V5 {
        body.push(0);
    }
    for filter in filters {
        push_string(&mut body, filter.as_bytes());
        body.push(qos);
    }
    packet(0x82, &body)
}

/// A PUBLISH; `packet_id` is written at QoS 1 and 2 only.
pub(crate) fn publish(
    version: Version,
    topic: &str,
    first: u8,
    packet_id: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut body = Vec::with_capacity(topic.len() + payload.len() + 8);
    push_string(&mut body, topic.as_bytes());
    if first & 0b110 != 0 {
        body.extend(packet_id.to_be_bytes());
    }
    if version == Version::V5 {
        body.push(0);
    }
    body.extend(payload);
    packet(first, &body)
}

/// PUBACK (0x40), PUBREC (0x50), PUBREL (0x62) or PUBCOMP (0x70), short in every version.
#[inline]
pub(crate) const fn ack(first: u8, packet_id: u16) -> [u8; 4] {
    let [high, low] = packet_id.to_be_bytes();
    [first, 2, high, low]
}

/// DISCONNECT, short in every version.
pub(crate) const DISCONNECT: [u8; 2] = [0xe0, 0];

/// PINGREQ.
pub(crate) const PINGREQ: [u8; 2] = [0xc0, 0];

fn push_string(body: &mut Vec<u8>, string: &[u8]) {
    let length = u16::try_from(string.len()).unwrap_or(u16::MAX);
    body.extend(length.to_be_bytes());
    body.extend(string.iter().take(usize::from(length)));
}

/// A packet with its fixed header.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length & 0x7f).unwrap_or(0);
        length >>= 7;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_comes_back_as_it_was_written() {
        for (version, first) in [(Version::V311, 0x30), (Version::V5, 0x32)] {
            let bytes = publish(version, "a/b", first, 7, &[9; 300]);
            let (frame, rest) = split_frame(&bytes).unwrap().unwrap();
            let publish = read_publish(frame, version).unwrap();
            assert_eq!((publish.topic, publish.payload), (b"a/b".as_slice(), [9; 300].as_slice()));
            assert_eq!(publish.packet_id, if first == 0x32 { 7 } else { 0 });
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn an_incomplete_packet_waits_and_an_endless_length_is_refused() {
        let bytes = publish(Version::V311, "a", 0x30, 0, &[1; 200]);
        for end in 0..bytes.len() {
            assert_eq!(split_frame(&bytes[..end]), Ok(None));
        }
        assert_eq!(split_frame(&[0x30, 0xff, 0xff, 0xff, 0xff, 1]), Err(Malformed));
    }

    #[test]
    fn the_receive_maximum_is_found_behind_other_properties() {
        let body = [0, 0, 11, 0x11, 0, 0, 0, 9, 0x24, 1, 0x21, 0, 20, 0x00];
        let frame = Frame { first: 0x20, body: &body[..13] };
        assert!(read_connack(frame, Version::V5).is_none());
        let frame =
            Frame { first: 0x20, body: &[0, 0, 10, 0x11, 0, 0, 0, 9, 0x24, 1, 0x21, 0, 20] };
        assert_eq!(read_connack(frame, Version::V5).unwrap().receive_maximum, 20);
        let frame = Frame { first: 0x20, body: &[0, 5] };
        assert_eq!(read_connack(frame, Version::V311).unwrap().code, 5);
    }
}
