//! `cargo xtask interop`: real clients tell their stories about the broker.

use clap::Args;

use crate::failure::Failure;

/// What to test, and with whom.
#[derive(Args, Debug, Default)]
pub(crate) struct Options {
    /// Test the broker that listens at HOST:PORT instead of our own.
    #[arg(long, value_name = "HOST:PORT")]
    broker: Option<String>,
}

/// Runs every story of every client.
pub(crate) fn run(_options: &Options) -> Result<(), Failure> {
    Ok(())
}
