//! Checks the journals of the engine before the engine reads them.
//!
//! The engine (fjall 3.1) takes whatever it cannot read for the end of its journal and drops what is
//! behind it without a word, in the middle of a journal as at its end; and a last group whose pages
//! reached the disk in another order makes it refuse the directory for ever. So the journals are
//! read here first. What is torn at the end is cut off and reported. What is damaged before a group
//! that was on the disk is an error.
//!
//! A journal is a file `<number>.jnl`: groups, and zeros up to the size it was made with. A group:
//!
//! ```text
//! start   1, count of items u32, sequence number u64
//! item    2, kind u8, compression u8 = 0, keyspace u64, key length u16,
//!         value length u32, stored length u32, key, value
//! end     3, xxh3 of the items u64, "FJL", 3
//! ```
//!
//! Numbers are little-endian. The first item of each group is its [`GroupMark`].

mod batch;
mod files;

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

pub(crate) use self::{
    batch::Item,
    files::{number, wait_until_closed},
};
use self::{
    batch::{Batch, Batches},
    files::{allocated, journals, truncate},
};
use crate::{format_file::sync_dir, open_report::Cut, record::GroupMark};

/// What the journals of a directory hold, when nothing of it is in doubt.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// The mark and the sequence number of the first group.
    pub(crate) first: Option<(GroupMark, u64)>,
    /// The mark of the last group.
    pub(crate) last: Option<GroupMark>,
    /// Whether the last group is in the newest journal.
    pub(crate) is_last_in_newest: bool,
    /// What was cut off.
    pub(crate) cut: Option<Cut>,
}

/// Why journals cannot be used.
#[derive(Debug)]
pub(crate) enum JournalError {
    /// The operating system says so.
    Io(PathBuf, io::Error),
    /// Groups are lost that were on the disk.
    Damaged(String),
}

/// Checks the journals of a directory and cuts off a torn end. `known` is the last group that has to
/// be there: nothing is cut off where it would be lost.
pub(crate) fn check(dir: &Path, known: u64) -> Result<Checked, JournalError> {
    let paths = journals(dir).map_err(|error| JournalError::Io(dir.to_owned(), error))?;
    let mut chain = Chain::default();
    let mut rest = paths.as_slice();
    let mut is_last_in_newest = false;
    while let Some((path, later)) = rest.split_first() {
        rest = later;
        let before = chain.last;
        let broken =
            read(path, &mut chain).map_err(|error| JournalError::Io(path.clone(), error))?;
        is_last_in_newest = chain.last != before;
        if let Some(broken) = broken {
            let cut = resolve(path, broken, later, &chain, known)?;
            return Ok(Checked {
                first: chain.first,
                last: chain.last,
                is_last_in_newest: is_last_in_newest && later.is_empty(),
                cut: Some(cut),
            });
        }
    }
    Ok(Checked { first: chain.first, last: chain.last, is_last_in_newest, cut: None })
}

/// The numbers of the journals of a database, the lowest first.
pub(crate) fn numbers(database: &Path) -> Vec<u64> {
    journals(database).unwrap_or_default().iter().filter_map(|path| number(path)).collect()
}

/// The journal that is written to.
pub(crate) fn newest(database: &Path) -> Option<PathBuf> {
    journals(database).ok()?.pop()
}

/// The journal that the engine begins when this one is full.
pub(crate) fn behind(path: &Path) -> Option<PathBuf> {
    let number: u64 = path.file_stem()?.to_str()?.parse().ok()?;
    Some(path.with_file_name(format!("{}.jnl", number.checked_add(1)?)))
}

/// About what the journals take of the disk, in bytes: the engine makes them larger than what is in
/// them.
pub(crate) fn allocated_bytes(database: &Path) -> u64 {
    journals(database).map_or(0, |paths| paths.iter().map(|path| allocated(path)).sum())
}

/// Begins an empty journal and removes those before it: all that they hold has to be in tables that
/// are on the disk. The database has to be closed.
pub(crate) fn renew(database: &Path) -> io::Result<()> {
    wait_until_closed(&database.canonicalize()?);
    let before = journals(database)?;
    let Some(next) = before.last().and_then(|newest| behind(newest)) else { return Ok(()) };
    // The newest journal is never removed, so there is a newer one first.
    File::create(&next)?.sync_all()?;
    sync_dir(database)?;
    for path in before {
        // The oldest first, and each for good: at no time there is a gap between two of them.
        fs::remove_file(path)?;
        sync_dir(database)?;
    }
    Ok(())
}

/// Takes a group off the end of the journals, if it is there: it was refused, but what was left of
/// it in a buffer may have been written after all. The database has to be closed.
pub(crate) fn take_back(dir: &Path, number: u64) -> io::Result<()> {
    wait_until_closed(&dir.canonicalize()?);
    for path in journals(dir)? {
        let mut batches = Batches::new(open(&path)?)?;
        let mut end = 0;
        while let Some(batch) = batches.next_batch()? {
            if batch.mark.is_none_or(|mark| mark.number >= number) {
                break;
            }
            end = batch.end;
        }
        if has_more(&path, end)? {
            truncate(&path, end)?;
        }
    }
    Ok(())
}

/// Shows all whole groups of all journals, damaged or not, and says what is between them.
pub(crate) fn read_all(
    dir: &Path,
    mut group: impl FnMut(&GroupMark, Vec<Item>),
    findings: &mut dyn FnMut(String),
) -> io::Result<()> {
    for path in journals(dir)? {
        let mut bytes = Vec::new();
        File::open(&path)?.read_to_end(&mut bytes)?;
        bytes.truncate(used_len(&bytes));
        batch::each(&bytes, &mut group, &mut |at| {
            findings(format!("{} cannot be read at byte {at}", path.display()));
        });
    }
    Ok(())
}

/// What the groups that were read so far say about the next one.
#[derive(Debug, Default)]
struct Chain {
    first: Option<(GroupMark, u64)>,
    last: Option<GroupMark>,
    sequence: u64,
}

impl Chain {
    /// Whether this group follows those before.
    fn follows(&self, batch: &Batch) -> Option<GroupMark> {
        let mark = batch.mark?;
        let is_next = self.last.is_none_or(|last| mark.number == last.number + 1);
        let is_later = batch.sequence >= mark.after
            && (self.last.is_none()
                || batch.sequence > self.sequence && mark.after > self.sequence);
        (is_next && is_later).then_some(mark)
    }
}

/// A journal that cannot be read to its end.
#[derive(Copy, Clone, Debug)]
struct Broken {
    /// Where the groups end that can be read.
    at: u64,
}

/// Reads a journal; tells where it breaks, if it does.
fn read(path: &Path, chain: &mut Chain) -> io::Result<Option<Broken>> {
    let mut batches = Batches::new(open(path)?)?;
    let mut at = 0;
    while let Some(batch) = batches.next_batch()? {
        let Some(mark) = chain.follows(&batch) else {
            return Ok(Some(Broken { at }));
        };
        chain.first.get_or_insert((mark, batch.sequence));
        chain.last = Some(mark);
        chain.sequence = batch.sequence;
        at = batch.end;
    }
    Ok(has_more(path, at)?.then_some(Broken { at }))
}

/// Whether a file begins with a group, or with what no group was written to yet.
fn begins_like_a_journal(path: &Path) -> io::Result<bool> {
    let mut first = [0];
    let read = open(path)?.read(&mut first)?;
    Ok(read == 0 || matches!(first, [0 | batch::START]))
}

/// Decides what a broken place means, and cuts there if nothing that was safe is lost by it.
fn resolve(
    path: &Path,
    broken: Broken,
    later: &[PathBuf],
    chain: &Chain,
    known: u64,
) -> Result<Cut, JournalError> {
    let io = |error| JournalError::Io(path.to_owned(), error);
    if broken.at == 0 && !begins_like_a_journal(path).map_err(io)? {
        // What was not written to its end begins as it should, or with nothing.
        let what = "is no journal: another file was put in its place, or its beginning is damaged";
        return Err(JournalError::Damaged(format!("{} {what}", path.display())));
    }
    let behind = Behind::find(path, broken.at, later).map_err(io)?;
    let lost = chain.last.map(|last| last.number + 1);
    // The first group of all journals tells nothing about those before it.
    let lost = lost.or(behind.first.map(|first| first.saturating_sub(1))).unwrap_or(u64::MAX);
    let known = known.max(behind.synced);
    if known >= lost {
        return Err(JournalError::Damaged(format!(
            "{} cannot be read at byte {}, and groups up to number {known} were kept behind it",
            path.display(),
            broken.at,
        )));
    }
    truncate(path, broken.at).map_err(io)?;
    for path in later {
        truncate(path, 0).map_err(|error| JournalError::Io(path.clone(), error))?;
    }
    Ok(Cut { journal: path.to_owned(), at: broken.at, bytes: behind.bytes, groups: behind.groups })
}

/// What stands behind a broken place.
#[derive(Debug, Default)]
struct Behind {
    bytes: u64,
    groups: u64,
    /// The number of the first group.
    first: Option<u64>,
    /// The highest number of a group that was on the disk.
    synced: u64,
}

impl Behind {
    fn find(path: &Path, at: u64, later: &[PathBuf]) -> io::Result<Self> {
        let mut behind = Self::default();
        behind.search(path, at)?;
        for path in later {
            behind.search(path, 0)?;
        }
        Ok(behind)
    }

    fn search(&mut self, path: &Path, from: u64) -> io::Result<()> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        bytes.truncate(used_len(&bytes));
        self.bytes += bytes.len() as u64;
        for mark in batch::marks(&bytes) {
            self.groups += 1;
            self.first.get_or_insert(mark.number);
            self.synced = self.synced.max(mark.synced);
        }
        Ok(())
    }
}

/// So many zeros are compared at once.
const ZEROS_LEN: usize = 64 * 1024;
static ZEROS: [u8; ZEROS_LEN] = [0; ZEROS_LEN];

fn are_zeros(piece: &[u8]) -> bool {
    ZEROS.get(..piece.len()) == Some(piece)
}

/// Where the zeros at the end of bytes begin.
fn used_len(bytes: &[u8]) -> usize {
    let zeros = bytes.rchunks(ZEROS_LEN).take_while(|piece| are_zeros(piece));
    let len = bytes.len() - zeros.map(<[u8]>::len).sum::<usize>();
    let used = bytes.iter().take(len).rposition(|byte| *byte != 0);
    used.map_or(0, |last| last + 1)
}

/// Whether there is anything but zeros from a place on.
fn has_more(path: &Path, from: u64) -> io::Result<bool> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut piece = vec![0; ZEROS_LEN];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(false);
        }
        if !piece.get(..read).is_some_and(are_zeros) {
            return Ok(true);
        }
    }
}

fn open(path: &Path) -> io::Result<BufReader<File>> {
    const BUFFER_BYTES: usize = 256 * 1024;
    Ok(BufReader::with_capacity(BUFFER_BYTES, File::open(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_at_the_end_are_not_used() {
        for (begin, zeros) in [(0, 0), (0, 7), (1, 0), (5, 3), (5, ZEROS_LEN), (1, 2 * ZEROS_LEN)] {
            let mut bytes = vec![0; begin];
            bytes.extend(begin.checked_sub(1).map(|_| 1));
            let used = bytes.len();
            bytes.resize(used + zeros, 0);
            assert_eq!(used_len(&bytes), used, "{begin} and {zeros}");
        }
    }
}
