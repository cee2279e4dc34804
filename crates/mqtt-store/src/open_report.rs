//! What was found when a store was opened.

use std::path::PathBuf;

/// What was found when a store was opened, for the log.
#[derive(Clone, Eq, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct OpenReport {
    /// Whether the directory held no store before.
    pub created: bool,
    /// How many groups were committed in the life of the directory.
    pub groups: u64,
    /// What was cut off, if anything was.
    pub cut: Option<Cut>,
    /// There was a store, but nothing that says what it should hold: an earlier version made it, or
    /// the file `STATE` was removed or damaged. What was lost with it is not known.
    pub unknown: bool,
}

/// The end of a journal that was cut off because it was not whole.
///
/// Nothing that was committed with [`Level::Disk`](mqtt_session::Level::Disk) is in it, unless the
/// disk changed the very last group: a group that was on the disk and has another one behind it is
/// never cut off, the store is not opened instead.
#[derive(Clone, Eq, PartialEq, Debug)]
#[non_exhaustive]
pub struct Cut {
    /// The journal.
    pub journal: PathBuf,
    /// Where it was cut, in bytes from its beginning.
    pub at: u64,
    /// How many bytes were cut off, in this journal and those behind it.
    pub bytes: u64,
    /// How many whole groups stood behind the broken one.
    pub groups: u64,
}
