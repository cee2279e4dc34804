//! The results as a file: everything that was measured, and what it was measured on.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    bench::{contender::Contender, machine::Machine, scenario::Kind, spec::Measured},
    failure::Failure,
};

/// One broker, one scenario, one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) scenario: String,
    pub(crate) kind: Kind,
    pub(crate) contender: String,
    pub(crate) round: u32,
    pub(crate) measured: Option<Measured>,
    /// Why there is no measurement.
    pub(crate) failure: Option<String>,
}

/// A whole run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    /// Seconds since 1970.
    pub(crate) time: u64,
    pub(crate) machine: Machine,
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) rows: Vec<Row>,
}

impl Results {
    /// Writes the file under its time, and says where it is.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(crate) fn save(&self, directory: &Path) -> Result<PathBuf, Failure> {
        let path = directory.join(format!("{}.json", self.time));
        let write = || -> Result<(), Box<dyn std::error::Error>> {
            fs::create_dir_all(directory)?;
            Ok(fs::write(&path, serde_json::to_string_pretty(self)?)?)
        };
        write().map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        Ok(path)
    }

    /// Reads a file that [`Self::save`] wrote.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let read = || -> Result<Self, Box<dyn std::error::Error>> {
            Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
        };
        read().map_err(|error| Failure::new(format!("{}: {error}", path.display())))
    }
}
