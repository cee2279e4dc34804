//! What an error of the engine means.

use std::io;

use mqtt_session::{StoreError, StoreErrorKind};

/// What went wrong while records were read.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The engine says so.
    Engine(fjall::Error),
    /// A record is not whole, or one is missing.
    Record(&'static str),
}

impl From<fjall::Error> for Fault {
    fn from(error: fjall::Error) -> Self {
        Self::Engine(error)
    }
}

impl Fault {
    /// Whether something is there that is wrong, or is missing, rather than out of reach.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Record(_) => true,
            Self::Engine(error) => is_damage(error),
        }
    }

    /// The error to answer with.
    pub(crate) fn into_error(self, dir: &str) -> StoreError {
        match self {
            Self::Record(what) => StoreError {
                kind: StoreErrorKind::Damaged,
                what: format!("the store in {dir} is damaged: {what}"),
                source: None,
            },
            Self::Engine(error) if is_damage(&error) => StoreError {
                kind: StoreErrorKind::Damaged,
                what: format!("the store in {dir} is damaged: {error}"),
                source: Some(Box::new(error)),
            },
            Self::Engine(error) if is_passing(&error) => StoreError {
                kind: StoreErrorKind::Full,
                what: format!("cannot read the store in {dir} for now: {}", explain(&error)),
                source: Some(Box::new(error)),
            },
            Self::Engine(error) => StoreError {
                kind: StoreErrorKind::Failed,
                what: format!("cannot read the store in {dir}: {error}"),
                source: Some(Box::new(error)),
            },
        }
    }
}

/// Whether an error tells of something that is missing now and may come back: room, descriptors,
/// memory, threads. None of them says anything about the disk.
pub(crate) fn is_passing(error: &fjall::Error) -> bool {
    io_of(error).is_some_and(is_passing_io)
}

/// The same, of the operating system's errors.
pub(crate) fn is_passing_io(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const PASSING: [Errno; 7] = [
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::AGAIN,
        Errno::INTR,
    ];
    Errno::from_io_error(error).is_some_and(|errno| PASSING.contains(&errno))
}

/// What an error says, in the words of the operating system where they are its own.
pub(crate) fn explain(error: &fjall::Error) -> String {
    io_of(error).map_or_else(|| error.to_string(), io::Error::to_string)
}

fn io_of(error: &fjall::Error) -> Option<&io::Error> {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => Some(error),
        _ => None,
    }
}

/// Whether the bytes are there but wrong, rather than out of reach.
pub(crate) fn is_damage(error: &fjall::Error) -> bool {
    match error {
        fjall::Error::Storage(fjall::LsmError::Io(error)) | fjall::Error::Io(error) => {
            is_damage_kind(error.kind())
        }
        fjall::Error::Poisoned | fjall::Error::Locked | fjall::Error::KeyspaceDeleted => false,
        _ => true,
    }
}

/// Whether an error says that files are missing, shorter than they say, or hold impossible lengths.
pub(crate) fn is_damage_kind(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, NotFound, UnexpectedEof};
    // A place before the beginning of a file that is too short is an invalid input.
    matches!(kind, NotFound | UnexpectedEof | InvalidData | InvalidInput)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn of(errno: Errno) -> fjall::Error {
        fjall::Error::Storage(fjall::LsmError::Io(errno.into()))
    }

    #[test]
    fn what_is_missing_for_now_is_no_failed_disk() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOSPC, Errno::DQUOT] {
            assert!(is_passing(&of(errno)), "{errno}");
        }
        for errno in [Errno::IO, Errno::ROFS, Errno::NODEV, Errno::ACCESS] {
            assert!(!is_passing(&of(errno)), "{errno}");
        }
        assert!(!is_passing(&fjall::Error::Poisoned));
    }

    #[test]
    fn a_read_that_lacks_a_descriptor_may_be_tried_again() {
        let kind = |errno| Fault::Engine(of(errno)).into_error("dir").kind;
        assert_eq!(kind(Errno::MFILE), StoreErrorKind::Full);
        assert_eq!(kind(Errno::IO), StoreErrorKind::Failed);
    }
}
