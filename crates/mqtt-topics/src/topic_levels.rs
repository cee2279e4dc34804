//! The levels of a topic that is being matched.

use smallvec::SmallVec;

use crate::hash_index::HashIndex;
use crate::level::split_level;

/// Splits and hashes as far as the walk gets, and each level once only.
pub(crate) struct TopicLevels<'a> {
    seen: SmallVec<[Level<'a>; 16]>,
    /// What stands behind the deepest level seen, if there is more.
    unseen: Option<&'a [u8]>,
}

#[derive(Copy, Clone)]
pub(crate) struct Level<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) hash: u64,
    /// The topic from this level on.
    pub(crate) from: &'a [u8],
}

impl<'a> TopicLevels<'a> {
    pub(crate) fn new(topic: &'a [u8]) -> Self {
        Self { seen: SmallVec::new(), unseen: Some(topic) }
    }

    /// The level at a depth that is at most one deeper than the deepest before.
    pub(crate) fn at(&mut self, depth: usize, index: &HashIndex) -> Option<Level<'a>> {
        if depth == self.seen.len() {
            let from = self.unseen?;
            let (text, unseen) = split_level(from);
            self.unseen = unseen;
            self.seen.push(Level { text, hash: index.hash_text(text), from });
        }
        self.seen.get(depth).copied()
    }
}
