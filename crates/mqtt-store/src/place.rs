//! Notices that the files of a store are not where they were any more.
//!
//! A directory that is removed while it is in use takes writes and syncs as before, and everything
//! is gone when the process ends. So the store looks after each group whether its path still leads
//! to the directory that it opened, which costs one `stat`, and at the journals when something in
//! the directory came or went.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::journal;

/// The directory of a database, as it was last seen.
#[derive(Debug)]
pub(crate) struct Place {
    database: PathBuf,
    seen: Option<Seen>,
}

/// What tells one file from another that has its name, where the platform has such a thing.
type Identity = (u64, u64);

#[derive(Clone, Eq, PartialEq, Debug)]
struct Seen {
    directory: Identity,
    /// Changes whenever a file comes or goes.
    changed: SystemTime,
    journal: Option<(PathBuf, Identity)>,
    /// The numbers of the oldest and the newest.
    journals: Option<(u64, u64)>,
}

impl Place {
    pub(crate) fn new(database: &Path) -> Self {
        Self { database: database.to_owned(), seen: look(database).ok() }
    }

    /// The numbers of the oldest and of the newest journal.
    pub(crate) fn journals(&self) -> Option<(u64, u64)> {
        self.seen.as_ref()?.journals
    }

    /// Whether everything is where it was. Returns whether the newest journal still is the same.
    ///
    /// # Errors
    /// What is gone, in words.
    pub(crate) fn check(&mut self) -> Result<bool, String> {
        let Some(seen) = &mut self.seen else {
            // The journal was not there yet when this was made.
            self.seen = look(&self.database).ok();
            return Ok(false);
        };
        let gone =
            |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let found = fs::metadata(&self.database).map_err(|error| gone(&self.database, &error))?;
        if identity(&found) != seen.directory {
            return Err(gone(&self.database, &"another directory is there"));
        }
        let changed = found.modified().map_err(|error| gone(&self.database, &error))?;
        if changed == seen.changed {
            return Ok(true);
        }
        let found = look(&self.database).map_err(|error| gone(&self.database, &error))?;
        match (&seen.journal, &found.journal) {
            (Some((path, _)), None) => return Err(gone(path, &"the journal is gone")),
            (Some((path, before)), Some((now, identity))) => {
                // The engine begins another journal now and then, with a higher number.
                let is_same = path == now && before == identity;
                if !is_same && journal::number(now) <= journal::number(path) {
                    return Err(gone(path, &"the journal is gone, or another file is there"));
                }
            }
            (None, _) => {}
        }
        let is_same = seen.journal == found.journal;
        *seen = found;
        Ok(is_same)
    }
}

fn look(database: &Path) -> io::Result<Seen> {
    let found = fs::metadata(database)?;
    let all = journal::numbers(database);
    let journals = all.first().copied().zip(all.last().copied());
    let newest = journal::newest(database);
    let journal = newest.and_then(|path| {
        let found = fs::metadata(&path).ok()?;
        Some((path, identity(&found)))
    });
    Ok(Seen { directory: identity(&found), changed: found.modified()?, journal, journals })
}

#[cfg(unix)]
fn identity(found: &fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino())
}

/// All files look the same here, so only a missing one is noticed.
#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> Identity {
    (0, 0)
}
