//! The filters with a wildcard: a tree by levels.
//!
//! ```text
//! site/+/state, site/+/door/#, site/7/+        a branch: ( )     a leaf: [ ]
//!
//!   (root) ── (site) ─┬─ + ── (+) ─┬─ [state]
//!                     │            └─ [door/#]
//!                     └─ [7/+]
//! ```
//!
//! A branch stands for one level. A leaf is one filter, from the level on that it shares with
//! no other: so most filters need one node, however many levels they have, and a match looks
//! at one place in memory after the last branch. A leaf becomes a branch when another filter
//! goes the same way, and a branch with one leaf left a leaf, so that the same filters always
//! make the same tree. A `#` is no node: it is the second list of subscribers of a branch,
//! since `a/#` matches `a` as well.

use std::hash::Hash;

use crate::TopicNameRef;
use crate::filter::levels_match;
use crate::hash_index::HashIndex;
use crate::label::Label;
use crate::level::split_level as split_bytes;
use crate::slab::{Id, Slab};
use crate::subscribers::Subscribers;
use crate::topic_levels::TopicLevels;

use smallvec::SmallVec;

pub(crate) struct WildcardTrie<K, V> {
    nodes: Slab<Node<K, V>>,
    lists: Slab<Subscribers<K, V>>,
    /// The children that do not begin with `+`.
    index: HashIndex,
    root: Id,
}

/// Texts of up to this many bytes stand in the node itself: a UUID and `/#`, for one.
const SHORT: usize = 38;

/// Looking ahead ends where it has more ways to go than so many for each topic.
const LOOKED_AHEAD: usize = 4;

/// Where looking ahead goes on for some topics: each with what is left of the topic there.
type Ways<'a, T> = SmallVec<[(Option<&'a [u8]>, T); 32]>;

struct Node<K, V> {
    parent: Option<Id>,
    /// The level of a branch, or the rest of the filter of a leaf.
    text: Label<SHORT>,
    kind: Kind<K, V>,
}

enum Kind<K, V> {
    Leaf(Subscribers<K, V>),
    Branch(Branch),
}

#[derive(Copy, Clone, Default)]
struct Branch {
    plus: Option<Id>,
    /// How many children there are in the index.
    children: u32,
    /// Their numbers, added up bit by bit: with one child left, this is its number.
    children_xor: u32,
    /// Who subscribed to the filter that ends here.
    here: Option<Id>,
    /// Who subscribed to the filter that goes on with `#`.
    rest: Option<Id>,
}

/// Where the subscribers of a filter stand.
#[derive(Copy, Clone)]
enum Place {
    Leaf(Id),
    Here(Id),
    Rest(Id),
}

/// All that hangs on a branch: a list or a child.
enum Only {
    Here(Id),
    Rest(Id),
    Child(Id),
}

impl<K: Copy + Eq + Hash, V> WildcardTrie<K, V> {
    pub(crate) fn new() -> Self {
        let mut nodes = Slab::new();
        let root = nodes.insert(Node::root());
        Self { nodes, lists: Slab::new(), index: HashIndex::new(), root }
    }

    /// How many nodes there are beside the root.
    pub(crate) fn node_count(&self) -> usize {
        self.nodes.len() - 1
    }

    pub(crate) fn get(&self, filter: &str) -> Option<&Subscribers<K, V>> {
        let place = self.find(filter)?;
        match (place, &self.nodes.get(place.node())?.kind) {
            (Place::Leaf(_), Kind::Leaf(subscribers)) => Some(subscribers),
            (_, Kind::Branch(branch)) => self.lists.get(branch.list(place)?),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, filter: &str) -> Option<&mut Subscribers<K, V>> {
        self.at_mut(self.find(filter)?)
    }

    pub(crate) fn insert(&mut self, filter: &str, key: K, value: V) -> Option<V> {
        let (mut branch, mut text) = (self.root, filter);
        let place = loop {
            if text == "#" {
                break Place::Rest(branch);
            }
            let (level, tail) = split_level(text);
            let Some(child) = self.child(branch, level) else {
                self.add_child(branch, text, Kind::Leaf(Subscribers::One(key, value)));
                return None;
            };
            if self.is_leaf(child, text) {
                break Place::Leaf(child);
            }
            self.grow(child);
            match tail {
                None => break Place::Here(child),
                Some(tail) => (branch, text) = (child, tail),
            }
        };
        self.add_list(place);
        self.at_mut(place)?.insert(key, value)
    }

    pub(crate) fn remove(&mut self, filter: &str, key: &K) -> Option<V> {
        let place = self.find(filter)?;
        let subscribers = self.at_mut(place)?;
        let removed = subscribers.remove(key)?;
        if subscribers.is_empty() {
            self.remove_place(place);
        }
        Some(removed)
    }

    /// Calls `f` for each subscriber of each filter that matches.
    ///
    /// The stack holds at most one node per level: each step takes one and puts back at most
    /// two, one level deeper. Returns how many nodes were visited.
    pub(crate) fn matches(&self, topic: TopicNameRef<'_>, f: &mut impl FnMut(&K, &V)) -> usize {
        if self.node_count() == 0 && self.lists.len() == 0 {
            return 0;
        }
        let mut visited = 0;
        let mut levels = TopicLevels::new(topic.as_str().as_bytes());
        // Each node with its depth and the topic from its own level on.
        let mut stack: SmallVec<[(Id, usize, &[u8]); 18]> = SmallVec::new();
        let mut next = Some((self.root, 0, &b""[..]));
        while let Some((id, depth, from)) = next.or_else(|| stack.pop()) {
            next = None;
            visited += 1;
            let Some(node) = self.nodes.get(id) else { continue };
            let branch = match &node.kind {
                Kind::Branch(branch) => branch,
                Kind::Leaf(subscribers) => {
                    if levels_match(node.text.as_bytes(), from) {
                        subscribers.for_each(f);
                    }
                    continue;
                }
            };
            // A leading wildcard does not see topics that begin with `$` [MQTT-4.7.2-1].
            let sees_wildcards = depth > 0 || !topic.is_dollar();
            if sees_wildcards {
                self.visit_list(branch.rest, f);
            }
            let Some(level) = levels.at(depth) else {
                self.visit_list(branch.here, f);
                continue;
            };
            if let Some(plus) = branch.plus.filter(|_| sees_wildcards) {
                next = Some((plus, depth + 1, level.from));
            }
            let child = match branch.only_child() {
                // An only child is asked directly, which saves the look-up.
                Some(only) => Some(only).filter(|only| self.begins_with(*only, level.text)),
                None if branch.children == 0 => None,
                None => {
                    let hash = self.index.hash_link(id, levels.hash(depth, &self.index));
                    self.find_child(id, level.text, hash)
                }
            };
            if let Some(child) = child {
                stack.extend(next);
                next = Some((child, depth + 1, level.from));
            }
        }
        visited
    }

    /// Reads what the matches of `topics` are going to read, all topics one level at a time: what is
    /// far away in memory is then waited for once for all of them.
    pub(crate) fn look_ahead(&self, topics: &[&[u8]]) {
        let mut at: Ways<'_, Id> = topics.iter().map(|topic| (Some(*topic), self.root)).collect();
        while !at.is_empty() && at.len() <= topics.len() * LOOKED_AHEAD {
            let mut next = Ways::new();
            let mut links: Ways<'_, u64> = Ways::new();
            for (from, id) in at {
                let branch = match self.nodes.get(id).map(|node| &node.kind) {
                    Some(Kind::Branch(branch)) => branch,
                    _ => continue,
                };
                let Some((level, behind)) = from.map(split_bytes) else { continue };
                next.extend(branch.plus.map(|plus| (behind, plus)));
                match branch.only_child() {
                    Some(only) => next.push((behind, only)),
                    None if branch.children == 0 => {}
                    None => links.push((behind, self.hash(id, level))),
                }
            }
            // Tight loops, so that the processor is at the next one while it waits for the last.
            let read = links.iter().map(|(_, hash)| self.index.touch(*hash));
            std::hint::black_box(read.fold(0, u32::wrapping_add));
            for (behind, hash) in links {
                next.extend(self.index.find(hash, |_| true).map(|child| (behind, child)));
            }
            let read = next.iter().map(|(_, id)| self.nodes.get(*id).map_or(0, Node::touch));
            std::hint::black_box(read.fold(0, usize::wrapping_add));
            at = next;
        }
    }

    fn begins_with(&self, id: Id, level: &[u8]) -> bool {
        self.nodes.get(id).is_some_and(|node| node.text.begins_with(level))
    }

    fn visit_list(&self, list: Option<Id>, f: &mut impl FnMut(&K, &V)) {
        if let Some(list) = list.and_then(|list| self.lists.get(list)) {
            list.for_each(f);
        }
    }

    fn find(&self, filter: &str) -> Option<Place> {
        let (mut branch, mut text) = (self.root, filter);
        loop {
            if text == "#" {
                return Some(Place::Rest(branch));
            }
            let (level, tail) = split_level(text);
            let child = self.child(branch, level)?;
            if self.is_leaf(child, text) {
                return Some(Place::Leaf(child));
            }
            match tail {
                None => return Some(Place::Here(child)),
                Some(tail) => (branch, text) = (child, tail),
            }
        }
    }

    fn at_mut(&mut self, place: Place) -> Option<&mut Subscribers<K, V>> {
        match (place, &mut self.nodes.get_mut(place.node())?.kind) {
            (Place::Leaf(_), Kind::Leaf(subscribers)) => Some(subscribers),
            (_, Kind::Branch(branch)) => self.lists.get_mut(branch.list(place)?),
            _ => None,
        }
    }

    fn is_leaf(&self, id: Id, text: &str) -> bool {
        let is =
            |node: &Node<K, V>| matches!(node.kind, Kind::Leaf(_)) && node.text.is(text.as_bytes());
        self.nodes.get(id).is_some_and(is)
    }

    fn branch_mut(&mut self, id: Id) -> Option<&mut Branch> {
        match &mut self.nodes.get_mut(id)?.kind {
            Kind::Branch(branch) => Some(branch),
            Kind::Leaf(_) => None,
        }
    }

    /// The child along a level of a filter; if it is no branch, there is none.
    fn child(&self, parent: Id, level: &str) -> Option<Id> {
        match &self.nodes.get(parent)?.kind {
            Kind::Leaf(_) => None,
            Kind::Branch(branch) if level == "+" => branch.plus,
            Kind::Branch(_) => {
                let level = level.as_bytes();
                self.find_child(parent, level, self.hash(parent, level))
            }
        }
    }

    fn hash(&self, parent: Id, level: &[u8]) -> u64 {
        self.index.hash_link(parent, self.index.hash_text(level))
    }

    fn find_child(&self, parent: Id, level: &[u8], hash: u64) -> Option<Id> {
        let is = |node: &Node<K, V>| node.parent == Some(parent) && node.text.begins_with(level);
        self.index.find(hash, |id| self.nodes.get(id).is_some_and(is))
    }

    fn add_child(&mut self, parent: Id, text: &str, kind: Kind<K, V>) {
        let text_label = Label::new(text);
        let child = self.nodes.insert(Node { parent: Some(parent), text: text_label, kind });
        let (level, _) = split_level(text);
        if level != "+" {
            self.index.insert(self.hash(parent, level.as_bytes()), child);
        }
        if let Some(branch) = self.branch_mut(parent) {
            if level == "+" {
                branch.plus = Some(child);
            } else {
                branch.children += 1;
                branch.children_xor ^= child.number();
            }
        }
    }

    /// Makes a leaf a branch, with what it stood for one level deeper.
    fn grow(&mut self, id: Id) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        let Kind::Leaf(subscribers) = &mut node.kind else { return };
        let subscribers = std::mem::replace(subscribers, Subscribers::Empty);
        let text = std::mem::replace(&mut node.text, Label::new(""));
        let (level, tail) = split_level(text.as_str());
        node.text = Label::new(level);
        let mut branch = Branch::default();
        match tail {
            None => branch.here = Some(self.lists.insert(subscribers)),
            Some("#") => branch.rest = Some(self.lists.insert(subscribers)),
            Some(tail) => {
                node.kind = Kind::Branch(branch);
                return self.add_child(id, tail, Kind::Leaf(subscribers));
            }
        }
        node.kind = Kind::Branch(branch);
    }

    /// Makes sure that a branch has the list in question.
    fn add_list(&mut self, place: Place) {
        let Some(node) = self.nodes.get_mut(place.node()) else { return };
        let Kind::Branch(branch) = &mut node.kind else { return };
        if let Some(list) = branch.list_mut(place) {
            list.get_or_insert_with(|| self.lists.insert(Subscribers::Empty));
        }
    }

    /// Frees what a filter without subscribers needed.
    fn remove_place(&mut self, place: Place) {
        let mut changed = match place {
            Place::Leaf(id) => self.remove_node(id),
            Place::Here(id) | Place::Rest(id) => {
                let list = self.branch_mut(id).and_then(|branch| branch.list_mut(place)?.take());
                list.and_then(|list| self.lists.remove(list));
                Some(id)
            }
        };
        while let Some(id) = changed {
            changed = self.fold(id);
        }
        if self.node_count() == 0 {
            // A slab that was empty gives all its memory back. The root may hold a list: the
            // subscribers to `#`.
            let root = self.nodes.remove(self.root);
            self.root = self.nodes.insert(root.unwrap_or_else(Node::root));
        }
    }

    /// Makes a branch a leaf if all it leads to is one filter, and then returns its parent.
    /// The root stays a branch.
    fn fold(&mut self, id: Id) -> Option<Id> {
        let node = self.nodes.get(id)?;
        let parent = node.parent?;
        let Kind::Branch(branch) = node.kind else { return None };
        let level = node.text.as_str();
        let (text, subscribers) = match branch.only()? {
            Only::Here(list) => (Label::new(level), self.lists.remove(list)?),
            Only::Rest(list) => (Label::new(&format!("{level}/#")), self.lists.remove(list)?),
            Only::Child(child) => {
                let leaf = self.nodes.get(child)?;
                let Kind::Leaf(_) = leaf.kind else { return None };
                let text = Label::new(&format!("{level}/{}", leaf.text.as_str()));
                (text, self.take_leaf(child)?)
            }
        };
        let node = self.nodes.get_mut(id)?;
        (node.text, node.kind) = (text, Kind::Leaf(subscribers));
        Some(parent)
    }

    /// Frees a leaf, but for its subscribers.
    fn take_leaf(&mut self, id: Id) -> Option<Subscribers<K, V>> {
        let Kind::Leaf(subscribers) = &mut self.nodes.get_mut(id)?.kind else { return None };
        let subscribers = std::mem::replace(subscribers, Subscribers::Empty);
        self.remove_node(id);
        Some(subscribers)
    }

    /// Frees a node, and returns its parent.
    fn remove_node(&mut self, id: Id) -> Option<Id> {
        let node = self.nodes.remove(id)?;
        let parent = node.parent?;
        let (level, _) = split_level(node.text.as_str());
        if level != "+" {
            self.index.remove(self.hash(parent, level.as_bytes()), id);
        }
        let branch = self.branch_mut(parent)?;
        if level == "+" {
            branch.plus = None;
        } else {
            branch.children -= 1;
            branch.children_xor ^= id.number();
        }
        Some(parent)
    }
}

impl Place {
    fn node(self) -> Id {
        match self {
            Place::Leaf(id) | Place::Here(id) | Place::Rest(id) => id,
        }
    }
}

impl<K, V> Node<K, V> {
    fn root() -> Self {
        Self { parent: None, text: Label::new(""), kind: Kind::Branch(Branch::default()) }
    }

    /// Something that is known only when both ends of the node were read.
    fn touch(&self) -> usize {
        usize::from(matches!(self.kind, Kind::Branch(_))) + usize::from(self.parent.is_some())
    }
}

impl Branch {
    /// The child that does not begin with `+`, if there is exactly one.
    fn only_child(&self) -> Option<Id> {
        Id::of(self.children_xor).filter(|_| self.children == 1)
    }

    /// What hangs on this branch, if it is one thing.
    fn only(&self) -> Option<Only> {
        match (self.here, self.rest, self.plus, self.children) {
            (Some(list), None, None, 0) => Some(Only::Here(list)),
            (None, Some(list), None, 0) => Some(Only::Rest(list)),
            (None, None, Some(child), 0) => Some(Only::Child(child)),
            (None, None, None, 1) => self.only_child().map(Only::Child),
            _ => None,
        }
    }

    fn list(&self, place: Place) -> Option<Id> {
        match place {
            Place::Here(_) => self.here,
            Place::Rest(_) => self.rest,
            Place::Leaf(_) => None,
        }
    }

    fn list_mut(&mut self, place: Place) -> Option<&mut Option<Id>> {
        match place {
            Place::Here(_) => Some(&mut self.here),
            Place::Rest(_) => Some(&mut self.rest),
            Place::Leaf(_) => None,
        }
    }
}

/// The first level, and what stands behind its slash.
fn split_level(text: &str) -> (&str, Option<&str>) {
    match text.split_once('/') {
        Some((level, tail)) => (level, Some(tail)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_small() {
        assert_eq!(size_of::<Node<u64, [u64; 2]>>(), 80);
    }

    #[test]
    fn a_leaf_grows_no_further_than_it_must_and_back() {
        let mut trie = WildcardTrie::new();
        let steps = [("a/b/+/d", 1), ("a/b/+/e", 5), ("a/#", 5), ("+", 6), ("+/x/y/#", 7)];
        for (key, (filter, node_count)) in steps.iter().enumerate() {
            assert_eq!(trie.insert(filter, key, ()), None);
            assert_eq!(trie.node_count(), *node_count, "{filter}");
        }
        for (key, (filter, node_count)) in steps.iter().enumerate().rev() {
            assert_eq!(trie.node_count(), *node_count, "{filter}");
            assert_eq!(trie.remove(filter, &key), Some(()), "{filter}");
        }
        assert_eq!(trie.node_count(), 0);
    }
}
