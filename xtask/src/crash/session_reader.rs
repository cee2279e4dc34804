//! Takes over a subscriber's session to see what waits in it.

use std::time::Duration;

use super::{
    message::Message,
    seat::Seat,
    wire::{Incoming, Wire},
};

/// How long nothing may come before everything has.
const QUIET: Duration = Duration::from_millis(100);

/// A session of a subscriber that plays no longer.
#[derive(Debug)]
pub(super) struct SessionReader(pub(super) Seat);

impl SessionReader {
    /// What comes first when the session is resumed, as far as the broker sends without an
    /// acknowledgement: messages, or in words what is none of ours.
    pub(super) fn read_out(&self) -> Vec<Result<Message, String>> {
        match self.0.resume() {
            Ok((mut wire, _)) => read(&mut wire),
            // It may have been lost with the end of the file.
            Err(_) => Vec::new(),
        }
    }
}

fn read(wire: &mut Wire) -> Vec<Result<Message, String>> {
    let mut found = Vec::new();
    while let Ok(Some(packet)) = wire.receive(QUIET) {
        if let Incoming::Publish { topic, payload, .. } = packet {
            found.push(Message::read(&topic, &payload).ok_or(topic));
        }
    }
    found
}
