use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a password or access rule file was not loaded. Nothing of it is in force then; after a
/// failed reload the old content still is.
///
/// The text never repeats a password, a hash or a whole line, so it may be logged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A line makes no sense.
    #[error("{}line {line}: {problem}; {remedy}", place(path.as_deref()))]
    Line {
        /// The file; `None` if the text did not come from one.
        path: Option<PathBuf>,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// Everybody on the machine may write the file (Unix): whoever does decides who comes in.
    #[error("everybody may write {} (mode {mode:04o}); run `chmod o-w` on it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is nothing to reload: the content came from a string, not from a file.
    #[error("cannot reload: the content did not come from a file")]
    NoFile,
}

fn place(path: Option<&Path>) -> String {
    path.map(|path| format!("{}, ", path.display())).unwrap_or_default()
}

/// What is wrong with a line, before it is known which line of which file that is.
#[derive(Debug)]
pub(crate) struct Problem {
    problem: String,
    remedy: String,
}

impl Problem {
    pub(crate) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }

    /// For a problem that is not one of a file.
    pub(crate) fn into_text(self) -> String {
        format!("{}; {}", self.problem, self.remedy)
    }

    /// The error for the line with this index, counted from 0.
    pub(crate) fn at(self, path: Option<&Path>, index: usize) -> LoadError {
        LoadError::Line {
            path: path.map(Path::to_owned),
            line: index.saturating_add(1),
            problem: self.problem,
            remedy: self.remedy,
        }
    }
}
