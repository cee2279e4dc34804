//! What a command says on stderr while it runs.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Logs from here on, one line for each event that the filter lets through.
///
/// # Errors
/// The filter is not one.
pub(crate) fn start(filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::usage(format!(
            "--log {filter:?}: {error}; give off, error, warn, info, debug, trace, or a filter \
             such as mqtt_server=debug"
        ))
    })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    subscriber.try_init().map_err(|error| Failure::new(format!("cannot start the log: {error}")))
}

/// Logs what happens on the connection of `pub` or `sub`.
pub(crate) fn start_debug() -> Result<(), Failure> {
    start("off,surgemq=debug,mqtt_client=debug")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_none_is_refused() {
        let text = start("mqtt_server=loudly").unwrap_err().to_string();
        assert!(text.starts_with("--log \"mqtt_server=loudly\": "), "{text}");
    }
}
