//! Bad inputs and abuses (A01 to G10), scaled to a test machine.
//!
//! After each case a control client must still go through a round trip in less than a second.

mod connect;
mod framing;
mod identity;
mod operation;
mod private;
mod publish;
mod reload;
mod session;
mod subscribe;

use crate::catalogue::OF_THE_CLIENT;
use crate::harness::broker::said;
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
        private::TESTS,
        reload::TESTS,
        websocket::BAD_INPUTS,
    ]
    .concat()
}

/// Cases without a test here, by reason.
pub(crate) const WAITING: &[(&str, &[&str])] = &[
    (OF_THE_CLIENT, &["C36"]),
    ("needs the PROXY protocol on a listener", &["B37"]),
    ("needs a TLS listener", &["B38", "F03", "F04", "F05", "F06"]),
    ("needs a QUIC listener", &["F18"]),
    ("needs a bridge or a cluster", &["C34"]),
    ("needs control over the broker's clock: ours has a story in its core", &["E11"]),
    ("needs a store that fails: ours has a story in its core", &["E13"]),
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
    match peer.event(seconds(30))? {
        Event::Closed => Ok(()),
        Event::Silence => fail!("expected an answer or a close, got nothing in 30 s"),
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

/// What all brokers of the run have written.
fn logs(t: &Story) -> Done<Vec<String>> {
    let paths = t.fleet.logs();
    if paths.is_empty() {
        return Err(Stop::NotRun("the log of a broker that runs already is not known".to_owned()));
    }
    Ok(paths.iter().map(|path| said(path)).collect())
}

/// Publishes one message many times at QoS 1, some hundred at once, and takes all acknowledgements.
fn pour(publisher: &mut Peer, count: u32, publish: &Publish) -> Done {
    let window = publisher.props.number(prop::RECEIVE_MAXIMUM).unwrap_or(200).clamp(1, 200);
    for first in (0..count).step_by(usize::try_from(window).unwrap_or(1)) {
        let mut bytes = Vec::new();
        let ids: Vec<u16> =
            (first..count.min(first + window)).map(|_| publisher.fresh_id()).collect();
        for id in &ids {
            bytes.extend(publish.clone().qos(1).id(*id).bytes(publisher.version));
        }
        publisher.send(&bytes);
        for id in ids {
            let code = publisher.ack(4, id)?;
            ensure!(code < 0x80 || code == 0x97, "a permitted message is refused with {code:02X}");
        }
    }
    publisher.ping_within(seconds(30))
}

/// Publishes many messages at QoS 0 that nobody takes; the connection must live on.
fn flood(t: &Story, count: u32, publish: impl Fn(u32) -> Publish) -> Done {
    let mut peer = t.client("f")?;
    for index in 0..count {
        peer.send_publish(publish(index));
    }
    peer.ping_within(seconds(30))
}
