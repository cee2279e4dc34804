//! A broker on a free port, and clients that speak in packets.

use std::{
    net::SocketAddr,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use mqtt_packet::{
    Ack, ConnAck, Connect, ConnectProperties, Delivery, Packet, PacketId, Publish,
    PublishProperties, QoS, ReasonCode, Subscribe, SubscribeFilters, SubscribeProperties, Version,
    frame,
};
use mqtt_server::{Limits, Server, ServerBuilder, ServerHandle, ShutdownReport, Totals};
use mqtt_testkit::within;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

/// How long anything may take, in seconds: far more than it does, as machines are busy.
pub(crate) const PATIENCE_SECS: u64 = 30;

/// A broker that runs.
pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    pub(crate) handle: ServerHandle,
    stop: oneshot::Sender<()>,
    task: JoinHandle<ShutdownReport>,
}

/// A builder for tests: a free port, quiet `$SYS`, and these limits.
pub(crate) fn builder(change: impl FnOnce(&mut Limits)) -> ServerBuilder {
    let mut limits = Limits { sys_interval_secs: 0, linger_millis: 100, ..Limits::default() };
    change(&mut limits);
    Server::builder().listen("tcp://127.0.0.1:0").limits(limits)
}

impl Broker {
    pub(crate) async fn start(builder: ServerBuilder) -> Self {
        count_panics();
        let server = builder.bind().await.unwrap();
        let address = server.local_addrs().unwrap()[0];
        let handle = server.handle();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server.run_until(async {
            let _ = stopped.await;
        }));
        Self { address, handle, stop, task }
    }

    /// Stops it; its ledger has to balance.
    pub(crate) async fn stop(self) -> ShutdownReport {
        let _ = self.stop.send(());
        let report = within(PATIENCE_SECS, "the shutdown", self.task).await.unwrap();
        assert_balanced(&report.totals);
        report
    }

    /// Waits until so many connections are left.
    pub(crate) async fn until_connections(&self, count: usize) {
        let wait = async {
            while self.handle.connections() != count {
                tokio::task::yield_now().await;
            }
        };
        within(PATIENCE_SECS, format!("having {count} connections"), wait).await;
    }
}

#[track_caller]
pub(crate) fn assert_balanced(totals: &Totals) {
    let (traffic, ledger) = (&totals.traffic, &totals.ledger);
    assert!(ledger.enqueued >= traffic.copies + traffic.replayed, "{totals:?}");
    let gone = ledger.delivered + ledger.expired + ledger.dropped_total();
    assert_eq!(ledger.enqueued, gone + ledger.held(), "{totals:?}");
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Panics inside the crates of the broker so far; those of tests do not count.
pub(crate) fn panics() -> usize {
    PANICS.load(Ordering::Relaxed)
}

fn count_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.location().is_some_and(|location| location.file().contains("/src/")) {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            before(info);
        }));
    });
}

/// A packet as it came.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    first: u8,
    body: Bytes,
    version: Version,
}

impl Raw {
    pub(crate) fn packet(&self) -> Packet<'_> {
        Packet::parse(self.first, &self.body, self.version).unwrap()
    }
}

/// A client.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    version: Version,
    buf: BytesMut,
    last_id: u16,
    /// Whether its session existed before.
    pub(crate) session_present: bool,
}

pub(crate) fn connect(version: Version, client_id: &str) -> Connect<'_> {
    Connect {
        version,
        clean_start: true,
        keep_alive_secs: 0,
        client_id,
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    }
}

/// A session that stays for ever.
pub(crate) fn persistent(version: Version, client_id: &str) -> Connect<'_> {
    let session_expiry_interval = version.is_v5().then_some(u32::MAX);
    let properties = ConnectProperties { session_expiry_interval, ..Default::default() };
    Connect { clean_start: false, properties, ..connect(version, client_id) }
}

impl Peer {
    /// A socket, and nothing said.
    pub(crate) async fn open(address: SocketAddr, version: Version) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, version, buf: BytesMut::new(), last_id: 0, session_present: false }
    }

    /// A socket from this address of the machine.
    pub(crate) async fn open_from(from: [u8; 4], address: SocketAddr, version: Version) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let stream = socket.connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, version, buf: BytesMut::new(), last_id: 0, session_present: false }
    }

    /// A client that was accepted.
    pub(crate) async fn connect(broker: &Broker, connect: &Connect<'_>) -> Self {
        let (peer, reason) = Self::try_connect(broker, connect).await;
        assert_eq!(reason, Some(ReasonCode::SUCCESS));
        peer
    }

    /// A client, and what CONNACK said; `None` if there was none.
    pub(crate) async fn try_connect(
        broker: &Broker,
        connect: &Connect<'_>,
    ) -> (Self, Option<ReasonCode>) {
        let mut peer = Self::open(broker.address, connect.version).await;
        peer.send(&Packet::Connect(*connect)).await;
        let Some(raw) = peer.next().await else { return (peer, None) };
        let Packet::ConnAck(ConnAck { reason, session_present, .. }) = raw.packet() else {
            panic!("no CONNACK but {raw:?}");
        };
        peer.session_present = session_present;
        (peer, Some(reason))
    }

    /// A 3.1.1 client with a session of its own.
    pub(crate) async fn simple(broker: &Broker, version: Version, id: &str) -> Self {
        Self::connect(broker, &connect(version, id)).await
    }

    pub(crate) async fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = BytesMut::new();
        packet.encode(self.version, &mut bytes).unwrap();
        self.say(&bytes).await;
    }

    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        within(PATIENCE_SECS, "writing", self.stream.write_all(bytes)).await.unwrap();
    }

    pub(crate) fn next_id(&mut self) -> PacketId {
        self.last_id += 1;
        PacketId::new(self.last_id).unwrap()
    }

    pub(crate) async fn publish(&mut self, topic: &str, payload: &[u8], qos: u8) {
        let delivery = match qos {
            0 => Delivery::AtMostOnce,
            1 => Delivery::AtLeastOnce(self.next_id()),
            _ => Delivery::ExactlyOnce(self.next_id()),
        };
        let properties = PublishProperties::default();
        let publish = Publish { dup: false, delivery, retain: false, topic, properties, payload };
        self.send(&Packet::Publish(publish)).await;
    }

    /// Publishes at QoS 2 with this identifier.
    pub(crate) async fn publish_with_id(&mut self, topic: &str, payload: &[u8], id: PacketId) {
        let delivery = Delivery::ExactlyOnce(id);
        let properties = PublishProperties::default();
        let publish = Publish { dup: false, delivery, retain: false, topic, properties, payload };
        self.send(&Packet::Publish(publish)).await;
    }

    /// Publishes at QoS 1 and waits for the answer.
    pub(crate) async fn publish_acknowledged(&mut self, topic: &str, payload: &[u8]) {
        self.publish(topic, payload, 1).await;
        let raw = self.expect_next().await;
        assert!(matches!(raw.packet(), Packet::PubAck(_)), "{raw:?}");
    }

    pub(crate) async fn subscribe(&mut self, filter: &str, qos: QoS) {
        let (packet_id, properties) = (self.next_id(), SubscribeProperties::default());
        let filters = [(filter, qos.into())];
        let filters = SubscribeFilters::new(&filters);
        self.send(&Packet::Subscribe(Subscribe { packet_id, properties, filters })).await;
        let raw = self.expect_next().await;
        match raw.packet() {
            Packet::SubAck(suback) => assert_eq!(suback.reasons, [qos.bits()]),
            other => panic!("no SUBACK but {other:?}"),
        }
    }

    /// The next packet; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Raw> {
        within(PATIENCE_SECS, "the next packet", async {
            loop {
                if let Some(header) = frame::peek(&self.buf, u32::MAX).unwrap()
                    && self.buf.len() >= header.total_len()
                {
                    let packet = self.buf.split_to(header.total_len()).freeze();
                    let body = packet.slice(header.header_len..);
                    return Some(Raw { first: header.first, body, version: self.version });
                }
                self.buf.reserve(64 * 1024);
                match self.stream.read_buf(&mut self.buf).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        })
        .await
    }

    pub(crate) async fn expect_next(&mut self) -> Raw {
        self.next().await.unwrap_or_else(|| panic!("the connection ended"))
    }

    /// The next message; it is acknowledged.
    pub(crate) async fn message(&mut self) -> (String, Bytes) {
        loop {
            let raw = self.expect_next().await;
            match raw.packet() {
                Packet::Publish(publish) => {
                    let payload = raw.body.slice_ref(publish.payload);
                    match publish.delivery {
                        Delivery::AtMostOnce => {}
                        Delivery::AtLeastOnce(id) => self.send(&Packet::PubAck(ok(id))).await,
                        Delivery::ExactlyOnce(id) => self.send(&Packet::PubRec(ok(id))).await,
                    }
                    return (publish.topic.to_owned(), payload);
                }
                Packet::PubRel(ack) => self.send(&Packet::PubComp(ok(ack.packet_id))).await,
                Packet::PubRec(ack) => self.send(&Packet::PubRel(ok(ack.packet_id))).await,
                Packet::PubAck(_) | Packet::PubComp(_) => {}
                other => panic!("no message but {other:?}"),
            }
        }
    }

    /// The payloads of messages until the connection ends or there were `max`, as far as they were
    /// acknowledged. The broker may be about to close: nothing here has to succeed.
    pub(crate) async fn payloads_until_end(&mut self, max: usize) -> Vec<Bytes> {
        let mut payloads = Vec::new();
        while payloads.len() < max {
            let Some(raw) = self.next().await else { break };
            if let Packet::Publish(publish) = raw.packet() {
                let Some(id) = publish.delivery.packet_id() else { continue };
                let [high, low] = id.get().to_be_bytes();
                let payload = raw.body.slice_ref(publish.payload);
                payloads.push(payload);
                if self.stream.write_all(&[0x40, 2, high, low]).await.is_err() {
                    break;
                }
            }
        }
        payloads
    }

    /// Sends PINGREQ and waits for the answer: everything before it was handled.
    pub(crate) async fn ping(&mut self) {
        self.send(&Packet::PingReq).await;
        loop {
            let raw = self.expect_next().await;
            match raw.packet() {
                Packet::PingResp => return,
                Packet::PubRel(ack) => self.send(&Packet::PubComp(ok(ack.packet_id))).await,
                Packet::PubRec(ack) => self.send(&Packet::PubRel(ok(ack.packet_id))).await,
                Packet::PubAck(_) | Packet::PubComp(_) => {}
                other => panic!("no PINGRESP but {other:?}"),
            }
        }
    }

    /// Sends PINGREQ and does not read; the connection may be over.
    pub(crate) async fn ping_and_forget(&mut self) {
        let _ = self.stream.write_all(&[0xC0, 0]).await;
    }

    /// What a DISCONNECT said before the end; `None` if there was none.
    pub(crate) async fn end(&mut self) -> Option<ReasonCode> {
        let mut reason = None;
        while let Some(raw) = self.next().await {
            if let Packet::Disconnect(disconnect) = raw.packet() {
                reason = Some(disconnect.reason);
            }
        }
        reason
    }
}

fn ok(id: PacketId) -> Ack<'static> {
    Ack::new(id, ReasonCode::SUCCESS)
}
