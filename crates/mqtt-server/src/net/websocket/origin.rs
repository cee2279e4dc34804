//! Which pages may connect: a browser lets every page open a WebSocket to every address, and says
//! which page it was.
//!
//! ```text
//! no Origin ──────────────────────────────> no browser: comes in
//! Origin in the list, or `*` in it ───────> comes in
//! Origin is that of the Host ─┬─ from afar ─> comes in
//!                             └─ over loopback: if the Host is an address, localhost or the
//!                                listener's name ─> comes in
//! anything else ──────────────────────────> 403
//! ```
//!
//! The last question is about DNS rebinding: a page of `attacker.example` has its name point to
//! 127.0.0.1, and its origin is that of the Host then. An address cannot be pointed elsewhere.

use std::net::{IpAddr, Ipv6Addr};

use tungstenite::handshake::server::Request;

use super::upgrade::{Doorway, Refusal};

/// Lets the pages of all origins in, where it stands in the list.
const ANY: &str = "*";

/// Checks where the request comes from and whom it is meant for. `is_loopback` says that it came
/// over the loopback interface.
pub(super) fn check(
    request: &Request,
    doorway: &Doorway,
    is_loopback: bool,
) -> Result<(), Refusal> {
    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let Some(host) = header("Host").filter(|host| !host.is_empty()) else {
        return Err(("400 Bad Request", "there is no Host header"));
    };
    let Some(origin) = header("Origin") else { return Ok(()) };
    let is_listed = |known: &String| known == ANY || known.eq_ignore_ascii_case(origin);
    if doorway.origins.iter().any(is_listed) {
        return Ok(());
    }
    let page = Place::of_origin(origin);
    let Some((page, _)) = page.filter(|(page, port)| *page == Place::of(host, *port)) else {
        return Err(("403 Forbidden", "pages of another origin may not connect"));
    };
    if is_loopback && !page.is_own(&doorway.name) {
        return Err(("403 Forbidden", "pages of this name may not connect over loopback"));
    }
    Ok(())
}

/// A host and a port.
#[derive(Debug)]
struct Place<'a> {
    /// Without the brackets of an IPv6 address.
    host: &'a str,
    /// `None` for what is no port.
    port: Option<u16>,
}

impl<'a> Place<'a> {
    /// `HOST`, `HOST:PORT`, and an IPv6 address in brackets.
    fn of(text: &'a str, default_port: u16) -> Self {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
            _ => (text, Some(default_port)),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Self { host, port }
    }

    /// The place that a page comes from, and the port that its scheme has where none is named; `None`
    /// for what was not loaded from a web server.
    fn of_origin(origin: &'a str) -> Option<(Self, u16)> {
        let (scheme, place) = origin.split_once("://")?;
        let port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        Some((Self::of(place, port), port))
    }

    /// Whether this is an address, or a name that belongs to this machine or listener.
    fn is_own(&self, listener: &str) -> bool {
        let host = self.host.strip_suffix('.').unwrap_or(self.host);
        let name = listener.strip_suffix('.').unwrap_or(listener);
        let is_localhost = host.eq_ignore_ascii_case("localhost")
            || host.len() > 10
                && host
                    .get(host.len() - 10..)
                    .is_some_and(|end| end.eq_ignore_ascii_case(".localhost"));
        is_localhost || host.eq_ignore_ascii_case(name) || host.parse::<IpAddr>().is_ok()
    }
}

impl PartialEq for Place<'_> {
    fn eq(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.host.parse::<Ipv6Addr>(), other.host.parse::<Ipv6Addr>());
        let is_same_host = match (mine, theirs) {
            (Ok(mine), Ok(theirs)) => mine == theirs,
            _ => self.host.eq_ignore_ascii_case(other.host),
        };
        self.port.is_some() && self.port == other.port && is_same_host
    }
}
