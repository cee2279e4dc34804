//! The children of a node in the order of their labels.
//!
//! A node knows nothing but numbers, so whoever asks hands in how a child compares with the
//! label in question. One child costs nothing beside the node, a few are one sorted list,
//! and a million are a list of short sorted lists: so that an insertion moves a kilobyte and
//! not four megabytes.

use std::cmp::Ordering;
use std::slice;

use crate::slab::Id;

/// The longest list that is not split.
const RUN: usize = 256;

#[derive(Default)]
pub(crate) enum OrderedChildren {
    #[default]
    None,
    One(Id),
    /// Two or more in one list, or runs of them. The box keeps a node without children small.
    Many(Box<Runs>),
}

/// No run is empty, and there are two children at least.
pub(crate) struct Runs {
    first: Vec<Id>,
    more: Vec<Vec<Id>>,
}

/// Where a child stands, as long as nothing changes.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Position {
    run: usize,
    at: usize,
}

impl OrderedChildren {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, OrderedChildren::None)
    }

    /// The child, if there is exactly one.
    pub(crate) fn only(&self) -> Option<Id> {
        match self {
            OrderedChildren::One(id) => Some(*id),
            _ => None,
        }
    }

    /// The child at a position, and the position of the next one.
    pub(crate) fn at(&self, position: Position) -> Option<(Id, Position)> {
        let run = self.run(position.run)?;
        match run.get(position.at) {
            Some(id) => Some((*id, Position { run: position.run, at: position.at + 1 })),
            None => {
                let id = self.run(position.run + 1)?.first()?;
                Some((*id, Position { run: position.run + 1, at: 1 }))
            }
        }
    }

    /// The position of the first child that is not less than the label that `compare`
    /// compares with.
    pub(crate) fn seek(&self, compare: impl Fn(Id) -> Ordering) -> Position {
        let less = |id: &Id| compare(*id) == Ordering::Less;
        let run = match self {
            OrderedChildren::Many(runs) => {
                // The run that begins last before the label, if not the first one.
                runs.more.partition_point(|run| run.first().is_some_and(less))
            }
            _ => 0,
        };
        let at = self.run(run).unwrap_or_default().partition_point(less);
        Position { run, at }
    }

    /// Adds a child that is not there yet.
    pub(crate) fn insert(&mut self, id: Id, compare: impl Fn(Id) -> Ordering) {
        let position = self.seek(compare);
        *self = match std::mem::take(self) {
            OrderedChildren::None => OrderedChildren::One(id),
            OrderedChildren::One(one) => {
                let first = if position.at == 0 { vec![id, one] } else { vec![one, id] };
                OrderedChildren::Many(Box::new(Runs { first, more: Vec::new() }))
            }
            OrderedChildren::Many(mut runs) => {
                runs.insert(position, id);
                OrderedChildren::Many(runs)
            }
        }
    }

    pub(crate) fn remove(&mut self, id: Id, compare: impl Fn(Id) -> Ordering) {
        let position = self.seek(compare);
        if self.at(position).map(|(found, _)| found) != Some(id) {
            return;
        }
        *self = match std::mem::take(self) {
            OrderedChildren::None | OrderedChildren::One(_) => OrderedChildren::None,
            OrderedChildren::Many(mut runs) => {
                runs.remove(position);
                runs.into_smallest()
            }
        }
    }

    fn run(&self, run: usize) -> Option<&[Id]> {
        match (self, run) {
            (OrderedChildren::One(id), 0) => Some(slice::from_ref(id)),
            (OrderedChildren::Many(runs), 0) => Some(&runs.first),
            (OrderedChildren::Many(runs), _) => runs.more.get(run - 1).map(Vec::as_slice),
            _ => None,
        }
    }
}

impl Runs {
    fn run_mut(&mut self, run: usize) -> Option<&mut Vec<Id>> {
        match run.checked_sub(1) {
            None => Some(&mut self.first),
            Some(run) => self.more.get_mut(run),
        }
    }

    fn insert(&mut self, position: Position, id: Id) {
        let last = self.more.len();
        let Some(run) = self.run_mut(position.run) else { return };
        if run.len() < RUN {
            run.insert(position.at.min(run.len()), id);
        } else if position.run == last && position.at >= run.len() {
            // Children that come in order fill their runs.
            self.more.push(vec![id]);
        } else {
            let mut upper = run.split_off(RUN / 2);
            match position.at.checked_sub(RUN / 2) {
                Some(at) if at > 0 => upper.insert(at.min(upper.len()), id),
                _ => run.insert(position.at.min(run.len()), id),
            }
            self.more.insert(position.run, upper);
        }
    }

    fn remove(&mut self, position: Position) {
        let Some(run) = self.run_mut(position.run) else { return };
        // `seek` may point behind the end of a run, which is the start of the next.
        if position.at == run.len() {
            return self.remove(Position { run: position.run + 1, at: 0 });
        }
        run.remove(position.at);
        let len = run.len();
        if len <= RUN / 4 {
            self.join(position.run.saturating_sub(1));
            self.join(position.run);
        }
    }

    /// Joins a run with the next one, if they are short together or one is empty.
    fn join(&mut self, run: usize) {
        let Some(next) = self.more.get(run).map(Vec::len) else { return };
        let Some(this) = self.run_mut(run) else { return };
        if this.len() + next > RUN / 2 && !this.is_empty() && next > 0 {
            return;
        }
        let mut next = self.more.remove(run);
        if let Some(this) = self.run_mut(run) {
            this.append(&mut next);
        }
    }

    fn into_smallest(mut self: Box<Self>) -> OrderedChildren {
        if !self.more.is_empty() {
            return OrderedChildren::Many(self);
        }
        if self.first.len() <= self.first.capacity() / 4 {
            self.first.shrink_to(self.first.len() * 2);
        }
        match self.first.as_slice() {
            [] => OrderedChildren::None,
            [one] => OrderedChildren::One(*one),
            _ => OrderedChildren::Many(self),
        }
    }
}
