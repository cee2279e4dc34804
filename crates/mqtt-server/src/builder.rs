//! Configuring a server.

use std::{io, sync::Arc};

use mqtt_auth::{AllowAll, Anonymous, Authenticator, Authorizer};
use mqtt_session::{MemoryStore, SessionStore, StoreError};
use thiserror::Error;
use tokio::net::TcpListener;

use crate::{
    core::broker::{Broker, Parts},
    entropy,
    limits::Limits,
    retained::{MemoryRetained, Retained, RetainedCount},
    routing::{MemoryRouting, Routing},
    server::Server,
};

/// Builds a [`Server`]. What is not set has a default that works: everything in memory, anonymous
/// clients that may do everything, no listener.
#[must_use]
pub struct ServerBuilder {
    listen: Vec<String>,
    limits: Limits,
    authenticator: Arc<dyn Authenticator>,
    authorizer: Arc<dyn Authorizer>,
    routing: Arc<dyn Routing>,
    retained: Option<Arc<dyn Retained>>,
    store: Arc<dyn SessionStore>,
}

/// A server could not be started.
#[derive(Debug, Error)]
pub enum BindError {
    /// The address is not one.
    #[error(
        "cannot listen on {address:?}: {why}; write tcp://HOST:PORT, such as tcp://127.0.0.1:1883"
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
            limits: Limits::default(),
            authenticator: Arc::new(Anonymous::everyone()),
            authorizer: Arc::new(AllowAll),
            routing: Arc::new(MemoryRouting::new()),
            retained: None,
            store: Arc::new(MemoryStore::default()),
        }
    }

    /// Listens on an address, `tcp://HOST:PORT`; may be called several times. Port 0 takes a free
    /// one; see [`Server::local_addrs`].
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen.push(address.into());
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

    /// Sets where sessions without a connection are kept. An `Arc` of a store can be handed to a
    /// second server when the first has stopped.
    pub fn sessions(mut self, store: Arc<dyn SessionStore>) -> Self {
        self.store = store;
        self
    }

    /// Opens the listeners and reads the session store.
    ///
    /// # Errors
    /// An address is bad or taken, or the session store cannot be read.
    pub async fn bind(self) -> Result<Server, BindError> {
        let mut listeners = Vec::with_capacity(self.listen.len());
        for address in &self.listen {
            listeners.push((Arc::from(address.as_str()), bind(address).await?));
        }
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
            entropy: entropy::unguessable,
            limits,
        });
        let server = Server::new(broker, listeners);
        let shared = server.shared();
        for record in shared.broker.store.load()? {
            shared.broker.restore(record, shared.clock.now());
        }
        Ok(server)
    }
}

async fn bind(address: &str) -> Result<TcpListener, BindError> {
    let (scheme, host) = address.split_once("://").unwrap_or(("tcp", address));
    if scheme != "tcp" {
        let why = format!("the scheme {scheme:?} is not supported");
        return Err(BindError::Address { address: address.to_owned(), why });
    }
    if !host.contains(':') {
        let why = "there is no port".to_owned();
        return Err(BindError::Address { address: address.to_owned(), why });
    }
    let listen = |source| BindError::Listen { address: address.to_owned(), source };
    TcpListener::bind(host).await.map_err(listen)
}
