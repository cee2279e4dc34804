//! Room for connections: each takes a file descriptor.

/// Raises the number of descriptors that the program may open to what it may raise it to.
///
/// Many systems start a program with 1,024, for those that cannot use more. A broker would refuse the
/// clients behind them.
#[cfg(unix)]
pub(super) fn raise() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "no more than {} descriptors may be open", current.unwrap_or(0));
    }
}

/// There is no such limit here.
#[cfg(not(unix))]
pub(super) fn raise() {}
