//! Filters of one client that all match the same topic, or make the search for it branch.

use std::{io, time::Duration};

use bytes::BytesMut;
use mqtt_packet::QoS;

use super::Target;
use crate::peer::Peer;

/// Levels of which each is either `+` or a letter.
const LEVELS: u32 = 13;

/// Filters in one packet: the identifier is that of the packet.
const AT_ONCE: u32 = 16;

/// Subscribes to every mixture of `+` and `a`, with an identifier each few, and publishes to the topic
/// that all of them match.
pub(super) fn round(target: &Target) -> io::Result<()> {
    let mut peer = target.connect_clean("overlap")?;
    subscribe_to_mixtures(&mut peer, "")?;
    let topic = format!("evil{}", "/a".repeat(LEVELS as usize));
    for _ in 0..50 {
        peer.publish(&topic, b"x", None, false)?;
        target.hit();
        target.pause(Duration::from_millis(20));
    }
    Ok(())
}

/// The same filters, with an end that matches nothing; then a thousand topics in one write.
pub(super) fn many_topics(target: &Target) -> io::Result<()> {
    let mut peer = target.connect_clean("topics")?;
    subscribe_to_mixtures(&mut peer, "/never")?;
    for number in 0..10 {
        let mut out = BytesMut::new();
        for topic in 0..1000 {
            let topic = format!("evil{}/{number}-{topic}", "/a".repeat(LEVELS as usize));
            peer.encode_publish(&topic, b"x", None, false, &mut out)?;
        }
        peer.write(&out)?;
        target.hit();
        target.pause(Duration::from_millis(50));
    }
    Ok(())
}

fn subscribe_to_mixtures(peer: &mut Peer, end: &str) -> io::Result<()> {
    for first in (0..1_u32 << LEVELS).step_by(AT_ONCE as usize) {
        let mixture = |bits: u32| {
            let levels = (0..LEVELS).map(|at| if bits >> at & 1 == 0 { "/+" } else { "/a" });
            format!("evil{}{end}", levels.collect::<String>())
        };
        let filters: Vec<_> = (first..first + AT_ONCE).map(mixture).collect();
        let filters: Vec<_> = filters.iter().map(String::as_str).collect();
        peer.subscribe(&filters, QoS::AtMostOnce, Some(first / AT_ONCE + 1))?;
    }
    Ok(())
}
