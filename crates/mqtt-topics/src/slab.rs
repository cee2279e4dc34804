//! Numbered places for nodes, so that links between nodes are four bytes and dropping a
//! deep tree needs no recursion.
//!
//! Unlike one large `Vec`, this grows in chunks: it never copies what it holds, and wastes
//! at most one chunk.

use std::num::NonZeroU32;

/// How many values one chunk holds.
const CHUNK: usize = 4_096;

/// The number of a value in a slab; an `Option` of it is as small.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub(crate) struct Id(NonZeroU32);

impl Id {
    fn new(index: usize) -> Self {
        // 2^32 values of the smallest kind kept here fill more than 100 GB.
        let number = u32::try_from(index + 1).expect("fewer than 2^32 values fit into memory");
        Self(NonZeroU32::MIN.saturating_add(number - 1))
    }

    /// The id with this number.
    pub(crate) fn of(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number itself, to hash or to add up.
    pub(crate) fn number(self) -> u32 {
        self.0.get()
    }

    fn place(self) -> (usize, usize) {
        let index = self.0.get() as usize - 1;
        (index / CHUNK, index % CHUNK)
    }
}

pub(crate) struct Slab<T> {
    chunks: Vec<Vec<Slot<T>>>,
    free: Option<Id>,
    len: usize,
}

enum Slot<T> {
    Full(T),
    /// An empty place, and the next one.
    Free(Option<Id>),
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { chunks: Vec::new(), free: None, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, id: Id) -> Option<&T> {
        let (chunk, at) = id.place();
        match self.chunks.get(chunk)?.get(at)? {
            Slot::Full(value) => Some(value),
            Slot::Free(_) => None,
        }
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        match self.slot(id)? {
            Slot::Full(value) => Some(value),
            Slot::Free(_) => None,
        }
    }

    pub(crate) fn insert(&mut self, value: T) -> Id {
        let id = match self.free {
            Some(id) => self.fill(id, value),
            None => self.push(value),
        };
        self.len += 1;
        id
    }

    /// Takes the value out. A slab that is empty again gives all its memory back.
    pub(crate) fn remove(&mut self, id: Id) -> Option<T> {
        let free = self.free;
        let slot = self.slot(id)?;
        if matches!(slot, Slot::Free(_)) {
            return None;
        }
        let taken = std::mem::replace(slot, Slot::Free(free));
        self.free = Some(id);
        self.len -= 1;
        if self.len == 0 {
            *self = Self::new();
        }
        match taken {
            Slot::Full(value) => Some(value),
            Slot::Free(_) => None,
        }
    }

    fn slot(&mut self, id: Id) -> Option<&mut Slot<T>> {
        let (chunk, at) = id.place();
        self.chunks.get_mut(chunk)?.get_mut(at)
    }

    fn fill(&mut self, id: Id, value: T) -> Id {
        if let Some(slot) = self.slot(id) {
            let next = match std::mem::replace(slot, Slot::Full(value)) {
                Slot::Free(next) => next,
                Slot::Full(_) => None,
            };
            self.free = next;
        }
        id
    }

    fn push(&mut self, value: T) -> Id {
        let chunks = self.chunks.len();
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => {
                chunk.push(Slot::Full(value));
                Id::new((chunks - 1) * CHUNK + chunk.len() - 1)
            }
            _ => {
                // The first chunk grows by doubling, so that a small tree stays small.
                let mut chunk = Vec::with_capacity(if chunks == 0 { 4 } else { CHUNK });
                chunk.push(Slot::Full(value));
                self.chunks.push(chunk);
                Id::new(chunks * CHUNK)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again_and_values_stay_where_they_are() {
        let mut slab = Slab::new();
        let ids: Vec<Id> = (0..3 * CHUNK).map(|value| slab.insert(value)).collect();
        for (value, id) in ids.iter().enumerate() {
            assert_eq!(slab.get(*id), Some(&value));
        }
        assert_eq!(slab.remove(ids[5]), Some(5));
        assert_eq!(slab.remove(ids[5]), None);
        assert_eq!(slab.remove(ids[CHUNK]), Some(CHUNK));
        assert_eq!(slab.insert(77), ids[CHUNK]);
        assert_eq!(slab.insert(78), ids[5]);
        assert_eq!((slab.get(ids[5]), slab.len()), (Some(&78), 3 * CHUNK));
    }

    #[test]
    fn an_empty_slab_holds_no_memory() {
        let mut slab = Slab::new();
        let ids: Vec<Id> = (0..CHUNK + 1).map(|value| slab.insert(value)).collect();
        for id in ids {
            slab.remove(id);
        }
        assert_eq!((slab.len(), slab.chunks.capacity()), (0, 0));
    }
}
