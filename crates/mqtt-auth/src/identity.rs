use std::{fmt, sync::Arc};

use crate::Refusal;

/// Who a client turned out to be: a user whose name was verified, or nobody in particular.
///
/// Cheap to clone. A session belongs to the pair of client identifier and identity, so that nobody
/// resumes or wipes a stranger's session by knowing its client identifier (MQTT 5.0 §5.4.2).
///
/// `Debug` and `Display` escape the name: it is chosen by the peer, and ends up in logs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    user_name: Option<Arc<str>>,
}

impl Identity {
    /// The longest name taken from a certificate, in bytes. X.509 allows a common name of 64
    /// characters, each of up to four bytes in UTF-8.
    pub const CERTIFICATE_NAME_BYTES_MAX: usize = 256;

    /// The identity of every client that did not say, or could not prove, who it is.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { user_name: None }
    }

    /// The identity of a user whose name an authenticator has verified.
    #[must_use]
    pub fn user(name: impl Into<Arc<str>>) -> Self {
        Self { user_name: Some(name.into()) }
    }

    /// The identity of a client that proved itself with a TLS certificate of this subject name.
    ///
    /// A name that could mean something else to whoever reads it next is refused whole and never
    /// shortened or cleaned.
    ///
    /// # Errors
    /// [`Refusal::BadCredentials`] for a name that is empty, not UTF-8, longer than
    /// [`CERTIFICATE_NAME_BYTES_MAX`](Self::CERTIFICATE_NAME_BYTES_MAX), or that contains a
    /// control character (NUL included) or one of the wildcards `+` and `#`.
    pub fn from_certificate_name(name: &[u8]) -> Result<Self, Refusal> {
        if name.is_empty() || name.len() > Self::CERTIFICATE_NAME_BYTES_MAX {
            return Err(Refusal::BadCredentials);
        }
        let name = std::str::from_utf8(name).map_err(|_| Refusal::BadCredentials)?;
        if name.contains(|c: char| c.is_control() || c == '+' || c == '#') {
            return Err(Refusal::BadCredentials);
        }
        Ok(Self::user(name))
    }

    /// The verified user name, or `None` for an anonymous client.
    #[must_use]
    pub fn user_name(&self) -> Option<&str> {
        self.user_name.as_deref()
    }

    /// Whether nobody vouches for who this is.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.user_name.is_none()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.user_name() {
            Some(name) => write!(f, "user {name:?}"),
            None => f.write_str("anonymous"),
        }
    }
}
