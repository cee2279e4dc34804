//! Where the clients are installed and the broker writes its log: below the target directory.

use std::path::PathBuf;

use crate::{
    failure::Failure,
    process::{create_directory, root, target_directory},
};

/// The directories that the stories use.
#[derive(Debug)]
pub(super) struct Workplace {
    /// Where everything is kept that is installed or written.
    directory: PathBuf,
    /// Where cargo puts the binaries of the chosen profile.
    binaries: PathBuf,
}

impl Workplace {
    /// Creates the directories below cargo's target directory.
    pub(super) fn open(release: bool) -> Result<Self, Failure> {
        let target = target_directory()?;
        let profile = if release { "release" } else { "debug" };
        let workplace = Self { directory: target.join("interop"), binaries: target.join(profile) };
        create_directory(&workplace.directory)?;
        Ok(workplace)
    }

    /// A file or directory of this name, kept from run to run.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The binary or example that cargo built, named relative to the profile's directory.
    pub(super) fn binary(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }
}

/// The sources of the stories, which are kept in the repository.
pub(super) fn sources() -> PathBuf {
    root().join("xtask/interop")
}
