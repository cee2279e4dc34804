//! The filters without a wildcard: each matches one topic, so that they need no tree.

use std::hash::Hash;

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
