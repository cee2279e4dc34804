//! `surgemq store`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What stands below the options in the help.
pub(super) const NOTES: &str = "\
None of these changes the directory, and no broker may have it open. What is
damaged is listed, a line each, on standard output for check, and on standard
error for the others. Exit code 0: nothing is damaged; 1: something is. salvage
ends with 0 when everything that can be read is in the new directory.

A broker leaves single damaged messages out by itself, and says so. It does not
start where a file is missing, or a whole file cannot be read: then salvage
keeps the rest.";

/// The options of `store`.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    pub(crate) task: StoreTask,
}

/// What is done with a data directory.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreTask {
    /// Compare every file with its checksum, and read every record
    Check {
        /// The data directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Print everything that can be read, as JSON, one object a line
    Export {
        /// The data directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,

        /// Write to this file, which must not exist yet, and not to standard output
        #[arg(short = 'o', long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Put everything that can be read into a new data directory
    Salvage {
        /// The data directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,

        /// The new directory: empty, or not there yet
        #[arg(long, value_name = "NEWDIR")]
        to: PathBuf,
    },
}
