//! What a store may use.

use std::time::Duration;

/// What a store may use of memory, disk and processors. The defaults suit a small machine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreOptions {
    /// How much of what was read from tables is kept in memory, in bytes.
    pub cache_bytes: u64,
    /// How much is collected in memory before it is written out as a table, in bytes, for queues
    /// and for messages alike; also the size of tables. No more than a 32nd of the file system. Takes
    /// effect when the directory is made.
    pub memtable_bytes: u64,
    /// How much the journals may grow together before what they hold is written out as tables, in
    /// bytes; at least 64 MiB. A single journal has 64 MiB.
    pub journal_bytes: u64,
    /// Messages that are larger together than this many bytes are kept apart from their entry in
    /// the queue, so that they are not copied when tables are merged.
    pub apart_bytes: usize,
    /// Room that new messages leave free on the file system, in bytes, beside what is in memory and
    /// has to be written out: for merging tables, and for groups without new messages, which may use
    /// all but the last 256 KiB of it. No more than a quarter of the file system is asked for.
    pub reserve_bytes: u64,
    /// How many files of tables are kept open for the next read. More are open for a moment while
    /// tables are merged.
    pub open_files: usize,
    /// How often it is looked how much of the disk finished messages take, to take it back.
    pub reclaim_every: Duration,
    /// How many threads write tables and merge them.
    pub threads: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            cache_bytes: 8 * MIB,
            memtable_bytes: 16 * MIB,
            journal_bytes: 128 * MIB,
            apart_bytes: 4096,
            reserve_bytes: 128 * MIB,
            reclaim_every: Duration::from_secs(5),
            open_files: 900,
            threads: 1,
        }
    }
}
