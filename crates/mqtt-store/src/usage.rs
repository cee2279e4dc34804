//! What a keyspace takes of the disk, and about how much of that is garbage.

use fjall::{AbstractTree, Keyspace};

/// The bytes of a keyspace on the disk. What is in memory is not in it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Usage {
    /// Tables.
    table_bytes: u64,
    /// Of these, what is covered by tombstones or by newer tables, as far as can be told.
    table_garbage: u64,
    /// Files of large messages.
    blob_bytes: u64,
    /// Of these, what nobody needs any more.
    blob_garbage: u64,
    /// Records that were written, finished or not.
    pub(crate) inserts: u64,
}

impl Usage {
    pub(crate) fn of(keyspace: &Keyspace) -> Self {
        let tree = &keyspace.tree;
        let version = tree.current_version();
        let (mut table_bytes, mut largest) = (0, 0);
        for level in version.iter_levels() {
            table_bytes += level.size();
            largest = level.size().max(largest);
        }
        let all_bytes = keyspace.disk_space();
        let blob_bytes = all_bytes.saturating_sub(table_bytes);
        let tombstones = tree.tombstone_count();
        let inserts = (keyspace.approximate_len() as u64).saturating_sub(tombstones);
        let finished = tombstones.min(inserts);
        let share = |bytes: u64| match inserts {
            0 => bytes,
            _ => u64::try_from(u128::from(bytes) * u128::from(finished) / u128::from(inserts))
                .unwrap_or(bytes),
        };
        // Where keys are written again, not removed, newer tables cover the largest level.
        let covered = table_bytes - largest;
        let table_garbage = share(table_bytes).max(covered);
        let blob_garbage = tree.stale_blob_bytes().max(share(blob_bytes)).min(blob_bytes);
        Self { table_bytes, table_garbage, blob_bytes, blob_garbage, inserts }
    }

    pub(crate) const fn all_bytes(&self) -> u64 {
        self.table_bytes + self.blob_bytes
    }

    pub(crate) const fn garbage_bytes(&self) -> u64 {
        self.table_garbage + self.blob_garbage
    }

    pub(crate) const fn live_bytes(&self) -> u64 {
        self.all_bytes().saturating_sub(self.garbage_bytes())
    }

    /// About what a rewrite takes before it gives anything back: tables are written whole, and of
    /// files of large messages about a quarter at once.
    pub(crate) const fn rewrite_bytes(&self) -> u64 {
        const MARGIN: u64 = 1024 * 1024;
        let tables = self.table_bytes.saturating_sub(self.table_garbage);
        let blobs = self.blob_bytes.saturating_sub(self.blob_garbage) / 4;
        tables + blobs + MARGIN
    }

    /// Whether there is more garbage than may well be left alone.
    pub(crate) const fn is_worth_it(&self, left_alone: u64) -> bool {
        self.garbage_bytes() > left_alone + self.live_bytes() / 10
    }
}
