//! The opening handshake.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};
use tungstenite::handshake::{
    machine::TryParse,
    server::{Request, create_response, write_response},
};

use super::origin;
use crate::core::foreign::Foreign;

/// A request is at most this long, in bytes.
const REQUEST_BYTES_MAX: usize = 8 * 1024;

/// What stands behind a request.
const END: &[u8] = b"\r\n\r\n";

/// Where a listener lets clients in.
#[derive(Clone, Debug)]
pub(crate) struct Doorway {
    /// The host of the listener, as it was given.
    pub(crate) name: String,
    /// The paths, with their slash.
    pub(crate) paths: Vec<String>,
    /// The origins of pages that may connect, beside those of the listener's own.
    pub(crate) origins: Vec<String>,
    /// Whether a client has to offer a sub-protocol that is MQTT's.
    pub(crate) needs_protocol: bool,
}

impl Doorway {
    /// Whether MQTT is at this path. A slash at its end means nothing.
    fn has(&self, path: &str) -> bool {
        let plain = |path: &'_ str| path.strip_suffix('/').unwrap_or(path).to_owned();
        let path = plain(path);
        self.paths.iter().any(|known| plain(known) == path)
    }
}

/// A request that is being read.
#[derive(Debug)]
pub(super) struct Upgrade {
    doorway: Arc<Doorway>,
    is_loopback: bool,
    request: Vec<u8>,
}

/// What the client is told.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    /// Why it may not come in.
    pub(super) refused: Option<&'static str>,
}

/// A status, and why.
pub(super) type Refusal = (&'static str, &'static str);

impl Upgrade {
    pub(super) const fn new(doorway: Arc<Doorway>, is_loopback: bool) -> Self {
        Self { doorway, is_loopback, request: Vec::new() }
    }

    /// Reads the request.
    pub(super) fn poll_request<T: AsyncRead + Unpin>(
        &mut self,
        io: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Answer>> {
        loop {
            let mut chunk = [0; 1024];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut *io).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            if let Some(answer) = self.handle_input(chunk.filled()) {
                return Poll::Ready(Ok(answer));
            }
        }
    }

    fn handle_input(&mut self, input: &[u8]) -> Option<Answer> {
        if self.request.is_empty()
            && let Some(answer) = refuse_foreign(input)
        {
            return Some(answer);
        }
        // Only what is new can hold the end, so a request that comes byte by byte is cheap too.
        let searched = self.request.len().saturating_sub(END.len() - 1);
        self.request.extend_from_slice(input);
        let new = self.request.get(searched..).unwrap_or_default();
        let verdict = match new.windows(END.len()).position(|window| window == END) {
            _ if self.request.len() > REQUEST_BYTES_MAX => {
                Err(("431 Request Header Fields Too Large", "the request is longer than 8 KiB"))
            }
            None => return None,
            Some(at) if searched + at + END.len() < self.request.len() => {
                Err(("400 Bad Request", "bytes behind the request, before its answer"))
            }
            Some(_) => accept(&self.request, &self.doorway, self.is_loopback),
        };
        Some(match verdict {
            Ok(bytes) => Answer { bytes, refused: None },
            Err(refusal) => refuse(refusal),
        })
    }
}

fn accept(request: &[u8], doorway: &Doorway, is_loopback: bool) -> Result<Vec<u8>, Refusal> {
    let Ok(Some((_, request))) = Request::try_parse(request) else {
        return Err(("400 Bad Request", "not an HTTP/1.1 request to GET something"));
    };
    if !doorway.has(request.uri().path()) {
        return Err(("404 Not Found", "there is no MQTT at this path"));
    }
    check_single(&request)?;
    let mut response = create_response(&request)
        .map_err(|_| ("400 Bad Request", "not a WebSocket handshake of version 13"))?;
    origin::check(&request, doorway, is_loopback)?;
    let protocol = match sub_protocol(&request) {
        None if doorway.needs_protocol => {
            return Err(("400 Bad Request", "the sub-protocol mqtt is not offered"));
        }
        protocol => protocol.and_then(|protocol| protocol.parse().ok()),
    };
    if let Some(protocol) = protocol {
        response.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    }
    let mut bytes = Vec::new();
    write_response(&mut bytes, &response)
        .map_err(|_| ("500 Internal Server Error", "there is no answer"))?;
    Ok(bytes)
}

/// Of two values, proxies and servers may each believe another one.
fn check_single(request: &Request) -> Result<(), Refusal> {
    for name in ["Host", "Origin", "Sec-WebSocket-Key", "Sec-WebSocket-Version"] {
        if request.headers().get_all(name).iter().nth(1).is_some() {
            return Err(("400 Bad Request", "a header that may stand once stands twice"));
        }
    }
    Ok(())
}

/// `mqtt`, whatever else is offered [MQTT-6.0.0-4]; without it a client does not speak MQTT
/// [MQTT-6.0.0-3]. 3.1 has no name of its own in a standard; its clients say `mqttv3.1` (D31-25).
fn sub_protocol(request: &Request) -> Option<&'static str> {
    let offers = request.headers().get_all("Sec-WebSocket-Protocol");
    let offers = || {
        let lists = offers.iter().filter_map(|list| list.to_str().ok());
        lists.flat_map(|list| list.split(',')).map(str::trim)
    };
    let offered = |name| offers().any(|offer| offer == name).then_some(name);
    offered("mqtt").or_else(|| offered("mqttv3.1"))
}

fn refuse((status, why): Refusal) -> Answer {
    let length = why.len() + 1;
    let bytes = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{why}\n"
    );
    Answer { bytes: bytes.into_bytes(), refused: Some(why) }
}

/// What begins like something else than a request is answered at once: its sender would wait for
/// the deadline of a handshake that it does not know of.
fn refuse_foreign(input: &[u8]) -> Option<Answer> {
    /// CONNECT, with the flags that it has to have [MQTT-2.1.3-1].
    const CONNECT: u8 = 0x10;
    let (bytes, why) = match Foreign::recognise(input) {
        Some(foreign @ (Foreign::Tls | Foreign::Proxy)) => (foreign.answer(), foreign.hint()),
        None if input.first() == Some(&CONNECT) => (refusing_connack(input), MQTT_HINT),
        _ => return None,
    };
    Some(Answer { bytes: bytes.to_vec(), refused: Some(why) })
}

const MQTT_HINT: &str = "MQTT over TCP at a port that speaks MQTT over WebSocket; let the client \
                         use WebSocket, or connect to a tcp:// listener";

/// Server unavailable, in the form of the version that a CONNECT asks for, as far as it is here.
fn refusing_connack(connect: &[u8]) -> &'static [u8] {
    const NAME: &[u8] = b"\0\x04MQTT";
    const V5: u8 = 5;
    let name = connect.windows(NAME.len()).position(|window| window == NAME);
    match name.and_then(|at| connect.get(at + NAME.len())) {
        Some(&V5) => b"\x20\x03\0\x88\0",
        _ => b"\x20\x02\0\x03",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status line, and the sub-protocol that was chosen, when these lines change a good request.
    fn answer(path: &str, lines: &str) -> (String, Option<String>) {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: example.org\r\nUpgrade: WebSocket\r\n\
             Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
        );
        let said = answer_to(request.as_bytes()).unwrap();
        let text = String::from_utf8(said.bytes).unwrap();
        assert!(text.contains("\r\n\r\n") && !text.to_lowercase().contains("extensions"), "{text}");
        let status = text.split(' ').nth(1).unwrap().to_owned();
        assert_eq!(status == "101", said.refused.is_none());
        let mut words = text.split("\r\n").filter_map(|line| line.split_once(": "));
        let protocol = words.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol"));
        (status, protocol.map(|(_, value)| value.to_owned()))
    }

    fn doorway() -> Doorway {
        Doorway {
            name: "broker.example".into(),
            paths: vec!["/mqtt".into(), "/a/b".into()],
            origins: vec!["https://a.example".to_owned()],
            needs_protocol: true,
        }
    }

    fn answer_to(request: &[u8]) -> Option<Answer> {
        let mut upgrade = Upgrade::new(Arc::new(doorway()), false);
        request.chunks(7).find_map(|chunk| upgrade.handle_input(chunk))
    }

    #[test]
    fn mqtt_is_chosen_exactly() {
        // [MQTT-6.0.0-3], [MQTT-6.0.0-4], D31-25
        for (offers, chosen) in [
            ("mqtt", Some("mqtt")),
            ("foo, mqtt", Some("mqtt")),
            ("mqttv3.1,mqtt , foo", Some("mqtt")),
            ("mqttv3.1", Some("mqttv3.1")),
            ("foo\r\nSec-WebSocket-Protocol: mqtt", Some("mqtt")),
            ("MQTT", None),
            ("mqtt5", None),
            ("", None),
        ] {
            let status = if chosen.is_some() { "101" } else { "400" };
            let expected = (status.to_owned(), chosen.map(str::to_owned));
            let lines = format!("Sec-WebSocket-Protocol: {offers}\r\n");
            assert_eq!(answer("/mqtt", &lines), expected, "{offers}");
        }
        assert_eq!(answer("/mqtt", "").0, "400");
    }

    #[test]
    fn what_else_decides() {
        let protocol = "Sec-WebSocket-Protocol: mqtt\r\n";
        for (path, lines, status) in [
            ("/mqtt?from=page", "", "101"),
            ("/", "", "404"),
            ("/mqtt/", "", "101"),
            ("/mqtt//", "", "404"),
            ("/MQTT", "", "404"),
            ("/a/b?x", "", "101"),
            ("/a", "", "404"),
            ("http://h/mqtt", "", "101"),
            ("/mqtt", "Origin: https://a.example\r\n", "101"),
            ("/mqtt", "Origin: https://b.example\r\n", "403"),
            ("/mqtt", "Origin: https://a.example\r\nOrigin: https://a.example\r\n", "400"),
            ("/mqtt", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "400"),
            ("/mqtt", "Sec-WebSocket-Extensions: permessage-deflate\r\n", "101"),
        ] {
            assert_eq!(answer(path, &format!("{protocol}{lines}")).0, status, "{path} {lines}");
        }
    }

    #[test]
    fn the_root_is_a_path_and_the_protocol_may_be_left_out() {
        let doorway =
            Arc::new(Doorway { paths: vec!["/".into()], needs_protocol: false, ..doorway() });
        for (line, protocol) in [
            ("", false),
            ("Sec-WebSocket-Protocol: arduino\r\n", false),
            ("Sec-WebSocket-Protocol: mqtt\r\n", true),
        ] {
            let request = format!(
                "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{line}\r\n"
            );
            let said = Upgrade::new(doorway.clone(), false).handle_input(request.as_bytes());
            let said = String::from_utf8(said.unwrap().bytes).unwrap().to_lowercase();
            assert!(said.starts_with("http/1.1 101 "), "{line}: {said}");
            assert_eq!(
                said.contains("sec-websocket-protocol: mqtt\r\n"),
                protocol,
                "{line}: {said}"
            );
        }
    }

    /// Whether a page of `origin` may connect to a listener that it calls `host`.
    fn lets_in(origin: Option<&str>, host: &str, is_loopback: bool, origins: &[&str]) -> u16 {
        let doorway = Doorway {
            origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
            ..doorway()
        };
        let lines = [("Host", Some(host).filter(|host| !host.is_empty())), ("Origin", origin)];
        let lines =
            lines.into_iter().filter_map(|(name, value)| Some(format!("{name}: {}\r\n", value?)));
        let request = format!(
            "GET /mqtt HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{}\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: mqtt\r\n\r\n",
            lines.collect::<String>()
        );
        let said = Upgrade::new(Arc::new(doorway), is_loopback).handle_input(request.as_bytes());
        let said = String::from_utf8(said.unwrap().bytes).unwrap();
        said.split(' ').nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn a_page_may_connect_where_it_came_from() {
        for (origin, host, status) in [
            ("http://h:8083", "h:8083", 101),
            ("HTTP://h:8083", "h:8083", 403),
            ("http://H:8083", "h:8083", 101),
            ("http://h", "h", 101),
            ("http://h", "h:80", 101),
            ("https://h", "h", 101),
            ("https://h", "h:443", 101),
            ("https://h", "h:80", 403),
            ("http://h:8083", "h:8084", 403),
            ("http://h:8083", "h", 403),
            ("http://h:8083", "g:8083", 403),
            ("http://h.example:8083", "h:8083", 403),
            ("http://[::1]:8083", "[::1]:8083", 101),
            ("http://[0:0::1]:8083", "[::1]:8083", 101),
            ("http://[::1]", "[::1]:80", 101),
            ("http://[::2]", "[::1]:80", 403),
            ("file://h", "h", 403),
            ("ftp://h:8083", "h:8083", 403),
            ("null", "null", 403),
            ("http://h:x", "h:x", 403),
            ("http://h:99999", "h:99999", 403),
            ("", "h", 403),
        ] {
            assert_eq!(lets_in(Some(origin), host, false, &[]), status, "{origin} {host}");
        }
    }

    #[test]
    fn a_name_that_points_to_loopback_is_not_enough() {
        for (host, status) in [
            ("attacker.example:8083", 403),
            ("localhost.attacker.example:8083", 403),
            ("notlocalhost:8083", 403),
            ("127.0.0.1.attacker.example:8083", 403),
            ("localhost:8083", 101),
            ("LOCALHOST.:8083", 101),
            ("app.localhost:8083", 101),
            ("127.0.0.1:8083", 101),
            ("127.9.9.9:8083", 101),
            ("[::1]:8083", 101),
            ("192.168.1.5:8083", 101),
            ("Broker.example:8083", 101),
        ] {
            let origin = format!("http://{host}");
            assert_eq!(lets_in(Some(&origin), host, true, &[]), status, "{host}");
            assert_eq!(lets_in(Some(&origin), host, false, &[]), 101, "{host}");
        }
    }

    #[test]
    fn listed_origins_come_in_and_so_does_who_has_none() {
        let listed = ["https://A.example", "null"];
        for (origin, origins, status) in [
            (Some("https://a.example"), &listed[..], 101),
            (Some("https://a.example:443"), &listed, 403),
            (Some("http://a.example"), &listed, 403),
            (Some("null"), &listed, 101),
            (Some("http://anything"), &["*"], 101),
            (None, &[], 101),
            (None, &listed, 101),
        ] {
            for is_loopback in [false, true] {
                assert_eq!(lets_in(origin, "h:1", is_loopback, origins), status, "{origin:?}");
            }
            assert_eq!(lets_in(origin, "", false, origins), 400, "{origin:?}: no Host");
        }
    }

    #[test]
    fn other_protocols_are_answered_at_once() {
        for (input, answer) in [
            (&b"\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0"[..], &b"\x20\x02\0\x03"[..]),
            (b"\x10\x0d\0\x04MQTT\x05\x02\0\0\0\0\0", b"\x20\x03\0\x88\0"),
            (b"\x10\x0c\0\x06MQIsdp\x03", b"\x20\x02\0\x03"),
            (b"\x10", b"\x20\x02\0\x03"),
            (b"\x16\x03\x01\x02\0\x01", b"\x15\x03\x01\0\x02\x02\x28"),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", b""),
        ] {
            let mut upgrade = Upgrade::new(Arc::new(doorway()), false);
            let said = upgrade.handle_input(input).unwrap();
            assert_eq!(said.bytes, answer, "{input:?}");
            assert!(said.refused.is_some());
        }
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        let long = format!("GET /mqtt HTTP/1.1\r\nX: {}", "x".repeat(8 * 1024));
        let many = format!("GET /mqtt HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(1000));
        for (request, status) in [
            ("GET /mqtt HTTP/1.1\r\nHost: h\r\n\r\n", "400"),
            ("GET /mqtt HTTP/1.0\r\n\r\n", "400"),
            ("POST /mqtt HTTP/1.1\r\n\r\n", "400"),
            ("GET /mqtt HTTP/1.1\r\n\r\nmore", "400"),
            (&many, "400"),
            (&long, "431"),
        ] {
            let said = String::from_utf8(answer_to(request.as_bytes()).unwrap().bytes).unwrap();
            assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{request:.40}: {said}");
        }
        assert!(answer_to(b"GET /mqtt HTTP/1.1\r\n").is_none(), "the rest may come");
    }
}
