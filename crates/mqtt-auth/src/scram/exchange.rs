use std::mem;

use argon2::password_hash::rand_core::{OsRng, RngCore};
use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    ScramKeys,
    message::{ClientFinal, ClientFirst},
};
use crate::{Exchange, Identity, Login, Refusal, Step};

/// Random bytes in the server's part of the nonce.
const NONCE_BYTES: usize = 18;

/// Finds the keys of a user; for an unknown one it makes some up.
type Lookup = Box<dyn FnOnce(&str) -> ScramKeys + Send>;

/// One login with SCRAM-SHA-256. Whatever goes wrong, the answer is
/// [`Refusal::BadCredentials`], and comes when the proof was looked at, unless the client does not
/// speak the language.
pub(crate) struct ScramExchange {
    state: State,
}

enum State {
    First { lookup: Lookup, nonce: String },
    Final(Box<Challenge>),
    Over,
}

/// What was said so far.
struct Challenge {
    user_name: String,
    keys: ScramKeys,
    gs2_header: String,
    client_first_bare: String,
    server_first: String,
    nonce: String,
}

impl ScramExchange {
    /// An exchange that waits for the client's first message.
    pub(crate) fn new(lookup: impl FnOnce(&str) -> ScramKeys + Send + 'static) -> Self {
        let mut nonce = [0; NONCE_BYTES];
        OsRng.fill_bytes(&mut nonce);
        Self::with_nonce(lookup, BASE64_STANDARD.encode(nonce))
    }

    fn with_nonce(
        lookup: impl FnOnce(&str) -> ScramKeys + Send + 'static,
        nonce: impl Into<String>,
    ) -> Self {
        Self { state: State::First { lookup: Box::new(lookup), nonce: nonce.into() } }
    }
}

#[async_trait]
impl Exchange for ScramExchange {
    async fn step(&mut self, login: Login<'_>, data: &[u8]) -> Step {
        let next = match mem::replace(&mut self.state, State::Over) {
            State::First { lookup, nonce } => {
                Challenge::new(login, data, lookup, &nonce).map(|challenge| {
                    let step = Step::Continue(challenge.server_first.clone().into_bytes());
                    self.state = State::Final(Box::new(challenge));
                    step
                })
            }
            State::Final(challenge) => challenge.check(data),
            State::Over => None,
        };
        next.unwrap_or(Step::Refused(Refusal::BadCredentials))
    }
}

impl Challenge {
    fn new(login: Login<'_>, data: &[u8], lookup: Lookup, nonce: &str) -> Option<Self> {
        let first = ClientFirst::parse(data)?;
        // A client that is two users is neither.
        if login.user_name.is_some_and(|name| name != first.user_name) {
            return None;
        }
        let keys = lookup(&first.user_name);
        let nonce = format!("{}{nonce}", first.nonce);
        let salt = BASE64_STANDARD.encode(&keys.salt);
        Some(Self {
            server_first: format!("r={nonce},s={salt},i={}", keys.iterations),
            user_name: first.user_name,
            keys,
            gs2_header: first.gs2_header.to_owned(),
            client_first_bare: first.bare.to_owned(),
            nonce,
        })
    }

    fn check(&self, data: &[u8]) -> Option<Step> {
        let last = ClientFinal::parse(data)?;
        let conversation = [
            self.client_first_bare.as_bytes(),
            b",",
            self.server_first.as_bytes(),
            b",",
            last.without_proof.as_bytes(),
        ];
        let is_proven = bool::from(self.keys.proves(&last.proof, &conversation));
        let is_same = last.nonce == self.nonce && last.gs2_header == self.gs2_header.as_bytes();
        (is_proven && is_same).then(|| {
            let signature = BASE64_STANDARD.encode(self.keys.signature(&conversation));
            let identity = Identity::user(self.user_name.as_str());
            Step::Done { identity, data: Some(format!("v={signature}").into_bytes()) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SIGNATURE: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    /// The user and the nonce of RFC 7677 section 3.
    fn rfc7677() -> ScramExchange {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let lookup = |_: &str| ScramKeys::derive(b"pencil", salt, 4096);
        ScramExchange::with_nonce(lookup, SERVER_NONCE)
    }

    fn step(exchange: &mut ScramExchange, data: &[u8]) -> Step {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(exchange.step(Login::new("c"), data))
    }

    const REFUSED: Step = Step::Refused(Refusal::BadCredentials);

    #[test]
    fn the_example_of_rfc_7677_comes_out() {
        let mut exchange = rfc7677();
        assert_eq!(step(&mut exchange, FIRST), Step::Continue(SERVER_FIRST.into()));
        let done = Step::Done { identity: Identity::user("user"), data: Some(SIGNATURE.into()) };
        assert_eq!(step(&mut exchange, LAST.as_bytes()), done);
        assert_eq!(step(&mut exchange, LAST.as_bytes()), REFUSED, "a third message");
    }

    #[test]
    fn a_message_that_is_changed_on_the_way_is_refused() {
        let changes =
            [("c=biws", "c=eSws"), ("k0,p", "k1,p"), ("p=dHz", "p=dHy"), (",p=", ",x=y,p=")];
        for (old, new) in changes {
            let mut exchange = rfc7677();
            step(&mut exchange, FIRST);
            let changed = LAST.replace(old, new);
            assert_ne!(changed, LAST);
            assert_eq!(step(&mut exchange, changed.as_bytes()), REFUSED, "{changed}");
        }
    }

    #[test]
    fn a_header_that_was_not_the_first_is_refused() {
        let mut exchange = rfc7677();
        let first = FIRST.strip_prefix(b"n").unwrap();
        let answer = step(&mut exchange, &[b"y", first].concat());
        assert_eq!(answer, Step::Continue(SERVER_FIRST.into()), "the header is not signed here");
        assert_eq!(step(&mut exchange, LAST.as_bytes()), REFUSED, "but in the last message");
    }
}
