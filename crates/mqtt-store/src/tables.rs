//! Reads the tables of a keyspace file by file, without the engine: what is damaged in one of them
//! costs what stands there, and no more.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, btree_map},
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use lsm_tree::{
    Cache, Checksum, CompressionType, InternalValue, Slice, Table, ValueType, table::Scanner,
};
use xxhash_rust::xxh3::Xxh3;

use crate::{file_list::ListedFile, findings::Findings, record::read_number};

/// What a record of a keyspace holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Here(Slice),
    /// In a file of large messages.
    There(BlobPlace),
    /// The key was removed.
    Removed,
}

/// Where a large message is.
#[derive(Copy, Clone, Debug)]
pub(crate) struct BlobPlace {
    pub(crate) file: u64,
    offset: u64,
    len: u64,
}

impl BlobPlace {
    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut next = || read_number(&mut bytes);
        let (offset, file, len) = (next()?, next()?, next()?);
        Some(Self { file, offset, len })
    }

    /// Reads the message, which has this key; `None` where it is not what was written.
    ///
    /// `"BLOB"`, xxh3 of key and message u128, sequence number u64, key length u16, length u32,
    /// stored length u32, key, message.
    pub(crate) fn read(self, path: &Path, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        const HEAD_LEN: usize = 38;
        let mut file = File::open(path)?;
        let head_len = HEAD_LEN + key.len();
        let whole_len = self.len.saturating_add(head_len as u64);
        if self.offset.saturating_add(whole_len) > file.metadata()?.len() {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.take(whole_len).read_to_end(&mut bytes)?;
        let Some((head, message)) = bytes.split_at_checked(head_len) else { return Ok(None) };
        let checksum = head.get(4..20).and_then(|checksum| checksum.try_into().ok());
        let mut hash = Xxh3::new();
        hash.update(key);
        hash.update(message);
        let is_whole = head.starts_with(b"BLOB")
            && head.ends_with(key)
            && checksum.map(u128::from_le_bytes) == Some(hash.digest128());
        Ok(is_whole.then(|| message.to_vec()))
    }
}

/// The records of a table, as far as they can be read.
struct Records {
    records: Box<dyn Iterator<Item = lsm_tree::Result<InternalValue>>>,
    path: String,
    errors: u32,
}

/// After so many errors without a record in between the rest of a table is given up.
const ERRORS_MAX: u32 = 1000;

impl Records {
    /// The engine may panic at what it finds in its files.
    fn open(file: &ListedFile, findings: &mut Findings) -> Self {
        let path = file.path.display().to_string();
        let checksum = Checksum::from_raw(file.checksum);
        let cache = Arc::new(Cache::with_capacity_bytes(64 * 1024));
        let table = catch_unwind(AssertUnwindSafe(|| {
            Table::recover(file.path.clone(), checksum, file.sequence, 0, cache, None, false, false)
        }));
        let records = match table {
            Ok(Ok(table)) => Box::new(table.iter()) as Box<dyn Iterator<Item = _>>,
            failed => {
                const WHAT: &str = "its directory cannot be read";
                match failed {
                    Ok(Err(error)) => findings.engine(&path, WHAT, &error),
                    _ => findings.push(format!("{path}: {WHAT}: it is not what was written")),
                }
                scan(file)
            }
        };
        Self { records, path, errors: 0 }
    }

    fn next(&mut self, findings: &mut Findings) -> Option<Record> {
        const WHAT: &str = "a block cannot be read";
        while self.errors < ERRORS_MAX {
            match catch_unwind(AssertUnwindSafe(|| self.records.next())) {
                Ok(None) => return None,
                Ok(Some(Ok(record))) => {
                    self.errors = 0;
                    match Record::new(&record) {
                        Some(record) => return Some(record),
                        None => findings
                            .push(format!("{}: a place of a message is not whole", self.path)),
                    }
                }
                Ok(Some(Err(error))) => findings.engine(&self.path, WHAT, &error),
                Err(_) => {
                    self.errors = ERRORS_MAX;
                    findings.push(format!("{}: {WHAT}: it is not what was written", self.path));
                }
            }
            self.errors += 1;
        }
        None
    }
}

/// Reads the blocks of a table from the first one on, without its directory.
fn scan(file: &ListedFile) -> Box<dyn Iterator<Item = lsm_tree::Result<InternalValue>>> {
    let scanner = Scanner::new(&file.path, usize::MAX, CompressionType::None, file.sequence);
    let Ok(mut scanner) = scanner else { return Box::new(std::iter::empty()) };
    let mut is_over = false;
    Box::new(std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let next = scanner.next();
        // Behind a block with a wrong checksum the next one begins; behind anything else nobody
        // knows what does. The blocks of the directory come last, and end it as well.
        is_over = match &next {
            Some(Err(lsm_tree::Error::ChecksumMismatch { .. }) | Ok(_)) => false,
            Some(Err(_)) | None => true,
        };
        next.filter(|_| !is_over)
    }))
}

/// A record of a table or of the journals.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) key: Vec<u8>,
    /// Of several records of a key the one with the highest counts.
    pub(crate) order: u64,
    pub(crate) value: Value,
}

impl Record {
    fn new(found: &InternalValue) -> Option<Self> {
        let value = match found.key.value_type {
            ValueType::Value => Value::Here(found.value.clone()),
            ValueType::Indirection => Value::There(BlobPlace::decode(&found.value)?),
            ValueType::Tombstone | ValueType::WeakTombstone => Value::Removed,
        };
        let key = found.key.user_key.to_vec();
        Some(Self { key, order: found.key.seqno, value })
    }
}

/// What the journals hold of a keyspace.
pub(crate) type Journaled = std::collections::BTreeMap<Vec<u8>, (u64, Option<Slice>)>;

enum Source {
    Table(Records),
    Journals(btree_map::IntoIter<Vec<u8>, (u64, Option<Slice>)>),
}

impl Source {
    fn next(&mut self, findings: &mut Findings) -> Option<Record> {
        match self {
            Self::Table(records) => records.next(findings),
            Self::Journals(records) => records.next().map(|(key, (order, value))| Record {
                key,
                order,
                value: value.map_or(Value::Removed, Value::Here),
            }),
        }
    }
}

/// The next record of a source: its key, the newest of it first, and which source it is.
type Head = (Vec<u8>, Reverse<u64>, usize);

/// The records of a keyspace by key, of each the newest.
pub(crate) struct Merged {
    sources: Vec<Source>,
    heads: BinaryHeap<Reverse<Head>>,
    values: Vec<Option<Value>>,
}

impl Merged {
    pub(crate) fn new(
        tables: &[ListedFile],
        journaled: Journaled,
        findings: &mut Findings,
    ) -> Self {
        let tables = tables.iter().map(|file| Source::Table(Records::open(file, findings)));
        let mut sources: Vec<_> = tables.collect();
        sources.push(Source::Journals(journaled.into_iter()));
        let values = sources.iter().map(|_| None).collect();
        let mut merged = Self { sources, heads: BinaryHeap::new(), values };
        for index in 0..merged.sources.len() {
            merged.refill(index, findings);
        }
        merged
    }

    fn refill(&mut self, index: usize, findings: &mut Findings) {
        let next = self.sources.get_mut(index).and_then(|source| source.next(findings));
        if let (Some(Record { key, order, value }), Some(place)) =
            (next, self.values.get_mut(index))
        {
            *place = Some(value);
            self.heads.push(Reverse((key, Reverse(order), index)));
        }
    }

    fn pop(&mut self, findings: &mut Findings) -> Option<(Vec<u8>, u64, Value)> {
        let Reverse((key, Reverse(order), index)) = self.heads.pop()?;
        let value = self.values.get_mut(index).and_then(Option::take)?;
        self.refill(index, findings);
        Some((key, order, value))
    }

    /// The next key that was not removed, and what it has.
    pub(crate) fn next(&mut self, findings: &mut Findings) -> Option<Record> {
        loop {
            let (key, order, value) = self.pop(findings)?;
            while self.heads.peek().is_some_and(|Reverse((next, ..))| *next == key) {
                let _older = self.pop(findings);
            }
            if !matches!(value, Value::Removed) {
                return Some(Record { key, order, value });
            }
        }
    }
}
