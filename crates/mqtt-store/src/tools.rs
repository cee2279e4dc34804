//! What can be done with a directory that no store has open: check it, show what it holds, and put
//! what can be read of it into another. None of them changes it.

use std::{fs, io, path::Path};

use crate::{
    completeness,
    format_file::{self, FORMAT, sync_dir},
    keyspaces::Kind,
    lock_file::LockFile,
    open_error::OpenError,
    options::StoreOptions,
    privacy,
    rebuild::{self, Nowhere},
    state_file::{self, Found, State, StateFile},
    store::{DATABASE, UNFINISHED, is_ours, privacy_error},
    survey::{Exported, Sink, Survey, survey},
};

/// Goes through everything that a directory holds: every file is compared with its checksum, and
/// every record is read.
///
/// # Errors
/// There is no store in the directory, it is in use, or it cannot be read at all.
pub fn check(dir: &Path) -> Result<Survey, OpenError> {
    Directory::open(dir)?.survey(&mut Nowhere)
}

/// Shows everything that can be read in a directory, and returns what is wrong with the rest.
///
/// # Errors
/// As for [`check`], and what `visit` returns.
pub fn export(
    dir: &Path,
    visit: &mut dyn FnMut(Exported) -> io::Result<()>,
) -> Result<Survey, OpenError> {
    Directory::open(dir)?.survey(&mut Shown(visit))
}

/// Puts everything that can be read in a directory into a new one, and returns what cannot.
///
/// # Errors
/// As for [`check`]; `to` is not empty, or cannot be written.
pub fn salvage(dir: &Path, to: &Path, options: &StoreOptions) -> Result<Survey, OpenError> {
    let from = Directory::open(dir)?;
    privacy::make(to, is_ours).map_err(|error| privacy_error(to, error))?;
    let failed = |what| move |source| OpenError::Io { what, path: to.to_owned(), source };
    if fs::read_dir(to).map_err(failed("read"))?.next().is_some() {
        let full = io::Error::new(io::ErrorKind::DirectoryNotEmpty, "there is something in it");
        return Err(failed("salvage to")(full));
    }
    let _lock = LockFile::lock(to)?;
    let unfinished = to.join(UNFINISHED);
    let (mut survey, groups) = rebuild::rebuild(&from.database, from.last(), &unfinished, options)
        .map_err(failed("salvage to"))?;
    format_file::write(to)?;
    let state = State {
        written: groups,
        synced: groups,
        is_whole: true,
        clock: from.state.state().clock,
        ..State::default()
    };
    StateFile::open(to, state).map_err(failed("write to"))?;
    fs::rename(&unfinished, to.join(DATABASE)).map_err(failed("rename in"))?;
    sync_dir(to).map_err(failed("sync"))?;
    survey.findings.splice(0..0, from.findings());
    Ok(survey)
}

/// A directory that is looked at, and that no store opens meanwhile.
struct Directory {
    database: std::path::PathBuf,
    state: Found,
    has_format: bool,
    _lock: Option<LockFile>,
}

impl Directory {
    fn open(dir: &Path) -> Result<Self, OpenError> {
        let failed = |what, source| OpenError::Io { what, path: dir.to_owned(), source };
        fs::read_dir(dir).map_err(|error| failed("read", error))?;
        let lock = LockFile::lock_existing(dir)?;
        let state = state_file::read(dir).map_err(|error| failed("read", error))?;
        // A file that cannot be understood is one of the findings.
        let format = match format_file::read(dir) {
            Err(OpenError::Damaged { .. }) => None,
            format => format?,
        };
        if let Some(found) = format.filter(|found| *found > FORMAT) {
            return Err(OpenError::NewerFormat { dir: dir.to_owned(), found, known: FORMAT });
        }
        let database = dir.join(DATABASE);
        let is_store = format.is_some() || state != Found::Missing || database.exists();
        if !is_store {
            let none = io::Error::new(io::ErrorKind::NotFound, "no store is there");
            return Err(failed("read", none));
        }
        Ok(Self { database, state, has_format: format.is_some(), _lock: lock })
    }

    /// The last group that has to be there.
    fn last(&self) -> u64 {
        self.state.state().last(state_file::boot_id())
    }

    fn survey(&self, sink: &mut dyn Sink) -> Result<Survey, OpenError> {
        let mut survey = survey(&self.database, self.last(), sink).map_err(|source| {
            OpenError::Io { what: "read", path: self.database.clone(), source }
        })?;
        survey.findings.splice(0..0, self.findings());
        Ok(survey)
    }

    fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        if !self.has_format {
            findings.push("the file FORMAT is missing or not what was written".to_owned());
        }
        match self.state {
            Found::Missing => findings.push(
                "the file STATE is missing: what the directory should hold is not known".to_owned(),
            ),
            Found::Damaged => findings.push("the file STATE is not what was written".to_owned()),
            Found::State(_) => {}
        }
        if !self.database.exists() {
            findings.push(format!("{} is missing", self.database.display()));
        } else {
            findings.extend(completeness::wrong_version(&self.database));
        }
        findings
    }
}

/// Hands everything on.
struct Shown<'a>(&'a mut dyn FnMut(Exported) -> io::Result<()>);

impl Sink for Shown<'_> {
    fn put(&mut self, _: Kind, _: &[u8], _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn remove(&mut self, _: Kind, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn show(&mut self, exported: Exported) -> io::Result<()> {
        (self.0)(exported)
    }
}
