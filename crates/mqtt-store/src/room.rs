//! The room on the file system.

use std::{io, path::PathBuf};

use mqtt_session::{Change, StoreError, StoreErrorKind};

/// Watches the room that is free where a store is.
#[derive(Debug)]
pub(crate) struct Room {
    dir: PathBuf,
    reserve_bytes: u64,
    /// Whether less than the reserve was free at the last look.
    low: bool,
}

impl Room {
    pub(crate) fn new(dir: PathBuf, reserve_bytes: u64) -> Self {
        Self { dir, reserve_bytes, low: false }
    }

    /// Refuses a group that would leave too little room.
    pub(crate) fn check(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let Ok((free, reserve)) = self.look() else {
            // Whoever cannot tell the room must go by what the writes say.
            return Ok(());
        };
        let reserve = if changes.iter().any(keeps_more) { reserve } else { reserve / 2 };
        let asked: u64 = changes.iter().map(size).sum();
        if free.saturating_sub(asked) < reserve {
            return Err(self.full(free, reserve));
        }
        Ok(())
    }

    /// Whether a lack of room is what made work in the background fail.
    pub(crate) fn is_low(&mut self) -> bool {
        let before = self.low;
        // The room may have come back since the failure, so the last look counts as well.
        self.look().is_err() || before || self.low
    }

    /// The error that says that there is no room.
    pub(crate) fn full(&self, free: u64, reserve: u64) -> StoreError {
        StoreError {
            kind: StoreErrorKind::Full,
            what: format!(
                "no room to keep messages in {}: {free} bytes are free, and {reserve} have to \
                 stay free; make room on the file system",
                self.dir.display()
            ),
            source: None,
        }
    }

    /// The bytes that are free, and those that have to stay free.
    fn look(&mut self) -> io::Result<(u64, u64)> {
        let file_system = rustix::fs::statvfs(&self.dir)?;
        let free = file_system.f_bavail.saturating_mul(file_system.f_frsize);
        let all = file_system.f_blocks.saturating_mul(file_system.f_frsize);
        let reserve = self.reserve_bytes.min(all / 4);
        self.low = free < reserve;
        Ok((free, reserve))
    }
}

/// Whether a change makes the store larger for good.
fn keeps_more(change: &Change) -> bool {
    match change {
        Change::Session(_) | Change::Subscribe(_) | Change::Enqueue { .. } => true,
        Change::Retain { message, .. } => message.is_some(),
        Change::End(_)
        | Change::Unsubscribe { .. }
        | Change::Progress { .. }
        | Change::Received { .. } => false,
    }
}

/// About what a change writes to the journal, in bytes.
fn size(change: &Change) -> u64 {
    const RECORD: usize = 64;
    let size = match change {
        Change::Enqueue { message, places, .. } => {
            (places.len() + 1) * RECORD + message.frames.len()
        }
        Change::Retain { message: Some(message), topic } => topic.len() + message.frames.len(),
        Change::Session(session) => session.client_id.len() + RECORD,
        Change::Subscribe(subscription) => 2 * subscription.filter.len(),
        Change::Progress { finished, .. } => finished.len() * RECORD,
        _ => 0,
    };
    (size + RECORD) as u64
}
