//! One group of a journal, as bytes.

use std::{
    fs::File,
    io::{self, BufReader, Read},
};

use xxhash_rust::xxh3::Xxh3;

use crate::{fields::Fields, keyspaces::MARK_KEY, record::GroupMark};

pub(super) const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const START_LEN: usize = 13;
const ITEM_HEAD_LEN: usize = 21;
const TRAILER: [u8; 4] = *b"FJL\x03";

/// A group whose checksum is right.
#[derive(Copy, Clone, Debug)]
pub(super) struct Batch {
    /// The sequence number, which no checksum covers.
    pub(super) sequence: u64,
    /// The mark, if the group begins with one.
    pub(super) mark: Option<GroupMark>,
    /// Where it ends, in bytes from the beginning of the file.
    pub(super) end: u64,
}

/// The groups of a journal.
#[derive(Debug)]
pub(super) struct Batches<R> {
    reader: R,
    at: u64,
    len: u64,
    item: Vec<u8>,
    /// The items of the group at hand, where they are wanted.
    items: Option<Vec<Item>>,
}

/// What a group does with a key.
#[derive(Debug)]
pub(crate) struct Item {
    /// The number of the keyspace.
    pub(crate) keyspace: u64,
    pub(crate) key: Vec<u8>,
    /// `None` where the key is removed.
    pub(crate) value: Option<Vec<u8>>,
}

impl Batches<BufReader<File>> {
    /// The groups of a journal from its beginning.
    pub(super) fn new(reader: BufReader<File>) -> io::Result<Self> {
        let len = reader.get_ref().metadata()?.len();
        Ok(Self { reader, at: 0, len, item: Vec::new(), items: None })
    }
}

impl<'a> Batches<&'a [u8]> {
    fn of_bytes(bytes: &'a [u8]) -> Self {
        Self { reader: bytes, at: 0, len: bytes.len() as u64, item: Vec::new(), items: None }
    }
}

impl<R: Read> Batches<R> {
    /// The next group; `None` where there is none, or one that is not whole. Then there is no next.
    pub(super) fn next_batch(&mut self) -> io::Result<Option<Batch>> {
        let Some(([START], count, sequence)) = self.start()? else {
            return Ok(None);
        };
        let mut hash = Xxh3::new();
        let mut mark = None;
        for index in 0..count {
            let Some(key_len) = self.item()? else {
                return Ok(None);
            };
            hash.update(&self.item);
            if let Some(items) = &mut self.items {
                items.extend(keep(&self.item, key_len));
            }
            if index == 0 {
                mark = self.mark(key_len);
            }
        }
        let Some(end) = self.take::<13>()? else {
            return Ok(None);
        };
        let is_end = end.first() == Some(&END)
            && end.get(1..9) == Some(&hash.digest().to_le_bytes())
            && end.ends_with(&TRAILER);
        Ok(is_end.then_some(Batch { sequence, mark, end: self.at }))
    }

    fn start(&mut self) -> io::Result<Option<([u8; 1], u32, u64)>> {
        let Some(start) = self.take::<START_LEN>()? else {
            return Ok(None);
        };
        let mut start = Fields(&start);
        Ok(start.next().zip(start.next()).zip(start.next()).map(|((tag, count), sequence)| {
            (tag, u32::from_le_bytes(count), u64::from_le_bytes(sequence))
        }))
    }

    /// Reads an item, whole; the length of its key.
    fn item(&mut self) -> io::Result<Option<usize>> {
        let Some(head) = self.take::<ITEM_HEAD_LEN>()? else {
            return Ok(None);
        };
        let Some((key_len, value_len)) = item_lengths(&head) else {
            return Ok(None);
        };
        let body = key_len as u64 + u64::from(value_len);
        if body > self.len.saturating_sub(self.at) {
            return Ok(None);
        }
        self.item.clear();
        self.item.extend(head);
        let read = self.reader.by_ref().take(body).read_to_end(&mut self.item)?;
        self.at += read as u64;
        Ok((read as u64 == body).then_some(key_len))
    }

    /// The mark that the item at hand is, if it is one.
    fn mark(&self, key_len: usize) -> Option<GroupMark> {
        let (key, value) = self.item.get(ITEM_HEAD_LEN..)?.split_at_checked(key_len)?;
        if key == MARK_KEY { GroupMark::decode(value) } else { None }
    }

    fn take<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        match self.reader.read_exact(&mut bytes) {
            Ok(()) => {
                self.at += N as u64;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What an item does.
fn keep(item: &[u8], key_len: usize) -> Option<Item> {
    const VALUE: u8 = 0;
    let mut head = Fields(item.get(1..)?);
    let [kind, _compression] = head.next()?;
    let keyspace = u64::from_le_bytes(head.next()?);
    let (key, value) = item.get(ITEM_HEAD_LEN..)?.split_at_checked(key_len)?;
    let value = (kind == VALUE).then(|| value.to_vec());
    Some(Item { keyspace, key: key.to_vec(), value })
}

/// Shows all whole groups among bytes, wherever they begin, and where something is between them that
/// is none.
pub(super) fn each(
    bytes: &[u8],
    group: &mut dyn FnMut(&GroupMark, Vec<Item>),
    broken: &mut dyn FnMut(usize),
) {
    let mut at = 0;
    let mut is_broken = false;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let mut batches = Batches { items: Some(Vec::new()), ..Batches::of_bytes(rest) };
        // Reading from memory does not fail.
        if let Ok(Some(Batch { mark: Some(mark), end, .. })) = batches.next_batch() {
            group(&mark, batches.items.unwrap_or_default());
            at += usize::try_from(end).unwrap_or(usize::MAX);
            is_broken = false;
            continue;
        }
        if !std::mem::replace(&mut is_broken, true) {
            broken(at);
        }
        // The next group is where the next mark has its key.
        let before_key = START_LEN + ITEM_HEAD_LEN;
        let Some(found) = rest.get(before_key + 1..).and_then(find_key) else { return };
        at += found + 1;
    }
}

/// The lengths of the key and of the value of an item.
fn item_lengths(head: &[u8]) -> Option<(usize, u32)> {
    let mut fields = Fields(head);
    let ([tag], [_kind], [compression]) = (fields.next()?, fields.next()?, fields.next()?);
    let _keyspace: [u8; 8] = fields.next()?;
    let key_len = u16::from_le_bytes(fields.next()?);
    let value_len = u32::from_le_bytes(fields.next()?);
    let stored_len = u32::from_le_bytes(fields.next()?);
    let is_item = tag == ITEM && compression == 0 && value_len == stored_len;
    is_item.then_some((key_len.into(), value_len))
}

/// The marks of all whole groups among bytes, wherever they begin.
pub(super) fn marks(bytes: &[u8]) -> Vec<GroupMark> {
    let mut marks = Vec::new();
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(find_key) {
        let key_at = at + found;
        at = key_at + 1;
        let begin = key_at.checked_sub(START_LEN + ITEM_HEAD_LEN);
        let Some(group) = begin.and_then(|begin| bytes.get(begin..)) else {
            continue;
        };
        // Reading from memory does not fail.
        if let Ok(Some(Batch { mark: Some(mark), .. })) = Batches::of_bytes(group).next_batch() {
            marks.push(mark);
        }
    }
    marks
}

/// Where the key of a mark stands. The last byte of a window says how far the next one may be: up to
/// a whole key, which matters among the zeros that a journal is made with.
fn find_key(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(window) = bytes.get(at..at + MARK_KEY.len()) {
        if window == MARK_KEY {
            return Some(at);
        }
        let same = |byte: &u8| Some(byte) == window.last();
        at += 1 + MARK_KEY.iter().rev().skip(1).position(same).unwrap_or(MARK_KEY.len() - 1);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_wherever_it_stands() {
        for before in [&b""[..], b"x", b"group-", b"group-mar", b"kkkk", b"group-group-", &[0; 37]]
        {
            let bytes = [before, MARK_KEY, b"group-mark"].concat();
            assert_eq!(find_key(&bytes), Some(before.len()), "{before:?}");
            assert_eq!(find_key(&bytes[..before.len() + MARK_KEY.len() - 1]), None);
        }
    }
}
