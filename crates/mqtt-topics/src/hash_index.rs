//! One hash table for all links of a tree: from (parent, level) to the child.
//!
//! A table per node would cost an allocation and empty places per node; one table costs nine
//! bytes per link and its empty places. The seed is random for each tree, so that nobody
//! can choose levels that collide.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use crate::slab::Id;

/// Tables of fewer places than this are not worth shrinking.
const SMALL: usize = 64;

pub(crate) struct HashIndex {
    table: HashTable<Link>,
    seed: RandomState,
}

/// The hash is kept beside the number: growing does not look at the nodes, and a look-up
/// touches no node but (almost always) the right one.
#[derive(Copy, Clone)]
struct Link {
    hash: u32,
    id: Id,
}

impl HashIndex {
    pub(crate) fn new() -> Self {
        Self { table: HashTable::new(), seed: RandomState::default() }
    }

    /// The hash of a text; taken once per level of a topic, however many nodes are tried.
    pub(crate) fn hash_text(&self, text: &[u8]) -> u64 {
        let mut hasher = self.seed.build_hasher();
        hasher.write(text);
        hasher.finish()
    }

    /// The hash of the link from `parent` along a level.
    pub(crate) fn hash_link(&self, parent: Id, level: u64) -> u64 {
        let mut hasher = self.seed.build_hasher();
        hasher.write_u64(level ^ u64::from(parent.number()));
        hasher.finish()
    }

    pub(crate) fn find(&self, hash: u64, is: impl Fn(Id) -> bool) -> Option<Id> {
        let hash = fold(hash);
        let found = self.table.find(spread(hash), |link| link.hash == hash && is(link.id));
        found.map(|link| link.id)
    }

    /// Adds a link that is not there yet.
    pub(crate) fn insert(&mut self, hash: u64, id: Id) {
        let hash = fold(hash);
        self.table.insert_unique(spread(hash), Link { hash, id }, |link| spread(link.hash));
    }

    pub(crate) fn remove(&mut self, hash: u64, id: Id) {
        if let Ok(link) = self.table.find_entry(spread(fold(hash)), |link| link.id == id) {
            link.remove();
            self.shrink();
        }
    }

    /// Gives memory back when seven eighths of the places are empty.
    fn shrink(&mut self) {
        let len = self.table.len();
        if self.table.capacity() >= SMALL && len <= self.table.capacity() / 8 {
            self.table.shrink_to(len * 2, |link| spread(link.hash));
        }
    }
}

/// The upper half of a hash.
fn fold(hash: u64) -> u32 {
    let [_, _, _, _, a, b, c, d] = hash.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Half a hash at both ends: the table takes the place from the low bits and a tag from the
/// high ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_and_what_was_removed_gives_memory_back() {
        let mut index = HashIndex::new();
        let hash = |index: &HashIndex, number: u32| index.hash_text(&number.to_le_bytes());
        let id = |number| Id::of(number).unwrap();
        for number in 1..=10_000 {
            index.insert(hash(&index, number), id(number));
        }
        let full = index.table.capacity();
        for number in 1..=9_900 {
            let hash = hash(&index, number);
            assert_eq!(index.find(hash, |found| found == id(number)), Some(id(number)));
            index.remove(hash, id(number));
            assert_eq!(index.find(hash, |found| found == id(number)), None);
        }
        assert_eq!(index.find(hash(&index, 9_901), |_| true), Some(id(9_901)));
        assert!(index.table.capacity() < full / 8);
    }
}
