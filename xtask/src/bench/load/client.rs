//! One connection of a run: non-blocking, reading and writing by turns.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;

use crate::bench::load::handshake::Handshake;
use crate::bench::load::publisher::Publisher;
use crate::bench::load::subscriber::Subscriber;
use crate::bench::load::wire::{self, Frame};
use crate::bench::spec::Version;

/// A client that publishes, subscribes, or does both at once.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) publisher: Option<Publisher>,
    pub(crate) subscriber: Option<Subscriber>,
    version: Version,
    /// The start of a packet whose end has not come yet.
    inbox: Vec<u8>,
    /// Acknowledgements that are to be written.
    acks: Vec<u8>,
    acks_written: usize,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// How many QoS 1 and 2 publishes the broker takes at a time.
    pub(crate) receive_maximum: u16,
    /// Does not read at all, on purpose.
    pub(crate) stuck: bool,
    /// Why the connection is no more.
    pub(crate) closed: Option<String>,
}

impl Client {
    /// Takes over a connection that has shaken hands.
    ///
    /// # Errors
    /// Where the socket cannot be made non-blocking.
    pub(crate) fn new(handshake: Handshake, version: Version) -> io::Result<Self> {
        handshake.stream.set_nonblocking(true)?;
        let receive_maximum = handshake.connack.receive_maximum;
        Ok(Self {
            stream: TcpStream::from_std(handshake.stream),
            publisher: None,
            subscriber: None,
            version,
            inbox: Vec::new(),
            acks: Vec::new(),
            acks_written: 0,
            readable: false,
            writable: false,
            receive_maximum,
            stuck: false,
            closed: None,
        })
    }

    /// Whether a turn would do something without the poll's leave.
    pub(crate) fn is_ready(&self) -> bool {
        self.closed.is_none()
            && (self.readable && !self.stuck || self.writable && self.has_output())
    }

    /// Reads once and handles every whole packet. `clock` is asked after the read, so that a delay
    /// ends when the bytes were there.
    pub(crate) fn read_turn(&mut self, scratch: &mut [u8], clock: impl Fn() -> u64) {
        if self.closed.is_none()
            && self.readable
            && !self.stuck
            && let Err(error) = self.read(scratch, clock)
        {
            self.closed = Some(error.to_string());
        }
    }

    /// Writes what there is: the rest of a run first, then acknowledgements, then one new run.
    pub(crate) fn write_turn(&mut self, now: u64) {
        if self.closed.is_none()
            && self.writable
            && let Err(error) = self.write(now)
        {
            self.closed = Some(error.to_string());
        }
    }

    fn has_output(&self) -> bool {
        let publisher = self.publisher.as_ref();
        !self.acks.is_empty() || publisher.is_some_and(Publisher::is_hungry)
    }

    fn read(&mut self, scratch: &mut [u8], clock: impl Fn() -> u64) -> io::Result<()> {
        let kept = self.inbox.len();
        if let Some(head) = scratch.get_mut(..kept) {
            head.copy_from_slice(&self.inbox);
        }
        let room = scratch.get_mut(kept..).unwrap_or_default();
        let wanted = room.len();
        let count = match self.stream.read(room) {
            Ok(0) => return Err(io::Error::other("the broker closed the connection")),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        };
        // A short read has emptied the socket; what comes later is a new event.
        self.readable = count == wanted;
        let now = clock();
        let mut rest = scratch.get(..kept + count).unwrap_or_default();
        while let Some((frame, after)) =
            wire::split_frame(rest).map_err(|_| io::Error::other("a malformed packet"))?
        {
            self.handle(frame, now)?;
            rest = after;
        }
        self.inbox.clear();
        self.inbox.extend_from_slice(rest);
        Ok(())
    }

    #[inline]
    fn handle(&mut self, frame: Frame<'_>, now: u64) -> io::Result<()> {
        if frame.first >> 4 == 3 { self.handle_publish(frame, now) } else { self.handle_ack(frame) }
    }

    #[inline]
    fn handle_publish(&mut self, frame: Frame<'_>, now: u64) -> io::Result<()> {
        let publish = wire::read_publish(frame, self.version)
            .ok_or_else(|| io::Error::other("a malformed PUBLISH"))?;
        match publish.qos {
            0 => {}
            1 => self.acks.extend(wire::ack(0x40, publish.packet_id)),
            _ => self.acks.extend(wire::ack(0x50, publish.packet_id)),
        }
        if let Some(subscriber) = &mut self.subscriber {
            subscriber.arrived(publish, now);
        }
        Ok(())
    }

    fn handle_ack(&mut self, frame: Frame<'_>) -> io::Result<()> {
        let ack = || wire::read_ack(frame).ok_or_else(|| io::Error::other("a malformed ack"));
        match (frame.first >> 4, &mut self.publisher) {
            (4 | 7, Some(publisher)) => {
                let (id, reason) = ack()?;
                publisher.acknowledged(id, reason);
            }
            (5, Some(publisher)) => {
                let (id, reason) = ack()?;
                if publisher.recorded(id, reason) {
                    self.acks.extend(wire::ack(0x62, id));
                }
            }
            (6, _) => self.acks.extend(wire::ack(0x70, ack()?.0)),
            (14, _) => {
                let reason = frame.body.first().copied().unwrap_or(0);
                return Err(io::Error::other(format!("the broker sent DISCONNECT {reason:#04x}")));
            }
            _ => {}
        }
        Ok(())
    }

    fn write(&mut self, now: u64) -> io::Result<()> {
        let mut may_produce = true;
        loop {
            let publisher = self.publisher.as_mut();
            if let Some(publisher) = publisher.filter(|publisher| !publisher.pending().is_empty()) {
                match write_some(&mut self.stream, publisher.pending())? {
                    Some(count) => publisher.wrote(count),
                    None => return self.note_full(),
                }
            } else if !self.acks.is_empty() {
                let bytes = self.acks.get(self.acks_written..).unwrap_or_default();
                match write_some(&mut self.stream, bytes)? {
                    Some(count) => self.acks_wrote(count),
                    None => return self.note_full(),
                }
            } else if may_produce
                && self.publisher.as_mut().is_some_and(|publisher| publisher.produce(now))
            {
                // One run a turn leaves the others their turn; by the clock, each message is a
                // run of its own.
                may_produce = self.publisher.as_ref().is_some_and(Publisher::is_scheduled);
            } else {
                return Ok(());
            }
        }
    }

    fn acks_wrote(&mut self, count: usize) {
        self.acks_written += count;
        if self.acks_written == self.acks.len() {
            self.acks.clear();
            self.acks_written = 0;
        }
    }

    #[allow(clippy::unnecessary_wraps, reason = "it ends a write turn, whose result it is")]
    const fn note_full(&mut self) -> io::Result<()> {
        self.writable = false;
        Ok(())
    }
}

/// Writes once; `None` where the socket is full.
fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<Option<usize>> {
    loop {
        match stream.write(bytes) {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
