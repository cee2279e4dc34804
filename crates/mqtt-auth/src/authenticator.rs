use std::sync::Arc;

use async_trait::async_trait;

use crate::{Exchange, Login, Verdict};

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
}
