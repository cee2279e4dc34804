//! Where a server is: `mqtt://user:password@host:port?version=5`, or `ws://host:port/path`.

use mqtt_packet::Version;

use crate::UrlError;

/// The parts of a URL.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(crate) struct Url {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user_name: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) version: Option<Version>,
    /// Where MQTT is on a WebSocket server; `None` without WebSocket.
    pub(crate) websocket: Option<String>,
}

/// The port that is registered for MQTT.
const DEFAULT_PORT: u16 = 1883;

/// The port of HTTP, which is that of WebSocket too.
const WEBSOCKET_PORT: u16 = 80;

/// Stands in an error for what may be a part of a password.
const HIDDEN: &str = "***";

/// The path that most brokers have.
const WEBSOCKET_PATH: &str = "/mqtt";

impl Url {
    /// The parts of a URL. What is wrong is not repeated where it may be a part of a password.
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        Self::parts(text).map_err(|error| match error {
            // `user:password` without a host looks like a host and its port.
            UrlError::Port(port) if !port.bytes().all(|byte| byte.is_ascii_digit()) => {
                UrlError::Port(HIDDEN.to_owned())
            }
            UrlError::Port(_) if text.contains('@') => UrlError::Port(HIDDEN.to_owned()),
            UrlError::Path(_) if text.contains('@') => UrlError::Path(HIDDEN.to_owned()),
            UrlError::Parameter(_) if text.contains('@') => UrlError::Parameter(HIDDEN.to_owned()),
            error => error,
        })
    }

    fn parts(text: &str) -> Result<Self, UrlError> {
        let (is_websocket, rest) = match text.split_once("://") {
            Some(("mqtt" | "tcp", rest)) => (false, rest),
            Some(("ws", rest)) => (true, rest),
            _ => return Err(UrlError::Scheme),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let websocket = match path {
            "" => is_websocket.then(|| WEBSOCKET_PATH.to_owned()),
            path if is_websocket => Some(websocket_path(&format!("/{path}"))?),
            path => return Err(UrlError::Path(path.to_owned())),
        };
        let (login, address) = match authority.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, authority),
        };
        let (user_name, password) = match login.map(|login| login.split_once(':').ok_or(login)) {
            None => (None, None),
            Some(Ok((user, password))) => (Some(decoded(user)?), Some(decoded(password)?)),
            Some(Err(user)) => (Some(decoded(user)?), None),
        };
        let default_port = if is_websocket { WEBSOCKET_PORT } else { DEFAULT_PORT };
        let (host, port) = host_and_port(address, default_port)?;
        Ok(Self { host, port, user_name, password, version: version(query)?, websocket })
    }
}

/// A path as it stands in a request: it begins with `/`, and is printable ASCII.
pub(crate) fn websocket_path(path: &str) -> Result<String, UrlError> {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic()) && !path.contains('#');
    match is_plain && path.starts_with('/') {
        true => Ok(path.to_owned()),
        false => Err(UrlError::Path(path.to_owned())),
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host_and_port(address: &str, default_port: u16) -> Result<(String, u16), UrlError> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or(UrlError::Host)?,
        None => match address.find(':') {
            Some(at) => address.split_at(at),
            None => (address, ""),
        },
    };
    if host.is_empty() {
        return Err(UrlError::Host);
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => default_port,
        None => return Err(UrlError::Host),
        Some(port) => match port.parse() {
            Ok(number) if number > 0 => number,
            _ => return Err(UrlError::Port(port.to_owned())),
        },
    };
    Ok((host.to_owned(), port))
}

fn version(query: &str) -> Result<Option<Version>, UrlError> {
    let mut version = None;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        version = match parameter {
            "version=3.1" | "version=3" => Some(Version::V31),
            "version=3.1.1" | "version=4" => Some(Version::V311),
            "version=5" | "version=5.0" => Some(Version::V5),
            _ => return Err(UrlError::Parameter(parameter.to_owned())),
        };
    }
    Ok(version)
}

/// Replaces `%` and two hexadecimal digits with the byte that they stand for.
fn decoded(text: &str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(UrlError::Percent) };
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| UrlError::Percent)?);
    }
    String::from_utf8(bytes).map_err(|_| UrlError::Percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, u16, Option<String>, Option<String>) {
        let url = Url::parse(text).unwrap();
        (url.host, url.port, url.user_name, url.password)
    }

    #[test]
    fn what_a_url_names() {
        let own = |text: &str| Some(text.to_owned());
        assert_eq!(parts("mqtt://localhost"), ("localhost".into(), 1883, None, None));
        assert_eq!(parts("tcp://[::1]:1884/"), ("::1".into(), 1884, None, None));
        let full = parts("mqtt://me:a%3Ab%40@example.org:99?version=5");
        assert_eq!(full, ("example.org".into(), 99, own("me"), own("a:b@")));
        assert_eq!(parts("mqtt://me@h").2, own("me"));
    }

    #[test]
    fn a_path_belongs_to_websocket() {
        let path = |text| Url::parse(text).map(|url| (url.port, url.websocket));
        assert_eq!(path("mqtt://h"), Ok((1883, None)));
        assert_eq!(path("ws://h"), Ok((80, Some("/mqtt".into()))));
        assert_eq!(path("ws://h:8083/"), Ok((8083, Some("/mqtt".into()))));
        assert_eq!(path("ws://u:p@h:1/a/b?version=5"), Ok((1, Some("/a/b".into()))));
        assert_eq!(path("ws://h/a b"), Err(UrlError::Path("/a b".into())));
    }

    #[test]
    fn versions() {
        let version = |text| Url::parse(text).map(|url| url.version);
        assert_eq!(version("mqtt://h?version=3.1"), Ok(Some(Version::V31)));
        assert_eq!(version("mqtt://h/?version=3.1.1"), Ok(Some(Version::V311)));
        assert_eq!(version("mqtt://h"), Ok(None));
        assert_eq!(version("mqtt://h?v=5"), Err(UrlError::Parameter("v=5".into())));
    }

    #[test]
    fn what_is_no_url() {
        let error = |text| Url::parse(text).unwrap_err();
        assert_eq!(error("http://h"), UrlError::Scheme);
        assert_eq!(error("mqtt://:1883"), UrlError::Host);
        assert_eq!(error("mqtt://[::1"), UrlError::Host);
        assert_eq!(error("mqtt://h:0"), UrlError::Port("0".into()));
        assert_eq!(error("mqtt://h/a/topic"), UrlError::Path("a/topic".into()));
        assert_eq!(error("mqtt://a%4:b@h"), UrlError::Percent);
    }

    #[test]
    fn an_error_does_not_repeat_a_password() {
        for text in [
            "mqtt://alice:s3cret",
            "mqtt://alice:s3/cret@h",
            "mqtt://alice:99/s3cret@h",
            "mqtt://alice:s3?cret@h",
            "ws://alice:99/s3 cret@h",
            "mqtt://h:1?password=s3cret@",
        ] {
            let error = Url::parse(text).unwrap_err().to_string();
            assert!(!error.contains("s3") && !error.contains("cret"), "{text}: {error}");
        }
    }
}
