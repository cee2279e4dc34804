//! The room on the file system.

use std::{io, path::PathBuf};

use mqtt_session::{Change, StoreError, StoreErrorKind};

/// Watches the room that is free where a store is.
#[derive(Debug)]
pub(crate) struct Room {
    dir: PathBuf,
    reserve_bytes: u64,
}

impl Room {
    pub(crate) fn new(dir: PathBuf, reserve_bytes: u64) -> Self {
        Self { dir, reserve_bytes }
    }

    /// Refuses a group that would leave too little room. Answers about how many bytes it writes.
    pub(crate) fn check(&self, changes: &[Change]) -> Result<u64, StoreError> {
        let asked: u64 = changes.iter().map(size).sum();
        // Whoever cannot tell the room must go by what the writes say.
        let Ok(found) = self.look() else {
            return Ok(asked);
        };
        let reserve = self.reserve_for(found, changes);
        if found.free.saturating_sub(asked) < reserve {
            return Err(self.full(found.free, reserve));
        }
        Ok(asked)
    }

    /// Refuses if messages would be refused now.
    pub(crate) fn check_for_messages(&self) -> Result<(), StoreError> {
        let Ok(found) = self.look() else { return Ok(()) };
        let reserve = self.reserve(found);
        if found.free < reserve { Err(self.full(found.free, reserve)) } else { Ok(()) }
    }

    /// What has to stay free when these changes are made. Messages may be refused first; who forgets
    /// things makes room, and is refused last.
    fn reserve_for(&self, found: Found, changes: &[Change]) -> u64 {
        self.reserve(found) / changes.iter().map(share).min().unwrap_or(FORGETS)
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

/// The room of a file system, in bytes.
#[derive(Copy, Clone, Debug)]
struct Found {
    free: u64,
    all: u64,
}

/// A change that makes the store smaller leaves this part of the reserve free.
const FORGETS: u64 = 4;

/// Which part of the reserve has to stay free when a change is made.
fn share(change: &Change) -> u64 {
    match change {
        Change::Enqueue { .. } => 1,
        Change::Session(_) | Change::Subscribe(_) | Change::Retain { message: Some(_), .. } => 2,
        Change::Retain { message: None, .. }
        | Change::End(_)
        | Change::Unsubscribe { .. }
        | Change::Progress { .. }
        | Change::Received { .. } => FORGETS,
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

    fn subscription() -> Change {
        Change::Subscribe(mqtt_session::StoredSubscription {
            session: SessionNumber(1),
            filter: "a".into(),
            options: mqtt_packet::QoS::AtLeastOnce.into(),
            identifier: None,
        })
    }

    fn less() -> Change {
        let progress = Progress::default();
        Change::Progress { session: SessionNumber(1), progress, finished: Vec::new() }
    }

    #[test]
    fn messages_are_refused_first_and_who_forgets_things_last() {
        let found = Found { free: 0, all: 10_000 };
        let reserve = |changes: &[Change]| room(100).reserve_for(found, changes);
        assert_eq!(reserve(&[less(), subscription(), messages()]), 100);
        assert_eq!(reserve(&[less(), subscription()]), 50);
        assert_eq!(reserve(&[less()]), 25);
        assert_eq!(reserve(&[]), 25);
    }

    #[test]
    fn a_small_file_system_is_not_all_reserve() {
        let found = Found { free: 0, all: 1000 };
        assert_eq!(room(u64::MAX).reserve_for(found, &[messages()]), 250);
    }
}
