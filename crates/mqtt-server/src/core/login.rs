//! Finding out who a client is.

use std::{net::SocketAddr, sync::Arc};

use mqtt_auth::{Authenticator, Exchange, Identity, Login, Step};

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

/// The authenticator's answer.
pub(crate) struct LoginAnswer {
    pub(crate) step: Step,
    pub(crate) exchange: Option<Box<dyn Exchange>>,
}

impl LoginJob {
    /// Asks.
    pub(crate) async fn run(self) -> LoginAnswer {
        let Self { authenticator, exchange, credentials, peer } = self;
        let login = Login::new(&credentials.client_id)
            .user_name(credentials.user_name.as_deref())
            .password(credentials.password.as_deref())
            .peer(peer.address)
            .listener(&peer.listener);
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

/// Who a client is, once that is known.
pub(crate) struct Admitted {
    pub(crate) identity: Identity,
    /// The last data of enhanced authentication.
    pub(crate) data: Option<Vec<u8>>,
}
