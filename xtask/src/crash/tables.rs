//! What our broker's engine has written out: the files that were seen in its directory.

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
};

/// The tables and journals that were seen.
#[derive(Debug, Default)]
pub(super) struct Tables {
    tables: BTreeSet<PathBuf>,
    journals: BTreeSet<PathBuf>,
}

impl Tables {
    /// Takes down what there is now. A directory that vanishes meanwhile has nothing.
    pub(super) fn look_at(&mut self, directory: &Path) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                self.look_at(&path);
            } else if path.extension().is_some_and(|extension| extension == "jnl") {
                self.journals.insert(path);
            } else if directory.ends_with("tables") {
                self.tables.insert(path);
            }
        }
    }

    /// How many tables there were, at different times.
    pub(super) fn tables(&self) -> usize {
        self.tables.len()
    }

    /// How many journals there were.
    pub(super) fn journals(&self) -> usize {
        self.journals.len()
    }
}

impl fmt::Display for Tables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} tables, {} journals", self.tables(), self.journals())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_was_there() {
        let root = std::env::temp_dir().join(format!("xtask-crash-tables-{}", std::process::id()));
        let tables = root.join("db/keyspaces/1/tables");
        fs::create_dir_all(&tables).unwrap();
        for path in [root.join("db/0.jnl"), tables.join("1"), root.join("db/version")] {
            fs::write(path, "x").unwrap();
        }
        let mut seen = Tables::default();
        seen.look_at(&root);
        fs::rename(tables.join("1"), tables.join("2")).unwrap();
        seen.look_at(&root);
        fs::remove_dir_all(&root).unwrap();
        seen.look_at(&root);
        assert_eq!(seen.to_string(), "2 tables, 1 journals");
    }
}
