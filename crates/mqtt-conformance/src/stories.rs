//! Stories as the suites tell them that people run against brokers: with the exact codes, where the
//! standard would permit to say nothing.

mod codes;
mod delivery;
mod session;

use crate::harness::prelude::*;

/// Every story.
pub(crate) fn tests() -> Vec<Test> {
    [codes::TESTS, delivery::TESTS, session::TESTS].concat()
}

/// No story waits.
pub(crate) const WAITING: &[(&str, &[&str])] = &[];

/// Runs with MQTT 3.1.1 and with 5.0.
const BOTH: &[Version] = &[Version::V311, Version::V5];

/// The server says DISCONNECT with this code, and closes. Acknowledgements may come before.
fn told(peer: &mut Peer, code: u8) -> Done {
    let packet =
        peer.until("DISCONNECT", |content| matches!(content, Content::Disconnect { .. }))?;
    let got = if let Content::Disconnect { code, .. } = packet.content { code } else { 0 };
    same!(got, code, "the code of the DISCONNECT");
    peer.closed(&[])
}
