//! Configuring a server.

use std::{io, sync::Arc};

use mqtt_auth::{AllowAll, Anonymous, Authenticator, Authorizer};
use mqtt_session::{SessionStore, StoreError};
use thiserror::Error;

use crate::{
    core::{
        broker::{Broker, Parts},
        memory::Memory,
    },
    durability::Durability,
    entropy,
    limits::Limits,
    memory_limit,
    net::{
        clock::Clock,
        listen::{Listener, Transport},
        open,
        websocket::Doorway,
    },
    retained::{MemoryRetained, Retained, RetainedCount},
    routing::{MemoryRouting, Routing},
    server::Server,
};

/// Where MQTT is on a WebSocket listener that names no path: where most clients look for it, and
/// where those look that are given no path.
const WEBSOCKET_PATHS: [&str; 2] = ["/mqtt", "/"];

/// Builds a [`Server`]. What is not set has a default that works: everything in memory, anonymous
/// clients that may do everything, no listener.
#[must_use]
pub struct ServerBuilder {
    listen: Vec<String>,
    websocket: WebSocketOptions,
    limits: Limits,
    authenticator: Arc<dyn Authenticator>,
    authorizer: Arc<dyn Authorizer>,
    routing: Arc<dyn Routing>,
    retained: Option<Arc<dyn Retained>>,
    store: Option<Arc<dyn SessionStore>>,
    durability: Durability,
}

/// What all WebSocket listeners have in common.
#[derive(Default)]
struct WebSocketOptions {
    origins: Vec<String>,
    paths: Vec<String>,
    takes_any_protocol: bool,
}

/// A server could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
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
    /// The operating system gives us no thread for the journal.
    #[error("cannot start the thread of the journal: {0}")]
    Thread(io::Error),
}

impl ServerBuilder {
    pub(crate) fn new() -> Self {
        Self {
            listen: Vec::new(),
            websocket: WebSocketOptions::default(),
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
    /// `ws://HOST:PORT/PATH` in WebSocket messages, at this path and those of
    /// [`websocket_paths`](Self::websocket_paths); without a path at `/mqtt` and `/`. Port 0 takes a
    /// free one; see [`Server::local_addrs`]. Addresses of WebSocket that differ in their paths alone
    /// are one listener, under the first of them.
    ///
    /// A name is listened on at all its addresses that the machine has, `localhost` over IPv4 and
    /// IPv6. An address of IPv6 takes no connections over IPv4: for both, name both `0.0.0.0` and
    /// `[::]`.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen.push(address.into());
        self
    }

    /// Lets pages of these origins in over WebSocket, such as `https://example.org`; `*` stands for
    /// all pages.
    ///
    /// Without it only pages come in that were loaded from the host and port that they connect to,
    /// and any other Origin is refused with 403. Over loopback that host has to be an address,
    /// `localhost` or the name of the listener, because a stranger may point a name of his there.
    /// Clients that send no Origin, because they are no browsers, always come in.
    pub fn websocket_origins(
        mut self,
        origins: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.websocket.origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// Takes MQTT at these paths too on every WebSocket listener, such as `/`.
    pub fn websocket_paths(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.websocket.paths = paths.into_iter().map(Into::into).collect();
        self
    }

    /// Lets clients in over WebSocket that offer no sub-protocol of MQTT, which breaks
    /// [MQTT-6.0.0-3]. Off by default.
    pub fn websocket_takes_any_protocol(mut self, takes_any: bool) -> Self {
        self.websocket.takes_any_protocol = takes_any;
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
        for door in doors(&self.listen, &self.websocket)? {
            listeners.extend(bind(door).await?);
        }
        let clock = Clock::new(self.store.as_ref().and_then(|store| store.clock()));
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
            memory: Memory::new(limits.memory_limit.bytes(), memory_limit::resident),
            limits,
        });
        let server = Server::new(broker, listeners, clock).map_err(BindError::Thread)?;
        let shared = server.shared();
        shared.broker.load(shared.clock.now())?;
        if let Some(journal) = &shared.broker.journal {
            journal.note_clock(shared.clock.mark());
        }
        Ok(server)
    }
}

/// What is spoken at a place.
struct Door<'a> {
    address: &'a str,
    transport: Transport,
    place: &'a str,
}

/// The addresses, those of WebSocket that differ in their paths alone as one.
fn doors<'a>(listen: &'a [String], options: &WebSocketOptions) -> Result<Vec<Door<'a>>, BindError> {
    let mut doors: Vec<Door<'_>> = Vec::with_capacity(listen.len());
    for address in listen {
        let (transport, place) = parse(address, options)
            .map_err(|why| BindError::Address { address: address.to_owned(), why })?;
        let is_fixed = !place.ends_with(":0");
        let known = doors.iter_mut().find(|door| is_fixed && door.place == place);
        match (known.map(|door| &mut door.transport), &transport) {
            (Some(Transport::WebSocket(known)), Transport::WebSocket(more)) => {
                Arc::make_mut(known).paths.extend(more.paths.iter().cloned());
            }
            _ => doors.push(Door { address, transport, place }),
        }
    }
    Ok(doors)
}

async fn bind(door: Door<'_>) -> Result<Vec<Listener>, BindError> {
    let Door { address, transport, place } = door;
    let listen = |source| BindError::Listen { address: address.to_owned(), source };
    let name: Arc<str> = address.into();
    let sockets = open::listeners(place).await.map_err(listen)?.into_iter();
    Ok(sockets
        .map(|socket| Listener { name: name.clone(), socket, transport: transport.clone() })
        .collect())
}

/// `tcp://HOST:PORT`, `HOST:PORT` or `ws://HOST:PORT/PATH`: what is spoken there, and the place.
fn parse<'a>(address: &'a str, options: &WebSocketOptions) -> Result<(Transport, &'a str), String> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("tcp", address));
    let (place, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let Some((host, _)) = place.rsplit_once(':') else {
        return Err("there is no port".to_owned());
    };
    let transport = match scheme {
        "tcp" if path.is_empty() => Transport::Tcp,
        "tcp" => return Err(format!("the path {path:?} has no meaning over TCP")),
        "ws" => {
            let own = match path {
                "" | "/" => WEBSOCKET_PATHS.map(str::to_owned).to_vec(),
                path => vec![path.to_owned()],
            };
            let paths: Vec<_> = own.into_iter().chain(options.paths.iter().cloned()).collect();
            if let Some(path) = paths.iter().find(|path| !is_path(path)) {
                return Err(format!("{path:?} is not a path"));
            }
            Transport::WebSocket(Arc::new(Doorway {
                name: host.to_owned(),
                paths,
                origins: options.origins.clone(),
                needs_protocol: !options.takes_any_protocol,
            }))
        }
        _ => return Err(format!("the scheme {scheme:?} is not supported")),
    };
    Ok((transport, place))
}

fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.contains(['?', '#'])
        && path.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place and the path of an address, or what is wrong with it.
    fn parts(address: &str) -> Result<(&str, Option<String>), String> {
        parse(address, &WebSocketOptions::default()).map(|(transport, place)| match transport {
            Transport::Tcp => (place, None),
            Transport::WebSocket(doorway) => (place, Some(doorway.paths.join(" "))),
        })
    }

    #[test]
    fn an_address_names_a_transport_and_a_place() {
        assert_eq!(parts("tcp://[::1]:1883"), Ok(("[::1]:1883", None)));
        assert_eq!(parts("localhost:0"), Ok(("localhost:0", None)));
        for (address, path) in [
            ("ws://127.0.0.1:8083", "/mqtt /"),
            ("ws://127.0.0.1:8083/", "/mqtt /"),
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
