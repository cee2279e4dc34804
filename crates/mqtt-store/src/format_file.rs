//! The file that says which format a directory has.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use crate::open_error::OpenError;

/// The format that is written, and the highest that is read.
///
/// 1. The first.
/// 2. Messages that are kept outside of their entries are their packets alone. What format 1 has
///    written is read as it is.
pub(crate) const FORMAT: u32 = 2;

pub(crate) const NAME: &str = "FORMAT";
const NEW_NAME: &str = "FORMAT.new";

/// The format of a directory; `None` if it has none yet.
pub(crate) fn read(dir: &Path) -> Result<Option<u32>, OpenError> {
    let path = dir.join(NAME);
    let text = match fs::read(&path) {
        // What is no text is no number either.
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenError::Io { what: "read", path, source }),
    };
    let damaged = || OpenError::Damaged {
        dir: dir.to_owned(),
        what: format!("its file {NAME} does not hold a number"),
        source: None,
    };
    text.trim().parse().map(Some).map_err(|_| damaged())
}

/// Says that a directory has format [`FORMAT`].
pub(crate) fn write(dir: &Path) -> Result<(), OpenError> {
    let path = dir.join(NAME);
    write_whole(dir, &path).map_err(|source| OpenError::Io { what: "write", path, source })
}

/// A reader finds nothing or the whole file, whenever the machine stops.
fn write_whole(dir: &Path, path: &Path) -> io::Result<()> {
    let new_path = dir.join(NEW_NAME);
    let mut file = File::create(&new_path)?;
    writeln!(file, "{FORMAT}")?;
    file.sync_all()?;
    fs::rename(&new_path, path)?;
    sync_dir(dir)
}

/// Makes sure that what was made, renamed or removed in a directory stays so.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
