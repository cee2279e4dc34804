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
            Self::Engine(error) => StoreError {
                kind: StoreErrorKind::Failed,
                what: format!("cannot read the store in {dir}: {error}"),
                source: Some(Box::new(error)),
            },
        }
    }
}

/// Whether a write failed for want of room.
pub(crate) fn is_full(error: &fjall::Error) -> bool {
    let kind = match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => error.kind(),
        _ => return false,
    };
    matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
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
