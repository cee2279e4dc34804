//! A server that does what a test tells it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mqtt_client::{Client, Error, Options, QoS, ReasonCode, Version};
use mqtt_packet::{
    Ack, ConnAck, Connect, Delivery, Packet, PacketId, PacketType, Publish, PublishProperties,
    SubAck, Subscribe, UnsubAck, frame,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// No test waits longer than this for one packet.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where clients can connect to.
pub(crate) struct Server {
    listener: TcpListener,
}

/// One connection, from the server's side.
pub(crate) struct Script {
    stream: TcpStream,
    buf: BytesMut,
    pub(crate) version: Version,
}

/// A packet from the client.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(crate) struct Seen {
    pub(crate) first: u8,
    pub(crate) body: Bytes,
}

/// Waits, but not for ever.
pub(crate) async fn soon<T>(future: impl IntoFuture<Output = T>) -> T {
    timeout(PATIENCE, future.into_future()).await.expect("it takes too long")
}

/// A connected client of this version, and its server's script.
pub(crate) async fn connected(version: Version) -> (Client, Script) {
    let (client, script) = connected_with(|options| options.version(version)).await;
    (client.unwrap(), script)
}

/// What comes of connecting with these options to a server that accepts everything.
pub(crate) async fn connected_with(
    change: impl FnOnce(Options) -> Options,
) -> (Result<Client, Error>, Script) {
    let server = Server::start().await;
    let options = change(server.options());
    let connack = ConnAck::new(ReasonCode::SUCCESS);
    server.serve(options, &Packet::ConnAck(connack)).await
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn options(&self) -> Options {
        let port = self.listener.local_addr().unwrap().port();
        Options::new(format!("mqtt://127.0.0.1:{port}")).client_id("client")
    }

    /// The next connection; nothing was read.
    pub(crate) async fn accept(&self) -> Script {
        let (stream, _) = soon(self.listener.accept()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Script { stream, buf: BytesMut::new(), version: Version::V5 }
    }

    /// Connects with `options`, and answers CONNECT with `answer`.
    pub(crate) async fn serve(
        &self,
        options: Options,
        answer: &Packet<'_>,
    ) -> (Result<Client, Error>, Script) {
        let serving = async {
            let mut script = self.accept().await;
            script.connect().await;
            script.send(answer).await;
            script
        };
        tokio::join!(options.connect(), serving)
    }
}

impl Script {
    /// Reads the CONNECT, and speaks its version from here on.
    pub(crate) async fn connect(&mut self) -> Seen {
        let seen = self.read().await.expect("CONNECT");
        self.version = Connect::peek_version(&seen.body).unwrap();
        seen
    }

    /// The next packet; `None` at the end of the connection.
    pub(crate) async fn read(&mut self) -> Option<Seen> {
        loop {
            if let Some(header) = frame::peek(&self.buf, u32::MAX).unwrap()
                && self.buf.len() >= header.total_len()
            {
                let packet = self.buf.split_to(header.total_len()).freeze();
                return Some(Seen { first: header.first, body: packet.slice(header.header_len..) });
            }
            let read = soon(self.stream.read_buf(&mut self.buf)).await;
            if read.unwrap_or_default() == 0 {
                return None;
            }
        }
    }

    /// The next packets, as many as asked for.
    pub(crate) async fn read_all(&mut self, count: usize) -> Vec<Seen> {
        let mut seen = Vec::new();
        while seen.len() < count {
            seen.push(self.read().await.expect("a packet"));
        }
        seen
    }

    pub(crate) async fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = BytesMut::new();
        packet.encode(self.version, &mut bytes).unwrap();
        self.send_bytes(&bytes).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        soon(self.stream.write_all(bytes)).await.unwrap();
    }

    /// Sends a PUBLISH of QoS 0, 1 or 2, the latter two with this identifier.
    pub(crate) async fn publish(&mut self, topic: &str, payload: &str, qos: QoS, id: u16) {
        self.publish_with(topic, payload, qos, id, PublishProperties::default()).await;
    }

    pub(crate) async fn publish_with(
        &mut self,
        topic: &str,
        payload: &str,
        qos: QoS,
        id: u16,
        properties: PublishProperties<'_>,
    ) {
        let delivery = match qos {
            QoS::AtMostOnce => Delivery::AtMostOnce,
            QoS::AtLeastOnce => Delivery::AtLeastOnce(packet_id(id)),
            QoS::ExactlyOnce => Delivery::ExactlyOnce(packet_id(id)),
        };
        let payload = payload.as_bytes();
        let publish = Publish { dup: false, delivery, retain: false, topic, properties, payload };
        self.send(&Packet::Publish(publish)).await;
    }

    /// Sends one of the four acknowledgements.
    pub(crate) async fn ack(&mut self, packet: PacketType, id: u16, reason: ReasonCode) {
        let ack = Ack::new(packet_id(id), reason);
        let packet = match packet {
            PacketType::PubAck => Packet::PubAck(ack),
            PacketType::PubRec => Packet::PubRec(ack),
            PacketType::PubRel => Packet::PubRel(ack),
            _ => Packet::PubComp(ack),
        };
        self.send(&packet).await;
    }

    /// Reads a SUBSCRIBE and grants what it asks for; the identifier that it gives.
    pub(crate) async fn grant(&mut self) -> Option<u32> {
        let seen = self.read().await.expect("SUBSCRIBE");
        let subscribe = Subscribe::parse(seen.first, &seen.body, self.version).unwrap();
        let reasons: Vec<u8> =
            subscribe.filters.iter().map(|(_, options)| options.qos.bits()).collect();
        self.suback(subscribe.packet_id, &reasons).await;
        subscribe.properties.subscription_identifier
    }

    pub(crate) async fn suback(&mut self, packet_id: PacketId, reasons: &[u8]) {
        let properties = Default::default();
        self.send(&Packet::SubAck(SubAck { packet_id, properties, reasons })).await;
    }

    /// Reads an UNSUBSCRIBE and does it.
    pub(crate) async fn ungrant(&mut self) {
        let seen = self.read().await.expect("UNSUBSCRIBE");
        assert_eq!(seen.first, 0xA2);
        let packet_id = seen.packet_id();
        let (properties, reasons) = (Default::default(), &[0][..]);
        self.send(&Packet::UnsubAck(UnsubAck { packet_id, properties, reasons })).await;
    }

    /// Cuts the connection.
    pub(crate) fn cut(self) {
        drop(self.stream);
    }
}

impl Seen {
    /// The identifier that acknowledgements and requests begin with.
    pub(crate) fn packet_id(&self) -> PacketId {
        packet_id(u16::from_be_bytes([self.body[0], self.body[1]]))
    }

    pub(crate) fn publish(&self, version: Version) -> Publish<'_> {
        Publish::parse(self.first, &self.body, version).unwrap()
    }
}

pub(crate) fn packet_id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

/// The numbers of acknowledgements of one type, in order.
pub(crate) fn ids(seen: &[Seen], first: u8) -> Vec<u16> {
    seen.iter().filter(|seen| seen.first == first).map(|seen| seen.packet_id().get()).collect()
}
