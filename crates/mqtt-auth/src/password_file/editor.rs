use std::{
    fs::{self, File, OpenOptions},
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{hash, line};
use crate::{LoadError, load_error::Problem, text_file::TextFile};

/// Adds, changes and removes users of a password file, and leaves all other lines alone.
///
/// Nothing changes on disk until [`save`](Self::save), which replaces the file in one step: a
/// server that reloads it meanwhile, and a crash, see the old file or the new one, never a part.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = std::env::temp_dir().join(format!("mqtt-auth-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// # let path = dir.join("passwords");
/// # std::fs::write(&path, "# the night shift\nbob:$6$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n")?;
/// use mqtt_auth::PasswordEditor;
///
/// let mut file = PasswordEditor::open(&path)?;
/// file.set_user("alice", b"correct horse battery staple")?;
/// file.remove_user("bob");
/// file.save()?;
/// # assert!(std::fs::read_to_string(&path)?.starts_with("# the night shift\nalice:$argon2id$"));
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok(())
/// # }
/// ```
pub struct PasswordEditor {
    path: PathBuf,
    /// What the file contained when it was opened; `None` if there was none.
    opened: Option<String>,
    lines: Vec<String>,
}

/// Why a password file was not changed. The file on disk is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The file cannot be read, or makes no sense.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The user name cannot stand in a password file.
    #[error("{0}")]
    UserName(String),
    /// The password is empty. No empty password is ever accepted at a login.
    #[error("the password is empty; an empty password opens nothing")]
    EmptyPassword,
    /// The password is longer than argon2 takes, 4 GiB.
    #[error("the password is too long")]
    PasswordTooLong,
    /// Fewer than 4096 iterations for SCRAM, or more than 10,000,000.
    #[error("SCRAM takes 4096 to 10,000,000 iterations")]
    ScramIterations,
    /// Somebody else has changed the file since it was opened.
    #[error("{} was changed by somebody else meanwhile; try again", .0.display())]
    Changed(PathBuf),
    /// The new file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl PasswordEditor {
    /// How many iterations a line for SCRAM should ask for: some milliseconds on a computer, some
    /// hundred on a microcontroller. RFC 5802 asks for 4096 at least.
    pub const SCRAM_ITERATIONS: u32 = 15_000;

    /// Reads the file. One that does not exist is like an empty one, and
    /// [`save`](Self::save) makes it.
    ///
    /// # Errors
    /// [`EditError::Load`]: the file cannot be read, or has a line that makes no sense and would
    /// keep a server from loading it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, EditError> {
        let path = follow_links(path.as_ref());
        let opened = read_if_there(&path)?;
        let text = opened.as_deref().unwrap_or_default();
        super::Users::parse(text, Some(&path), &RandomState::new())?;
        let lines = text.lines().map(str::to_owned).collect();
        Ok(Self { path, opened, lines })
    }

    /// Whether there is a line for this user.
    #[must_use]
    pub fn has_user(&self, user_name: &str) -> bool {
        self.position(user_name).is_some()
    }

    /// Adds a user at the end, or gives one that is there a new password, hashed with argon2id
    /// (19 MiB, 2 passes, 1 lane). Takes some tens of milliseconds.
    ///
    /// # Errors
    /// [`EditError::UserName`], [`EditError::EmptyPassword`], [`EditError::PasswordTooLong`].
    pub fn set_user(&mut self, user_name: &str, password: &[u8]) -> Result<(), EditError> {
        check(user_name, password)?;
        let hash = hash::hash_password(password).ok_or(EditError::PasswordTooLong)?;
        self.put(user_name, &hash);
        Ok(())
    }

    /// Adds or changes a user as [`set_user`](Self::set_user) does, with a line that permits logins
    /// with SCRAM-SHA-256 beside those with the password itself.
    ///
    /// Each login of the user makes so many iterations, on the client;
    /// [`SCRAM_ITERATIONS`](Self::SCRAM_ITERATIONS) is a good number. The password is taken as it
    /// is: outside of ASCII, a client that prepares it (RFC 4013) may mean another one.
    ///
    /// # Errors
    /// [`EditError::UserName`], [`EditError::EmptyPassword`],
    /// [`EditError::ScramIterations`].
    pub fn set_scram_user(
        &mut self,
        user_name: &str,
        password: &[u8],
        iterations: u32,
    ) -> Result<(), EditError> {
        check(user_name, password)?;
        let permitted = hash::SCRAM_ITERATIONS_MIN..=hash::PBKDF2_ROUNDS_MAX;
        if !permitted.contains(&iterations) {
            return Err(EditError::ScramIterations);
        }
        let hash = hash::hash_password_for_scram(password, iterations);
        self.put(user_name, &hash);
        Ok(())
    }

    fn put(&mut self, user_name: &str, hash: &str) {
        let new = format!("{user_name}:{hash}");
        match self.position(user_name).and_then(|index| self.lines.get_mut(index)) {
            Some(line) => *line = new,
            None => self.lines.push(new),
        }
    }

    /// Removes a user; `false` if there was none of this name.
    pub fn remove_user(&mut self, user_name: &str) -> bool {
        let position = self.position(user_name);
        if let Some(index) = position {
            self.lines.remove(index);
        }
        position.is_some()
    }

    /// Writes the file: a temporary one beside it, flushed to disk, then renamed over it.
    ///
    /// A new file is readable and writable for its owner alone (mode 0600). A file that was there
    /// keeps its owner and group, and its group may go on reading it if it could: a server often
    /// reads its password file that way. Others lose every right to it.
    ///
    /// # Errors
    /// [`EditError::Changed`] if the file is not what was opened, [`EditError::Write`].
    pub fn save(&mut self) -> Result<(), EditError> {
        if read_if_there(&self.path)? != self.opened {
            return Err(EditError::Changed(self.path.clone()));
        }
        let text = self.text();
        replace(&self.path, &text)
            .map_err(|source| EditError::Write { path: self.path.clone(), source })?;
        self.opened = Some(text);
        Ok(())
    }

    fn position(&self, user_name: &str) -> Option<usize> {
        self.lines.iter().position(|line| {
            !line.starts_with('#')
                && line.split_once(':').is_some_and(|(name, _)| name == user_name)
        })
    }

    fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line, "\n"]).collect()
    }
}

fn check(user_name: &str, password: &[u8]) -> Result<(), EditError> {
    line::check_user_name(user_name).map_err(Problem::into_text).map_err(EditError::UserName)?;
    if password.is_empty() { Err(EditError::EmptyPassword) } else { Ok(()) }
}

/// The file itself, so that a symbolic link to it survives.
fn follow_links(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn read_if_there(path: &Path) -> Result<Option<String>, LoadError> {
    match TextFile::read(path) {
        Ok(file) => Ok(Some(file.text)),
        Err(LoadError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = temporary_beside(path)?;
    let replaced = write_new(&temporary, path, text).and_then(|()| fs::rename(&temporary, path));
    if replaced.is_err() {
        // It holds nothing that the caller could want; that it is gone matters less than the error.
        drop(fs::remove_file(&temporary));
    }
    replaced?;
    sync_directory_of(path)
}

fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{:016x}", RandomState::new().hash_one(std::process::id())));
    Ok(path.with_file_name(temporary))
}

fn write_new(temporary: &Path, original: &Path, text: &str) -> io::Result<()> {
    let mut file = create_private(temporary)?;
    file.write_all(text.as_bytes())?;
    adopt_owner_and_mode(&file, original)?;
    file.sync_all()
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// The owner first: changing it takes mode bits away.
#[cfg(unix)]
fn adopt_owner_and_mode(file: &File, original: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let Ok(old) = fs::metadata(original) else {
        return Ok(());
    };
    let new = file.metadata()?;
    if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
        fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    let mode = 0o600 | (old.mode() & 0o040);
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn adopt_owner_and_mode(_file: &File, _original: &Path) -> io::Result<()> {
    Ok(())
}

/// A rename is on disk when its directory is.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if cfg!(unix) {
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}
