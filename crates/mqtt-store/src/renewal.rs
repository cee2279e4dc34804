//! Deciding when space is reclaimed, and emptying the journals.

use std::sync::Arc;

use fjall::AbstractTree;

use crate::{
    engine::Engine,
    journal,
    keyspaces::Keyspaces,
    outage::Outage,
    reclaim::{Rewrite, flush},
    usage::Usage,
};

/// So much garbage is left alone, in bytes, with what is a tenth of what lives: while nothing is
/// written, while something is, and while room is short.
const LEFT_ALONE_IDLE: u64 = 1 << 20;
const LEFT_ALONE: u64 = 16 << 20;
const LEFT_ALONE_SHORT: u64 = 256 << 10;

/// Fewer bytes than this between two looks are next to nothing.
const QUIET_BYTES: u64 = 1 << 20;

/// Journals that take more than this are emptied whatever is going on: the engine keeps them as long
/// as one keyspace has nothing in tables that is as new.
const JOURNALS_MAX: u64 = 256 << 20;

/// What was written since the last look, and what of it made garbage.
#[derive(Debug)]
pub(crate) struct Activity {
    /// Bytes of groups since the last look.
    written: u64,
    /// Entries of queues that were finished and may not be in a table yet.
    finished: u64,
    /// How busy it was before the last look.
    pace: Pace,
    /// How many looks there are without a rewrite after the last one, and how many of them are left.
    looks_between: u32,
    looks_left: u32,
    /// Tables were rewritten. The engine may keep the old ones as long as it is open.
    has_rewritten: bool,
}

/// How much is written.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
enum Pace {
    Idle,
    Quiet,
    Busy,
}

impl Activity {
    /// Of a store that was opened: nobody knows what the last process had in memory.
    pub(crate) fn unknown() -> Self {
        Self {
            written: 0,
            finished: u64::MAX,
            pace: Pace::Busy,
            looks_between: 0,
            looks_left: 0,
            has_rewritten: false,
        }
    }

    /// A group was written.
    pub(crate) fn note(&mut self, bytes: u64, finished: u64) {
        self.written = self.written.saturating_add(bytes);
        self.finished = self.finished.saturating_add(finished);
    }

    /// A rewrite was worth it or not: after one that was not there are fewer.
    pub(crate) fn learn(&mut self, was_worth_it: bool) {
        self.has_rewritten = true;
        self.looks_between = if was_worth_it { 0 } else { (self.looks_between * 2 + 1).min(63) };
        self.looks_left = self.looks_between;
    }

    fn is_rested(&mut self) -> bool {
        let is_rested = self.looks_left == 0;
        self.looks_left = self.looks_left.saturating_sub(1);
        is_rested
    }

    fn look(&mut self) {
        self.pace = match std::mem::take(&mut self.written) {
            0 => Pace::Idle,
            1..QUIET_BYTES => Pace::Quiet,
            _ => Pace::Busy,
        };
    }
}

impl Engine {
    /// Looks how much garbage there is. `None` while the engine is closed.
    pub(crate) fn begin_rewrite(&mut self) -> Option<Rewrite> {
        self.activity.look();
        if self.failed.is_some() || self.open().is_err() {
            return None;
        }
        let keyspaces = self.keyspaces.clone()?;
        let is_short = self.is_short();
        let left_alone = self.left_alone(is_short);
        let usages = keyspaces.all().map(Usage::of);
        let live: u64 = usages.iter().map(Usage::live_bytes).sum();
        let is_wanted = usages.iter().any(|usage| usage.is_worth_it(left_alone))
            || self.garbage_in_memory(&keyspaces) > left_alone + live / 10
            || self.are_journals_worth_it(live);
        let is_wanted = is_wanted && self.activity.is_rested();
        if is_wanted {
            // What the engine may throw away counts from the last table of marks: there has to be one.
            let has_mark = !keyspaces.marks.tree.active_memtable().is_empty();
            if !has_mark && self.commit_mark().is_err() {
                return None;
            }
            self.activity.finished = 0;
        }
        let room = self.room.clone();
        let handle = self.handles.clone();
        Some(Rewrite { keyspaces, is_short, is_wanted, left_alone, room, _handle: handle })
    }

    /// Empties the journals, if that is worth it: everything is written out as tables, the engine is
    /// closed, and opened again on empty journals.
    pub(crate) fn renew_journal(&mut self) {
        let Some(keyspaces) = self.keyspaces.clone() else { return };
        let live = keyspaces.all().iter().map(|keyspace| Usage::of(keyspace).live_bytes()).sum();
        let is_possible = self.failed.is_none()
            && Arc::strong_count(&self.handles) == 1
            && keyspaces.database.active_compactions() == 0;
        if !is_possible || !self.are_journals_worth_it(live) {
            return;
        }
        // Nothing is written meanwhile, so all of it is in tables then.
        let all = keyspaces.all();
        let is_written = flush(&keyspaces.database, all.iter().copied())
            && all.iter().all(|keyspace| keyspace.tree.active_memtable().is_empty());
        if !is_written {
            return;
        }
        drop(keyspaces);
        self.keyspaces = None;
        self.witness.close();
        if let Err(error) = journal::renew(&self.database) {
            self.outage = Some(Outage::new(error.to_string(), None, &mut self.backoff));
            return;
        }
        self.synced = self.last;
        self.activity.has_rewritten = false;
        let _told_to_the_next_group = self.open();
    }

    /// Whether there is less room than new messages leave free.
    pub(crate) fn is_short(&self) -> bool {
        self.room.is_short(self.unwritten_bytes())
    }

    /// What the engine has in memory, and writes to tables some time.
    pub(crate) fn unwritten_bytes(&self) -> u64 {
        self.keyspaces.as_ref().map_or(0, |keyspaces| keyspaces.database.write_buffer_size())
    }

    fn left_alone(&self, is_short: bool) -> u64 {
        match (is_short, self.activity.pace) {
            (true, _) => LEFT_ALONE_SHORT,
            (false, Pace::Idle) => LEFT_ALONE_IDLE,
            (false, _) => LEFT_ALONE,
        }
    }

    /// About what the entries take in tables whose end is in memory alone.
    fn garbage_in_memory(&self, keyspaces: &Keyspaces) -> u64 {
        let queues = Usage::of(&keyspaces.queues);
        let all = queues.all_bytes() + Usage::of(&keyspaces.messages).all_bytes();
        let finished = self.activity.finished.min(queues.inserts);
        let garbage = u128::from(all) * u128::from(finished) / u128::from(queues.inserts.max(1));
        u64::try_from(garbage).unwrap_or(all)
    }

    /// Whether the journals take so much that they should be emptied, or tables are kept that nobody
    /// needs: nobody is kept waiting for it while much is written and there is room.
    fn are_journals_worth_it(&self, live: u64) -> bool {
        let is_busy = self.activity.pace == Pace::Busy && !self.is_short();
        if self.activity.has_rewritten && !is_busy {
            return true;
        }
        let taken = journal::allocated_bytes(&self.database);
        let left_alone = match (self.is_short(), self.activity.pace) {
            (true, _) | (_, Pace::Idle) => LEFT_ALONE_IDLE,
            (_, Pace::Quiet) => LEFT_ALONE + live / 10,
            (_, Pace::Busy) => JOURNALS_MAX,
        };
        taken > left_alone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewrite_that_gives_nothing_back_is_not_made_again_and_again() {
        let mut activity = Activity::unknown();
        let rewrites = (0..1000).filter(|_| {
            let is_rested = activity.is_rested();
            if is_rested {
                activity.learn(false);
            }
            is_rested
        });
        assert!(rewrites.count() < 25);
        activity.learn(true);
        assert!(activity.is_rested());
    }

    #[test]
    fn a_store_is_idle_quiet_or_busy() {
        let mut activity = Activity::unknown();
        for (written, pace) in [(0, Pace::Idle), (1, Pace::Quiet), (QUIET_BYTES, Pace::Busy)] {
            activity.note(written, 0);
            activity.look();
            assert_eq!(activity.pace, pace);
        }
    }
}
