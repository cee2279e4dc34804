//! Checks the lists of tables before the engine reads them.
//!
//! The engine (lsm-tree 3.1) keeps, for each keyspace, a list of its tables in a file `v<number>`,
//! and the number and checksum of the list that counts in a file `current`. It does not compare the
//! checksum, and it deletes the tables that are not in the list. So a flipped bit could make a table
//! vanish; here it is an error, before anything is deleted.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_128;

const KEYSPACES: &str = "keyspaces";
const CURRENT: &str = "current";

/// Why the lists of tables cannot be used.
#[derive(Debug)]
pub(crate) enum ManifestError {
    /// The operating system says so.
    Io(PathBuf, io::Error),
    /// A list is not the one that was written.
    Damaged(PathBuf),
}

/// Checks the lists of all keyspaces of a database.
pub(crate) fn check(database: &Path) -> Result<(), ManifestError> {
    let dir = database.join(KEYSPACES);
    let failed = |error| ManifestError::Io(dir.clone(), error);
    for keyspace in fs::read_dir(&dir).map_err(failed)? {
        check_keyspace(&keyspace.map_err(failed)?.path())?;
    }
    Ok(())
}

fn check_keyspace(dir: &Path) -> Result<(), ManifestError> {
    current(dir).map(drop)
}

/// The list of a keyspace that counts, which is what was written.
pub(crate) fn current(dir: &Path) -> Result<PathBuf, ManifestError> {
    let path = dir.join(CURRENT);
    // The engine takes a keyspace without this file for one that was never finished, and deletes
    // it. A database that has its name was finished.
    let Some((number, checksum)) = read(&path)?.as_deref().and_then(parse) else {
        return Err(ManifestError::Damaged(path));
    };
    let path = dir.join(format!("v{number}"));
    match read(&path)? {
        Some(list) if xxh3_128(&list) == checksum => Ok(path),
        _ => Err(ManifestError::Damaged(path)),
    }
}

/// The number and the checksum of the list that counts.
fn parse(current: &[u8]) -> Option<(u64, u128)> {
    const XXH3: [u8; 1] = [0];
    let (number, rest) = current.split_first_chunk()?;
    let (checksum, kind) = rest.split_first_chunk()?;
    (kind == XXH3).then(|| (u64::from_le_bytes(*number), u128::from_le_bytes(*checksum)))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, ManifestError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ManifestError::Io(path.to_owned(), error)),
    }
}
