use async_trait::async_trait;

use crate::{Authenticator, Identity, Login, Standing, Verdict};

/// Lets clients in that nobody vouches for, as [`Identity::anonymous`].
#[derive(Clone, Copy, Debug)]
pub struct Anonymous {
    everyone: bool,
}

impl Anonymous {
    /// Lets in whoever sends neither a user name nor a password, and passes on all others.
    ///
    /// Credentials that were sent empty were sent: such a client is passed on.
    #[must_use]
    pub fn without_credentials() -> Self {
        Self { everyone: false }
    }

    /// Lets everyone in, whatever credentials they send. They are not looked at, and so a claimed
    /// user name does not become anybody's identity.
    ///
    /// In a [`Chain`](crate::Chain) it belongs at the end, and there it also lets in users whom
    /// the others do not know.
    #[must_use]
    pub fn everyone() -> Self {
        Self { everyone: true }
    }
}

#[async_trait]
impl Authenticator for Anonymous {
    async fn authenticate(&self, login: Login<'_>) -> Verdict {
        if self.everyone || !login.has_credentials() {
            Verdict::Allow(Identity::anonymous())
        } else {
            Verdict::Pass
        }
    }

    fn fingerprint(&self, login: Login<'_>) -> Option<[u8; 32]> {
        Some([u8::from(login.has_credentials()); 32])
    }

    /// Nobody in particular stays nobody in particular; users are for others to vouch for.
    fn standing(&self, identity: &Identity, _: u64) -> Standing {
        if identity.is_anonymous() { Standing::Valid } else { Standing::Over }
    }
}
