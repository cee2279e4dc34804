//! The levels of a topic that is being matched.

use smallvec::SmallVec;

use crate::TopicNameRef;
use crate::hash_index::HashIndex;

/// Splits and hashes as far as the walk gets, and each level once only.
pub(crate) struct TopicLevels<'a> {
    seen: SmallVec<[Level<'a>; 16]>,
    /// What stands behind the deepest level seen, if there is more.
    unseen: Option<&'a str>,
}

struct Level<'a> {
    /// The topic from this level on.
    from: &'a str,
    len: usize,
    hash: Option<u64>,
}

impl<'a> TopicLevels<'a> {
    pub(crate) fn new(topic: TopicNameRef<'a>) -> Self {
        Self { seen: SmallVec::new(), unseen: Some(topic.as_str()) }
    }

    /// The level at a depth that is at most one deeper than the deepest before.
    pub(crate) fn at(&mut self, depth: usize) -> Option<&'a str> {
        if depth == self.seen.len() {
            let from = self.unseen?;
            let len = from.bytes().position(|byte| byte == b'/').unwrap_or(from.len());
            self.unseen = from.get(len + 1..);
            self.seen.push(Level { from, len, hash: None });
        }
        self.seen.get(depth).and_then(|level| level.from.get(..level.len))
    }

    /// The topic from a level on that was seen.
    pub(crate) fn from(&self, depth: usize) -> &'a str {
        self.seen.get(depth).map_or("", |level| level.from)
    }

    /// The hash of a level that was seen.
    pub(crate) fn hash(&mut self, depth: usize, index: &HashIndex) -> u64 {
        let Some(Level { from, len, hash }) = self.seen.get_mut(depth) else { return 0 };
        *hash.get_or_insert_with(|| index.hash_text(from.get(..*len).unwrap_or_default()))
    }
}
