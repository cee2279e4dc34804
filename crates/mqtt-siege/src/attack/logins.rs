//! Wrong passwords.

use std::{io, net::Ipv4Addr, time::Duration};

use super::Target;
use crate::{
    broker::CONTROL,
    peer::{Hello, Peer},
};

/// Twenty at once from one address, for each thread.
pub(super) fn wrong(target: &Target) -> io::Result<()> {
    let number = target.number();
    let from = Ipv4Addr::new(127, 0, 0, u8::try_from(number % 200).unwrap_or(0) + 20);
    let mut peers = Vec::new();
    for nth in 0..20 {
        let id = format!("evil-login-{number}-{nth}");
        let mut peer = Peer::open(target.port, from)?;
        let password = format!("wrong {number} {nth}");
        peer.say_hello(&Hello { login: Some((CONTROL.0, &password)), ..Hello::clean(&id) })?;
        peers.push(peer);
    }
    target.hit();
    for peer in &mut peers {
        peer.receive(Duration::from_secs(2)).ok();
    }
    Ok(())
}
