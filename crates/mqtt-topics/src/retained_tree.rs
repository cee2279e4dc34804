//! What is retained: from a topic to a value, and from a filter to the topics it matches.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use crate::hash_index::HashIndex;
use crate::label::Label;
use crate::ordered_children::{OrderedChildren, Position};
use crate::scan::Scan;
use crate::slab::{Id, Slab};
use crate::{ScanEnd, TopicFilterRef, TopicNameRef};

/// Values by topic name, such as the retained messages of a broker.
///
/// # Order
/// A scan goes level by level: a topic comes before the topics below it, and the topics below
/// one level come in the order of the bytes of the next: `a`, `a/b`, `a/c`, `a!`. This order
/// never changes, so the last topic of a page is a cursor that stays good whatever is
/// inserted or removed, the topic itself included.
///
/// # Cost
/// `get`, and `insert` over an older value, cost one hash look-up per level. A new topic
/// costs a binary search among its siblings too. A scan costs what it returns, times the
/// depth, not what is stored; but a `+` tries each child of the nodes it stands under, also
/// those under which the rest of the filter finds nothing. [`RetainedTree::scan_bounded`]
/// puts a limit to that.
///
/// ```
/// use std::ops::ControlFlow;
/// use mqtt_topics::{RetainedTree, TopicFilterRef, TopicNameRef};
///
/// let mut tree = RetainedTree::new();
/// for topic in ["house/attic/lamp", "house/cellar/lamp", "house/cellar/fan"] {
///     tree.insert(TopicNameRef::new(topic)?, "on");
/// }
///
/// // Two pages of one topic each.
/// let filter = TopicFilterRef::new("house/+/lamp")?;
/// let mut first = None;
/// tree.scan(filter, None, &mut |topic, _| {
///     first = Some(topic.to_string());
///     ControlFlow::Break(())
/// });
/// assert_eq!(first.as_deref(), Some("house/attic/lamp"));
///
/// let mut second = Vec::new();
/// let after = TopicNameRef::new("house/attic/lamp")?;
/// tree.scan(filter, Some(after), &mut |topic, _| {
///     second.push(topic.to_string());
///     ControlFlow::Continue(())
/// });
/// assert_eq!(second, ["house/cellar/lamp"]);
/// # Ok::<(), mqtt_topics::TopicError>(())
/// ```
pub struct RetainedTree<V> {
    nodes: Slab<Node>,
    values: Slab<V>,
    index: HashIndex,
    root: Id,
}

/// Levels of up to this many bytes stand in the node itself.
const SHORT: usize = 22;

pub(crate) struct Node {
    label: Label<SHORT>,
    parent: Option<Id>,
    value: Option<Id>,
    children: OrderedChildren,
}

impl<V> RetainedTree<V> {
    /// A tree without topics.
    pub fn new() -> Self {
        let mut nodes = Slab::new();
        let root = nodes.insert(Node::new("", None));
        Self { nodes, values: Slab::new(), index: HashIndex::new(), root }
    }

    /// Sets the value of a topic and returns the old one.
    pub fn insert(&mut self, topic: TopicNameRef<'_>, value: V) -> Option<V> {
        let mut id = self.root;
        for level in topic.levels() {
            let hash = self.hash(id, level);
            id = match self.child(id, level, hash) {
                Some(child) => child,
                None => self.add_child(id, level, hash),
            };
        }
        let node = self.nodes.get_mut(id)?;
        match node.value {
            Some(old) => {
                let old = self.values.get_mut(old)?;
                Some(std::mem::replace(old, value))
            }
            None => {
                node.value = Some(self.values.insert(value));
                None
            }
        }
    }

    /// Removes a topic and frees what only it needed. `None` says that it was not there, and
    /// then nothing has changed.
    pub fn remove(&mut self, topic: TopicNameRef<'_>) -> Option<V> {
        let id = self.find(topic)?;
        let value = self.nodes.get_mut(id)?.value.take()?;
        self.prune(id);
        self.release();
        self.values.remove(value)
    }

    /// The value of a topic.
    pub fn get(&self, topic: TopicNameRef<'_>) -> Option<&V> {
        self.nodes.get(self.find(topic)?)?.value(&self.values)
    }

    /// The value of a topic, to change it.
    pub fn get_mut(&mut self, topic: TopicNameRef<'_>) -> Option<&mut V> {
        let value = self.nodes.get(self.find(topic)?)?.value?;
        self.values.get_mut(value)
    }

    /// Calls `f` for each topic that the filter matches, in the order of the tree, starting
    /// behind `after`, until `f` breaks.
    ///
    /// `after` need not be in the tree, nor match. So a replay can be cut into pages with the
    /// last topic as the cursor: a topic that is there during the whole replay is met exactly
    /// once, one that comes or goes meanwhile at most once. Filters that begin with a
    /// wildcard do not match topics that begin with `$` `[MQTT-4.7.2-1]`.
    pub fn scan(
        &self,
        filter: TopicFilterRef<'_>,
        after: Option<TopicNameRef<'_>>,
        f: &mut impl FnMut(&str, &V) -> ControlFlow<()>,
    ) {
        self.scan_bounded(filter, after, usize::MAX, f);
    }

    /// As [`RetainedTree::scan`], but visits about `visits_max` nodes and then says where to
    /// go on, even if no topic was met.
    ///
    /// A filter such as `+/+/x` may have to look at a million topics and match none; this is
    /// how a scan under a lock ends in time.
    pub fn scan_bounded(
        &self,
        filter: TopicFilterRef<'_>,
        after: Option<TopicNameRef<'_>>,
        visits_max: usize,
        f: &mut impl FnMut(&str, &V) -> ControlFlow<()>,
    ) -> ScanEnd {
        let mut visits_left = visits_max;
        self.scan_counted(filter, after, &mut visits_left, f)
    }

    /// As [`RetainedTree::scan_bounded`], and takes off `visits_left` what was visited.
    pub fn scan_counted(
        &self,
        filter: TopicFilterRef<'_>,
        after: Option<TopicNameRef<'_>>,
        visits_left: &mut usize,
        f: &mut impl FnMut(&str, &V) -> ControlFlow<()>,
    ) -> ScanEnd {
        Scan::new(self, filter, after, visits_left, f).run()
    }

    /// How many topics have a value.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether no topic has a value.
    pub fn is_empty(&self) -> bool {
        self.values.len() == 0
    }

    /// How many nodes the topics need: one for each distinct beginning. It is zero when the
    /// tree is empty.
    pub fn node_count(&self) -> usize {
        self.nodes.len() - 1
    }

    pub(crate) fn root(&self) -> Id {
        self.root
    }

    pub(crate) fn node(&self, id: Id) -> Option<&Node> {
        self.nodes.get(id)
    }

    pub(crate) fn value_of(&self, node: &Node) -> Option<&V> {
        node.value(&self.values)
    }

    pub(crate) fn hash_level(&self, level: &str) -> u64 {
        self.index.hash_text(level.as_bytes())
    }

    /// The child of a node along a level that was hashed before.
    pub(crate) fn child_of(&self, id: Id, node: &Node, level: &str, hash: u64) -> Option<Id> {
        match node.children.only() {
            // An only child is asked directly, which saves the look-up.
            Some(only) => {
                self.nodes.get(only).filter(|node| node.label.is(level.as_bytes())).map(|_| only)
            }
            None if node.children.is_empty() => None,
            None => self.child(id, level, self.index.hash_link(id, hash)),
        }
    }

    fn hash(&self, parent: Id, level: &str) -> u64 {
        self.index.hash_link(parent, self.index.hash_text(level.as_bytes()))
    }

    fn child(&self, parent: Id, level: &str, hash: u64) -> Option<Id> {
        self.index.find(hash, |id| {
            self.nodes
                .get(id)
                .is_some_and(|node| node.parent == Some(parent) && node.label.is(level.as_bytes()))
        })
    }

    /// Where the children of a node begin that are not before `level`.
    pub(crate) fn seek(&self, node: &Node, level: &str) -> Position {
        node.children.seek(|id| compare(&self.nodes, id, level))
    }

    fn find(&self, topic: TopicNameRef<'_>) -> Option<Id> {
        let mut id = self.root;
        for level in topic.levels() {
            let node = self.nodes.get(id)?;
            id = self.child_of(id, node, level, self.hash_level(level))?;
        }
        Some(id)
    }

    fn add_child(&mut self, parent: Id, level: &str, hash: u64) -> Id {
        let child = self.nodes.insert(Node::new(level, Some(parent)));
        self.index.insert(hash, child);
        self.change_children(parent, |nodes, children| {
            children.insert(child, |id| compare(nodes, id, level));
        });
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
            let is_bare = node.value.is_none() && node.children.is_empty();
            let Some(parent) = node.parent.filter(|_| is_bare) else { return };
            self.index.remove(self.hash(parent, node.label.as_str()), id);
            self.change_children(parent, |nodes, children| {
                let level = nodes.get(id).map_or("", |node| node.label.as_str());
                children.remove(id, |id| compare(nodes, id, level));
            });
            self.nodes.remove(id);
            id = parent;
        }
    }

    /// Changes the children of a node while their labels can be read.
    fn change_children(&mut self, id: Id, change: impl FnOnce(&Slab<Node>, &mut OrderedChildren)) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        let mut children = std::mem::take(&mut node.children);
        change(&self.nodes, &mut children);
        if let Some(node) = self.nodes.get_mut(id) {
            node.children = children;
        }
    }
}

impl<V> Default for RetainedTree<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl Node {
    fn new(level: &str, parent: Option<Id>) -> Self {
        let children = OrderedChildren::default();
        Self { label: Label::new(level), parent, value: None, children }
    }

    fn value<'a, V>(&self, values: &'a Slab<V>) -> Option<&'a V> {
        values.get(self.value?)
    }

    pub(crate) fn level(&self) -> &str {
        self.label.as_str()
    }

    pub(crate) fn children(&self) -> &OrderedChildren {
        &self.children
    }
}

fn compare(nodes: &Slab<Node>, id: Id, level: &str) -> Ordering {
    let label = nodes.get(id).map_or(&[][..], |node| node.label.as_bytes());
    label.cmp(level.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_fits_into_a_cache_line() {
        assert_eq!(size_of::<Node>(), 48);
    }
}
