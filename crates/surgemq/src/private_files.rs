//! Files that the program makes are for its user alone.

/// Sets the mode creation mask of the process, so that files get mode 0600 and directories 0700
/// whatever the shell or the service manager has set. Called before there are threads.
#[cfg(unix)]
pub(crate) fn set() {
    const OTHERS: rustix::fs::Mode = rustix::fs::Mode::from_raw_mode(0o077);
    rustix::process::umask(OTHERS);
}

/// There is no such mask here.
#[cfg(not(unix))]
pub(crate) fn set() {}
