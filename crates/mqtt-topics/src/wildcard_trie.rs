//! The filters with a wildcard: a tree with one node per level.
//!
//! A node stands for the levels from the root to it. A `#` is no node: it is the second list
//! of subscribers of the node before it, since `a/#` matches `a` as well.

use std::hash::Hash;

use smallvec::SmallVec;

use crate::TopicNameRef;
use crate::hash_index::HashIndex;
use crate::label::Label;
use crate::slab::{Id, Slab};
use crate::subscribers::Subscribers;

/// Levels of up to this many bytes stand in the node itself.
const SHORT: usize = 22;

pub(crate) struct WildcardTrie<K, V> {
    nodes: Slab<Node>,
    lists: Slab<Subscribers<K, V>>,
    /// The children that are not `+`.
    index: HashIndex,
    root: Id,
}

struct Node {
    label: Label<SHORT>,
    parent: Option<Id>,
    plus: Option<Id>,
    /// How many children there are in the index.
    children: u32,
    /// Who subscribed to the filter that ends here.
    here: Option<Id>,
    /// Who subscribed to the filter that goes on with `#`.
    rest: Option<Id>,
}

impl<K: Copy + Eq + Hash, V> WildcardTrie<K, V> {
    pub(crate) fn new() -> Self {
        let mut nodes = Slab::new();
        let root = nodes.insert(Node::new("", None));
        Self { nodes, lists: Slab::new(), index: HashIndex::new(), root }
    }

    /// How many nodes there are beside the root.
    pub(crate) fn node_count(&self) -> usize {
        self.nodes.len() - 1
    }

    pub(crate) fn get(&self, filter: &str) -> Option<&Subscribers<K, V>> {
        self.lists.get(self.list(filter)?)
    }

    pub(crate) fn get_mut(&mut self, filter: &str) -> Option<&mut Subscribers<K, V>> {
        let list = self.list(filter)?;
        self.lists.get_mut(list)
    }

    pub(crate) fn insert(&mut self, filter: &str, key: K, value: V) -> Option<V> {
        let (path, is_rest) = split_hash(filter);
        let mut node = self.root;
        for level in path.into_iter().flat_map(|path| path.split('/')) {
            node = match self.child(node, level) {
                Some(child) => child,
                None => self.add_child(node, level),
            };
        }
        let found = self.nodes.get_mut(node)?;
        let list = if is_rest { &mut found.rest } else { &mut found.here };
        match *list {
            Some(list) => self.lists.get_mut(list)?.insert(key, value),
            None => {
                *list = Some(self.lists.insert(Subscribers::One(key, value)));
                None
            }
        }
    }

    pub(crate) fn remove(&mut self, filter: &str, key: &K) -> Option<V> {
        let (node, is_rest) = self.find(filter)?;
        let found = self.nodes.get_mut(node)?;
        let list = if is_rest { &mut found.rest } else { &mut found.here };
        let subscribers = self.lists.get_mut((*list)?)?;
        let removed = subscribers.remove(key)?;
        if subscribers.is_empty() {
            list.take().and_then(|list| self.lists.remove(list));
            self.prune(node);
            self.release();
        }
        Some(removed)
    }

    /// Calls `f` for each subscriber of each filter that matches.
    ///
    /// The stack holds at most one node per level: each step takes one and puts back at most
    /// two, one level deeper.
    pub(crate) fn matches(&self, topic: TopicNameRef<'_>, f: &mut impl FnMut(&K, &V)) {
        if self.node_count() == 0 && self.lists.len() == 0 {
            return;
        }
        let mut levels = HashedLevels::new(topic);
        let mut stack: SmallVec<[(Id, usize); 18]> = SmallVec::new();
        let mut next = Some((self.root, 0));
        while let Some((id, depth)) = next.or_else(|| stack.pop()) {
            next = None;
            let Some(node) = self.nodes.get(id) else { continue };
            // A leading wildcard does not see topics that begin with `$` [MQTT-4.7.2-1].
            let sees_wildcards = depth > 0 || !topic.is_dollar();
            if sees_wildcards {
                self.visit_list(node.rest, f);
            }
            let Some(level) = levels.at(depth) else {
                self.visit_list(node.here, f);
                continue;
            };
            if let Some(plus) = node.plus.filter(|_| sees_wildcards) {
                next = Some((plus, depth + 1));
            }
            if node.children > 0 {
                let hash = self.index.hash_link(id, levels.hash(depth, &self.index));
                if let Some(child) = self.find_child(id, level, hash) {
                    stack.extend(next);
                    next = Some((child, depth + 1));
                }
            }
        }
    }

    fn visit_list(&self, list: Option<Id>, f: &mut impl FnMut(&K, &V)) {
        if let Some(list) = list.and_then(|list| self.lists.get(list)) {
            list.for_each(f);
        }
    }

    fn list(&self, filter: &str) -> Option<Id> {
        let (node, is_rest) = self.find(filter)?;
        let node = self.nodes.get(node)?;
        if is_rest { node.rest } else { node.here }
    }

    /// The node of a filter, and whether the filter goes on with `#`.
    fn find(&self, filter: &str) -> Option<(Id, bool)> {
        let (path, is_rest) = split_hash(filter);
        let mut node = self.root;
        for level in path.into_iter().flat_map(|path| path.split('/')) {
            node = self.child(node, level)?;
        }
        Some((node, is_rest))
    }

    /// The child along a level of a filter.
    fn child(&self, parent: Id, level: &str) -> Option<Id> {
        if level == "+" {
            return self.nodes.get(parent)?.plus;
        }
        let hash = self.index.hash_link(parent, self.index.hash_text(level));
        self.find_child(parent, level, hash)
    }

    fn find_child(&self, parent: Id, level: &str, hash: u64) -> Option<Id> {
        self.index.find(hash, |id| {
            self.nodes
                .get(id)
                .is_some_and(|node| node.parent == Some(parent) && node.label.is(level))
        })
    }

    fn add_child(&mut self, parent: Id, level: &str) -> Id {
        let child = self.nodes.insert(Node::new(level, Some(parent)));
        let is_plus = level == "+";
        if !is_plus {
            let hash = self.index.hash_link(parent, self.index.hash_text(level));
            self.index.insert(hash, child);
        }
        if let Some(parent) = self.nodes.get_mut(parent) {
            if is_plus {
                parent.plus = Some(child);
            } else {
                parent.children += 1;
            }
        }
        child
    }

    /// Gives all memory back when nothing but the root is left.
    fn release(&mut self) {
        if self.node_count() == 0 {
            let root = self.nodes.remove(self.root);
            self.root = self.nodes.insert(root.unwrap_or_else(|| Node::new("", None)));
        }
    }

    /// Frees this node and those above it, as long as nothing hangs on them.
    fn prune(&mut self, mut id: Id) {
        while let Some(node) = self.nodes.get(id) {
            let Some(parent) = node.parent.filter(|_| node.is_bare()) else { return };
            let is_plus = self.nodes.get(parent).is_some_and(|parent| parent.plus == Some(id));
            if !is_plus {
                let level = self.index.hash_text(node.label.as_str());
                self.index.remove(self.index.hash_link(parent, level), id);
            }
            self.nodes.remove(id);
            if let Some(parent) = self.nodes.get_mut(parent) {
                if is_plus {
                    parent.plus = None;
                } else {
                    parent.children -= 1;
                }
            }
            id = parent;
        }
    }
}

impl Node {
    fn new(level: &str, parent: Option<Id>) -> Self {
        let label = Label::new(level);
        Self { label, parent, plus: None, children: 0, here: None, rest: None }
    }

    fn is_bare(&self) -> bool {
        self.children == 0 && self.plus.is_none() && self.here.is_none() && self.rest.is_none()
    }
}

/// What stands before the `#`, and whether there is one. A lone `#` has nothing before it.
fn split_hash(filter: &str) -> (Option<&str>, bool) {
    match filter.strip_suffix('#') {
        Some(path) => (path.strip_suffix('/'), true),
        None => (Some(filter), false),
    }
}

/// The levels of a topic, split and hashed as far as the walk gets, and once only.
struct HashedLevels<'a> {
    seen: SmallVec<[(&'a str, Option<u64>); 16]>,
    rest: std::str::Split<'a, char>,
}

impl<'a> HashedLevels<'a> {
    fn new(topic: TopicNameRef<'a>) -> Self {
        Self { seen: SmallVec::new(), rest: topic.levels() }
    }

    /// The level at a depth that is at most one deeper than the deepest before.
    fn at(&mut self, depth: usize) -> Option<&'a str> {
        if depth == self.seen.len() {
            self.seen.push((self.rest.next()?, None));
        }
        self.seen.get(depth).map(|(level, _)| *level)
    }

    fn hash(&mut self, depth: usize, index: &HashIndex) -> u64 {
        let Some((level, hash)) = self.seen.get_mut(depth) else { return 0 };
        *hash.get_or_insert_with(|| index.hash_text(level))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_fits_into_a_cache_line() {
        assert_eq!(size_of::<Node>(), 48);
    }

    #[test]
    fn what_stands_before_a_hash() {
        assert_eq!(split_hash("#"), (None, true));
        assert_eq!(split_hash("/#"), (Some(""), true));
        assert_eq!(split_hash("a/#"), (Some("a"), true));
        assert_eq!(split_hash("a/+"), (Some("a/+"), false));
    }
}
