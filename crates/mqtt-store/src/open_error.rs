//! Why a store cannot be opened.

use std::{error::Error, io, path::PathBuf};

use thiserror::Error;

/// A directory that cannot be opened as a store.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another store has it open.
    #[error(
        "the data directory {} is in use by {}: stop that, or choose another directory",
        dir.display(), user(*pid)
    )]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The process that has it open, if it is known.
        pid: Option<u32>,
    },
    /// A later version of the software made it.
    #[error(
        "the data directory {} has format {found}, and this version knows formats up to {known}: \
         use the version that wrote it, or a later one", dir.display()
    )]
    NewerFormat {
        /// The directory.
        dir: PathBuf,
        /// The format of the directory.
        found: u32,
        /// The highest format that can be opened.
        known: u32,
    },
    /// Everybody on the machine may put files there, and rename what is there.
    #[error(
        "everybody may change the directory {}: take that right away (chmod go= {}), or choose a \
         directory of its own for the data", dir.display(), dir.display()
    )]
    Exposed {
        /// The directory.
        dir: PathBuf,
    },
    /// What it holds is damaged.
    #[error(
        "the data directory {} is damaged: {what}; `surgemq store check {}` lists what is wrong, \
         and `surgemq store salvage {} --to NEW` puts what can be read into a new directory; or \
         restore it from a copy", dir.display(), dir.display(), dir.display()
    )]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// What was found.
        what: String,
        /// What is behind it.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The operating system refused something.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

fn user(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
