//! The connections of one client, as far as they came about.

use crate::crash::history::{End, Event, History};

/// One connection, from CONNACK on.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    /// When CONNACK came.
    pub(super) began: u64,
    /// Whether CONNACK said that there is a session.
    pub(super) resumed: bool,
    /// How it ended.
    pub(super) end: Option<End>,
    /// Whether a message came that was not marked as a repetition: then all repetitions that
    /// there were have come before.
    pub(super) moved_on: bool,
}

/// The connections of this client, in order.
pub(super) fn of(history: &History) -> Vec<Connection> {
    let mut connections: Vec<Connection> = Vec::new();
    for entry in &history.entries {
        match entry.event {
            Event::Connected { session_present } => connections.push(Connection {
                began: entry.stamp,
                resumed: session_present,
                end: None,
                moved_on: false,
            }),
            Event::Ended(end) => {
                if let Some(last) = connections.last_mut() {
                    // An attempt that failed later has not ended this connection once more.
                    last.end.get_or_insert(end);
                }
            }
            Event::Received { dup: false, retain: false, packet_id: 1.., .. } => {
                if let Some(last) = connections.last_mut() {
                    last.moved_on = true;
                }
            }
            _ => {}
        }
    }
    connections
}
