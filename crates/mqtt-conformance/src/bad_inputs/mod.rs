//! Bad inputs and abuses (A01 to G10), scaled to a test machine.
//!
//! After each case a control client must still go through a round trip in less than a second.

mod connect;
mod framing;
mod identity;
mod operation;
mod publish;
mod session;
mod subscribe;

use crate::catalogue::OF_THE_CLIENT;
use crate::harness::prelude::*;
use crate::websocket;

/// Every test of this catalogue.
pub(crate) fn tests() -> Vec<Test> {
    [
        framing::TESTS,
        connect::TESTS,
        identity::TESTS,
        publish::TESTS,
        subscribe::TESTS,
        session::TESTS,
        operation::TESTS,
        websocket::BAD_INPUTS,
    ]
    .concat()
}

/// Cases without a test here, by reason.
pub(crate) const WAITING: &[(&str, &[&str])] = &[
    (OF_THE_CLIENT, &["C36"]),
    ("needs the PROXY protocol on a listener", &["B37"]),
    ("needs a TLS listener", &["B38", "F03", "F04", "F05", "F06"]),
    ("needs a WebSocket listener with a list of origins", &["F16"]),
    ("needs a QUIC listener", &["F18"]),
    ("needs rules that are reloaded while it runs", &["C26", "C30", "C31", "D12", "G04"]),
    ("needs a bridge or a cluster", &["C34"]),
    ("needs a configured limit on sessions", &["B31"]),
    ("needs a configured limit on retained messages", &["C25"]),
    ("needs a client that reads one byte per second for minutes", &["E03"]),
    ("needs control over the broker's clock", &["E11"]),
    ("needs a fail point in the broker", &["E13", "G03"]),
    ("needs control over the broker's file descriptors", &["F02"]),
    (
        "a matter of starting the broker and of its files",
        &["G02", "G05", "G06", "G07", "G08", "G09"],
    ),
];

/// Runs with MQTT 3.1.1 and with 5.0.
const BOTH: &[Version] = &[Version::V311, Version::V5];
/// Runs with MQTT 3.1.1 alone.
const V311: &[Version] = &[Version::V311];
/// Malformed Packet, Protocol Error or Packet too large.
const EITHER_OR_SIZE: &[u8] = &[0x81, 0x82, 0x95];

/// The broker answers or ends the connection, in 5.0 with one of these codes; both are permitted.
fn may_end(peer: &mut Peer, codes: &[u8]) -> Done {
    peer.send(&[0xC0, 0]);
    match peer.event(seconds(10))? {
        Event::Closed => Ok(()),
        Event::Silence => fail!("expected an answer or a close, got nothing in 10 s"),
        Event::Packet(packet) => match packet.content {
            Content::Disconnect { code, .. } => {
                let fits = code == 0x80 || codes.contains(&code);
                ensure!(fits, "expected DISCONNECT with {codes:02X?}, got {code:02X}");
                peer.closed(&[])
            }
            _ => Ok(()),
        },
    }
}

/// Publishes many messages at QoS 0 that nobody takes; the connection must live on.
fn flood(t: &Story, count: u32, publish: impl Fn(u32) -> Publish) -> Done {
    let mut peer = t.client("f")?;
    for index in 0..count {
        peer.send_publish(publish(index));
    }
    peer.ping_within(seconds(30))
}
