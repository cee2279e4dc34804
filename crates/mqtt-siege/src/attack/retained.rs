//! A small SUBSCRIBE over many retained topics that brings nothing.

use std::{io, time::Duration};

use bytes::BytesMut;
use mqtt_packet::QoS;

use super::Target;

/// Retained topics, made in the first round.
const TOPICS: u32 = 50_000;

/// Fills the tree once; then subscribes with many filters that match nothing, or one filter many
/// times, and every other time leaves at once.
pub(super) fn round(target: &Target) -> io::Result<()> {
    let mut peer = target.connect_clean("retained")?;
    let number = target.number();
    if target.hits.load(std::sync::atomic::Ordering::Relaxed) == 0 {
        let mut out = BytesMut::new();
        for topic in 0..TOPICS {
            peer.encode_publish(&format!("evil/r/{topic}/x"), b"1", None, true, &mut out)?;
            if out.len() > 64 * 1024 {
                peer.write(&out.split())?;
            }
        }
        peer.write(&out)?;
        target.pause(Duration::from_secs(1));
    }
    let filters: Vec<String> = match number % 3 {
        // None of them matches anything, and each has to look at every topic.
        0 => (0..400).map(|filter| format!("evil/r/+/never{filter}")).collect(),
        1 => vec!["+/r/+/never".to_owned(); 500],
        // They may not be read by everybody, or there is too much of it.
        _ => vec!["evil/r/#".to_owned(); 300],
    };
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    peer.subscribe(&filters, QoS::AtMostOnce, None)?;
    target.hit();
    if number.is_multiple_of(2) {
        target.pause(Duration::from_millis(500));
    }
    Ok(())
}
