//! One connection of a client, over a blocking socket.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use mqtt_packet::{Ack, Packet, PacketId, PacketType, Publish, QoS, ReasonCode, Version, frame};

/// How long the broker may take to accept a connection, or what is written.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest packet that is taken, in bytes.
const PACKET_BYTES_MAX: u32 = 1 << 20;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// A connection to the broker.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    version: Version,
    input: BytesMut,
    output: BytesMut,
    /// What has come and was not asked for yet.
    ready: VecDeque<Incoming>,
}

/// A packet from the broker.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(super) enum Incoming {
    ConnAck {
        session_present: bool,
        reason: ReasonCode,
    },
    Publish {
        dup: bool,
        qos: QoS,
        packet_id: Option<PacketId>,
        retain: bool,
        topic: String,
        payload: Vec<u8>,
        /// The Message Expiry Interval.
        expiry_secs: Option<u32>,
    },
    Ack {
        packet_type: PacketType,
        packet_id: PacketId,
        reason: ReasonCode,
    },
    SubAck {
        reason: ReasonCode,
    },
    Other,
}

impl Wire {
    /// Connects to this port of the loopback.
    pub(super) fn open(port: u16, version: Version) -> io::Result<Self> {
        let address = (Ipv4Addr::LOCALHOST, port).into();
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let (input, output) = (BytesMut::new(), BytesMut::new());
        Ok(Self { stream, version, input, output, ready: VecDeque::new() })
    }

    /// Puts a packet behind what waits to be written.
    pub(super) fn queue(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        packet.encode(self.version, &mut self.output).map_err(io::Error::other)
    }

    /// Puts a PUBLISH there.
    pub(super) fn queue_publish(&mut self, publish: &Publish<'_>) -> io::Result<()> {
        self.queue(&Packet::Publish(*publish))
    }

    /// Puts an acknowledgement there.
    pub(super) fn queue_ack(&mut self, packet_type: PacketType, id: PacketId) -> io::Result<()> {
        let ack = Ack::new(id, ReasonCode::SUCCESS);
        ack.encode(packet_type, self.version, &mut self.output).map_err(io::Error::other)
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// Writes this packet and what waited before it.
    pub(super) fn send(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        self.queue(packet)?;
        self.flush()
    }

    /// The next packet, if one comes within this time.
    ///
    /// # Errors
    /// The connection is closed or broken, or the broker writes what is not MQTT.
    pub(super) fn receive(&mut self, patience: Duration) -> io::Result<Option<Incoming>> {
        if self.ready.is_empty() {
            self.read(patience)?;
        }
        Ok(self.ready.pop_front())
    }

    /// The next packet that has come already.
    pub(super) fn received(&mut self) -> Option<Incoming> {
        self.ready.pop_front()
    }

    /// Waits for the first packet that this function wants; those before it are thrown away.
    pub(super) fn wait_for<T>(
        &mut self,
        patience: Duration,
        wanted: impl Fn(&Incoming) -> Option<T>,
    ) -> io::Result<T> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            if let Some(found) = self.receive(left)?.and_then(|packet| wanted(&packet)) {
                return Ok(found);
            }
        }
    }

    /// Reads once, and takes apart what has come.
    fn read(&mut self, patience: Duration) -> io::Result<()> {
        // A timeout of zero would be none.
        self.stream.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        let mut bytes = [0; READ_BYTES];
        match self.stream.read(&mut bytes) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.input.extend_from_slice(bytes.get(..count).unwrap_or_default()),
            Err(error) if is_nothing_yet(&error) => {}
            Err(error) => return Err(error),
        }
        self.take_packets()
    }

    fn take_packets(&mut self) -> io::Result<()> {
        while let Some(header) = frame::peek(&self.input, PACKET_BYTES_MAX).map_err(invalid)? {
            if self.input.len() < header.total_len() {
                break;
            }
            let packet = self.input.split_to(header.total_len());
            let body = packet.get(header.header_len..).unwrap_or_default();
            let packet = Packet::parse(header.first, body, self.version).map_err(invalid)?;
            self.ready.push_back(Incoming::of(&packet));
        }
        Ok(())
    }
}

impl Incoming {
    fn of(packet: &Packet<'_>) -> Self {
        match packet {
            Packet::ConnAck(connack) => {
                let session_present = connack.session_present;
                Self::ConnAck { session_present, reason: connack.reason }
            }
            Packet::Publish(publish) => Self::Publish {
                dup: publish.dup,
                qos: publish.delivery.qos(),
                packet_id: publish.delivery.packet_id(),
                retain: publish.retain,
                topic: publish.topic.to_owned(),
                payload: publish.payload.to_owned(),
                expiry_secs: publish.properties.message_expiry_interval,
            },
            Packet::PubAck(ack)
            | Packet::PubRec(ack)
            | Packet::PubRel(ack)
            | Packet::PubComp(ack) => {
                let (packet_id, reason) = (ack.packet_id, ack.reason);
                Self::Ack { packet_type: packet.packet_type(), packet_id, reason }
            }
            Packet::SubAck(suback) => {
                let reason = suback.reason_codes().max_by_key(|reason| reason.0);
                Self::SubAck { reason: reason.unwrap_or(ReasonCode::UNSPECIFIED_ERROR) }
            }
            _ => Self::Other,
        }
    }
}

fn is_nothing_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn invalid(error: mqtt_packet::DecodeError) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    /// A connection whose other end writes these bytes, split in two, and closes.
    fn wire_with(bytes: &'static [u8]) -> Wire {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let wire = Wire::open(listener.local_addr().unwrap().port(), Version::V311).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (first, second) = bytes.split_at(bytes.len() / 2);
            stream.write_all(first).unwrap();
            stream.write_all(second).unwrap();
        });
        wire
    }

    #[test]
    fn packets_are_found_in_a_stream_and_its_end_is_an_error() {
        let mut wire = wire_with(&[0x40, 2, 0, 7, 0x20, 2, 1, 0]);
        let session = |packet: &Incoming| match packet {
            Incoming::ConnAck { session_present, .. } => Some(*session_present),
            _ => None,
        };
        assert!(wire.wait_for(PATIENCE, session).unwrap());
        let end = wire.wait_for(PATIENCE, session).unwrap_err();
        assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_not_mqtt_is_an_error() {
        let mut wire = wire_with(&[0, 0, 0, 0]);
        let error = wire.wait_for(PATIENCE, |_| Some(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
