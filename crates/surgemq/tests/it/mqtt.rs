//! A client that speaks MQTT 5.0 over a socket of its own, a packet at a time: for what the tools do
//! not show, such as reason codes and connections that outlast trouble.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// How long an answer may take on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    last_id: u16,
}

/// A packet: its first byte, and what is behind the Remaining Length.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) first: u8,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Connects, with a session that outlives the connection. Returns the reason code of CONNACK and
    /// whether the session was there.
    pub(crate) fn connect(port: &str, client_id: &str) -> io::Result<(Self, u8, bool)> {
        let stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Self { stream, last_id: 0 };
        let mut body = b"\x00\x04MQTT\x05\x00\x00\x00\x05\x11\x00\x00\xFF\xFF".to_vec();
        push_text(&mut body, client_id);
        client.send(0x10, &body)?;
        let connack = client.next()?;
        let [flags, reason, ..] = connack.body[..] else { return Err(malformed(&connack)) };
        Ok((client, reason, flags == 1))
    }

    /// Subscribes to a filter at QoS 1; returns the reason code.
    pub(crate) fn subscribe(&mut self, filter: &str) -> io::Result<u8> {
        let mut body = self.id().to_be_bytes().to_vec();
        body.push(0);
        push_text(&mut body, filter);
        body.push(1);
        self.send(0x82, &body)?;
        let suback = self.wait_for(0x90)?;
        suback.body.last().copied().ok_or_else(|| malformed(&suback))
    }

    /// Publishes at QoS 1; returns the reason code of PUBACK.
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8]) -> io::Result<u8> {
        let mut body = Vec::with_capacity(payload.len() + topic.len() + 8);
        push_text(&mut body, topic);
        body.extend(self.id().to_be_bytes());
        body.push(0);
        body.extend(payload);
        self.send(0x32, &body)?;
        let puback = self.wait_for(0x40)?;
        Ok(puback.body.get(2).copied().unwrap_or(0))
    }

    /// Takes so many messages and acknowledges each.
    pub(crate) fn drain(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            let publish = self.wait_for(0x30)?;
            let topic = publish.body.first_chunk().map_or(0, |len| u16::from_be_bytes(*len));
            let at = 2 + usize::from(topic);
            let id = publish.body.get(at..at + 2).ok_or_else(|| malformed(&publish))?.to_vec();
            self.send(0x40, &id)?;
        }
        Ok(())
    }

    /// Waits until the broker has worked off all that was sent before.
    pub(crate) fn ping(&mut self) -> io::Result<()> {
        self.send(0xC0, &[])?;
        self.wait_for(0xD0).map(drop)
    }

    fn id(&mut self) -> u16 {
        self.last_id = self.last_id % 0xFFFF + 1;
        self.last_id
    }

    fn send(&mut self, first: u8, body: &[u8]) -> io::Result<()> {
        let mut packet = vec![first];
        let mut rest = body.len();
        loop {
            let digit = u8::try_from(rest % 128).unwrap_or_default();
            rest /= 128;
            packet.push(if rest > 0 { digit | 0x80 } else { digit });
            if rest == 0 {
                break;
            }
        }
        packet.extend(body);
        self.stream.write_all(&packet)
    }

    /// The next packet of this type; others are passed over.
    fn wait_for(&mut self, kind: u8) -> io::Result<Packet> {
        loop {
            let packet = self.next()?;
            match packet.first & 0xF0 {
                found if found == kind => return Ok(packet),
                0xE0 => return Err(malformed(&packet)),
                _ => {}
            }
        }
    }

    fn next(&mut self) -> io::Result<Packet> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte)?;
        let [first] = byte;
        let mut len = 0;
        for shift in [0, 7, 14, 21] {
            self.stream.read_exact(&mut byte)?;
            let [digit] = byte;
            len |= usize::from(digit & 0x7F) << shift;
            if digit & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; len];
        self.stream.read_exact(&mut body)?;
        Ok(Packet { first, body })
    }
}

fn push_text(body: &mut Vec<u8>, text: &str) {
    body.extend(u16::try_from(text.len()).expect("a short text").to_be_bytes());
    body.extend(text.as_bytes());
}

fn malformed(packet: &Packet) -> io::Error {
    io::Error::other(format!("not what was waited for: {packet:?}"))
}
