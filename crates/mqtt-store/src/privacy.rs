//! Keeps other users of the machine away from what is stored: directories have mode 0700, files
//! 0600.
//!
//! A directory that a service manager made, or an earlier version, is often open to everybody.
//! What is ours in it is made private whenever it is opened. The directory itself is, too, unless
//! it is another user's or holds other things: `/srv` must not be closed to everybody because a
//! store was put there.

use std::{io, path::Path};

/// Why a directory is refused.
#[derive(Debug)]
pub(crate) enum PrivacyError {
    /// The operating system says so.
    Io(&'static str, std::path::PathBuf, io::Error),
    /// Everybody may put files there, and rename those that are there.
    Writable,
}

/// Makes the directory, with those above it that are missing, or makes it private.
pub(crate) fn make(dir: &Path, is_ours: impl Fn(&str) -> bool) -> Result<(), PrivacyError> {
    sys::make(dir, &is_ours)
}

/// Makes what is in a directory private, as far as it is ours.
pub(crate) fn tighten(dir: &Path, is_ours: impl Fn(&str) -> bool) -> Result<(), PrivacyError> {
    for file in entries(dir)? {
        if file.file_name().to_str().is_some_and(&is_ours) {
            sys::tighten(&file)?;
        }
    }
    Ok(())
}

fn entries(dir: &Path) -> Result<Vec<std::fs::DirEntry>, PrivacyError> {
    let failed = |error| PrivacyError::Io("read", dir.to_owned(), error);
    std::fs::read_dir(dir).and_then(Iterator::collect).map_err(failed)
}

#[cfg(unix)]
mod sys {
    use std::{
        fs::{self, DirBuilder, DirEntry, Permissions},
        io,
        os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
        path::Path,
    };

    use super::{PrivacyError, entries};

    const OTHERS: u32 = 0o077;
    const ALL_MAY_WRITE: u32 = 0o002;
    const STICKY: u32 = 0o1000;

    pub(super) fn make(dir: &Path, is_ours: &dyn Fn(&str) -> bool) -> Result<(), PrivacyError> {
        let failed = |what, error| PrivacyError::Io(what, dir.to_owned(), error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| failed("make the directory", error))?;
        let found = fs::metadata(dir).map_err(|error| failed("look at", error))?;
        if found.mode() & OTHERS == 0 {
            return Ok(());
        }
        let name_is_ours = |file: &DirEntry| file.file_name().to_str().is_some_and(is_ours);
        let is_mine = found.uid() == rustix::process::geteuid().as_raw();
        if is_mine && entries(dir)?.iter().all(name_is_ours) {
            return set_mode(dir, 0o700);
        }
        // What is ours in it is closed to others; but whoever may rename it can put something else
        // in its place.
        if found.mode() & ALL_MAY_WRITE != 0 && found.mode() & STICKY == 0 {
            return Err(PrivacyError::Writable);
        }
        Ok(())
    }

    /// Goes through what is below as well. Links are left alone.
    pub(super) fn tighten(entry: &DirEntry) -> Result<(), PrivacyError> {
        let path = entry.path();
        let found = match entry.metadata() {
            Ok(found) => found,
            // The engine removes files while others look.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(PrivacyError::Io("look at", path, error)),
        };
        if found.is_symlink() {
            return Ok(());
        }
        if found.mode() & OTHERS != 0 {
            set_mode(&path, if found.is_dir() { 0o700 } else { 0o600 })?;
        }
        if found.is_dir() {
            for entry in entries(&path)? {
                tighten(&entry)?;
            }
        }
        Ok(())
    }

    fn set_mode(path: &Path, mode: u32) -> Result<(), PrivacyError> {
        fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(|error| PrivacyError::Io("close to other users", path.to_owned(), error))
    }
}

/// Access is not a matter of modes here.
#[cfg(not(unix))]
mod sys {
    use std::{
        fs::{self, DirEntry},
        path::Path,
    };

    use super::PrivacyError;

    pub(super) fn make(dir: &Path, _is_ours: &dyn Fn(&str) -> bool) -> Result<(), PrivacyError> {
        let failed = |error| PrivacyError::Io("make the directory", dir.to_owned(), error);
        fs::create_dir_all(dir).map_err(failed)
    }

    pub(super) fn tighten(_entry: &DirEntry) -> Result<(), PrivacyError> {
        Ok(())
    }
}
