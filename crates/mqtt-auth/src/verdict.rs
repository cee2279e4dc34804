use crate::Identity;

/// What an [`Authenticator`](crate::Authenticator) makes of a [`Login`](crate::Login).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The client is let in, as this identity.
    Allow(Identity),
    /// The client is turned away, and nobody else is asked.
    Deny(Refusal),
    /// This authenticator does not know the user; the next one of a [`Chain`](crate::Chain)
    /// decides. Where there is no next one it means no: see [`resolve`](Self::resolve).
    Pass,
}

impl Verdict {
    /// The final answer, when nobody else is left to ask.
    ///
    /// # Errors
    /// The refusal; [`Refusal::BadCredentials`] for [`Verdict::Pass`], so that an unknown user
    /// looks like a known one with a wrong password.
    pub fn resolve(self) -> Result<Identity, Refusal> {
        match self {
            Self::Allow(identity) => Ok(identity),
            Self::Deny(refusal) => Err(refusal),
            Self::Pass => Err(Refusal::BadCredentials),
        }
    }
}

/// Why a client is turned away, as far as it may know.
///
/// Each corresponds to one CONNACK reason code; none tells an unknown user from a wrong password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Unknown user, wrong, missing or empty password: MQTT 5.0 0x86, MQTT 3.1.1 0x05, 3.1 0x04.
    #[error("bad user name or password")]
    BadCredentials,
    /// Known, but not welcome here: MQTT 5.0 0x87, MQTT 3.x 0x05.
    #[error("not authorized")]
    NotAuthorized,
    /// Banned by an operator: MQTT 5.0 0x8A, MQTT 3.x 0x05.
    #[error("banned")]
    Banned,
    /// The answer cannot be had at present; it is no until then: MQTT 5.0 0x88, MQTT 3.x 0x03.
    #[error("authentication is unavailable")]
    Unavailable,
}
