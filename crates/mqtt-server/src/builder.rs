//! Configuring a server.

use std::{io, net::SocketAddr, sync::Arc};

use mqtt_auth::{AllowAll, Anonymous, Authenticator, Authorizer};
use mqtt_session::{SessionStore, StoreError};
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, lookup_host};

use crate::{
    core::broker::{Broker, Parts},
    durability::Durability,
    entropy,
    limits::Limits,
    net::{
        clock::Clock,
        listen::{Listener, Transport},
        websocket::Doorway,
    },
    retained::{MemoryRetained, Retained, RetainedCount},
    routing::{MemoryRouting, Routing},
    server::Server,
};

/// Where MQTT is on a WebSocket listener that names no path.
const WEBSOCKET_PATH: &str = "/mqtt";

/// So many clients may wait to be accepted; the operating system may know less. When many come at once,
/// as after a restart, those behind are not heard and try again a second later.
const BACKLOG: u32 = 4096;

/// Builds a [`Server`]. What is not set has a default that works: everything in memory, anonymous
/// clients that may do everything, no listener.
#[must_use]
pub struct ServerBuilder {
    listen: Vec<String>,
    websocket_origins: Vec<String>,
    limits: Limits,
    authenticator: Arc<dyn Authenticator>,
    authorizer: Arc<dyn Authorizer>,
    routing: Arc<dyn Routing>,
    retained: Option<Arc<dyn Retained>>,
    store: Option<Arc<dyn SessionStore>>,
    durability: Durability,
}

/// A server could not be started.
#[derive(Debug, Error)]
pub enum BindError {
    /// The address is not one.
    #[error(
        "cannot listen on {address:?}: {why}; write tcp://HOST:PORT or ws://HOST:PORT/PATH, such as \
         tcp://127.0.0.1:1883"
    )]
    Address {
        /// The address as it was given.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The operating system does not let us listen there.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address as it was given.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The session store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ServerBuilder {
    pub(crate) fn new() -> Self {
        Self {
            listen: Vec::new(),
            websocket_origins: Vec::new(),
            limits: Limits::default(),
            authenticator: Arc::new(Anonymous::everyone()),
            authorizer: Arc::new(AllowAll),
            routing: Arc::new(MemoryRouting::new()),
            retained: None,
            store: None,
            durability: Durability::default(),
        }
    }

    /// Listens on an address; may be called several times. `tcp://HOST:PORT` takes MQTT as it is,
    /// `ws://HOST:PORT/PATH` in WebSocket messages, at this path alone; without one at `/mqtt`. Port 0
    /// takes a free one; see [`Server::local_addrs`].
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen.push(address.into());
        self
    }

    /// Lets only the pages of these origins in over WebSocket, such as `https://example.org`, compared
    /// byte by byte; any other Origin is refused with 403. Without this, and for clients that send
    /// none because they are no browsers, every origin is good.
    pub fn websocket_origins(
        mut self,
        origins: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.websocket_origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// Sets all bounds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets who decides who a client is.
    pub fn authenticator(mut self, authenticator: impl Authenticator + 'static) -> Self {
        self.authenticator = Arc::new(authenticator);
        self
    }

    /// Sets who decides what a client may do.
    pub fn authorizer(mut self, authorizer: impl Authorizer + 'static) -> Self {
        self.authorizer = Arc::new(authorizer);
        self
    }

    /// Sets where subscriptions are kept.
    pub fn routing(mut self, routing: impl Routing + 'static) -> Self {
        self.routing = Arc::new(routing);
        self
    }

    /// Sets where retained messages are kept.
    pub fn retained(mut self, retained: impl Retained + 'static) -> Self {
        self.retained = Some(Arc::new(retained));
        self
    }

    /// Sets where sessions that outlive their connections are kept, their messages, and retained
    /// messages. Then a message that such a session waits for is acknowledged when it is there.
    /// Without a store everything is in memory, and ends with the server.
    pub fn sessions(mut self, store: Arc<dyn SessionStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Sets how safe messages are before they are acknowledged; with a store, on its disk.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Opens the listeners and reads the session store.
    ///
    /// # Errors
    /// An address is bad or taken, or the session store cannot be read.
    pub async fn bind(self) -> Result<Server, BindError> {
        let mut listeners = Vec::with_capacity(self.listen.len());
        for address in &self.listen {
            listeners.push(bind(address, &self.websocket_origins).await?);
        }
        let clock = Clock::new();
        let limits = self.limits;
        let room = RetainedCount {
            messages: limits.retained_messages_max,
            bytes: limits.retained_bytes_max,
        };
        let broker = Broker::new(Parts {
            authenticator: self.authenticator,
            authorizer: self.authorizer,
            routing: self.routing,
            retained: self.retained.unwrap_or_else(|| Arc::new(MemoryRetained::new(room))),
            store: self.store,
            durability: self.durability,
            clock: clock.wall(),
            entropy: entropy::unguessable,
            limits,
        });
        let server = Server::new(broker, listeners, clock);
        let shared = server.shared();
        shared.broker.load(shared.clock.now())?;
        Ok(server)
    }
}

async fn bind(address: &str, origins: &[String]) -> Result<Listener, BindError> {
    let (transport, place) = parse(address, origins)
        .map_err(|why| BindError::Address { address: address.to_owned(), why })?;
    let listen = |source| BindError::Listen { address: address.to_owned(), source };
    let socket = open(place).await.map_err(listen)?;
    Ok(Listener { name: address.into(), socket, transport })
}

/// Listens at the first of the places that a name stands for where that is possible.
async fn open(place: &str) -> io::Result<TcpListener> {
    let mut failed = None;
    for address in lookup_host(place).await? {
        match open_at(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed
        .unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}

fn open_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A port whose last connections are still about to end may be used again; on Windows this
    // would mean that two programs may have it at once.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// `tcp://HOST:PORT`, `HOST:PORT` or `ws://HOST:PORT/PATH`: what is spoken there, and the place.
fn parse<'a>(address: &'a str, origins: &[String]) -> Result<(Transport, &'a str), String> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("tcp", address));
    let (place, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let transport = match scheme {
        "tcp" if path.is_empty() => Transport::Tcp,
        "tcp" => return Err(format!("the path {path:?} has no meaning over TCP")),
        "ws" if path.contains(['?', '#']) || !path.bytes().all(|byte| byte.is_ascii_graphic()) => {
            return Err(format!("{path:?} is not a path"));
        }
        "ws" => {
            let path = if path.len() > 1 { path } else { WEBSOCKET_PATH };
            let doorway = Doorway { path: path.to_owned(), origins: origins.to_vec() };
            Transport::WebSocket(Arc::new(doorway))
        }
        _ => return Err(format!("the scheme {scheme:?} is not supported")),
    };
    if !place.contains(':') {
        return Err("there is no port".to_owned());
    }
    Ok((transport, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place and the path of an address, or what is wrong with it.
    fn parts(address: &str) -> Result<(&str, Option<String>), String> {
        parse(address, &[]).map(|(transport, place)| match transport {
            Transport::Tcp => (place, None),
            Transport::WebSocket(doorway) => (place, Some(doorway.path.clone())),
        })
    }

    #[test]
    fn an_address_names_a_transport_and_a_place() {
        assert_eq!(parts("tcp://[::1]:1883"), Ok(("[::1]:1883", None)));
        assert_eq!(parts("localhost:0"), Ok(("localhost:0", None)));
        for (address, path) in [
            ("ws://127.0.0.1:8083", "/mqtt"),
            ("ws://127.0.0.1:8083/", "/mqtt"),
            ("ws://127.0.0.1:8083/a/b", "/a/b"),
        ] {
            assert_eq!(parts(address), Ok(("127.0.0.1:8083", Some(path.to_owned()))));
        }
        for (address, why) in [
            ("tcp://h:1/mqtt", "no meaning over TCP"),
            ("wss://h:1", "not supported"),
            ("ws://h/mqtt", "no port"),
            ("ws://h:1/a?b", "not a path"),
        ] {
            assert!(parts(address).unwrap_err().contains(why), "{address}");
        }
    }
}
