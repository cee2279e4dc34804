//! The frames of RFC 6455, from a client and to one.

use std::str;

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

/// Cuts a client's bytes into frames. Holds the head of a frame and the payload of a control frame,
/// and nothing else.
#[derive(Debug)]
pub(super) struct Frames {
    /// The head of the next frame, as far as it came.
    head: SmallVec<[u8; 14]>,
    frame: Option<Frame>,
    /// The payload of a control frame, as far as it came.
    control: Vec<u8>,
    /// The bytes of the unfinished message so far, if there is one.
    message: Option<u64>,
    message_max: u64,
}

/// A frame whose head is known.
#[derive(Debug)]
struct Frame {
    opcode: Opcode,
    is_final: bool,
    left: u64,
    /// Turned so that it begins with the byte for what comes next.
    mask: [u8; 4],
}

#[derive(Copy, Clone, Eq, PartialEq, Debug)]
enum Opcode {
    Continuation,
    Binary,
    Close,
    Ping,
    Pong,
}

/// A frame that is about the connection and not from MQTT.
#[derive(Debug)]
pub(super) enum Control {
    /// To be answered with the same payload.
    Ping(Bytes),
    /// To be answered with this code; nothing comes after it.
    Close(u16),
}

/// Why a connection is closed.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(super) struct Close {
    pub(super) code: u16,
    pub(super) why: &'static str,
}

impl Close {
    pub(super) const NORMAL: u16 = 1000;
    const PROTOCOL_ERROR: u16 = 1002;
    const UNSUPPORTED_DATA: u16 = 1003;
    const MESSAGE_TOO_BIG: u16 = 1009;
}

const fn protocol_error(why: &'static str) -> Close {
    Close { code: Close::PROTOCOL_ERROR, why }
}

impl Frames {
    pub(super) fn new(message_max: u64) -> Self {
        Self { head: SmallVec::new(), frame: None, control: Vec::new(), message: None, message_max }
    }

    /// Takes all of `bytes`. The payload of data frames is unmasked and moved to the front; answers
    /// how much it is. Bytes behind a Close frame are dropped.
    pub(super) fn decode(
        &mut self,
        bytes: &mut [u8],
        mut on_control: impl FnMut(Control),
    ) -> Result<usize, Close> {
        let (mut at, mut kept) = (0, 0);
        loop {
            let Some(frame) = &mut self.frame else {
                let Some(&byte) = bytes.get(at) else { return Ok(kept) };
                at += 1;
                self.head.push(byte);
                self.frame = self.parse_head()?;
                continue;
            };
            let rest = bytes.len() - at;
            let taken = usize::try_from(frame.left).map_or(rest, |left| left.min(rest));
            if let Some(payload) = bytes.get_mut(at..at + taken) {
                unmask(payload, frame.mask);
                frame.mask.rotate_left(taken % 4);
                frame.left -= taken as u64;
                if frame.opcode.is_control() {
                    self.control.extend_from_slice(payload);
                } else {
                    bytes.copy_within(at..at + taken, kept);
                    kept += taken;
                }
            }
            at += taken;
            if frame.left > 0 {
                return Ok(kept);
            }
            match self.finish()? {
                None => {}
                Some(Control::Close(code)) => {
                    on_control(Control::Close(code));
                    return Ok(kept);
                }
                Some(ping) => on_control(ping),
            }
        }
    }

    /// Refuses as soon as a byte is wrong, so that nobody waits for a frame that never ends.
    fn parse_head(&mut self) -> Result<Option<Frame>, Close> {
        let mut head = self.head.iter().copied();
        let Some(first) = head.next() else { return Ok(None) };
        let is_final = first & 0x80 != 0;
        if first & 0x70 != 0 {
            return Err(protocol_error("a reserved bit is set, and no extension was agreed on"));
        }
        let opcode = Opcode::new(first & 0x0F)?;
        match (opcode, self.message) {
            (Opcode::Binary, Some(_)) => {
                return Err(protocol_error("a message begins inside another"));
            }
            (Opcode::Continuation, None) => {
                return Err(protocol_error("a continuation of no message"));
            }
            _ => {}
        }
        let Some(second) = head.next() else { return Ok(None) };
        if second & 0x80 == 0 {
            return Err(protocol_error("a frame of a client is not masked"));
        }
        let short = second & 0x7F;
        if opcode.is_control() && (short > 125 || !is_final) {
            return Err(protocol_error("a control frame is too long or fragmented"));
        }
        let length_bytes = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.head.len() < 2 + length_bytes {
            return Ok(None);
        }
        let long = head.by_ref().take(length_bytes).fold(0, |sum, byte| sum << 8 | u64::from(byte));
        let left = if length_bytes == 0 { u64::from(short) } else { long };
        // Before the mask, and before a byte of the payload: the claim alone is too much.
        if !opcode.is_control() {
            self.check_size(left)?;
        }
        let (Some(a), Some(b), Some(c), Some(d)) =
            (head.next(), head.next(), head.next(), head.next())
        else {
            return Ok(None);
        };
        if !opcode.is_control() {
            self.message = Some(self.message.unwrap_or(0).saturating_add(left));
        }
        self.head.clear();
        Ok(Some(Frame { opcode, is_final, left, mask: [a, b, c, d] }))
    }

    fn check_size(&self, frame: u64) -> Result<(), Close> {
        if self.message.unwrap_or(0).saturating_add(frame) > self.message_max {
            let why = "a message is larger than any packet may be";
            return Err(Close { code: Close::MESSAGE_TOO_BIG, why });
        }
        Ok(())
    }

    /// The last byte of a frame came.
    fn finish(&mut self) -> Result<Option<Control>, Close> {
        let Some(frame) = self.frame.take() else { return Ok(None) };
        match frame.opcode {
            Opcode::Binary | Opcode::Continuation => {
                if frame.is_final {
                    self.message = None;
                }
                Ok(None)
            }
            Opcode::Ping => Ok(Some(Control::Ping(std::mem::take(&mut self.control).into()))),
            Opcode::Pong => {
                self.control = Vec::new();
                Ok(None)
            }
            Opcode::Close => close_code(&std::mem::take(&mut self.control)).map(Some),
        }
    }
}

impl Opcode {
    fn new(number: u8) -> Result<Self, Close> {
        match number {
            0 => Ok(Self::Continuation),
            // Only binary frames carry MQTT [MQTT-6.0.0-1].
            1 => Err(Close { code: Close::UNSUPPORTED_DATA, why: "a text frame [MQTT-6.0.0-1]" }),
            2 => Ok(Self::Binary),
            8 => Ok(Self::Close),
            9 => Ok(Self::Ping),
            10 => Ok(Self::Pong),
            _ => Err(protocol_error("a reserved opcode")),
        }
    }

    const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The code to answer a Close frame with: its own.
fn close_code(payload: &[u8]) -> Result<Control, Close> {
    let [high, low, reason @ ..] = payload else {
        return match payload {
            [] => Ok(Control::Close(Close::NORMAL)),
            _ => Err(protocol_error("half a code in a Close frame")),
        };
    };
    let code = u16::from_be_bytes([*high, *low]);
    // The others mean that there was no Close frame, or nothing yet.
    let may_be_sent = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    if !may_be_sent || str::from_utf8(reason).is_err() {
        return Err(protocol_error("a Close frame without a sensible code or reason"));
    }
    Ok(Control::Close(code))
}

fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let key = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}

/// The head of a binary frame with a whole message of this many bytes.
pub(super) fn put_data_head(out: &mut BytesMut, length: usize) {
    put_head(out, 0x82, length);
}

pub(super) fn put_pong(out: &mut BytesMut, payload: &[u8]) {
    put_head(out, 0x8A, payload.len());
    out.put_slice(payload);
}

pub(super) fn put_close(out: &mut BytesMut, code: u16) {
    put_head(out, 0x88, 2);
    out.put_u16(code);
}

/// A server masks nothing.
fn put_head(out: &mut BytesMut, first: u8, length: usize) {
    out.put_u8(first);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..=125), _) => out.put_u8(length),
        (_, Ok(length)) => {
            out.put_u8(126);
            out.put_u16(length);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

    /// A client's frame.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        put_head(&mut out, first, payload.len());
        out[1] |= 0x80;
        out.put_slice(&MASK);
        out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        out.to_vec()
    }

    /// What comes of these bytes, so many at a time, up to a Close: nobody looks at what is behind it.
    fn decode(input: &[u8], step: usize) -> Result<(Vec<u8>, Vec<String>), Close> {
        let (mut frames, mut data, mut controls) = (Frames::new(70_000), Vec::new(), Vec::new());
        for chunk in input.chunks(step) {
            let mut chunk = chunk.to_vec();
            let kept = frames.decode(&mut chunk, |seen| controls.push(format!("{seen:?}")))?;
            data.extend_from_slice(&chunk[..kept]);
            if controls.iter().any(|control| control.starts_with("Close")) {
                break;
            }
        }
        Ok((data, controls))
    }

    #[test]
    fn frame_borders_mean_nothing() {
        // [MQTT-6.0.0-2]
        let long: Vec<u8> = (0..=250).cycle().take(70_000).collect();
        let pieces = [
            frame(0x02, b"ab"),
            frame(0x89, b"ping"),
            frame(0x00, b""),
            frame(0x80, b"c"),
            frame(0x82, b""),
            frame(0x8A, b"pong"),
            frame(0x82, &long[..300]),
            frame(0x82, &long),
        ];
        let expected = [b"abc", &long[..300], &long].concat();
        for step in [1, 2, 3, 7, 64, 1_000_000] {
            let (data, controls) = decode(&pieces.concat(), step).unwrap();
            assert_eq!(data, expected, "{step} bytes at a time");
            assert_eq!(controls, ["Ping(b\"ping\")"]);
        }
    }

    #[test]
    fn a_close_is_the_end() {
        let bytes = [frame(0x82, b"a"), frame(0x88, &[3, 0xE9]), frame(0x82, b"b")].concat();
        let (data, controls) = decode(&bytes, 1_000).unwrap();
        assert_eq!((data.as_slice(), controls), (b"a".as_slice(), vec!["Close(1001)".to_owned()]));
        assert_eq!(decode(&frame(0x88, b""), 1).unwrap().1, ["Close(1000)"]);
    }

    #[test]
    fn what_ends_the_connection() {
        let too_big = [&[0x82, 0xFF][..], &(1_u64 << 63).to_be_bytes()].concat();
        let endless =
            [frame(0x02, b"a"), frame(0x00, &[0; 60_000]), frame(0x00, &[0; 10_000])].concat();
        for (bytes, code) in [
            (frame(0x81, b"text"), 1003),
            (frame(0xC2, b"compressed"), 1002),
            (frame(0x83, b"reserved"), 1002),
            (vec![0x82, 0x01, 0x00], 1002),
            (frame(0x89, &[0; 126]), 1002),
            (frame(0x09, b"half a ping"), 1002),
            (frame(0x80, b"of nothing"), 1002),
            ([frame(0x02, b"a"), frame(0x82, b"b")].concat(), 1002),
            (frame(0x88, &[3]), 1002),
            (frame(0x88, &[3, 0xED]), 1002),
            (frame(0x88, &[3, 0xE8, 0xFF]), 1002),
            (too_big, 1009),
            (endless, 1009),
        ] {
            for step in [1, 1_000_000] {
                let close = decode(&bytes, step).unwrap_err();
                assert_eq!(close.code, code, "{}: {:02x?}", close.why, bytes.first_chunk::<2>());
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(input: Vec<u8>, step in 1_usize..64) {
            let at_once = decode(&input, input.len().max(1)).ok();
            proptest::prop_assert_eq!(decode(&input, step).ok(), at_once);
        }
    }
}
