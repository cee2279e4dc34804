//! The levels of a topic that is being matched.

use smallvec::SmallVec;

use crate::hash_index::HashIndex;
use crate::level::split_level;

/// Splits and hashes as far as the walk gets and needs, and each level once only.
pub(crate) struct TopicLevels<'a> {
    seen: SmallVec<[(Level<'a>, Option<u64>); 16]>,
    /// What stands behind the deepest level seen, if there is more.
    unseen: Option<&'a [u8]>,
}

#[derive(Copy, Clone)]
pub(crate) struct Level<'a> {
    pub(crate) text: &'a [u8],
    /// The topic from this level on.
    pub(crate) from: &'a [u8],
}

impl<'a> TopicLevels<'a> {
    pub(crate) fn new(topic: &'a [u8]) -> Self {
        Self { seen: SmallVec::new(), unseen: Some(topic) }
    }

    /// The level at a depth that is at most one deeper than the deepest before.
    pub(crate) fn at(&mut self, depth: usize) -> Option<Level<'a>> {
        if depth == self.seen.len() {
            let from = self.unseen?;
            let (text, unseen) = split_level(from);
            self.unseen = unseen;
            self.seen.push((Level { text, from }, None));
        }
        self.seen.get(depth).map(|(level, _)| *level)
    }

    /// The hash of a level that was seen.
    pub(crate) fn hash(&mut self, depth: usize, index: &HashIndex) -> u64 {
        let Some((level, hash)) = self.seen.get_mut(depth) else { return 0 };
        *hash.get_or_insert_with(|| index.hash_text(level.text))
    }
}
