//! MQTT over WebSocket, against a server that does what a test tells it.

use std::{future::poll_fn, pin::Pin};

use bytes::BytesMut;
use futures_core::Stream;
use futures_sink::Sink;
use mqtt_client::{Client, Error, Loss, Options, QoS};
use mqtt_packet::{ConnAck, Packet, ReasonCode, Version};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use crate::script::soon;

/// The server's end.
struct Script {
    socket: WebSocketStream<TcpStream>,
}

/// A client that was let in at this path, and what it asked for.
async fn upgraded(path: &str) -> (tokio::task::JoinHandle<Result<Client, Error>>, Script, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = Options::new(format!("ws://127.0.0.1:{port}{path}")).client_id("client");
    let connecting = tokio::spawn(options.connect());
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    let request = request(&mut stream).await;
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
        derive_accept_key(header(&request, "sec-websocket-key").as_bytes())
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    (connecting, Script { socket }, request)
}

/// As above, and CONNECT was answered.
async fn connected() -> (Client, Script) {
    let (connecting, mut script, _) = upgraded("").await;
    assert_eq!(script.bytes().await.unwrap()[0], 0x10);
    script.accept().await;
    (soon(connecting).await.unwrap().unwrap(), script)
}

async fn request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(soon(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(request).unwrap()
}

fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let mut headers = request.lines().filter_map(|line| line.split_once(": "));
    headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).unwrap().1
}

impl Script {
    async fn message(&mut self) -> Option<Message> {
        let socket = &mut self.socket;
        soon(poll_fn(|cx| Pin::new(&mut *socket).poll_next(cx))).await?.ok()
    }

    /// The bytes of the next binary message; `None` at the end.
    async fn bytes(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.message().await? {
                Message::Binary(bytes) => return Some(bytes.to_vec()),
                Message::Close(_) => {}
                other => panic!("no binary message but {other:?}"),
            }
        }
    }

    async fn send(&mut self, message: Message) {
        let socket = &mut self.socket;
        soon(poll_fn(|cx| Pin::new(&mut *socket).poll_ready(cx))).await.unwrap();
        Pin::new(&mut *socket).start_send(message).unwrap();
        soon(poll_fn(|cx| Pin::new(&mut *socket).poll_flush(cx))).await.unwrap();
    }

    async fn accept(&mut self) {
        let mut bytes = BytesMut::new();
        let connack = Packet::ConnAck(ConnAck::new(ReasonCode::SUCCESS));
        connack.encode(Version::V5, &mut bytes).unwrap();
        self.send(Message::Binary(bytes.freeze())).await;
    }
}

#[tokio::test]
async fn mqtt_is_asked_for_at_the_path() {
    // [MQTT-6.0.0-3]
    for (path, asked) in [("", "/mqtt"), ("/", "/mqtt"), ("/a/b?version=5", "/a/b")] {
        let (connecting, mut script, request) = upgraded(path).await;
        assert!(request.starts_with(&format!("GET {asked} HTTP/1.1\r\n")), "{request}");
        assert_eq!(header(&request, "sec-websocket-protocol"), "mqtt");
        assert!(!request.to_lowercase().contains("extensions"), "{request}");
        assert_eq!(script.bytes().await.unwrap()[0], 0x10);
        script.accept().await;
        soon(connecting).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn frame_borders_mean_nothing_to_the_client() {
    // [MQTT-6.0.0-2]
    let (client, mut script) = connected().await;
    let subscribing = tokio::spawn({
        let client = client.clone();
        async move { client.subscribe("a", QoS::AtMostOnce).await }
    });
    let subscribe = script.bytes().await.unwrap();
    assert_eq!(subscribe[0], 0x82);
    let identifier = subscribe[6];
    for byte in [0x90, 4, subscribe[2], subscribe[3], 0, 0] {
        script.send(Message::binary(vec![byte])).await;
        script.send(Message::binary(vec![])).await;
    }
    let mut stream = soon(subscribing).await.unwrap().unwrap();
    script.send(Message::Ping("there?".into())).await;
    let publish = [0x30, 7, 0, 1, b'a', 2, 0x0B, identifier, b'x'];
    script.send(Message::binary(publish.repeat(3))).await;
    for _ in 0..3 {
        assert_eq!(soon(stream.recv()).await.unwrap().payload(), b"x".as_slice());
    }
    assert_eq!(script.message().await, Some(Message::Pong("there?".into())));
}

#[tokio::test]
async fn a_large_message_goes_out_whole() {
    let (client, mut script) = connected().await;
    let payload = vec![7; 1_000_000];
    let publishing = tokio::spawn({
        let payload = payload.clone();
        async move { client.publish("large", payload).await.map(|_| client) }
    });
    let mut bytes = Vec::new();
    while bytes.len() < payload.len() {
        bytes.extend(script.bytes().await.unwrap());
    }
    assert!(bytes.ends_with(&payload));
    let client = soon(publishing).await.unwrap().unwrap();

    let leaving = tokio::spawn(async move { client.disconnect().await });
    assert_eq!(script.bytes().await.unwrap()[0], 0xE0);
    assert_eq!(script.bytes().await, None, "and then a Close frame");
    soon(leaving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_text_frame_ends_the_connection() {
    // [MQTT-6.0.0-1]
    let (client, mut script) = connected().await;
    script.send(Message::text("hello")).await;
    let loss = soon(client.closed()).await;
    assert!(matches!(&loss, Loss::Io(error) if error.to_string().contains("text")), "{loss}");
    assert_eq!(script.bytes().await, None);
}

#[tokio::test]
async fn a_refusal_says_what_the_server_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connecting = tokio::spawn(Options::to("127.0.0.1", port).websocket("/elsewhere").connect());
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    assert!(request(&mut stream).await.starts_with("GET /elsewhere "));
    stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let error = soon(connecting).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("404 Not Found"), "{error}");
}
