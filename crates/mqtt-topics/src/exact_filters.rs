//! The filters without a wildcard: each matches one topic, so that they need no tree.

use std::hash::Hash;

use smallvec::SmallVec;

use crate::hash_index::HashIndex;
use crate::label::Label;
use crate::slab::{Id, Slab};
use crate::subscribers::Subscribers;

/// Filters of up to this many bytes stand in the entry itself; most do.
const SHORT: usize = 38;

/// From the whole text of a filter to its subscribers, by one hash look-up.
pub(crate) struct ExactFilters<K, V> {
    entries: Slab<Entry<K, V>>,
    index: HashIndex,
}

struct Entry<K, V> {
    filter: Label<SHORT>,
    subscribers: Subscribers<K, V>,
}

impl<K, V> Entry<K, V> {
    /// Something that is known only when all of the entry was read.
    fn touch(&self) -> usize {
        usize::from(matches!(self.subscribers, Subscribers::One(..))) + self.filter.as_bytes().len()
    }
}

impl<K: Copy + Eq + Hash, V> ExactFilters<K, V> {
    pub(crate) fn new() -> Self {
        Self { entries: Slab::new(), index: HashIndex::new() }
    }

    /// How many filters there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, filter: &str) -> Option<&Subscribers<K, V>> {
        if self.entries.len() == 0 {
            return None;
        }
        let id = self.find(filter, self.index.hash_text(filter.as_bytes()))?;
        self.entries.get(id).map(|entry| &entry.subscribers)
    }

    /// Reads what looking for each of `topics` is going to read, step by step for all of them, so
    /// that what is far away in memory is waited for once.
    pub(crate) fn look_ahead(&self, topics: &[&[u8]]) {
        let hashes: SmallVec<[u64; 16]> =
            topics.iter().map(|topic| self.index.hash_text(topic)).collect();
        // Tight loops, so that the processor is at the next one while it waits for the last.
        let read = hashes.iter().map(|hash| self.index.touch(*hash));
        std::hint::black_box(read.fold(0, u32::wrapping_add));
        let ids = hashes.iter().filter_map(|hash| self.index.find(*hash, |_| true));
        let ids: SmallVec<[Id; 16]> = ids.collect();
        let read = ids.iter().map(|id| self.entries.get(*id).map_or(0, Entry::touch));
        std::hint::black_box(read.fold(0, usize::wrapping_add));
    }

    pub(crate) fn get_mut(&mut self, filter: &str) -> Option<&mut Subscribers<K, V>> {
        let id = self.find(filter, self.index.hash_text(filter.as_bytes()))?;
        self.entries.get_mut(id).map(|entry| &mut entry.subscribers)
    }

    pub(crate) fn insert(&mut self, filter: &str, key: K, value: V) -> Option<V> {
        let hash = self.index.hash_text(filter.as_bytes());
        if let Some(id) = self.find(filter, hash) {
            return self.entries.get_mut(id)?.subscribers.insert(key, value);
        }
        let subscribers = Subscribers::One(key, value);
        let id = self.entries.insert(Entry { filter: Label::new(filter), subscribers });
        self.index.insert(hash, id);
        None
    }

    pub(crate) fn remove(&mut self, filter: &str, key: &K) -> Option<V> {
        let hash = self.index.hash_text(filter.as_bytes());
        let id = self.find(filter, hash)?;
        let subscribers = &mut self.entries.get_mut(id)?.subscribers;
        let removed = subscribers.remove(key)?;
        if subscribers.is_empty() {
            self.index.remove(hash, id);
            self.entries.remove(id);
        }
        Some(removed)
    }

    fn find(&self, filter: &str, hash: u64) -> Option<Id> {
        let is = |id| self.entries.get(id).is_some_and(|entry| entry.filter.is(filter.as_bytes()));
        self.index.find(hash, is)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Entry<u64, [u64; 2]>>(), 72);
    }
}
