use std::sync::Arc;

use async_trait::async_trait;

use crate::{Exchange, Identity, Login, Standing, Verdict};

/// Answers who a client is.
///
/// Fail closed: whoever cannot reach an answer returns
/// [`Deny`](Verdict::Deny)`(`[`Unavailable`](crate::Refusal::Unavailable)`)`, never
/// [`Pass`](Verdict::Pass), which would let the next authenticator decide.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Judges what a client presented in its CONNECT packet.
    async fn authenticate(&self, login: Login<'_>) -> Verdict;

    /// Starts an enhanced authentication (MQTT 5.0 §4.12) with the Authentication Method that the
    /// client named. `None`: the method is unknown here, and the server refuses with 0x8C
    /// [MQTT-4.12.0-1].
    fn exchange(&self, method: &str) -> Option<Box<dyn Exchange>> {
        let _ = method;
        None
    }

    /// Whether [`authenticate`](Self::authenticate) may hold its thread for milliseconds, as
    /// hashing a password does. The server then calls it on a thread where that hurts nobody.
    fn is_blocking(&self) -> bool {
        false
    }

    /// A keyed hash of everything that the [`Verdict`] on this login depends on, if it may be
    /// remembered: where it is the same, the server may let the client in as who it was verified to
    /// be some seconds ago, without asking again. It changes when the user's password does.
    ///
    /// `None`, the default: each login is asked for.
    fn fingerprint(&self, login: Login<'_>) -> Option<[u8; 32]> {
        let _ = login;
        None
    }

    /// How often identities may have ended, because somebody was removed or got another password. It
    /// grows after the change is in force; the server looks at it every second.
    fn generation(&self) -> u64 {
        0
    }

    /// Whether a client may stay that came in as `identity`, and whose login began when
    /// [`generation`](Self::generation) was `generation`. It answers at once, from memory. The server
    /// ends the connection of a client whose identity is [`Standing::Over`].
    ///
    /// `u64::MAX` asks whether anybody can come in as `identity` at all: for a will, for one, whose
    /// client came in before the server was started anew.
    fn standing(&self, identity: &Identity, generation: u64) -> Standing {
        let _ = (identity, generation);
        Standing::Unknown
    }
}

/// A shared authenticator is one too: keep one handle to reload it, give the other to the server.
#[async_trait]
impl<T: Authenticator + ?Sized> Authenticator for Arc<T> {
    async fn authenticate(&self, login: Login<'_>) -> Verdict {
        (**self).authenticate(login).await
    }

    fn exchange(&self, method: &str) -> Option<Box<dyn Exchange>> {
        (**self).exchange(method)
    }

    fn is_blocking(&self) -> bool {
        (**self).is_blocking()
    }

    fn fingerprint(&self, login: Login<'_>) -> Option<[u8; 32]> {
        (**self).fingerprint(login)
    }

    fn generation(&self) -> u64 {
        (**self).generation()
    }

    fn standing(&self, identity: &Identity, generation: u64) -> Standing {
        (**self).standing(identity, generation)
    }
}
