//! The lock of a directory: one store at a time.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::Path,
    process,
};

use crate::open_error::OpenError;

pub(crate) const NAME: &str = "LOCK";

/// A directory that is locked. The operating system unlocks it when this is dropped, and when the
/// process dies.
#[derive(Debug)]
pub(crate) struct LockFile {
    _file: File,
}

impl LockFile {
    /// Locks a directory, which has to exist.
    pub(crate) fn lock(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(NAME);
        let failed = |what, source| OpenError::Io { what, path: path.clone(), source };
        let mut options = OpenOptions::new();
        // Whoever may open the file may hold its lock.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| failed("open", source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Locked { dir: dir.to_owned(), pid: read_pid(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", source)),
        }
        // The number is for the message alone, so a full disk is no reason to stop.
        let _ = write_pid(&mut file);
        Ok(Self { _file: file })
    }
}

impl LockFile {
    /// Locks a directory without a change to it; `None` where it has no lock, or none that may be
    /// looked at.
    pub(crate) fn lock_existing(dir: &Path) -> Result<Option<Self>, OpenError> {
        let Ok(mut file) = File::open(dir.join(NAME)) else { return Ok(None) };
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => {
                Err(OpenError::Locked { dir: dir.to_owned(), pid: read_pid(&mut file) })
            }
            Err(TryLockError::Error(_)) => Ok(None),
        }
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", process::id())
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
