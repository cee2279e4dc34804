//! One hash table for all links of a tree: from (parent, level) to the child.
//!
//! A table per node would cost an allocation and empty places per node; one table costs eight
//! bytes per link and its empty places. The seed is random for each tree, so that nobody
//! can choose levels that collide.
//!
//! Eight links stand in one line of a processor's cache. Among millions of links a look-up waits
//! for memory and for little else, and so it waits once.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;

use crate::slab::Id;

/// So many links stand together.
const WIDTH: usize = 8;

/// The table grows when it has so many links for each line, and shrinks when it has less than an
/// eighth of that.
const FULL: usize = 6;

pub(crate) struct HashIndex {
    /// None, or a power of two.
    lines: Vec<Line>,
    len: usize,
    seed: RandomState,
}

/// Links whose hashes begin here, or in a full line before. The used places come first.
///
/// The hash is kept beside the number: growing does not look at the nodes, and a look-up
/// touches no node but (almost always) the right one.
#[derive(Copy, Clone)]
#[repr(align(64))]
struct Line {
    hashes: [u32; WIDTH],
    ids: [Option<Id>; WIDTH],
}

impl HashIndex {
    pub(crate) fn new() -> Self {
        Self { lines: Vec::new(), len: 0, seed: RandomState::default() }
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

    /// Something that is known only when the line was read in which looking for the hash begins.
    pub(crate) fn touch(&self, hash: u64) -> u32 {
        self.lines.get(self.home(fold(hash))).map_or(0, |line| line.hashes[0])
    }

    pub(crate) fn find(&self, hash: u64, is: impl Fn(Id) -> bool) -> Option<Id> {
        let hash = fold(hash);
        let mut at = self.home(hash);
        loop {
            let line = self.lines.get(at)?;
            let mut same = line.places_of(hash);
            while same != 0 {
                let place = same.trailing_zeros() as usize / 8;
                if let Some(id) = line.ids.get(place).copied().flatten().filter(|id| is(*id)) {
                    return Some(id);
                }
                same &= !(0xFF << (8 * place));
            }
            if !line.is_full() {
                return None;
            }
            at = self.behind(at);
        }
    }

    /// Adds a link that is not there yet.
    pub(crate) fn insert(&mut self, hash: u64, id: Id) {
        if self.len >= self.lines.len() * FULL {
            self.resize((self.lines.len() * 2).max(1));
        }
        self.place(fold(hash), id);
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, hash: u64, id: Id) {
        let mut at = self.home(fold(hash));
        loop {
            let Some(line) = self.lines.get_mut(at) else { return };
            let was_full = line.is_full();
            if let Some(place) = line.ids.iter().position(|held| *held == Some(id)) {
                line.take(place);
                if was_full {
                    self.fill_up(at);
                }
                break;
            }
            if !was_full {
                return;
            }
            at = self.behind(at);
        }
        self.len -= 1;
        if self.len < self.lines.len() * FULL / 8 {
            self.resize(self.lines.len() / 4);
        }
    }

    /// A line that was full has room: takes back what passed it over, so that who looks for that
    /// does not end here.
    fn fill_up(&mut self, mut hole: usize) {
        let mut at = self.behind(hole);
        while at != hole {
            let Some(line) = self.lines.get(at) else { return };
            let was_full = line.is_full();
            let passed =
                line.links().position(|(hash, _)| self.way(hash, at) >= self.way_between(hole, at));
            if let Some(place) = passed {
                let taken = self.lines.get_mut(at).and_then(|line| line.take(place));
                let hole_line = self.lines.get_mut(hole);
                if let (Some((hash, id)), Some(line)) = (taken, hole_line) {
                    line.push(hash, id);
                }
                hole = at;
            }
            if !was_full {
                return;
            }
            at = self.behind(at);
        }
    }

    /// How many lines a link that stands at `at` has passed over.
    fn way(&self, hash: u32, at: usize) -> usize {
        self.way_between(self.home(hash), at)
    }

    fn way_between(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.mask()
    }

    fn home(&self, hash: u32) -> usize {
        hash as usize & self.mask()
    }

    fn behind(&self, line: usize) -> usize {
        (line + 1) & self.mask()
    }

    fn mask(&self) -> usize {
        self.lines.len().wrapping_sub(1)
    }

    fn place(&mut self, hash: u32, id: Id) {
        let mut at = self.home(hash);
        while let Some(line) = self.lines.get_mut(at) {
            if line.push(hash, id) {
                return;
            }
            at = self.behind(at);
        }
    }

    fn resize(&mut self, lines: usize) {
        let old = std::mem::replace(&mut self.lines, vec![Line::EMPTY; lines]);
        for line in old {
            for (hash, id) in line.links() {
                self.place(hash, id);
            }
        }
    }
}

impl Line {
    const EMPTY: Self = Self { hashes: [0; WIDTH], ids: [None; WIDTH] };

    fn is_full(&self) -> bool {
        self.ids[WIDTH - 1].is_some()
    }

    fn links(&self) -> impl Iterator<Item = (u32, Id)> {
        self.hashes.into_iter().zip(self.ids).map_while(|(hash, id)| Some((hash, id?)))
    }

    /// A byte for each place: 0xFF where it has this hash. Without a branch for each, which makes it
    /// a comparison of vectors.
    fn places_of(&self, hash: u32) -> u64 {
        u64::from_le_bytes(self.hashes.map(|held| if held == hash { 0xFF } else { 0 }))
    }

    /// Answers whether there was room.
    fn push(&mut self, hash: u32, id: Id) -> bool {
        let free = self.ids.iter().position(Option::is_none);
        let places = free.and_then(|at| Some((self.hashes.get_mut(at)?, self.ids.get_mut(at)?)));
        let Some(place) = places else { return false };
        (*place.0, *place.1) = (hash, Some(id));
        true
    }

    /// Takes a link out; the last one comes into its place.
    fn take(&mut self, place: usize) -> Option<(u32, Id)> {
        let last = self.ids.iter().rposition(Option::is_some)?;
        self.hashes.swap(place, last);
        self.ids.swap(place, last);
        Some((*self.hashes.get(last)?, self.ids.get_mut(last)?.take()?))
    }
}

/// The upper half of a hash.
fn fold(hash: u64) -> u32 {
    let [_, _, _, _, a, b, c, d] = hash.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
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
        let full = index.lines.len();
        for number in 1..=9_900 {
            let hash = hash(&index, number);
            assert_eq!(index.find(hash, |found| found == id(number)), Some(id(number)));
            index.remove(hash, id(number));
            assert_eq!(index.find(hash, |found| found == id(number)), None);
        }
        assert_eq!(index.find(hash(&index, 9_901), |_| true), Some(id(9_901)));
        assert!(index.lines.len() <= full / 16, "{} of {full} lines", index.lines.len());
    }

    /// Half of the links begin in one line of many, so that they fill those behind it and come round.
    #[test]
    fn what_passed_a_full_line_over_is_found_when_that_has_room() {
        let mut index = HashIndex::new();
        let hash = |number: u32| {
            let crowd =
                if number.is_multiple_of(2) { u32::MAX } else { number.wrapping_mul(0x9E37_79B9) };
            u64::from(crowd) << 32
        };
        let mut held = std::collections::BTreeSet::new();
        let mut turn: u32 = 1;
        for step in 0..4_000_u32 {
            turn = turn.wrapping_mul(0x0019_660D).wrapping_add(0x3C6E_F35F);
            let (number, wanted) = (1 + (turn >> 16) % 400, step < 2_000 || turn >> 31 == 0);
            let id = Id::of(number).unwrap();
            if held.remove(&number) {
                index.remove(hash(number), id);
            } else if wanted {
                held.insert(number);
                index.insert(hash(number), id);
            }
            for number in (1 + step % 8..=400).step_by(8) {
                let found = index.find(hash(number), |found| found.number() == number);
                assert_eq!(found.is_some(), held.contains(&number), "{number} in step {step}");
            }
            assert_eq!(index.len, held.len());
        }
    }
}
