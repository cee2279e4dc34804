//! The room on the file system.

use std::{
    io,
    path::{Path, PathBuf},
};

use mqtt_session::{Change, StoreError, StoreErrorKind};

/// Watches the room that is free where a store is.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    dir: PathBuf,
    reserve_bytes: u64,
}

impl Room {
    pub(crate) fn new(dir: PathBuf, reserve_bytes: u64) -> Self {
        Self { dir, reserve_bytes }
    }

    /// Refuses a group that would leave too little room, with so many bytes in memory that the engine
    /// writes some time. Returns about how many bytes the group writes.
    ///
    /// New messages leave the reserve free, and room for what is still to be written: they are
    /// written twice themselves, to the journal and to a table. All else may have what is left, so
    /// that queues can be drained until the disk is full.
    pub(crate) fn check(&self, changes: &[Change], unwritten: u64) -> Result<u64, StoreError> {
        let asked: u64 = changes.iter().map(size).sum();
        // Whoever cannot tell the room must go by what the writes say.
        let Ok(found) = self.look() else {
            return Ok(asked);
        };
        let needed = self.needed(found, changes, asked, unwritten);
        if found.free < needed {
            return Err(self.full(found.free, needed));
        }
        Ok(asked)
    }

    /// Refuses if messages would be refused now.
    pub(crate) fn check_for_messages(&self) -> Result<(), StoreError> {
        let Ok(found) = self.look() else { return Ok(()) };
        let reserve = self.reserve(found);
        if found.free < reserve { Err(self.full(found.free, reserve)) } else { Ok(()) }
    }

    fn needed(&self, found: Found, changes: &[Change], asked: u64, unwritten: u64) -> u64 {
        if changes.iter().any(brings_messages) {
            return self.reserve(found).saturating_add(2 * asked).saturating_add(unwritten);
        }
        asked.saturating_add(LAST_BYTES.min(self.reserve(found) / 16))
    }

    /// Whether there is less room than new messages leave free, or hardly more.
    pub(crate) fn is_short(&self, unwritten: u64) -> bool {
        self.look().is_ok_and(|found| {
            let reserve = self.reserve(found);
            found.free < (reserve + reserve / 16).saturating_add(unwritten)
        })
    }

    /// What may be taken for rewriting tables: some is left for who drains queues meanwhile.
    pub(crate) fn for_rewriting(&self) -> u64 {
        self.look().map_or(0, |found| found.free.saturating_sub(self.reserve(found) / 8))
    }

    fn reserve(&self, found: Found) -> u64 {
        self.reserve_bytes.min(found.all / 4)
    }

    /// Whether so little is free that a failure in the background may well be for want of room.
    pub(crate) fn is_low(&self) -> bool {
        const LOW_BYTES: u64 = 64 * 1024 * 1024;
        self.look().is_ok_and(|found| found.free < self.reserve(found).max(LOW_BYTES))
    }

    fn full(&self, free: u64, reserve: u64) -> StoreError {
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

    fn look(&self) -> io::Result<Found> {
        let file_system = rustix::fs::statvfs(&self.dir)?;
        let bytes = |blocks: u64| blocks.saturating_mul(file_system.f_frsize);
        Ok(Found { free: bytes(file_system.f_bavail), all: bytes(file_system.f_blocks) })
    }
}

/// How large a table may be on the file system of a directory, if this is wanted: eight of them are no
/// more than the reserve, which is what a merge may take.
pub(crate) fn fitting(dir: &Path, wanted: u64) -> u64 {
    const SMALLEST: u64 = 256 * 1024;
    let room = Room::new(dir.to_owned(), 0);
    room.look().map_or(wanted, |found| wanted.min((found.all / 32).max(SMALLEST)))
}

/// The room of a file system, in bytes.
#[derive(Copy, Clone, Debug)]
struct Found {
    free: u64,
    all: u64,
}

/// So much stays free, in bytes, whatever is written.
const LAST_BYTES: u64 = 256 * 1024;

fn brings_messages(change: &Change) -> bool {
    matches!(change, Change::Enqueue { .. } | Change::Retain { message: Some(_), .. })
}

/// About what a change writes to the journal, in bytes.
fn size(change: &Change) -> u64 {
    const RECORD: usize = 64;
    let size = match change {
        Change::Enqueue { message, places, .. } => {
            (places.len() + 1) * RECORD + message.frames.len()
        }
        Change::Retain { message: Some(message), topic } => topic.len() + message.frames.len(),
        Change::Session(session) => {
            let will = session.will.as_ref().map_or(0, |will| will.message.frames.len());
            session.client_id.len() + will + RECORD
        }
        Change::Subscribe(subscription) => 2 * subscription.filter.len(),
        Change::Progress { finished, .. } => finished.len() * RECORD,
        _ => 0,
    };
    (size + RECORD) as u64
}

#[cfg(test)]
mod tests {
    use mqtt_session::{Progress, SessionNumber};

    use super::*;

    fn room(reserve_bytes: u64) -> Room {
        Room::new(PathBuf::from("/"), reserve_bytes)
    }

    fn messages() -> Change {
        let message = mqtt_session::StoredMessage {
            frames: bytes::Bytes::from_static(b"packet"),
            wire: mqtt_session::Wire::V3,
            qos: mqtt_packet::QoS::AtLeastOnce,
            retain: false,
            count: 1,
            largest: 6,
            expires_at_millis: None,
        };
        Change::Enqueue { message, shared: None, places: Vec::new() }
    }

    fn less() -> Change {
        let progress = Progress::default();
        Change::Progress { session: SessionNumber(1), progress, finished: Vec::new() }
    }

    #[test]
    fn messages_leave_the_reserve_free_and_who_forgets_things_may_have_it() {
        let found = Found { free: 0, all: 10_000_000 };
        let needed = |changes: &[Change]| room(1_600_000).needed(found, changes, 10, 500);
        assert_eq!(needed(&[less(), messages()]), 1_600_000 + 2 * 10 + 500);
        assert_eq!(needed(&[less()]), 10 + 100_000);
        assert_eq!(needed(&[]), 10 + 100_000);
    }

    #[test]
    fn a_small_file_system_is_not_all_reserve() {
        let found = Found { free: 0, all: 1000 };
        assert_eq!(room(u64::MAX).reserve(found), 250);
    }
}
