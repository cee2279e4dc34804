//! MQTT over WebSocket, with a client that writes its frames by hand.

use bytes::{Buf, BytesMut};
use mqtt_packet::{Packet, ReasonCode, Version, frame};
use mqtt_server::{Limits, Server};
use mqtt_testkit::within;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{Broker, PATIENCE_SECS, connect, panics};

const BINARY: u8 = 0x82;
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;

const MASK: [u8; 4] = [0xDE, 0xAD, 0xBE, 0xEF];

async fn broker(change: impl FnOnce(&mut Limits)) -> Broker {
    let mut limits = Limits { sys_interval_secs: 0, linger_millis: 100, ..Limits::default() };
    change(&mut limits);
    let builder = Server::builder().listen("ws://127.0.0.1:0").limits(limits);
    Broker::start(builder.websocket_origins(["https://good.example"])).await
}

/// A request that is let in.
fn request(path: &str, lines: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    )
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

fn encoded(packets: &[Packet<'_>]) -> Vec<u8> {
    let mut out = BytesMut::new();
    packets.iter().for_each(|packet| packet.encode(Version::V5, &mut out).unwrap());
    out.to_vec()
}

struct Socket {
    stream: TcpStream,
    buf: BytesMut,
    /// Payload of binary frames that was not looked at.
    mqtt: BytesMut,
}

impl Socket {
    async fn open(broker: &Broker) -> Self {
        let stream = TcpStream::connect(broker.address).await.unwrap();
        Self { stream, buf: BytesMut::new(), mqtt: BytesMut::new() }
    }

    async fn upgraded(broker: &Broker) -> Self {
        let mut socket = Self::open(broker).await;
        let answer = socket.ask(&request("/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        // The answer to the key is the example of RFC 6455.
        assert!(answer.contains(": s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
        assert!(answer.to_lowercase().contains("sec-websocket-protocol: mqtt\r\n"), "{answer}");
        socket
    }

    /// An MQTT client that was accepted.
    async fn connected(broker: &Broker, id: &str) -> Self {
        let mut socket = Self::upgraded(broker).await;
        let hello = encoded(&[Packet::Connect(connect(Version::V5, id))]);
        socket.write(&framed(BINARY, &hello)).await;
        assert_eq!(socket.packet().await.map(|packet| packet[0]), Some(0x20));
        socket
    }

    async fn write(&mut self, bytes: &[u8]) {
        within(PATIENCE_SECS, "writing", self.stream.write_all(bytes)).await.unwrap();
    }

    /// False at the end.
    async fn read(&mut self) -> bool {
        self.buf.reserve(64 * 1024);
        let read = within(PATIENCE_SECS, "reading", self.stream.read_buf(&mut self.buf)).await;
        read.is_ok_and(|read| read > 0)
    }

    /// Sends a request; answers with the head of what comes back.
    async fn ask(&mut self, request: &str) -> String {
        self.write(request.as_bytes()).await;
        loop {
            if let Some(at) = self.buf.windows(4).position(|window| window == b"\r\n\r\n") {
                return String::from_utf8(self.buf.split_to(at + 4).to_vec()).unwrap();
            }
            assert!(self.read().await, "no answer but {:?}", self.buf);
        }
    }

    /// The next frame; `None` at the end of the connection.
    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(frame) = self.whole_frame() {
                return Some(frame);
            }
            if !self.read().await {
                return None;
            }
        }
    }

    fn whole_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = &self.buf[..];
        let first = head.try_get_u8().ok()?;
        let length = match head.try_get_u8().ok()? {
            126 => usize::from(head.try_get_u16().ok()?),
            127 => usize::try_from(head.try_get_u64().ok()?).unwrap(),
            length => usize::from(length),
        };
        let payload = head.get(..length)?.to_vec();
        let head_bytes = self.buf.len() - head.len();
        self.buf.advance(head_bytes + length);
        Some((first, payload))
    }

    /// The next packet, in whatever frames it comes.
    async fn packet(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(header) = frame::peek(&self.mqtt, u32::MAX).unwrap()
                && self.mqtt.len() >= header.total_len()
            {
                return Some(self.mqtt.split_to(header.total_len()).to_vec());
            }
            let (first, payload) = self.frame().await?;
            assert_eq!(first, BINARY);
            self.mqtt.extend_from_slice(&payload);
        }
    }

    /// The code of the Close frame, which is the last.
    async fn close_code(&mut self) -> Option<u16> {
        let mut code = None;
        while let Some((first, payload)) = self.frame().await {
            assert_eq!(code, None, "nothing comes behind a Close frame");
            code = (first == CLOSE).then(|| u16::from_be_bytes([payload[0], payload[1]]));
        }
        code
    }
}

#[tokio::test]
async fn frame_borders_mean_nothing() {
    // [MQTT-6.0.0-2], F11
    let broker = broker(|_| {}).await;
    let mut socket = Socket::upgraded(&broker).await;
    let hello = encoded(&[Packet::Connect(connect(Version::V5, "borders"))]);
    for byte in hello {
        socket.write(&[framed(BINARY, &[byte]), framed(BINARY, &[])].concat()).await;
    }
    assert_eq!(socket.packet().await.unwrap()[0], 0x20);
    let pings = [0xC0, 0, 0xC0, 0, 0xC0, 0];
    socket.write(&framed(BINARY, &pings)).await;
    // One packet in three fragments, with a ping in between.
    socket.write(&framed(0x02, &[0xC0])).await;
    socket.write(&framed(PING, b"between")).await;
    socket.write(&[framed(0x00, &[]), framed(0x80, &[0])].concat()).await;
    let (mut answers, mut pongs) = (Vec::new(), 0);
    while answers.len() < 8 || pongs == 0 {
        match socket.frame().await.unwrap() {
            (BINARY, payload) => answers.extend(payload),
            (PONG, payload) => {
                assert_eq!(payload, b"between");
                pongs += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(answers, [0xD0, 0].repeat(4));
    broker.stop().await;
}

#[tokio::test]
async fn large_messages_pass_whole_through_small_pipes() {
    let broker = broker(|_| {}).await;
    let mut socket = Socket::connected(&broker, "large").await;
    let payload: Vec<_> = (0..1_500_000_u32).map(|index| (index % 251) as u8).collect();
    let publish = Packet::Publish(mqtt_packet::Publish {
        dup: false,
        delivery: mqtt_packet::Delivery::AtMostOnce,
        retain: false,
        topic: "large",
        properties: Default::default(),
        payload: &payload,
    });
    let subscribe = [0x82, 11, 0, 1, 0, 0, 5, b'l', b'a', b'r', b'g', b'e', 0];
    socket.write(&framed(BINARY, &subscribe)).await;
    assert_eq!(socket.packet().await.unwrap()[0], 0x90);
    for _ in 0..3 {
        socket.write(&framed(BINARY, &encoded(&[publish]))).await;
    }
    for _ in 0..3 {
        let packet = socket.packet().await.unwrap();
        assert!(packet.ends_with(&payload), "{} bytes", packet.len());
    }
    broker.stop().await;
}

#[tokio::test]
async fn what_breaks_the_protocol_is_told_and_closed() {
    // [MQTT-6.0.0-1], F07, F08, F10
    let broker = broker(|_| {}).await;
    let hello = encoded(&[Packet::Connect(connect(Version::V5, "broken"))]);
    let claim = |length: u64| [&[BINARY, 0xFF][..], &length.to_be_bytes()].concat();
    for (bytes, code) in [
        (framed(TEXT, &hello), 1003),
        (claim(1 << 63), 1009),
        (claim(256 * 1024 * 1024), 1009),
        (vec![BINARY, 2, 0xC0, 0], 1002),
        (framed(0xC2, &hello), 1002),
        (framed(0x83, &hello), 1002),
        (framed(PING, &[0; 126]), 1002),
        (framed(CLOSE, &4000_u16.to_be_bytes()), 4000),
        (framed(CLOSE, &[]), 1000),
    ] {
        for connected in [false, true] {
            let mut socket = match connected {
                false => Socket::upgraded(&broker).await,
                true => Socket::connected(&broker, "broken").await,
            };
            socket.write(&bytes).await;
            assert_eq!(socket.close_code().await, Some(code), "{:02x?}", &bytes[..2]);
        }
    }
    broker.until_connections(0).await;
    assert_eq!(panics(), 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_message_that_never_ends_is_cut() {
    // F09
    let broker = broker(|limits| limits.protocol.maximum_packet_size = 1024).await;
    let mut socket = Socket::connected(&broker, "endless").await;
    let pings = [0xC0, 0].repeat(512);
    socket.write(&framed(0x02, &pings)).await;
    for _ in 0..65 {
        // The broker may have closed already.
        let _ = socket.stream.write_all(&framed(0x00, &pings)).await;
    }
    assert_eq!(socket.close_code().await, Some(1009));
    broker.stop().await;
}

#[tokio::test]
async fn a_flood_of_pings_costs_no_memory_and_starves_nobody() {
    // F12
    let broker = broker(|_| {}).await;
    let mut flood = Socket::connected(&broker, "flood").await;
    let pings = framed(PING, &[7; 125]).repeat(20_000);
    let (mut reader, mut writer) = flood.stream.split();
    let reading = async {
        let (mut read, mut buf) = (0, [0; 4096]);
        while !buf[..read].windows(2).any(|window| window == [0xD0, 0]) {
            read = reader.read(&mut buf).await.unwrap();
            assert!(read > 0, "closed");
        }
    };
    let writing = async {
        writer.write_all(&pings).await.unwrap();
        writer.write_all(&framed(BINARY, &[0xC0, 0])).await.unwrap();
    };
    within(PATIENCE_SECS, "the flood", async { tokio::join!(reading, writing) }).await;
    let mut other = Socket::connected(&broker, "other").await;
    other.write(&framed(BINARY, &[0xC0, 0])).await;
    assert_eq!(other.packet().await.unwrap(), [0xD0, 0]);
    broker.stop().await;
}

#[tokio::test]
async fn who_may_not_come_in_is_told_why() {
    // [MQTT-6.0.0-3], [MQTT-6.0.0-4], F13, F14, F16, F17
    let broker = broker(|_| {}).await;
    let mqtt = "Sec-WebSocket-Protocol: mqtt\r\n";
    for (path, lines, status) in [
        ("/mqtt", mqtt.to_owned(), "101"),
        ("/mqtt", format!("{mqtt}Origin: https://good.example\r\n"), "101"),
        ("/mqtt", format!("{mqtt}Origin: https://bad.example\r\n"), "403"),
        ("/other", mqtt.to_owned(), "404"),
        ("/mqtt", String::new(), "400"),
        ("/mqtt", "Sec-WebSocket-Protocol: wamp\r\n".to_owned(), "400"),
        ("/mqtt", format!("{mqtt}{}", "X: y\r\n".repeat(200)), "400"),
        ("/mqtt", format!("{mqtt}X: {}\r\n", "y".repeat(8 * 1024)), "431"),
    ] {
        let mut socket = Socket::open(&broker).await;
        let answer = socket.ask(&request(path, &lines)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {lines:.60}: {answer}");
        if status != "101" {
            while socket.read().await {}
        }
    }
    broker.stop().await;
}

/// What a browser sends with a WebSocket that some page opens.
fn from_page(host: &str, origin: &str) -> String {
    let lines = format!("Sec-WebSocket-Protocol: mqtt\r\nOrigin: {origin}\r\n");
    request("/mqtt", &lines).replace("Host: example.org", &format!("Host: {host}"))
}

#[tokio::test]
async fn by_default_a_page_of_somebody_else_does_not_reach_a_broker_on_loopback() {
    let broker = Broker::start(Server::builder().listen("ws://127.0.0.1:0")).await;
    let own = broker.address.to_string();
    let localhost = format!("localhost:{}", broker.address.port());
    let rebound = format!("attacker.example:{}", broker.address.port());
    for (host, origin, status) in [
        (&own, "https://attacker.example", "403"),
        (&own, "http://127.0.0.1:1", "403"),
        (&own, "http://localhost", "403"),
        (&own, "null", "403"),
        (&rebound, &*format!("http://{rebound}"), "403"),
        (&own, &format!("http://{own}"), "101"),
        (&localhost, &format!("http://{localhost}"), "101"),
    ] {
        let mut socket = Socket::open(&broker).await;
        let answer = socket.ask(&from_page(host, origin)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host} {origin}: {answer}");
    }
    let mut socket = Socket::open(&broker).await;
    let hostless = from_page("h", "http://h").replace("Host: h\r\n", "");
    let answer = socket.ask(&hostless).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    // No browser: no Origin, and a Host that it was given.
    Socket::upgraded(&broker).await;
    broker.stop().await;
}

#[tokio::test]
async fn a_listener_has_several_paths_and_may_do_without_a_sub_protocol() {
    let builder = Server::builder()
        .listen("ws://127.0.0.1:0/broker")
        .websocket_paths(["/", "/old/mqtt"])
        .websocket_takes_any_protocol(true);
    let broker = Broker::start(builder).await;
    for (path, status) in [
        ("/broker", "101"),
        ("/broker/", "101"),
        ("/", "101"),
        ("/old/mqtt", "101"),
        ("/mqtt", "404"),
        ("/old", "404"),
    ] {
        let answer = Socket::open(&broker).await.ask(&request(path, "")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
    broker.stop().await;
    let broker = Broker::start(Server::builder().listen("ws://127.0.0.1:0")).await;
    for (path, status) in [("/mqtt", "101"), ("/mqtt/", "101"), ("/", "101"), ("/other", "404")] {
        let lines = "Sec-WebSocket-Protocol: mqtt\r\n";
        let answer = Socket::open(&broker).await.ask(&request(path, lines)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn the_handshake_and_connect_have_one_deadline() {
    // F13
    let broker = broker(|limits| limits.protocol.connect_timeout_millis = 300).await;
    let mut trickling = Socket::open(&broker).await;
    let mut silent = Socket::upgraded(&broker).await;
    for byte in b"GET /mqtt HTTP/1.1\r\nX: " {
        trickling.write(&[*byte]).await;
    }
    assert!(!trickling.read().await, "closed without a word");
    assert_eq!(silent.close_code().await, Some(1000));
    broker.until_connections(0).await;
    broker.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_says_so_in_both_protocols() {
    let broker = broker(|_| {}).await;
    let mut socket = Socket::connected(&broker, "stopping").await;
    let waiting = Socket::open(&broker).await;
    let (report, code) = tokio::join!(broker.stop(), async {
        let packet = socket.packet().await.unwrap();
        assert_eq!((packet[0], packet[2]), (0xE0, ReasonCode::SERVER_SHUTTING_DOWN.0));
        socket.close_code().await
    });
    assert_eq!((code, report.cut), (Some(1000), 0));
    drop(waiting);
}
