//! What a database holds, read from its files without the engine, and without a change to them.
//!
//! The engine does not open a database with a damaged file, and does not read on behind a damaged
//! place. Here each file is read for itself: a damaged block costs what stands in it, a file that is
//! missing what stood there. Where a newer record of a key is lost, an older one may come to light.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use lsm_tree::Slice;
use xxhash_rust::xxh3::Xxh3;

use crate::{
    file_list::{FileList, ListedFile},
    findings::Findings,
    journal::{self, Item},
    keyspaces::Kind,
    manifest::ManifestError,
    record::GroupMark,
    tables::{Journaled, Merged, Value},
};

/// The files of a database, and what is wrong with them.
#[derive(Default)]
pub(crate) struct Remains {
    database: PathBuf,
    journaled: Vec<Journaled>,
    /// The last group in the journals.
    pub(crate) last: Option<GroupMark>,
    pub(crate) findings: Findings,
}

/// Takes a key and its record.
type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> io::Result<()> + 'a;

impl Remains {
    /// Reads the journals of a database.
    pub(crate) fn open(database: &Path) -> io::Result<Self> {
        let mut journaled: Vec<_> = Kind::ALL.iter().map(|_| Journaled::new()).collect();
        let mut findings = Findings::default();
        let mut last: Option<GroupMark> = None;
        let apply = |group: &GroupMark, items: Vec<Item>| {
            last = Some(
                last.map_or(*group, |last| if last.number < group.number { *group } else { last }),
            );
            for Item { keyspace, key, value } in items {
                let of_kind =
                    Kind::of_number(keyspace).and_then(|kind| journaled.get_mut(kind.index()));
                if let Some(records) = of_kind {
                    let newest = records.entry(key).or_insert((0, None));
                    if newest.0 <= group.after {
                        *newest = (group.after, value.map(Slice::from));
                    }
                }
            }
        };
        match journal::read_all(database, apply, &mut |finding| findings.push(finding)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            read => read?,
        }
        Ok(Self { database: database.to_owned(), journaled, last, findings })
    }

    /// Goes through the records of a keyspace in the order of their keys.
    pub(crate) fn each(&mut self, kind: Kind, visit: &mut Visit<'_>) -> io::Result<()> {
        let files = self.files(kind.number())?;
        let journaled = self.journaled.get_mut(kind.index()).map(std::mem::take);
        let findings = &mut self.findings;
        let mut merged = Merged::new(&files.tables, journaled.unwrap_or_default(), findings);
        while let Some(record) = merged.next(findings) {
            match record.value {
                Value::Here(value) => visit(&record.key, &value)?,
                Value::There(place) => {
                    let path = self.database.join(format!(
                        "keyspaces/{}/blobs/{}",
                        kind.number(),
                        place.file
                    ));
                    match place.read(&path, &record.key) {
                        Ok(Some(value)) => visit(&record.key, &value)?,
                        Ok(None) => {
                            findings
                                .push(format!("{}: a large message is damaged", path.display()));
                        }
                        Err(error) => findings.io(&path.display(), &error),
                    }
                }
                Value::Removed => {}
            }
            findings.check()?;
        }
        findings.check()
    }

    /// Compares the files of a keyspace with what its list says of them.
    pub(crate) fn verify(&mut self, keyspace: u64) -> io::Result<()> {
        let files = self.files(keyspace)?;
        for file in files.tables.iter().chain(&files.blobs) {
            // Without a list there is nothing to compare with.
            let is_known = file.checksum != 0;
            match checksum(&file.path) {
                Ok(found) if is_known && found != file.checksum => {
                    self.findings.push(format!("{} is not what was written", file.path.display()));
                }
                Ok(_) => {}
                Err(error) => self.findings.io(&file.path.display(), &error),
            }
        }
        self.findings.check()
    }

    /// The files that a keyspace says it has; where that cannot be read, those that are there.
    fn files(&mut self, keyspace: u64) -> io::Result<FileList> {
        let keyspace = self.database.join(format!("keyspaces/{keyspace}"));
        match FileList::read(&keyspace) {
            Ok(files) => Ok(files),
            Err(ManifestError::Damaged(path)) => {
                let what = format!("{} is missing or not what was written", path.display());
                if !self.findings.lines.contains(&what) {
                    self.findings.push(what);
                }
                Ok(FileList { tables: unlisted(&keyspace.join("tables"))?, blobs: Vec::new() })
            }
            Err(ManifestError::Io(_, error)) => Err(error),
        }
    }
}

fn unlisted(dir: &Path) -> io::Result<Vec<ListedFile>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries.map(|entry| Ok(ListedFile { path: entry?.path(), checksum: 0, sequence: 0 })).collect()
}

/// The xxh3 of a file.
fn checksum(path: &Path) -> io::Result<u128> {
    let mut hash = Hasher(Xxh3::new());
    io::copy(&mut fs::File::open(path)?, &mut hash)?;
    Ok(hash.0.digest128())
}

struct Hasher(Xxh3);

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
