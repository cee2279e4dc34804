use std::{fmt, net::SocketAddr};

/// What a client presents in its CONNECT packet, and where it came from.
///
/// `Debug` says whether there is a password, never which.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Login<'a> {
    /// The client identifier, as sent or as assigned by the server.
    pub client_id: &'a str,
    /// The user name as claimed. An empty one was sent empty: it is not the same as none.
    pub user_name: Option<&'a str>,
    /// The password as sent. An empty one was sent empty: it is not the same as none.
    pub password: Option<&'a [u8]>,
    /// The address of the other end, where the transport has one.
    pub peer: Option<SocketAddr>,
    /// The name of the listener that accepted the connection; empty if it has none.
    pub listener: &'a str,
}

impl<'a> Login<'a> {
    /// A login that brings nothing but a client identifier.
    #[must_use]
    pub fn new(client_id: &'a str) -> Self {
        Self { client_id, user_name: None, password: None, peer: None, listener: "" }
    }

    /// The same with a user name, if one was sent.
    #[must_use]
    pub fn user_name(mut self, user_name: impl Into<Option<&'a str>>) -> Self {
        self.user_name = user_name.into();
        self
    }

    /// The same with a password, if one was sent.
    #[must_use]
    pub fn password(mut self, password: impl Into<Option<&'a [u8]>>) -> Self {
        self.password = password.into();
        self
    }

    /// The same with the address of the other end.
    #[must_use]
    pub fn peer(mut self, peer: impl Into<Option<SocketAddr>>) -> Self {
        self.peer = peer.into();
        self
    }

    /// The same with the name of the listener.
    #[must_use]
    pub fn listener(mut self, listener: &'a str) -> Self {
        self.listener = listener;
        self
    }

    /// Whether the client sent a user name or a password, be they empty.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        self.user_name.is_some() || self.password.is_some()
    }
}

impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("client_id", &self.client_id)
            .field("user_name", &self.user_name)
            .field("password", &self.password.map(|_| Hidden))
            .field("peer", &self.peer)
            .field("listener", &self.listener)
            .finish()
    }
}

/// Stands for a value that must not be printed.
struct Hidden;

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
