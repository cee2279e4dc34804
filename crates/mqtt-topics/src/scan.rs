//! One walk over the retained topics that a filter matches.

use std::ops::ControlFlow;

use smallvec::SmallVec;

use crate::level::is_dollar;
use crate::ordered_children::Position;
use crate::retained_tree::Node;
use crate::slab::Id;
use crate::{RetainedTree, TopicFilterRef, TopicName, TopicNameRef};

/// How a bounded scan ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ScanEnd {
    /// Every topic has been met.
    Complete,
    /// The callback broke off.
    Stopped,
    /// The limit was reached. The scan goes on when this is handed in as `after`; it may be a
    /// topic that was never stored, nor matched.
    Paused(TopicName),
}

pub(crate) struct Scan<'a, V, F> {
    tree: &'a RetainedTree<V>,
    /// The levels of the filter, without a `#`, and their hashes.
    filter: SmallVec<[(&'a str, u64); 16]>,
    /// Whether the filter ends with `#`.
    has_rest: bool,
    /// Whether topics that begin with `$` are left out.
    skips_dollar: bool,
    /// The levels of the cursor.
    after: SmallVec<[&'a str; 16]>,
    visits_left: &'a mut usize,
    /// The levels of the node in hand, joined by slashes.
    path: String,
    stack: SmallVec<[Frame; 16]>,
    f: &'a mut F,
}

/// A node of which all children are visited one after the other.
struct Frame {
    id: Id,
    /// How many levels the node has.
    depth: usize,
    path_len: usize,
    next: Position,
    /// Whether the node is on the way to the cursor.
    on_cursor: bool,
}

/// What the filter says about the next level.
enum Step<'a> {
    End,
    Rest,
    Any,
    /// With its hash.
    Level(&'a str, u64),
}

impl<'a, V, F: FnMut(&str, &V) -> ControlFlow<()>> Scan<'a, V, F> {
    pub(crate) fn new(
        tree: &'a RetainedTree<V>,
        filter: TopicFilterRef<'a>,
        after: Option<TopicNameRef<'a>>,
        visits_left: &'a mut usize,
        f: &'a mut F,
    ) -> Self {
        let levels = filter.levels().filter(|level| *level != "#");
        Self {
            tree,
            filter: levels.map(|level| (level, tree.hash_level(level))).collect(),
            has_rest: filter.as_str().ends_with('#'),
            skips_dollar: filter.starts_with_wildcard(),
            after: after.into_iter().flat_map(TopicNameRef::levels).collect(),
            visits_left,
            path: String::new(),
            stack: SmallVec::new(),
            f,
        }
    }

    pub(crate) fn run(mut self) -> ScanEnd {
        let on_cursor = !self.after.is_empty();
        let entered = self.enter(self.tree.root(), 0, on_cursor);
        let end = if entered.is_continue() { self.walk() } else { entered };
        match end {
            ControlFlow::Continue(()) => ScanEnd::Complete,
            ControlFlow::Break(end) => end,
        }
    }

    /// Visits the children of all frames.
    fn walk(&mut self) -> ControlFlow<ScanEnd> {
        while let Some(frame) = self.stack.last_mut() {
            let Some(node) = self.tree.node(frame.id) else { break };
            let Some((id, next)) = node.children().at(frame.next) else {
                self.stack.pop();
                continue;
            };
            let Some(child) = self.tree.node(id) else { break };
            let level = child.level();
            if frame.depth == 0 && self.skips_dollar && is_dollar(level) {
                // They stand together; '%' is the byte behind '$'.
                frame.next = self.tree.seek(node, "%");
                continue;
            }
            frame.next = next;
            let depth = frame.depth;
            let on_cursor = frame.on_cursor && self.after.get(depth) == Some(&level);
            self.path.truncate(frame.path_len);
            push_level(&mut self.path, depth, level);
            self.enter(id, depth + 1, on_cursor)?;
        }
        ControlFlow::Continue(())
    }

    /// Visits a node, and those below it as long as there is one way only.
    ///
    /// `on_cursor` says that the node's levels are the first levels of the cursor; then the
    /// node is not behind it, and some of those below it may not be.
    fn enter(&mut self, mut id: Id, mut depth: usize, mut on_cursor: bool) -> ControlFlow<ScanEnd> {
        loop {
            let Some(node) = self.tree.node(id) else { return ControlFlow::Continue(()) };
            let cursor = self.after.get(depth).copied().filter(|_| on_cursor);
            let step = self.step(depth);
            if matches!(step, Step::End | Step::Rest) && !on_cursor {
                self.report(node)?;
            }
            match step {
                Step::Level(level, hash) => {
                    if cursor.is_some_and(|cursor| level.as_bytes() < cursor.as_bytes()) {
                        return ControlFlow::Continue(());
                    }
                    let Some(child) = self.tree.child_of(id, node, level, hash) else {
                        return self.count_visit(on_cursor);
                    };
                    push_level(&mut self.path, depth, level);
                    on_cursor = cursor == Some(level);
                    if !on_cursor {
                        *self.visits_left = self.visits_left.saturating_sub(1);
                    }
                    id = child;
                    depth += 1;
                }
                Step::Rest | Step::Any => {
                    self.push_frame(id, node, depth, cursor);
                    return self.count_visit(on_cursor);
                }
                Step::End => return self.count_visit(on_cursor),
            }
        }
    }

    fn step(&self, depth: usize) -> Step<'a> {
        match self.filter.get(depth) {
            Some(("+", _)) => Step::Any,
            Some((level, hash)) => Step::Level(level, *hash),
            None if self.has_rest => Step::Rest,
            None => Step::End,
        }
    }

    fn push_frame(&mut self, id: Id, node: &Node, depth: usize, cursor: Option<&str>) {
        if node.children().is_empty() {
            return;
        }
        let next = cursor.map_or_else(Position::default, |level| self.tree.seek(node, level));
        let (path_len, on_cursor) = (self.path.len(), cursor.is_some());
        self.stack.push(Frame { id, depth, path_len, next, on_cursor });
    }

    fn report(&mut self, node: &Node) -> ControlFlow<ScanEnd> {
        match self.tree.value_of(node).map(|value| (self.f)(&self.path, value)) {
            Some(ControlFlow::Break(())) => ControlFlow::Break(ScanEnd::Stopped),
            _ => ControlFlow::Continue(()),
        }
    }

    /// Pauses behind the node in hand when the limit is reached. The way to the cursor is
    /// not counted, so that each scan gets ahead, however low the limit.
    fn count_visit(&mut self, on_cursor: bool) -> ControlFlow<ScanEnd> {
        if on_cursor {
            return ControlFlow::Continue(());
        }
        *self.visits_left = self.visits_left.saturating_sub(1);
        // The path of an empty first level is no topic name, so that one cannot be a cursor.
        if *self.visits_left > 0 || self.path.is_empty() || self.stack.is_empty() {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(ScanEnd::Paused(TopicName::from_checked(&self.path)))
    }
}

fn push_level(path: &mut String, depth: usize, level: &str) {
    if depth > 0 {
        path.push('/');
    }
    path.push_str(level);
}
