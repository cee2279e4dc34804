use std::fmt;

use async_trait::async_trait;

use sha2::{Digest, Sha256};

use crate::{Authenticator, Exchange, Identity, Login, Refusal, Standing, Verdict};

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

    /// One for all links, if each has one.
    fn fingerprint(&self, login: Login<'_>) -> Option<[u8; 32]> {
        let mut all = Sha256::new();
        for link in &self.links {
            all.update(link.fingerprint(login)?);
        }
        Some(all.finalize().into())
    }

    /// Each link's generation only grows, so their sum does not stay the same when one of them does.
    fn generation(&self) -> u64 {
        self.links.iter().map(|link| link.generation()).fold(0, u64::wrapping_add)
    }

    /// Valid if some link vouches for the identity; over if all of them say so. One that cannot say
    /// may be the one that let the client in.
    fn standing(&self, identity: &Identity, generation: u64) -> Standing {
        let mut answer = Standing::Over;
        for link in &self.links {
            match link.standing(identity, generation) {
                Standing::Valid => return Standing::Valid,
                Standing::Unknown => answer = Standing::Unknown,
                Standing::Over => {}
            }
        }
        answer
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({} authenticators)", self.links.len())
    }
}
