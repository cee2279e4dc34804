//! One connection over a blocking socket: of a client that behaves, and of those that do not.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};
use mqtt_packet::{
    Ack, Connect, ConnectProperties, Delivery, Packet, PacketId, PacketType, Publish,
    PublishProperties, QoS, ReasonCode, Subscribe, SubscribeFilters, SubscribeProperties,
    SubscriptionOptions, Version, Will, frame,
};
use socket2::{Domain, Socket, Type};

/// How long the broker may take for what has to be answered at once. Nothing is judged by it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The largest packet that is taken.
const PACKET_BYTES_MAX: u32 = 64 << 20;

/// A connection, as 5.0 unless it is said otherwise.
pub(crate) struct Peer {
    stream: TcpStream,
    version: Version,
    input: BytesMut,
    ready: VecDeque<Heard>,
}

/// What a client says in its CONNECT.
#[derive(Clone, Copy)]
pub(crate) struct Hello<'a> {
    pub(crate) version: Version,
    pub(crate) client_id: &'a str,
    pub(crate) clean: bool,
    /// How long the session is to outlive its connection, in seconds; 5.0 only.
    pub(crate) expiry_secs: u32,
    pub(crate) login: Option<(&'a str, &'a str)>,
    pub(crate) will: Option<Will<'a>>,
}

/// What the broker said.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    ConnAck { session_present: bool, reason: ReasonCode },
    Publish { packet_id: Option<PacketId>, topic: String, payload: Vec<u8> },
    Ack { packet_id: PacketId, reason: ReasonCode },
    SubAck { reasons: Vec<ReasonCode> },
    Pong,
    Other,
}

impl<'a> Hello<'a> {
    /// A client of 5.0 whose session ends with its connection.
    pub(crate) const fn clean(client_id: &'a str) -> Self {
        let (clean, expiry_secs, login, will) = (true, 0, None, None);
        Self { version: Version::V5, client_id, clean, expiry_secs, login, will }
    }

    /// A client whose session lasts for an hour.
    pub(crate) const fn lasting(client_id: &'a str) -> Self {
        Self { clean: false, expiry_secs: 3600, ..Self::clean(client_id) }
    }
}

impl Peer {
    /// Connects from an address of the loopback, and says nothing.
    pub(crate) fn open(port: u16, from: Ipv4Addr) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        let to = SocketAddr::from((IpAddr::from(Ipv4Addr::LOCALHOST), port));
        socket.connect_timeout(&to.into(), PATIENCE)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let (input, ready) = (BytesMut::new(), VecDeque::new());
        Ok(Self { stream: socket.into(), version: Version::V5, input, ready })
    }

    /// Connects, and logs in.
    ///
    /// # Errors
    /// The broker does not let the client in.
    pub(crate) fn connect(
        port: u16,
        from: Ipv4Addr,
        hello: &Hello<'_>,
    ) -> io::Result<(Self, bool)> {
        let mut peer = Self::open(port, from)?;
        peer.say_hello(hello)?;
        let answer = peer.wait_for(PATIENCE, |heard| match heard {
            Heard::ConnAck { session_present, reason } => Some((*session_present, *reason)),
            _ => None,
        });
        match answer? {
            (session_present, ReasonCode::SUCCESS) => Ok((peer, session_present)),
            (_, reason) => Err(io::Error::other(format!("refused: {reason:?}"))),
        }
    }

    /// Writes CONNECT.
    pub(crate) fn say_hello(&mut self, hello: &Hello<'_>) -> io::Result<()> {
        self.version = hello.version;
        let properties = ConnectProperties {
            session_expiry_interval: (hello.version == Version::V5).then_some(hello.expiry_secs),
            ..ConnectProperties::default()
        };
        self.send(&Packet::Connect(Connect {
            version: hello.version,
            clean_start: hello.clean,
            keep_alive_secs: 0,
            client_id: hello.client_id,
            will: hello.will,
            user_name: hello.login.map(|login| login.0),
            password: hello.login.map(|login| login.1.as_bytes()),
            properties,
        }))
    }

    /// Subscribes to all of these at once; waits for no answer.
    pub(crate) fn subscribe(
        &mut self,
        filters: &[&str],
        qos: QoS,
        identifier: Option<u32>,
    ) -> io::Result<()> {
        let options = SubscriptionOptions::new(qos);
        let filters: Vec<_> = filters.iter().map(|filter| (*filter, options)).collect();
        let properties = SubscribeProperties {
            subscription_identifier: identifier,
            ..SubscribeProperties::default()
        };
        let packet_id = PacketId::new(1).ok_or(ErrorKind::InvalidInput)?;
        let filters = SubscribeFilters::new(&filters);
        self.send(&Packet::Subscribe(Subscribe { packet_id, properties, filters }))
    }

    /// Publishes; waits for no answer. QoS 2 is not used.
    pub(crate) fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        packet_id: Option<PacketId>,
        retain: bool,
    ) -> io::Result<()> {
        let mut out = BytesMut::new();
        self.encode_publish(topic, payload, packet_id, retain, &mut out)?;
        self.write(&out)
    }

    /// Writes a PUBLISH behind what is in `out`.
    pub(crate) fn encode_publish(
        &self,
        topic: &str,
        payload: &[u8],
        packet_id: Option<PacketId>,
        retain: bool,
        out: &mut BytesMut,
    ) -> io::Result<()> {
        let delivery = packet_id.map_or(Delivery::AtMostOnce, Delivery::AtLeastOnce);
        let properties = PublishProperties::default();
        let publish = Publish { dup: false, delivery, retain, topic, properties, payload };
        publish.encode(self.version, out).map_err(io::Error::other)
    }

    /// Acknowledges a QoS 1 message.
    pub(crate) fn puback(&mut self, packet_id: PacketId) -> io::Result<()> {
        let mut out = BytesMut::new();
        let ack = Ack::new(packet_id, ReasonCode::SUCCESS);
        ack.encode(PacketType::PubAck, self.version, &mut out).map_err(io::Error::other)?;
        self.write(&out)
    }

    /// Writes a PINGREQ.
    pub(crate) fn ping(&mut self) -> io::Result<()> {
        self.write(&[0xC0, 0])
    }

    fn send(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let mut out = BytesMut::new();
        packet.encode(self.version, &mut out).map_err(io::Error::other)?;
        self.write(&out)
    }

    /// Writes these bytes, whatever they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Returns the next packet, if one comes within this time.
    ///
    /// # Errors
    /// The connection is over, or what came is not MQTT.
    pub(crate) fn receive(&mut self, patience: Duration) -> io::Result<Option<Heard>> {
        if self.ready.is_empty() {
            self.stream.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.input.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            self.take_packets()?;
        }
        Ok(self.ready.pop_front())
    }

    /// Waits for the first packet that is wanted; those before it are thrown away.
    pub(crate) fn wait_for<T>(
        &mut self,
        patience: Duration,
        wanted: impl Fn(&Heard) -> Option<T>,
    ) -> io::Result<T> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            if let Some(found) = self.receive(left)?.and_then(|heard| wanted(&heard)) {
                return Ok(found);
            }
        }
    }

    fn take_packets(&mut self) -> io::Result<()> {
        let invalid = |error| io::Error::new(ErrorKind::InvalidData, error);
        while let Some(header) = frame::peek(&self.input, PACKET_BYTES_MAX).map_err(invalid)? {
            let Some(packet) = self.input.get(..header.total_len()) else { break };
            let body = packet.get(header.header_len..).unwrap_or_default();
            let heard =
                Heard::of(&Packet::parse(header.first, body, self.version).map_err(invalid)?);
            self.ready.push_back(heard);
            self.input.advance(header.total_len());
        }
        Ok(())
    }
}

impl Heard {
    fn of(packet: &Packet<'_>) -> Self {
        match packet {
            Packet::ConnAck(connack) => {
                Self::ConnAck { session_present: connack.session_present, reason: connack.reason }
            }
            Packet::Publish(publish) => Self::Publish {
                packet_id: publish.delivery.packet_id(),
                topic: publish.topic.to_owned(),
                payload: publish.payload.to_owned(),
            },
            Packet::PubAck(ack) => Self::Ack { packet_id: ack.packet_id, reason: ack.reason },
            Packet::SubAck(suback) => Self::SubAck { reasons: suback.reason_codes().collect() },
            Packet::PingResp => Self::Pong,
            _ => Self::Other,
        }
    }
}
