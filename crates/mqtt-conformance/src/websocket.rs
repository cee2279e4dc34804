//! MQTT over WebSocket: the statements of section 6 of both standards, what 3.1 clients do, and the
//! bad inputs F07 to F17. With a client of its own, that writes its frames by hand.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Instant;

use crate::harness::prelude::*;
use crate::harness::private::{Private, Setup};

/// The statements of 3.1.1 and of 5.0.
pub(crate) const STATEMENTS: &[Test] = &[
    test("MQTT-6.0.0-1", text_frames).with(Profile::WebSocket),
    test("MQTT-6.0.0-2", frame_borders).with(Profile::WebSocket),
    test("MQTT-6.0.0-4", sub_protocol).with(Profile::WebSocket),
];

/// The difference of 3.1.
pub(crate) const DIFFERENCES: &[Test] = &[test("D31-25", d31_25).with(Profile::WebSocket)];

/// The bad inputs.
pub(crate) const BAD_INPUTS: &[Test] = &[
    test("F07", text_frames).with(Profile::WebSocket).on(BOTH),
    test("F08", f08).with(Profile::WebSocket).on(BOTH),
    test("F09", f09).with(Profile::WebSocket).on(BOTH),
    test("F10", f10).with(Profile::WebSocket).on(BOTH),
    test("F11", f11).with(Profile::WebSocket).on(BOTH),
    test("F12", f12).with(Profile::WebSocket).on(BOTH),
    test("F13", f13).with(Profile::WebSocket).on(BOTH).slow(),
    test("F14", f14).with(Profile::WebSocket).on(BOTH),
    test("F15", f15).with(Profile::WebSocket).on(BOTH),
    test("F16", f16).on(BOTH),
    test("F17", f17).with(Profile::WebSocket).on(BOTH),
];

const BOTH: &[Version] = &[Version::V311, Version::V5];

/// Where the profile has its WebSocket listener, at the port of the other one.
const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

const MQTT: &str = "Sec-WebSocket-Protocol: mqtt\r\n";

/// [MQTT-6.0.0-1] Packets travel in binary WebSocket frames; another data frame closes the
/// connection. [F07] WebSocket text frame.
fn text_frames(t: &Story) -> Done {
    let mut first = Socket::upgraded(t)?;
    first.send(&framed(TEXT, &t.hello("t").bytes()));
    first.ends(&[1002, 1003, 1007, 1008])?;
    let mut later = Socket::connected(t, "u")?;
    later.send(&framed(TEXT, &[0xC0, 0]));
    later.ends(&[1002, 1003, 1007, 1008])
}

/// [MQTT-6.0.0-2] Frame borders mean nothing for packet borders.
fn frame_borders(t: &Story) -> Done {
    let mut socket = Socket::upgraded(t)?;
    for byte in t.hello("b").bytes() {
        socket.send(&framed(BINARY, &[byte]));
    }
    socket.accepted()?;
    socket.send(&framed(BINARY, &[0xC0, 0].repeat(3)));
    socket.takes(&[0xD0, 0].repeat(3))?;
    socket.send(&[framed(0x02, &[0xC0]), framed(0x00, &[]), framed(0x80, &[0])].concat());
    socket.takes(&[0xD0, 0])
}

/// [MQTT-6.0.0-4] The server selects 'mqtt'.
fn sub_protocol(t: &Story) -> Done {
    for offers in ["mqtt", "foo, mqtt", "mqttv3.1, mqtt"] {
        let head = Socket::open(t)?.ask(&request(&offers_line(offers)))?;
        same!(status(&head), "101", "the answer to {offers:?}");
        same!(header(&head, "Sec-WebSocket-Protocol"), Some("mqtt"), "chosen of {offers:?}");
    }
    Ok(())
}

/// [D31-25] WebSocket sub-protocol: Not defined; 'mqttv3.1' used in the field.
fn d31_25(t: &Story) -> Done {
    let mut socket = Socket::open(t)?;
    let head = socket.ask(&request(&offers_line("mqttv3.1")))?;
    same!(header(&head, "Sec-WebSocket-Protocol"), Some("mqttv3.1"), "the sub-protocol");
    socket.send(&framed(BINARY, &t.hello("c").bytes()));
    socket.accepted()
}

/// [F08] WebSocket frame claiming 2^63 bytes; 256 MB message.
fn f08(t: &Story) -> Done {
    for (length, codes) in [(1_u64 << 63, &[1002, 1009][..]), (256 << 20, &[1009])] {
        let mut socket = Socket::connected(t, "c")?;
        socket.send(&[&[BINARY, 0xFF][..], &length.to_be_bytes(), &MASK].concat());
        socket.ends(codes)?;
    }
    Ok(())
}

/// [F09] Endless continuation frames; message never finished.
fn f09(t: &Story) -> Done {
    let mut socket = Socket::connected(t, "c")?;
    socket.send(&framed(0x02, &[0xC0, 0]));
    let more = framed(0x00, &[0xC0, 0].repeat(32 * 1024));
    for _ in 0..1024 {
        if !socket.send(&more) {
            return Ok(());
        }
        socket.read_what_is_there();
    }
    socket.ends(&[1002, 1008, 1009])
}

/// [F10] Unmasked client frame, reserved bits, reserved opcodes, ping > 125 bytes.
fn f10(t: &Story) -> Done {
    for bytes in [
        vec![BINARY, 2, 0xC0, 0],
        framed(0xC2, &[0xC0, 0]),
        framed(0x83, &[0xC0, 0]),
        framed(PING, &[0; 126]),
        framed(0x09, b"half a ping"),
        framed(0x80, b"continues nothing"),
    ] {
        let mut socket = Socket::connected(t, "c")?;
        socket.send(&bytes);
        socket.ends(&[1002])?;
    }
    Ok(())
}

/// [F11] Zero-length binary frames between packets.
fn f11(t: &Story) -> Done {
    let mut socket = Socket::connected(t, "c")?;
    for _ in 0..3 {
        socket
            .send(&[framed(BINARY, &[]), framed(BINARY, &[0xC0, 0]), framed(BINARY, &[])].concat());
        socket.takes(&[0xD0, 0])?;
    }
    Ok(())
}

/// [F12] Ping flood; pong flood.
fn f12(t: &Story) -> Done {
    for first in [PING, 0x8A] {
        let mut socket = Socket::connected(t, "c")?;
        let flood = framed(first, &[7; 125]).repeat(100);
        for _ in 0..200 {
            if !socket.send(&flood) {
                return Ok(());
            }
            socket.read_what_is_there();
        }
        socket.send(&framed(BINARY, &[0xC0, 0]));
        socket.takes(&[0xD0, 0])?;
    }
    Ok(())
}

/// [F13] Handshake header bomb (1 MB, 10,000 headers), trickled handshake.
fn f13(t: &Story) -> Done {
    for lines in [format!("X: {}\r\n", "x".repeat(1 << 20)), "A: b\r\n".repeat(10_000)] {
        let mut socket = Socket::open(t)?;
        socket.send(request(&format!("{MQTT}{lines}")).as_bytes());
        let head = socket.head()?;
        let refused = head.is_empty() || ["400", "413", "431"].contains(&status(&head));
        ensure!(refused, "expected 400, 431 or a close, got {head:?}");
    }
    let mut trickle = Socket::open(t)?;
    trickle.send(b"GET /mqtt HTTP/1.1\r\nX: ");
    let began = Instant::now();
    while trickle.send(b"x") && !trickle.has_ended() {
        ensure!(began.elapsed() < seconds(60), "a trickled handshake is still read after 60 s");
        t.wait(seconds(1) / 4);
    }
    Ok(())
}

/// [F14] Sub-protocol missing, 'mqtt' among others, wrong case, duplicate headers.
fn f14(t: &Story) -> Done {
    sub_protocol(t)?;
    for lines in [
        String::new(),
        offers_line("MQTT"),
        offers_line("foo"),
        offers_line(""),
        format!("{}{MQTT}", offers_line("foo")),
        format!("{MQTT}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
        format!("{MQTT}Upgrade: h2c\r\n"),
    ] {
        let head = Socket::open(t)?.ask(&request(&lines))?;
        let chosen = header(&head, "Sec-WebSocket-Protocol");
        let fits = status(&head) != "101" || chosen == Some("mqtt");
        ensure!(fits, "expected 'mqtt' or a refusal of {lines:?}, got {head:?}");
    }
    Ok(())
}

/// [F15] permessage-deflate bomb.
fn f15(t: &Story) -> Done {
    let lines = format!("{MQTT}Sec-WebSocket-Extensions: permessage-deflate\r\n");
    let mut socket = Socket::open(t)?;
    let head = socket.ask(&request(&lines))?;
    same!(status(&head), "101", "the handshake");
    if header(&head, "Sec-WebSocket-Extensions").is_some() {
        let reason = "the server compresses; what a bomb does to it is not tested here";
        return Err(Stop::NotSupported(reason.to_owned()));
    }
    socket.send(&framed(0xC2, &t.hello("c").bytes()));
    socket.ends(&[1002])
}

/// [F16] Foreign Origin header: refused where there is a list.
fn f16(t: &Story) -> Done {
    let options = "--allow-anonymous --listen ws://127.0.0.2:{port}/mqtt \
                   --websocket-origin https://own.example";
    let broker = Private::start(t, &Setup::new(options))?;
    let t = broker.story(t);
    for (origin, expected) in [
        ("Origin: https://own.example\r\n", "101"),
        ("Origin: https://foreign.example\r\n", "403"),
        ("Origin: https://own.example.foreign.example\r\n", "403"),
        ("Origin: null\r\n", "403"),
    ] {
        let head = Socket::open(&t)?.ask(&request(&format!("{MQTT}{origin}")))?;
        same!(status(&head), expected, "the answer to {origin:?}");
    }
    Ok(())
}

/// [F17] Upgrade on a path or listener where MQTT is off.
fn f17(t: &Story) -> Done {
    let elsewhere = request(MQTT).replace("/mqtt", "/elsewhere");
    let head = Socket::open(t)?.ask(&elsewhere)?;
    ensure!(head.is_empty() || ["400", "404"].contains(&status(&head)), "got {head:?}");
    let mut plain = Socket::to(t.address)?;
    plain.send(request(MQTT).as_bytes());
    let head = plain.head()?;
    let is_refused = head.is_empty() || status(&head) == "400";
    ensure!(is_refused, "expected 400 or a close by the listener for TCP, got {head:?}");
    Ok(())
}

/// A good request, with these lines in it.
fn request(lines: &str) -> String {
    "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        .to_owned()
        + lines
        + "\r\n"
}

fn offers_line(offers: &str) -> String {
    format!("Sec-WebSocket-Protocol: {offers}\r\n")
}

/// The number in a status line.
fn status(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// A client's frame.
fn framed(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..126), _) => out.push(0x80 | length),
        (_, Ok(length)) => {
            out.push(0x80 | 126);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// A connection to the WebSocket listener.
struct Socket {
    stream: TcpStream,
    read: Vec<u8>,
    /// What came in binary frames and was not looked at.
    mqtt: Vec<u8>,
    ended: bool,
}

impl Socket {
    fn open(t: &Story) -> Done<Self> {
        Self::to(SocketAddr::new(IpAddr::V4(HOST), t.address.port()))
    }

    fn to(address: SocketAddr) -> Done<Self> {
        let opened = TcpStream::connect_timeout(&address, seconds(10)).and_then(|stream| {
            stream.set_read_timeout(Some(seconds(20)))?;
            stream.set_write_timeout(Some(seconds(20)))?;
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        match opened {
            Ok(stream) => Ok(Self { stream, read: Vec::new(), mqtt: Vec::new(), ended: false }),
            Err(error) => fail!("cannot connect to {address}: {error}"),
        }
    }

    /// A socket that speaks WebSocket.
    fn upgraded(t: &Story) -> Done<Self> {
        let mut socket = Self::open(t)?;
        let head = socket.ask(&request(MQTT))?;
        same!(status(&head), "101", "the handshake");
        let accept = header(&head, "Sec-WebSocket-Accept");
        same!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "the answer to the key of RFC 6455");
        Ok(socket)
    }

    /// An MQTT client that was accepted.
    fn connected(t: &Story, suffix: &str) -> Done<Self> {
        let mut socket = Self::upgraded(t)?;
        socket.send(&framed(BINARY, &t.hello(suffix).bytes()));
        socket.accepted()?;
        Ok(socket)
    }

    /// False if the server does not take it any more.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends a request; answers with the head of the answer, empty if there is none.
    fn ask(&mut self, request: &str) -> Done<String> {
        self.send(request.as_bytes());
        self.head()
    }

    fn head(&mut self) -> Done<String> {
        loop {
            if let Some(at) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<_> = self.read.drain(..at + 4).collect();
                return Ok(String::from_utf8_lossy(&head).into_owned());
            }
            if !self.receive()? {
                return Ok(String::new());
            }
        }
    }

    /// Reads some; false at the end.
    fn receive(&mut self) -> Done<bool> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => self.ended = true,
            Ok(length) => self.read.extend(chunk.iter().take(length)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                fail!("expected an answer or a close, got nothing in 20 s");
            }
            Err(_) => self.ended = true,
        }
        Ok(!self.ended)
    }

    /// Keeps the server's buffers empty, without waiting for anything.
    fn read_what_is_there(&mut self) {
        let mut chunk = [0; 16 * 1024];
        if self.stream.set_nonblocking(true).is_ok() {
            loop {
                match self.stream.read(&mut chunk) {
                    Ok(0) => break self.ended = true,
                    Ok(length) => self.read.extend(chunk.iter().take(length)),
                    Err(error) => {
                        self.ended |= error.kind() != ErrorKind::WouldBlock;
                        break;
                    }
                }
            }
            let _ = self.stream.set_nonblocking(false);
        }
    }

    fn has_ended(&mut self) -> bool {
        self.read_what_is_there();
        self.ended
    }

    /// The next frame; `None` at the end.
    fn frame(&mut self) -> Done<Option<(u8, Vec<u8>)>> {
        loop {
            if let Some((first, payload, length)) = whole_frame(&self.read) {
                self.read.drain(..length);
                return Ok(Some((first, payload)));
            }
            if !self.receive()? {
                return Ok(None);
            }
        }
    }

    /// The next bytes of MQTT have to be these.
    fn takes(&mut self, expected: &[u8]) -> Done {
        let got = self.bytes(expected.len())?;
        same!(got, expected, "the bytes of MQTT");
        Ok(())
    }

    /// The next bytes of MQTT, in whatever frames they come.
    fn bytes(&mut self, count: usize) -> Done<Vec<u8>> {
        while self.mqtt.len() < count {
            match self.frame()? {
                Some((BINARY | 0x02 | 0x00 | 0x80, payload)) => self.mqtt.extend(payload),
                Some((0x8A | PING, _)) => {}
                other => fail!("expected a binary frame, got {other:02X?}"),
            }
        }
        Ok(self.mqtt.drain(..count).collect())
    }

    /// CONNACK, with code 0.
    fn accepted(&mut self) -> Done {
        let head = self.bytes(2)?;
        let [0x20, length] = head[..] else { fail!("expected CONNACK, got {head:02X?}") };
        let body = self.bytes(usize::from(length))?;
        same!(body.get(1), Some(&0), "the code of CONNACK");
        Ok(())
    }

    /// The server closes, and if it says why, it is with one of these codes.
    fn ends(&mut self, codes: &[u16]) -> Done {
        while let Some((first, payload)) = self.frame()? {
            if first == CLOSE
                && let [high, low, ..] = payload[..]
            {
                let code = u16::from_be_bytes([high, low]);
                ensure!(codes.contains(&code), "expected Close with one of {codes:?}, got {code}");
            }
        }
        Ok(())
    }
}

/// The first frame of a server, and how many bytes it has.
fn whole_frame(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let [first, short, rest @ ..] = bytes else { return None };
    let (length, rest) = match short & 0x7F {
        126 => rest
            .split_first_chunk()
            .map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
        127 => rest.split_first_chunk().map(|(length, rest)| {
            (usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX), rest)
        })?,
        short => (usize::from(short), rest),
    };
    let payload = rest.get(..length)?.to_vec();
    Some((*first, payload, bytes.len() - rest.len() + length))
}
