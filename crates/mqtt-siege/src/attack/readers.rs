//! Readers that do not read.

use std::{io, time::Duration};

use bytes::BytesMut;
use mqtt_packet::QoS;

use super::Target;

/// Reads nothing of everything, and is another client 400 ms later.
pub(super) fn deaf(target: &Target) -> io::Result<()> {
    let mut peer = target.connect_clean("deaf")?;
    peer.subscribe(&["#"], QoS::AtLeastOnce, None)?;
    target.hit();
    target.pause(Duration::from_millis(400));
    Ok(())
}

/// Publishes a few MiB a second below a prefix that only attackers read.
pub(super) fn flood(target: &Target) -> io::Result<()> {
    let mut peer = target.connect_clean("flood")?;
    let payload = [7; 1024];
    for _ in 0..100 {
        let mut out = BytesMut::new();
        for _ in 0..200 {
            peer.encode_publish("evil/flood", &payload, None, false, &mut out)?;
        }
        peer.write(&out)?;
        target.hit();
        target.pause(Duration::from_millis(50));
    }
    Ok(())
}

/// Two hundred readers that stay, and read nothing.
pub(super) fn stuck(target: &Target) -> io::Result<()> {
    let mut peers = Vec::new();
    for _ in 0..200 {
        let mut peer = target.connect_clean("stuck")?;
        peer.subscribe(&["evil/flood"], QoS::AtMostOnce, None)?;
        peers.push(peer);
    }
    target.hit();
    target.pause(Duration::from_secs(20));
    Ok(())
}
