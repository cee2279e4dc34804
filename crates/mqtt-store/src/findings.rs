//! What is wrong with files that are read.

use std::{fmt::Display, io};

use crate::fault;

/// What was found while files were read.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// A line for each.
    pub(crate) lines: Vec<String>,
    /// How often the operating system could not read something that is there. Where the disk fails
    /// the same place may be read another time.
    pub(crate) unreadable: u64,
    /// What was missing for the reading itself, such as descriptors: then nothing is known.
    failure: Option<io::Error>,
}

impl Findings {
    pub(crate) fn push(&mut self, what: String) {
        self.lines.push(what);
    }

    /// The engine could not read something.
    pub(crate) fn engine(&mut self, path: &str, what: &str, error: &lsm_tree::Error) {
        match error {
            lsm_tree::Error::Io(error) => self.io(&format_args!("{path}: {what}"), error),
            error => self.push(format!("{path}: {what}: {error}")),
        }
    }

    /// The operating system could not read something.
    pub(crate) fn io(&mut self, what: &dyn Display, error: &io::Error) {
        if fault::is_passing_io(error) {
            self.failure.get_or_insert_with(|| io::Error::new(error.kind(), error.to_string()));
            return;
        }
        if !fault::is_damage_kind(error.kind()) {
            self.unreadable += 1;
        }
        self.push(format!("{what}: {error}"));
    }

    /// Whether everything that is there was looked at.
    ///
    /// # Errors
    /// Something was missing for that.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_lack_of_descriptors_is_no_finding() {
        let mut findings = Findings::default();
        findings.io(&"db", &Errno::MFILE.into());
        assert!(findings.lines.is_empty());
        assert!(findings.check().is_err());
        findings.io(&"db", &Errno::IO.into());
        findings.io(&"db", &Errno::NOENT.into());
        assert_eq!((findings.lines.len(), findings.unreadable), (2, 1));
        assert!(findings.check().is_ok());
    }
}
