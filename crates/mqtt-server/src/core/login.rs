//! Finding out who a client is.

use std::{net::SocketAddr, sync::Arc};

use mqtt_auth::{Authenticator, Exchange, Identity, Login, Refusal, Step};

/// Where a connection comes from.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The address of the other end, where the transport has one.
    pub(crate) address: Option<SocketAddr>,
    /// The listener that accepted the connection.
    pub(crate) listener: Arc<str>,
}

/// What a client presented. Kept for as long as it may authenticate again.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) client_id: Arc<str>,
    pub(crate) user_name: Option<Box<str>>,
    pub(crate) password: Option<Box<[u8]>>,
}

/// A question for the authenticator. The connection hands it out and goes on when it is handed the
/// answer; who runs it, and where, is the driver's choice.
pub(crate) struct LoginJob {
    pub(crate) authenticator: Arc<dyn Authenticator>,
    /// Enhanced authentication: the state of the exchange, and the client's data.
    pub(crate) exchange: Option<(Box<dyn Exchange>, Vec<u8>)>,
    pub(crate) credentials: Credentials,
    pub(crate) peer: Peer,
}

impl Credentials {
    /// How much memory they take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let user_name = self.user_name.as_ref().map_or(0, |name| name.len());
        self.client_id.len() + user_name + self.password.as_ref().map_or(0, |word| word.len())
    }
}

/// What identities were like when a login began: see [`mqtt_auth::Authenticator::standing`].
#[derive(Copy, Clone, Debug)]
pub(crate) struct LoginStamp {
    /// How often the server had heard of identities that may be over.
    pub(crate) seen: u64,
    /// The authenticator's generation.
    pub(crate) generation: u64,
}

/// The authenticator's answer.
pub(crate) struct LoginAnswer {
    pub(crate) step: Step,
    pub(crate) exchange: Option<Box<dyn Exchange>>,
}

impl LoginJob {
    /// What this login may be remembered by.
    pub(crate) fn fingerprint(&self) -> Option<[u8; 32]> {
        let login = login(&self.credentials, &self.peer);
        if self.exchange.is_some() { None } else { self.authenticator.fingerprint(login) }
    }

    /// Asks.
    pub(crate) async fn run(self) -> LoginAnswer {
        let Self { authenticator, exchange, credentials, peer } = self;
        let login = login(&credentials, &peer);
        match exchange {
            Some((mut exchange, data)) => {
                let step = exchange.step(login, &data).await;
                LoginAnswer { step, exchange: Some(exchange) }
            }
            None => {
                let step = match authenticator.authenticate(login).await.resolve() {
                    Ok(identity) => Step::Done { identity, data: None },
                    Err(refusal) => Step::Refused(refusal),
                };
                LoginAnswer { step, exchange: None }
            }
        }
    }
}

impl LoginAnswer {
    /// Somebody who was verified before.
    pub(crate) fn verified(identity: Identity) -> Self {
        Self { step: Step::Done { identity, data: None }, exchange: None }
    }

    /// Nobody was asked.
    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self { step: Step::Refused(refusal), exchange: None }
    }
}

fn login<'a>(credentials: &'a Credentials, peer: &'a Peer) -> Login<'a> {
    Login::new(&credentials.client_id)
        .user_name(credentials.user_name.as_deref())
        .password(credentials.password.as_deref())
        .peer(peer.address)
        .listener(&peer.listener)
}

/// Who a client is, once that is known.
pub(crate) struct Admitted {
    pub(crate) identity: Identity,
    /// The last data of enhanced authentication.
    pub(crate) data: Option<Vec<u8>>,
}
