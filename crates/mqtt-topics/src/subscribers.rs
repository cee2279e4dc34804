//! The subscribers of one filter.

use std::hash::{BuildHasher, Hash};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

/// Up to this many subscribers are searched one after the other.
const SEARCHED: usize = 16;

/// Most filters have one subscriber, some have a million: the one costs no allocation, and
/// among the million one is found by its hash.
pub(crate) enum Subscribers<K, V> {
    Empty,
    One(K, V),
    Many(Box<Many<K, V>>),
}

pub(crate) struct Many<K, V> {
    /// Dense, because a publish visits all of them.
    entries: Vec<(K, V)>,
    /// Where each key stands in `entries`; unused while there are few.
    places: HashTable<u32>,
    seed: RandomState,
}

impl<K: Copy + Eq + Hash, V> Subscribers<K, V> {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Subscribers::Empty)
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Subscribers::One(one, value) if one == key => Some(value),
            Subscribers::Many(many) => many.entries.get(many.place(key)?).map(|(_, value)| value),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self {
            Subscribers::One(one, value) if one == key => Some(value),
            Subscribers::Many(many) => {
                let place = many.place(key)?;
                many.entries.get_mut(place).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Adds a subscriber, or replaces its options and returns the old ones.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(old) = self.get_mut(&key) {
            return Some(std::mem::replace(old, value));
        }
        *self = match std::mem::replace(self, Subscribers::Empty) {
            Subscribers::Empty => Subscribers::One(key, value),
            Subscribers::One(one, old) => Subscribers::Many(Many::new((one, old), (key, value))),
            Subscribers::Many(mut many) => {
                many.push(key, value);
                Subscribers::Many(many)
            }
        };
        None
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let (rest, removed) = match std::mem::replace(self, Subscribers::Empty) {
            Subscribers::One(one, value) if one == *key => (Subscribers::Empty, Some(value)),
            Subscribers::Many(mut many) => {
                let removed = many.remove(key);
                (many.into_smallest(), removed)
            }
            same => (same, None),
        };
        *self = rest;
        removed
    }

    pub(crate) fn for_each(&self, f: &mut impl FnMut(&K, &V)) {
        match self {
            Subscribers::Empty => {}
            Subscribers::One(key, value) => f(key, value),
            Subscribers::Many(many) => many.entries.iter().for_each(|(key, value)| f(key, value)),
        }
    }
}

impl<K: Copy + Eq + Hash, V> Many<K, V> {
    fn new(first: (K, V), second: (K, V)) -> Box<Self> {
        let entries = vec![first, second];
        Box::new(Self { entries, places: HashTable::new(), seed: RandomState::default() })
    }

    fn place(&self, key: &K) -> Option<usize> {
        if self.places.is_empty() {
            return self.entries.iter().position(|(found, _)| found == key);
        }
        let is = |place: &u32| self.entries.get(*place as usize).is_some_and(|(k, _)| k == key);
        self.places.find(self.seed.hash_one(key), is).map(|place| *place as usize)
    }

    /// Adds a key that is not there yet.
    fn push(&mut self, key: K, value: V) {
        self.entries.push((key, value));
        if !self.places.is_empty() {
            self.index(self.entries.len() - 1, &key);
        } else if self.entries.len() > SEARCHED {
            for place in 0..self.entries.len() {
                if let Some((key, _)) = self.entries.get(place) {
                    let key = *key;
                    self.index(place, &key);
                }
            }
        }
    }

    fn index(&mut self, place: usize, key: &K) {
        let Self { entries, places, seed } = self;
        let rehash = |place: &u32| entry_hash(entries, seed, *place);
        // A subscriber is a client; 2^32 of them do not fit into memory.
        if let Ok(place) = u32::try_from(place) {
            places.insert_unique(seed.hash_one(key), place, rehash);
        }
    }

    fn remove(&mut self, key: &K) -> Option<V> {
        let place = self.place(key)?;
        let last = self.entries.len() - 1;
        if !self.places.is_empty() {
            self.unindex(place);
            self.move_index(last, place);
        }
        let (_, value) = self.entries.swap_remove(place);
        self.shrink();
        Some(value)
    }

    fn unindex(&mut self, place: usize) {
        let hash = self.entries.get(place).map_or(0, |(key, _)| self.seed.hash_one(key));
        if let Ok(found) = self.places.find_entry(hash, |found| *found as usize == place) {
            found.remove();
        }
    }

    /// The entry at `from` is about to stand at `to`.
    fn move_index(&mut self, from: usize, to: usize) {
        let hash = self.entries.get(from).map_or(0, |(key, _)| self.seed.hash_one(key));
        let found = self.places.find_mut(hash, |found| *found as usize == from);
        if let (Some(found), Ok(to)) = (found, u32::try_from(to)) {
            *found = to;
        }
    }

    /// Gives memory back when three quarters are unused.
    fn shrink(&mut self) {
        let Self { entries, places, seed } = self;
        if entries.len() <= SEARCHED / 2 {
            *places = HashTable::new();
        }
        if entries.len() <= entries.capacity() / 4 {
            entries.shrink_to(entries.len() * 2);
            let rehash = |place: &u32| entry_hash(entries, seed, *place);
            places.shrink_to(places.len() * 2, rehash);
        }
    }

    fn into_smallest(mut self: Box<Self>) -> Subscribers<K, V> {
        match self.entries.len() {
            0 => Subscribers::Empty,
            1 => match self.entries.pop() {
                Some((key, value)) => Subscribers::One(key, value),
                None => Subscribers::Empty,
            },
            _ => Subscribers::Many(self),
        }
    }
}

fn entry_hash<K: Hash, V>(entries: &[(K, V)], seed: &RandomState, place: u32) -> u64 {
    entries.get(place as usize).map_or(0, |(key, _)| seed.hash_one(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_come_and_go() {
        let mut all = Subscribers::Empty;
        for key in 0..1_000_u32 {
            assert_eq!(all.insert(key, key), None);
            assert_eq!(all.insert(key, key + 1), Some(key));
        }
        for key in (0..1_000).step_by(3).chain((0..1_000).skip(1).step_by(3)) {
            assert_eq!(all.remove(&key), Some(key + 1));
            assert_eq!(all.remove(&key), None);
        }
        let mut left = Vec::new();
        all.for_each(&mut |key, _| left.push(*key));
        left.sort_unstable();
        assert_eq!(left, (2..1_000).step_by(3).collect::<Vec<_>>());
        for key in left {
            assert_eq!(all.get(&key), Some(&(key + 1)));
            assert_eq!(all.remove(&key), Some(key + 1));
        }
        assert!(all.is_empty());
    }
}
