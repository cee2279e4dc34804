//! A handle of the journal of our own, which hears of every failure to write the journal to the disk.
//!
//! The engine writes tables in threads of its own. Where one of them fails, all that the engine says
//! is that it goes on no more: it may have lacked a descriptor, or the disk may have lost what was
//! written to the journal. The operating system tells a failed write-back once to each handle that
//! was open at the time, so a handle that the engine does not know tells the two apart.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use crate::journal;

/// A handle of the journal that is written to.
#[derive(Debug)]
pub(crate) struct Witness {
    database: PathBuf,
    /// The journal that the engine begins next.
    next: Option<PathBuf>,
    file: Option<File>,
}

impl Witness {
    pub(crate) fn new(database: PathBuf) -> Self {
        let mut witness = Self { database, next: None, file: None };
        witness.look();
        witness
    }

    /// Opens the journal that is written to now.
    pub(crate) fn look(&mut self) {
        let newest = journal::newest(&self.database);
        self.next = newest.as_deref().and_then(journal::behind);
        self.file = newest.and_then(|path| File::open(path).ok());
    }

    /// Follows the engine to its next journal. Called before each group, and costs one system call
    /// where there is no other journal.
    pub(crate) fn follow(&mut self) {
        if self.file.is_none() || self.next.as_deref().is_none_or(Path::exists) {
            self.look();
        }
    }

    /// Lets go of the journal, before the engine's files are changed.
    pub(crate) fn close(&mut self) {
        self.file = None;
    }

    /// Whether everything that was written to the journal is on the disk, or on its way there.
    ///
    /// # Errors
    /// The disk has lost something.
    pub(crate) fn testify(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    #[test]
    fn it_follows_to_the_next_journal() {
        let dir = env::temp_dir().join(format!("mqtt-store-witness-{}", process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("9.jnl"), "old").unwrap();
        let mut witness = Witness::new(dir.clone());
        assert_eq!(witness.next, Some(dir.join("10.jnl")));
        witness.follow();
        assert_eq!(witness.next, Some(dir.join("10.jnl")));
        fs::write(dir.join("10.jnl"), "new").unwrap();
        witness.follow();
        assert_eq!(witness.next, Some(dir.join("11.jnl")));
        witness.testify().unwrap();
        fs::remove_dir_all(&dir).unwrap();
    }
}
