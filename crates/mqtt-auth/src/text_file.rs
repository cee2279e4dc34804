use std::{fs::File, io::Read, path::Path};

use crate::{LoadError, load_error::Problem};

/// Everybody may write it.
const WRITABLE_BY_ALL: u32 = 0o002;

/// The content of a file as text, with what its permissions are.
pub(crate) struct TextFile {
    pub(crate) text: String,
    /// The Unix permission bits; `None` where there are none.
    pub(crate) mode: Option<u32>,
}

impl TextFile {
    /// Reads a file that decides on access. Everybody may read it, as a file of rules or a secret
    /// that Kubernetes mounts; that is for the caller to warn about.
    ///
    /// # Errors
    /// The file cannot be read, is not UTF-8, or everybody may write it.
    pub(crate) fn read_trusted(path: &Path) -> Result<Self, LoadError> {
        let file = Self::read(path)?;
        match file.mode.filter(|mode| mode & WRITABLE_BY_ALL != 0) {
            Some(mode) => Err(LoadError::Exposed { path: path.to_owned(), mode }),
            None => Ok(file),
        }
    }

    pub(crate) fn read(path: &Path) -> Result<Self, LoadError> {
        let (bytes, mode) =
            read_bytes(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
            let line_index = good.filter(|byte| **byte == b'\n').count();
            Problem::new("not UTF-8 text", "save the file in UTF-8").at(Some(path), line_index)
        })?;
        Ok(Self { text, mode })
    }
}

/// The permissions are asked of the open file, so that they belong to the bytes that were read.
fn read_bytes(path: &Path) -> std::io::Result<(Vec<u8>, Option<u32>)> {
    let mut file = File::open(path)?;
    let mode = mode_of(&file)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok((bytes, mode))
}

#[cfg(unix)]
fn mode_of(file: &File) -> std::io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt;
    Ok(Some(file.metadata()?.permissions().mode() & 0o7777))
}

#[cfg(not(unix))]
fn mode_of(_file: &File) -> std::io::Result<Option<u32>> {
    Ok(None)
}
