//! `surgemq passwd`.

use std::{ffi::OsString, path::PathBuf};

use clap::Args;
use mqtt_auth::PasswordEditor;

/// What stands below the options in the help.
pub(super) const NOTES: &str = "\
Passwords are hashed with argon2id, or for SCRAM, where a client of MQTT 5.0
proves that it knows the password without sending it. Without PASSWORD it is
asked for twice on a terminal, or read as one line from standard input. A
broker that runs loads the file anew on SIGHUP.";

/// The options of `passwd`.
#[derive(Debug, Args)]
pub(crate) struct PasswdArgs {
    /// Make a new file
    #[arg(short = 'c', long, conflicts_with = "delete")]
    pub(crate) create: bool,

    /// Remove the user
    #[arg(short = 'D', long)]
    pub(crate) delete: bool,

    /// Hash the password for SCRAM-SHA-256; the user may still send it as well
    #[arg(long, conflicts_with = "delete")]
    pub(crate) scram: bool,

    /// The work of each login with SCRAM, for the client: 4096 or more
    #[arg(
        long,
        value_name = "N",
        default_value_t = PasswordEditor::SCRAM_ITERATIONS,
        requires = "scram"
    )]
    pub(crate) iterations: u32,

    /// The password file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// The user's name; without ':'
    #[arg(value_name = "USER")]
    pub(crate) user: String,

    /// The password; others can see it in the list of processes
    #[arg(value_name = "PASSWORD", conflicts_with = "delete")]
    pub(crate) password: Option<OsString>,
}
