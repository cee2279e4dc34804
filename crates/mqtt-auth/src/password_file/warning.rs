use std::{fmt, path::PathBuf};

/// Something about a loaded password file that works, but should not stay so. For the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PasswordWarning {
    /// Everybody may read the file, or the group may write it.
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its Unix permission bits.
        mode: u32,
    },
    /// A password that is quickly guessed by whoever gets hold of the file: SHA-512, or PBKDF2
    /// with few rounds, as mosquitto writes them.
    WeakHash {
        /// The line, counted from 1.
        line: usize,
        /// Whose password it is.
        user_name: String,
    },
}

impl PasswordWarning {
    /// What others may do to a file of this mode that they should not.
    pub(super) fn for_mode(path: PathBuf, mode: u32) -> Option<Self> {
        const TOO_MUCH: u32 = 0o027;
        (mode & TOO_MUCH != 0).then_some(Self::Permissions { path, mode })
    }
}

impl fmt::Display for PasswordWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permissions { path, mode } => {
                let path = path.display();
                write!(f, "{path} is open to others (mode {mode:04o}); run `chmod 600` on it")
            }
            Self::WeakHash { line, user_name } => write!(
                f,
                "line {line}: the password of user {user_name:?} is hashed weakly; set it anew"
            ),
        }
    }
}
