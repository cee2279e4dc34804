//! The files of the journals.

use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// The journals of a directory, the oldest first.
pub(super) fn journals(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut journals = Vec::new();
    for file in fs::read_dir(dir)? {
        let path = file?.path();
        if is_journal(&path) {
            journals.push((number(&path), path));
        }
    }
    journals.sort();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

/// The number of a journal.
pub(crate) fn number(path: &Path) -> Option<u64> {
    path.file_stem().and_then(|stem| stem.to_str()?.parse().ok())
}

/// What a file takes of the disk, in bytes; 0 if nobody can tell.
pub(super) fn allocated(path: &Path) -> u64 {
    let Ok(found) = fs::metadata(path) else { return 0 };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        const BLOCK_BYTES: u64 = 512;
        found.blocks().saturating_mul(BLOCK_BYTES)
    }
    #[cfg(not(unix))]
    found.len()
}

/// Cuts a file, for good.
pub(super) fn truncate(path: &Path, len: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(len)?;
    file.sync_all()
}

/// Waits until this process has closed the journals of a directory.
///
/// A thread of the engine may be the last that holds a journal, a moment after the database was
/// dropped, and then it writes what was left in a buffer. Nothing may be changed before that.
pub(crate) fn wait_until_closed(dir: &Path) {
    const PAUSE: Duration = Duration::from_millis(5);
    const PAUSES_MAX: u32 = 2000;
    // Where open files cannot be listed, that long is more than enough.
    const BLIND_PAUSE: Duration = Duration::from_millis(200);
    for _ in 0..PAUSES_MAX {
        let Ok(open_files) = fs::read_dir("/proc/self/fd") else {
            return thread::sleep(BLIND_PAUSE);
        };
        let mut paths = open_files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        if !paths.any(|path| is_journal(&path) && path.starts_with(dir)) {
            return;
        }
        thread::sleep(PAUSE);
    }
}

fn is_journal(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jnl")
}
