//! One client in many groups, or with very many subscriptions.

use std::{io, time::Duration};

use mqtt_packet::QoS;

use super::Target;

/// One message goes to as many groups as the client may be in.
pub(super) fn round(target: &Target) -> io::Result<()> {
    let mut peer = target.connect_clean("groups")?;
    for first in (0..20_000).step_by(100) {
        let filters: Vec<_> =
            (first..first + 100).map(|group| format!("$share/g{group}/evil/s")).collect();
        let filters: Vec<_> = filters.iter().map(String::as_str).collect();
        peer.subscribe(&filters, QoS::AtMostOnce, None)?;
    }
    for _ in 0..100 {
        peer.publish("evil/s", b"", None, false)?;
        target.hit();
        target.pause(Duration::from_millis(10));
    }
    Ok(())
}

/// A client with very many subscriptions leaves, by itself or because it is taken over.
pub(super) fn leave(target: &Target) -> io::Result<()> {
    let mut peer = target.connect_clean("leave")?;
    let number = target.number();
    for first in (0..50_000).step_by(500) {
        let filters: Vec<_> =
            (first..first + 500).map(|leaf| format!("evil/l/{number}/{leaf}")).collect();
        let filters: Vec<_> = filters.iter().map(String::as_str).collect();
        peer.subscribe(&filters, QoS::AtMostOnce, None)?;
    }
    // When this is answered, everything before it is there.
    peer.ping()?;
    peer.wait_for(Duration::from_secs(20), |heard| {
        matches!(heard, crate::peer::Heard::Pong).then_some(())
    })?;
    target.hit();
    Ok(())
}
