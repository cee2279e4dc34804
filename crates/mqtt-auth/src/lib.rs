//! Who is an MQTT client, and what may it do.
//!
//! Two questions, two traits. An [`Authenticator`] is asked once, when a client connects, and
//! turns a [`Login`] into an [`Identity`]. An [`Authorizer`] is asked at every hand-over whether
//! that identity may publish, subscribe, or be sent a message. An embedder implements either, or
//! takes what is here:
//!
//! | authenticators | |
//! |---|---|
//! | [`PasswordFile`] | users and hashed passwords: argon2id, SCRAM-SHA-256, or mosquitto's |
//! | [`Anonymous`] | whoever sends no credentials, or everyone |
//! | [`Chain`] | several, one after the other |
//!
//! | authorizers | |
//! |---|---|
//! | [`AclFile`] | access rules in mosquitto's format |
//! | [`AllowAll`] | everything, for everyone |
//!
//! ```
//! use mqtt_auth::{AclFile, Action, Authorizer, Identity, Subject};
//! use mqtt_topics::TopicNameRef;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let rules = AclFile::parse("user alice\ntopic read sensors/#\ntopic deny sensors/secret")?;
//! let alice = Identity::user("alice");
//! let who = Subject { client_id: "alice's phone", identity: &alice };
//!
//! let warm = Action::Receive { topic: TopicNameRef::new("sensors/warm")? };
//! let secret = Action::Receive { topic: TopicNameRef::new("sensors/secret")? };
//! assert!(rules.authorize(who, warm));
//! assert!(!rules.authorize(who, secret));
//! # Ok(())
//! # }
//! ```
//!
//! # An authenticator of your own
//!
//! It may wait for a database or a web service. It says [`Verdict::Pass`] about users it does not
//! know, and [`Refusal::Unavailable`] if it cannot find out.
//!
//! ```
//! use mqtt_auth::{Anonymous, Authenticator, Chain, Identity, Login, Refusal, Verdict};
//!
//! /// Devices prove themselves with a ticket instead of a password.
//! struct Tickets;
//!
//! #[async_trait::async_trait]
//! impl Authenticator for Tickets {
//!     async fn authenticate(&self, login: Login<'_>) -> Verdict {
//!         let Some(device) = login.user_name.and_then(|name| name.strip_prefix("device-")) else {
//!             return Verdict::Pass;
//!         };
//!         match look_up(device).await {
//!             Ok(ticket) if login.password == Some(ticket.as_slice()) => {
//!                 Verdict::Allow(Identity::user(device))
//!             }
//!             Ok(_) => Verdict::Deny(Refusal::BadCredentials),
//!             Err(_) => Verdict::Deny(Refusal::Unavailable),
//!         }
//!     }
//! }
//! # async fn look_up(device: &str) -> Result<Vec<u8>, std::io::Error> {
//! #     if device == "9" { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok(b"let me in".to_vec()) }
//! # }
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let chain = Chain::new().then(Tickets).then(Anonymous::without_credentials());
//! let device = Login::new("d7").user_name("device-7").password(&b"let me in"[..]);
//! assert_eq!(chain.authenticate(device).await, Verdict::Allow(Identity::user("7")));
//! assert_eq!(chain.authenticate(Login::new("x")).await, Verdict::Allow(Identity::anonymous()));
//!
//! let unlucky = device.user_name("device-9");
//! assert_eq!(chain.authenticate(unlucky).await, Verdict::Deny(Refusal::Unavailable));
//! # });
//! ```
//!
//! # Enhanced authentication
//!
//! In MQTT 5.0 a client may name an Authentication Method and then exchange AUTH packets with the
//! server (§4.12). An authenticator that knows the method starts an [`Exchange`]. [`PasswordFile`]
//! knows `SCRAM-SHA-256`; here is a method of one's own:
//!
//! ```
//! use mqtt_auth::{Authenticator, Exchange, Identity, Login, Refusal, Step, Verdict};
//!
//! struct Riddles;
//!
//! #[async_trait::async_trait]
//! impl Authenticator for Riddles {
//!     async fn authenticate(&self, _login: Login<'_>) -> Verdict {
//!         Verdict::Pass
//!     }
//!
//!     fn exchange(&self, method: &str) -> Option<Box<dyn Exchange>> {
//!         (method == "RIDDLE").then(|| Box::new(Riddle { asked: false }) as Box<dyn Exchange>)
//!     }
//! }
//!
//! struct Riddle {
//!     asked: bool,
//! }
//!
//! #[async_trait::async_trait]
//! impl Exchange for Riddle {
//!     async fn step(&mut self, _login: Login<'_>, data: &[u8]) -> Step {
//!         if !std::mem::replace(&mut self.asked, true) {
//!             return Step::Continue(b"What has roots as nobody sees?".to_vec());
//!         }
//!         match data {
//!             b"A mountain." => Step::Done { identity: Identity::user("bilbo"), data: None },
//!             _ => Step::Refused(Refusal::NotAuthorized),
//!         }
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let login = Login::new("hobbit");
//! let mut riddle = Riddles.exchange("RIDDLE").expect("a method that it knows");
//! assert!(matches!(riddle.step(login, b"").await, Step::Continue(_)));
//! assert!(matches!(riddle.step(login, b"A mountain.").await, Step::Done { .. }));
//! assert!(Riddles.exchange("SCRAM-SHA-1").is_none());
//! # });
//! ```
//!
//! # An authorizer of your own
//!
//! It answers at once, from memory. If its answers can change, its
//! [`generation`](Authorizer::generation) grows with every change, because callers remember them.
//!
//! ```
//! use mqtt_auth::{Action, Authorizer, Identity, Subject};
//! use mqtt_topics::TopicFilterRef;
//!
//! /// Everyone may listen to the news; only the editor writes them.
//! struct News;
//!
//! impl Authorizer for News {
//!     fn authorize(&self, who: Subject<'_>, action: Action<'_>) -> bool {
//!         match action {
//!             Action::Publish { topic, .. } => {
//!                 topic.as_str().starts_with("news/") && who.identity.user_name() == Some("editor")
//!             }
//!             Action::Receive { topic } => topic.as_str().starts_with("news/"),
//!             Action::Subscribe { .. } => true,
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let anyone = Identity::anonymous();
//! let who = Subject { client_id: "reader", identity: &anyone };
//! assert!(News.authorize(who, Action::Subscribe { filter: TopicFilterRef::new("#")? }));
//! # Ok(())
//! # }
//! ```
//!
//! # Rules
//!
//! - **Fail closed.** No answer means no: a chain that runs out, rules that do not mention a topic,
//!   a file that does not load. A reload that fails changes nothing.
//! - **Nobody learns more than yes or no.** An unknown user, and a wrong, empty or missing password
//!   give the same [`Refusal`] after the same time.
//! - **Nothing from a client is a pattern.** Client identifiers and user names are compared as they
//!   are; they never bring a wildcard or a further level into a rule.
//! - **Secrets are not printed.** No `Debug`, `Display` or error shows a password or a hash, and
//!   names of clients come out escaped.
//!
//! # Limits
//!
//! There are no clocks, sockets or threads here. How often somebody may try a password, when a file
//! is loaded anew, and what becomes of a client that is connected when its user is removed is up to
//! the server: [`Authenticator::standing`] says whether it may stay.

mod acl_file;
mod allow_all;
mod anonymous;
mod authenticator;
mod authorizer;
mod chain;
mod exchange;
mod identity;
mod load_error;
mod login;
mod password_file;
mod scram;
mod standing;
mod text_file;
mod verdict;

pub use self::{
    acl_file::AclFile,
    allow_all::AllowAll,
    anonymous::Anonymous,
    authenticator::Authenticator,
    authorizer::{Action, Authorizer, Subject},
    chain::Chain,
    exchange::{Exchange, Step},
    identity::Identity,
    load_error::LoadError,
    login::Login,
    password_file::{EditError, PasswordEditor, PasswordFile, PasswordWarning},
    standing::Standing,
    verdict::{Refusal, Verdict},
};
