//! The list of a keyspace: which tables and files of large messages belong to it.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{
    fault,
    manifest::{self, ManifestError},
};

/// A file that a keyspace says it has.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(crate) struct ListedFile {
    pub(crate) path: PathBuf,
    /// The xxh3 of the whole file.
    pub(crate) checksum: u128,
    /// What is added to the sequence numbers in a table.
    pub(crate) sequence: u64,
}

/// The files of a keyspace.
#[derive(Clone, Eq, PartialEq, Debug, Default)]
pub(crate) struct FileList {
    pub(crate) tables: Vec<ListedFile>,
    pub(crate) blobs: Vec<ListedFile>,
}

impl FileList {
    /// Reads the list of a keyspace.
    pub(crate) fn read(keyspace: &Path) -> Result<Self, ManifestError> {
        let path = manifest::current(keyspace)?;
        parse(keyspace, &path).map_err(|error| match fault::is_passing_io(&error) {
            true => ManifestError::Io(path, error),
            false => ManifestError::Damaged(path),
        })
    }
}

fn parse(keyspace: &Path, list: &Path) -> io::Result<FileList> {
    let archive = sfa::Reader::new(list).map_err(|error| match error {
        sfa::Error::Io(error) => error,
        error => io::Error::other(error),
    })?;
    let section = |name: &[u8]| {
        let section = archive.toc().section(name);
        section
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
            .and_then(|part| part.buf_reader(list))
    };
    let mut files = FileList::default();
    let mut reader = section(b"tables")?;
    for _ in 0..number::<1>(&mut reader)? {
        for _ in 0..number::<1>(&mut reader)? {
            for _ in 0..number::<4>(&mut reader)? {
                let (id, checksum) = file(&mut reader)?;
                let sequence = number::<8>(&mut reader)?;
                let path = keyspace.join("tables").join(id.to_string());
                files.tables.push(ListedFile { path, checksum, sequence });
            }
        }
    }
    let mut reader = section(b"blob_files")?;
    for _ in 0..number::<4>(&mut reader)? {
        let (id, checksum) = file(&mut reader)?;
        let path = keyspace.join("blobs").join(id.to_string());
        files.blobs.push(ListedFile { path, checksum, sequence: 0 });
    }
    Ok(files)
}

/// The number and the checksum of a file.
fn file(reader: &mut impl Read) -> io::Result<(u64, u128)> {
    const XXH3: u64 = 0;
    let id = number::<8>(reader)?;
    if number::<1>(reader)? != XXH3 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut checksum = [0; 16];
    reader.read_exact(&mut checksum)?;
    Ok((id, u128::from_le_bytes(checksum)))
}

/// A number of `N` bytes, the lowest first.
fn number<const N: usize>(reader: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
