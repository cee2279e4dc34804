//! What the broker of a story is made of: who is who, and who may do what.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use mqtt_auth::{
    Action, Authenticator, Authorizer, Exchange, Identity, Login, Refusal, Standing, Step, Subject,
    Verdict,
};
use mqtt_session::{SessionStore, WallClock};
use parking_lot::Mutex;

use crate::{
    core::{
        broker::{Broker, Parts},
        memory::Memory,
    },
    durability::Durability,
    limits::Limits,
    retained::{MemoryRetained, RetainedCount},
    routing::MemoryRouting,
};

/// The memory that the broker of a story may use.
pub(super) const MEMORY_BYTES: u64 = 1_000_000_000;

/// A broker with [`Names`] and these rules.
pub(super) fn broker(
    limits: Limits,
    rules: &Arc<Rules>,
    store: Option<Arc<dyn SessionStore>>,
    clock: WallClock,
) -> Arc<Broker> {
    let room =
        RetainedCount { messages: limits.retained_messages_max, bytes: limits.retained_bytes_max };
    Arc::new(Broker::new(Parts {
        // Stories say themselves how much memory there is.
        memory: Memory::new(Some(MEMORY_BYTES), || None),
        limits,
        authenticator: Arc::new(Names(rules.clone())),
        authorizer: rules.clone(),
        routing: Arc::new(MemoryRouting::new()),
        retained: Arc::new(MemoryRetained::new(room)),
        store,
        durability: Durability::default(),
        clock,
        entropy: crate::entropy::unguessable,
    }))
}

/// Believes every user name but `mallory`. Knows the method `toy`: a challenge, an answer.
struct Names(Arc<Rules>);

#[async_trait]
impl Authenticator for Names {
    async fn authenticate(&self, login: Login<'_>) -> Verdict {
        match login.user_name {
            Some("mallory") => Verdict::Deny(Refusal::BadCredentials),
            Some(name) => Verdict::Allow(Identity::user(name)),
            None => Verdict::Allow(Identity::anonymous()),
        }
    }

    fn exchange(&self, method: &str) -> Option<Box<dyn Exchange>> {
        (method == "toy").then(|| Box::new(Toy) as Box<dyn Exchange>)
    }

    fn generation(&self) -> u64 {
        self.0.over.lock().len() as u64
    }

    fn standing(&self, identity: &Identity, generation: u64) -> Standing {
        let over = self.0.over.lock();
        let gone = self.0.gone.lock();
        if gone.iter().any(|name| identity.user_name() == Some(name)) {
            return Standing::Over;
        }
        let since = usize::try_from(generation).unwrap();
        match over.iter().skip(since).any(|name| identity.user_name() == Some(name)) {
            true => Standing::Over,
            false => Standing::Unknown,
        }
    }
}

/// Wants `answer:NAME` for its challenge.
struct Toy;

#[async_trait]
impl Exchange for Toy {
    async fn step(&mut self, _: Login<'_>, data: &[u8]) -> Step {
        match data.strip_prefix(b"answer:") {
            Some(name) => {
                let identity = Identity::user(String::from_utf8_lossy(name).as_ref());
                Step::Done { identity, data: Some(b"welcome".to_vec()) }
            }
            None if data == b"hello" => Step::Continue(b"who?".to_vec()),
            None => Step::Refused(Refusal::NotAuthorized),
        }
    }
}

/// One of the things that [`Rules`] can forbid.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) enum Act {
    Publish,
    Receive,
    Subscribe,
}

/// Everything is permitted but what was forbidden, by the exact name or filter.
#[derive(Default)]
pub(super) struct Rules {
    forbidden: Mutex<Vec<(Act, String)>>,
    /// Forbidden right behind the next answer about it, which still permits it.
    forbidden_next: Mutex<Option<(Act, String)>>,
    generation: AtomicU64,
    /// Users who got another password, one after the other.
    over: Mutex<Vec<String>>,
    /// Users who were removed.
    gone: Mutex<Vec<String>>,
}

impl Rules {
    /// There is no such user.
    pub(super) fn remove_from_the_start(&self, user: &str) {
        self.gone.lock().push(user.to_owned());
    }

    /// From now on a user has another password.
    pub(super) fn end(&self, user: &str) {
        self.over.lock().push(user.to_owned());
    }

    /// As rules that stood in the file when the server started: they have the first generation.
    pub(super) fn forbid_from_the_start(&self, act: Act, topic: &str) {
        self.forbidden.lock().push((act, topic.to_owned()));
    }

    /// Rules that change between an answer and its use.
    pub(super) fn forbid_behind_the_next_answer(&self, act: Act, topic: &str) {
        *self.forbidden_next.lock() = Some((act, topic.to_owned()));
    }

    pub(super) fn forbid(&self, act: Act, topic: &str) {
        self.forbid_from_the_start(act, topic);
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl Authorizer for Rules {
    fn authorize(&self, _: Subject<'_>, action: Action<'_>) -> bool {
        let (act, text) = match action {
            Action::Publish { topic, .. } => (Act::Publish, topic.as_str()),
            Action::Receive { topic } => (Act::Receive, topic.as_str()),
            Action::Subscribe { filter } => (Act::Subscribe, filter.as_str()),
        };
        let permits =
            !self.forbidden.lock().iter().any(|(a, forbidden)| *a == act && forbidden == text);
        let next = self.forbidden_next.lock().take_if(|(a, topic)| *a == act && topic == text);
        if let Some((act, topic)) = next {
            self.forbid(act, &topic);
        }
        permits
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}
