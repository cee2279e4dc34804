//! Connections that say nothing, half of something, or what is not MQTT.

use std::{io, time::Duration};

use super::Target;
use crate::peer::Peer;

/// As many silent connections as there may be, for a while.
pub(super) fn silent(target: &Target) -> io::Result<()> {
    let mut peers = Vec::new();
    for _ in 0..4000 {
        target.number();
        match Peer::open(target.port, target.address()) {
            Ok(peer) => peers.push(peer),
            Err(_) => break,
        }
        if target.is_over() {
            return Ok(());
        }
    }
    target.hit();
    target.pause(Duration::from_secs(5));
    Ok(())
}

/// What is not MQTT, many times a second.
pub(super) fn garbage(target: &Target) -> io::Result<()> {
    let number = target.number();
    let mut peer = Peer::open(target.port, target.address())?;
    let bytes: &[u8] = match number % 4 {
        0 => b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        1 => &[0x00, 0x00],
        2 => &[0x10, 0xFF, 0xFF, 0xFF, 0x7F, 0, 4],
        _ => &[0x16, 3, 1, 2, 0, 1, 0, 1],
    };
    peer.write(bytes)?;
    target.hit();
    Ok(())
}

/// Many clients that are let in, and send most of a large packet.
pub(super) fn halves(target: &Target) -> io::Result<()> {
    let mut peers = Vec::new();
    let body = vec![0; 900_000];
    for _ in 0..100 {
        let mut peer = target.connect_clean("half")?;
        // A PUBLISH that claims one MB.
        peer.write(&[0x30, 0xC0, 0x84, 0x3D, 0, 6])?;
        peer.write(b"evil/h")?;
        peer.write(&body)?;
        peers.push(peer);
        if target.is_over() {
            break;
        }
    }
    target.hit();
    target.pause(Duration::from_secs(10));
    Ok(())
}
