//! What happens before a run, on blocking sockets: connect, subscribe, wait for the answers.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use crate::bench::load::wire::{self, Connack};
use crate::bench::spec::Version;

/// A broker that does not answer for this long has failed the run.
const PATIENCE: Duration = Duration::from_secs(60);

/// Filters per SUBSCRIBE; it keeps the packet below 64 KiB.
const FILTERS_PER_PACKET: usize = 500;

/// A connection whose CONNECT was accepted.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) stream: TcpStream,
    pub(crate) connack: Connack,
    version: Version,
}

/// A connection whose CONNECT is sent.
#[derive(Debug)]
pub(crate) struct Connecting {
    stream: TcpStream,
    version: Version,
}

impl Connecting {
    /// Opens the connection and sends the CONNECT.
    ///
    /// # Errors
    /// Where the broker does not accept the connection.
    pub(crate) fn start(
        port: u16,
        version: Version,
        client_id: &str,
        kept: bool,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        (&stream).write_all(&wire::connect(version, client_id, kept))?;
        Ok(Self { stream, version })
    }

    /// Waits for the CONNACK.
    ///
    /// # Errors
    /// Where the broker closes, refuses, or answers something else.
    pub(crate) fn finish(self) -> io::Result<Handshake> {
        let Self { stream, version } = self;
        let (first, body) = read_packet(&stream)?;
        let connack = wire::read_connack(wire::Frame { first, body: &body }, version)
            .filter(|connack| connack.code == 0)
            .ok_or_else(|| unexpected("CONNECT", first, &body))?;
        Ok(Handshake { stream, connack, version })
    }
}

impl Handshake {
    /// Connects and waits for the CONNACK.
    ///
    /// # Errors
    /// As those of [`Connecting`].
    pub(crate) fn connect(port: u16, version: Version, client_id: &str) -> io::Result<Self> {
        Connecting::start(port, version, client_id, false)?.finish()
    }

    /// Connects with a session that outlives the connection.
    ///
    /// # Errors
    /// As those of [`Connecting`].
    pub(crate) fn connect_kept(port: u16, version: Version, client_id: &str) -> io::Result<Self> {
        Connecting::start(port, version, client_id, true)?.finish()
    }

    /// Subscribes to every filter and waits for each SUBACK.
    ///
    /// # Errors
    /// Where one filter is refused, or the broker answers something else.
    pub(crate) fn subscribe(&self, filters: &[String], qos: u8) -> io::Result<()> {
        for filters in filters.chunks(FILTERS_PER_PACKET) {
            (&self.stream).write_all(&wire::subscribe(self.version, 1, filters, qos))?;
            let (first, body) = read_packet(&self.stream)?;
            let codes = body.get(body.len().saturating_sub(filters.len())..).unwrap_or_default();
            if first != 0x90 || codes.iter().any(|code| *code != qos) {
                return Err(unexpected("SUBSCRIBE", first, &body));
            }
        }
        Ok(())
    }

    /// Publishes one message at QoS 1 and waits for its PUBACK: whatever this connection sent
    /// before has then been dealt with.
    ///
    /// # Errors
    /// Where the broker answers something else.
    pub(crate) fn barrier(&self) -> io::Result<()> {
        let publish = wire::publish(self.version, "bench/barrier", 0x32, 1, &[]);
        (&self.stream).write_all(&publish)?;
        match read_packet(&self.stream)? {
            (0x40, _) => Ok(()),
            (first, body) => Err(unexpected("PUBLISH", first, &body)),
        }
    }
}

/// Reads one whole packet from a blocking socket.
pub(crate) fn read_packet(mut stream: impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut first = [0];
    stream.read_exact(&mut first)?;
    let mut length = 0_usize;
    for shift in [0, 7, 14, 21] {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        let [byte] = byte;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            let mut body = vec![0; length];
            stream.read_exact(&mut body)?;
            let [first] = first;
            return Ok((first, body));
        }
    }
    Err(io::Error::other("a packet with a remaining length of more than four bytes"))
}

fn unexpected(sent: &str, first: u8, body: &[u8]) -> io::Error {
    let head: Vec<u8> = body.iter().take(8).copied().collect();
    io::Error::other(format!("the broker answered {sent} with {first:#04x} {head:02x?}"))
}
