use std::fmt;

use async_trait::async_trait;

use crate::{Authenticator, Exchange, Login, Refusal, Verdict};

/// Authenticators asked one after the other: the first that does not [`Pass`](Verdict::Pass)
/// decides. If all pass, or there is none, the client is refused with
/// [`Refusal::BadCredentials`].
///
/// One whose back end is down denies, and so ends the chain: nobody gets in by the side door
/// because the front door is stuck.
#[derive(Default)]
pub struct Chain {
    links: Vec<Box<dyn Authenticator>>,
}

impl Chain {
    /// An empty chain, which refuses everybody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same chain with one more authenticator at its end.
    #[must_use]
    pub fn then(mut self, next: impl Authenticator + 'static) -> Self {
        self.links.push(Box::new(next));
        self
    }
}

#[async_trait]
impl Authenticator for Chain {
    async fn authenticate(&self, login: Login<'_>) -> Verdict {
        for link in &self.links {
            match link.authenticate(login).await {
                Verdict::Pass => {}
                decided => return decided,
            }
        }
        Verdict::Deny(Refusal::BadCredentials)
    }

    /// The exchange of the first authenticator that knows the method.
    fn exchange(&self, method: &str) -> Option<Box<dyn Exchange>> {
        self.links.iter().find_map(|link| link.exchange(method))
    }

    /// Whether any of them is.
    fn is_blocking(&self) -> bool {
        self.links.iter().any(|link| link.is_blocking())
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({} authenticators)", self.links.len())
    }
}
