//! The database: one keyspace for each kind of record.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use fjall::{
    AbstractTree, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions,
    compaction::Leveled,
    config::{FilterPolicy, PinningPolicy},
};

use crate::{options::StoreOptions, record::GroupMark};

/// The key of the mark of the last group.
pub(crate) const MARK_KEY: &[u8; 10] = b"group-mark";

/// How many keyspaces a database has when it is whole.
const KEYSPACES: usize = Kind::ALL.len();

/// What a keyspace holds. Keyspaces have numbers in the order in which they are made, from 1 on.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Kind {
    Marks,
    Sessions,
    Subscriptions,
    Progress,
    Received,
    Queues,
    Messages,
    Retained,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::Marks,
        Self::Sessions,
        Self::Subscriptions,
        Self::Progress,
        Self::Received,
        Self::Queues,
        Self::Messages,
        Self::Retained,
    ];

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// The number of the keyspace, in its directory's name and in the journals.
    pub(crate) const fn number(self) -> u64 {
        self as u64 + 1
    }

    pub(crate) fn of_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The name of the keyspace.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Marks => "marks",
            Self::Sessions => "sessions",
            Self::Subscriptions => "subscriptions",
            Self::Progress => "progress",
            Self::Received => "received",
            Self::Queues => "queues",
            Self::Messages => "messages",
            Self::Retained => "retained",
        }
    }
}

/// Files of large messages are no larger than this, in bytes, so that most of them are garbage as a
/// whole some day, and little is moved at once where they are not.
const BLOB_FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// An open database. The keyspaces come first, because they are dropped first.
#[derive(Clone)]
pub(crate) struct Keyspaces {
    /// The mark of the last group.
    pub(crate) marks: Keyspace,
    /// Sessions by their number.
    pub(crate) sessions: Keyspace,
    /// Subscriptions by session and filter.
    pub(crate) subscriptions: Keyspace,
    /// How far sessions are.
    pub(crate) progress: Keyspace,
    /// Identifiers that await PUBREL, by session.
    pub(crate) received: Keyspace,
    /// Entries of queues by session and number.
    pub(crate) queues: Keyspace,
    /// Messages that are not in their entry.
    pub(crate) messages: Keyspace,
    /// Retained messages by topic.
    pub(crate) retained: Keyspace,
    /// What holds them all.
    pub(crate) database: Database,
}

impl Keyspaces {
    /// Opens the database of a directory, or makes one.
    ///
    /// The engine panics at some kinds of damage; that is an error like any other here.
    pub(crate) fn open(dir: &Path, options: &StoreOptions) -> Result<Self, fjall::Error> {
        let opened = catch_unwind(AssertUnwindSafe(|| Self::open_all(dir, options)));
        opened.unwrap_or(Err(fjall::Error::Unrecoverable))
    }

    fn open_all(dir: &Path, options: &StoreOptions) -> Result<Self, fjall::Error> {
        const JOURNAL_BYTES_MIN: u64 = 64 * 1024 * 1024;
        let database = Database::builder(dir)
            .cache_size(options.cache_bytes)
            .max_journaling_size(options.journal_bytes.max(JOURNAL_BYTES_MIN))
            .worker_threads(options.threads.max(1))
            .max_cached_files(Some(options.open_files.max(1)))
            .open()?;
        // The engine makes what is missing, and it would be empty.
        if database.keyspace_count() != 0 && database.keyspace_count() != KEYSPACES {
            return Err(fjall::Error::Unrecoverable);
        }
        // Small tables: a merge takes no more room at once than the reserve holds.
        let merging = Arc::new(Leveled::default().with_table_target_size(options.memtable_bytes));
        let plain = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(options.memtable_bytes)
                .compaction_strategy(merging.clone())
        };
        // Only messages are ever looked up one by one.
        let scanned = || plain().filter_policy(FilterPolicy::disabled());
        let messages = || {
            let apart = u32::try_from(options.apart_bytes).unwrap_or(u32::MAX);
            plain()
                .expect_point_read_hits(true)
                .filter_block_pinning_policy(PinningPolicy::disabled())
                .with_kv_separation(Some(
                    KvSeparationOptions::default()
                        .separation_threshold(apart)
                        .file_target_size((options.memtable_bytes / 8).min(BLOB_FILE_BYTES_MAX))
                        .staleness_threshold(0.15)
                        .age_cutoff(0.25),
                ))
        };
        Ok(Self {
            // They have their numbers by this order; see `Kind`.
            marks: database.keyspace("marks", plain)?,
            sessions: database.keyspace("sessions", scanned)?,
            subscriptions: database.keyspace("subscriptions", scanned)?,
            progress: database.keyspace("progress", scanned)?,
            received: database.keyspace("received", scanned)?,
            queues: database.keyspace("queues", scanned)?,
            messages: database.keyspace("messages", messages)?,
            retained: database.keyspace("retained", scanned)?,
            database,
        })
    }

    pub(crate) const fn of(&self, kind: Kind) -> &Keyspace {
        match kind {
            Kind::Marks => &self.marks,
            Kind::Sessions => &self.sessions,
            Kind::Subscriptions => &self.subscriptions,
            Kind::Progress => &self.progress,
            Kind::Received => &self.received,
            Kind::Queues => &self.queues,
            Kind::Messages => &self.messages,
            Kind::Retained => &self.retained,
        }
    }

    /// All keyspaces; the marks come last.
    pub(crate) const fn all(&self) -> [&Keyspace; KEYSPACES] {
        let [a, b, c, d, e, f, g] = self.records();
        [a, b, c, d, e, f, g, &self.marks]
    }

    /// All keyspaces but the marks.
    pub(crate) const fn records(&self) -> [&Keyspace; KEYSPACES - 1] {
        [
            &self.queues,
            &self.messages,
            &self.progress,
            &self.retained,
            &self.sessions,
            &self.subscriptions,
            &self.received,
        ]
    }

    /// The mark of the last group; that of no group if there was none.
    pub(crate) fn mark(&self) -> Result<Option<GroupMark>, fjall::Error> {
        let record = self.marks.get(MARK_KEY)?;
        Ok(record.map_or(Some(GroupMark::default()), |record| GroupMark::decode(&record)))
    }

    /// How many keyspaces have more in memory than this, and so ask the engine to write it out with
    /// each group.
    pub(crate) fn asking(&self, memtable_bytes: u64) -> usize {
        let is_large =
            |keyspace: &&Keyspace| keyspace.tree.active_memtable().size() > memtable_bytes;
        self.all().into_iter().filter(is_large).count()
    }

    /// Whether more is waiting to be written out than a commit should find: the engine would make
    /// it wait, and would wait for ever if the thread that writes it has died.
    pub(crate) fn is_behind(&self) -> bool {
        const SEALED_MAX: usize = 2;
        const UNSORTED_MAX: usize = 16;
        self.all().iter().any(|keyspace| {
            keyspace.sealed_memtable_count() > SEALED_MAX
                || keyspace.l0_table_count() > UNSORTED_MAX
        })
    }
}
