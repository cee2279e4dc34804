/// Whether a client may stay that came in some time ago; see
/// [`Authenticator::standing`](crate::Authenticator::standing).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The identity would still be verified by what the client presented.
    Valid,
    /// It would not: the user is gone, or has another password.
    Over,
    /// This authenticator cannot say.
    Unknown,
}
