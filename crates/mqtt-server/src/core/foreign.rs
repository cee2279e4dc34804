//! Other protocols than the one a port speaks, known by their first bytes: who has mixed up two
//! ports is told so in its own language, and the log says what to do.

/// Something else than MQTT.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Foreign {
    Tls,
    Http,
    /// What a load balancer says about the client in front of its bytes.
    Proxy,
}

/// An alert record: fatal, `handshake_failure`.
const TLS_ALERT: &[u8] = &[0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x28];

const HTTP_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
    Content-Length: 43\r\nConnection: close\r\n\r\nThis port speaks MQTT over TCP, not HTTP.\r\n";

/// Of version 2 of the PROXY protocol.
const PROXY_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

const METHODS: [&[u8]; 10] = [
    b"GET ",
    b"POST ",
    b"PUT ",
    b"HEAD ",
    b"DELETE ",
    b"OPTIONS ",
    b"CONNECT ",
    b"PATCH ",
    b"TRACE ",
    b"PRI * HTTP/2",
];

impl Foreign {
    /// What begins like this; none of it is how a CONNECT begins, which is 0x10.
    pub(crate) fn recognise(input: &[u8]) -> Option<Self> {
        // The record type of a handshake, and the version 3.x that all of TLS has on the wire.
        if input.starts_with(&[0x16, 0x03]) {
            return Some(Self::Tls);
        }
        if METHODS.iter().any(|method| input.starts_with(method)) {
            return Some(Self::Http);
        }
        let is_proxy = input.starts_with(b"PROXY ") || input.starts_with(PROXY_SIGNATURE);
        is_proxy.then_some(Self::Proxy)
    }

    /// What its own protocol has for "no"; nothing where it has none.
    pub(crate) const fn answer(self) -> &'static [u8] {
        match self {
            Self::Tls => TLS_ALERT,
            Self::Http => HTTP_ANSWER,
            Self::Proxy => &[],
        }
    }

    /// What came, and what to do.
    pub(crate) const fn hint(self) -> &'static str {
        match self {
            Self::Tls => {
                "a TLS handshake at a port without TLS; let the client connect without it, or put \
                 something in front that takes it off"
            }
            Self::Http => {
                "HTTP at a port that speaks MQTT over TCP; for MQTT over WebSocket there are \
                 ws:// listeners"
            }
            Self::Proxy => "the PROXY protocol, which is not supported; switch it off in front",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        for (input, expected) in [
            (&b"\x16\x03\x01\x02\x00\x01"[..], Some(Foreign::Tls)),
            (b"GET / HTTP/1.1\r\n", Some(Foreign::Http)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(Foreign::Http)),
            (b"CONNECT example.org:80 HTTP/1.1\r\n", Some(Foreign::Http)),
            (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", Some(Foreign::Proxy)),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11", Some(Foreign::Proxy)),
            (b"\x10\x0c\0\x04MQTT", None),
            (b"GETTING", None),
            (b"\x16", None),
            (b"", None),
        ] {
            assert_eq!(Foreign::recognise(input), expected, "{input:?}");
        }
    }

    #[test]
    fn the_http_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(HTTP_ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }
}
