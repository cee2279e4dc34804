//! `mqtt://USER:PASSWORD@HOST:PORT/TOPIC`, or `ws://USER:PASSWORD@HOST:PORT/PATH`.

use std::str::FromStr;

/// Where MQTT is at a WebSocket address that names no path.
pub(crate) const WEBSOCKET_PATH: &str = "/mqtt";

/// Where to connect, as whom, and for which topic, in one word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) user_name: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) topic: Option<String>,
    /// The path of the WebSocket, with its slash; `None` for TCP.
    pub(crate) websocket: Option<String>,
}

/// An error repeats nothing of the text: what is out of place in it may be a password.
impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("expected mqtt://HOST/TOPIC")?;
        let is_websocket = is_websocket(scheme)?;
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let topic = path.get(1..).filter(|topic| !topic.is_empty() && !is_websocket);
        let path = if path.len() > 1 { path } else { WEBSOCKET_PATH };
        let websocket = is_websocket.then(|| path.to_owned());
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place)?;
        let (user_name, password) = match credentials.map(|text| text.split_once(':').ok_or(text)) {
            None => (None, None),
            Some(Err(user_name)) => (Some(decode_text(user_name)?), None),
            Some(Ok((user_name, password))) => {
                (Some(decode_text(user_name)?), Some(decode(password)?))
            }
        };
        Ok(Self { user_name, password, host, port, topic: topic.map(str::to_owned), websocket })
    }
}

/// Splits `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`.
///
/// # Errors
/// No host, a port that is no number, or an IPv6 address without brackets. Nothing of the place is
/// repeated.
pub(crate) fn host_and_port(place: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match place.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']').ok_or("a '[' without its ']'")?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err("what follows the ']' is not a port".into()),
            }
        }
        None => match place.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return Err("an IPv6 address needs brackets, such as [::1]:1883".into());
            }
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    if host.contains(['[', ']', '@']) {
        return Err("a bracket or an '@' where none belongs".into());
    }
    if host.is_empty() {
        return Err("there is no host in it".into());
    }
    let not_a_port = "what follows the host is not a port: that is a number up to 65535";
    let port = port.map(|port| port.parse().map_err(|_| not_a_port));
    Ok((host.to_owned(), port.transpose()?))
}

fn is_websocket(scheme: &str) -> Result<bool, String> {
    match scheme {
        "mqtt" | "tcp" => Ok(false),
        "ws" => Ok(true),
        "mqtts" | "ssl" | "tls" => Err("TLS is not supported yet; use mqtt://".into()),
        "wss" => Err("TLS is not supported yet; use ws://".into()),
        _ => Err("unknown scheme; use mqtt:// or ws://".into()),
    }
}

fn decode_text(text: &str) -> Result<String, String> {
    String::from_utf8(decode(text)?).map_err(|_| "the user name is not UTF-8".into())
}

/// Replaces `%40` by `@` and so on.
fn decode(text: &str) -> Result<Vec<u8>, String> {
    let mut decoded = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' { hex_pair(&mut bytes)? } else { byte });
    }
    Ok(decoded)
}

fn hex_pair(bytes: &mut impl Iterator<Item = u8>) -> Result<u8, String> {
    let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
    let value = digit().zip(digit()).map(|(high, low)| (high << 4) | low);
    value.and_then(|value| u8::try_from(value).ok()).ok_or_else(|| {
        "a '%' starts two hexadecimal digits; write %25 for the character itself".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_up_to_five_parts() {
        let url: Url = "mqtt://a%40b:p%3aw%25@example.org:1884/sensors/+/t".parse().unwrap();
        assert_eq!(url.user_name.as_deref(), Some("a@b"));
        assert_eq!(url.password.as_deref(), Some(b"p:w%".as_slice()));
        assert_eq!((url.host.as_str(), url.port), ("example.org", Some(1884)));
        assert_eq!(url.topic.as_deref(), Some("sensors/+/t"));
    }

    #[test]
    fn all_but_the_host_may_be_left_out() {
        for text in ["mqtt://example.org", "mqtt://example.org/", "tcp://example.org"] {
            let expected = Url { host: "example.org".into(), ..Url::default() };
            assert_eq!(text.parse::<Url>(), Ok(expected), "{text}");
        }
        let url: Url = "mqtt://user@[::1]/t".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port), ("::1", None));
        assert_eq!((url.user_name.as_deref(), url.password), (Some("user"), None));
    }

    #[test]
    fn behind_the_host_of_a_websocket_stands_its_path() {
        for (text, path) in [
            ("ws://user:word@example.org:8083", "/mqtt"),
            ("ws://user:word@example.org:8083/", "/mqtt"),
            ("ws://user:word@example.org:8083/a/b", "/a/b"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!(
                (url.websocket.as_deref(), url.topic, url.port),
                (Some(path), None, Some(8083))
            );
            assert_eq!(url.user_name.as_deref(), Some("user"));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("example.org", "expected mqtt://"),
            ("mqtts://example.org", "TLS is not supported yet"),
            ("wss://example.org", "TLS is not supported yet"),
            ("http://example.org", "unknown scheme"),
            ("mqtt://", "no host"),
            ("mqtt://:1883", "no host"),
            ("mqtt://a:port", "is not a port"),
            ("mqtt://alice:s3cret", "is not a port"),
            ("mqtt://a:65536", "is not a port"),
            ("mqtt://::1", "needs brackets"),
            ("mqtt://[::1", "without its ']'"),
            ("mqtt://[::1]x", "is not a port"),
            ("mqtt://a%4@host", "two hexadecimal digits"),
            ("mqtt://%ff@host", "not UTF-8"),
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("s3cret"), "{text}: {error}");
        }
    }
}
