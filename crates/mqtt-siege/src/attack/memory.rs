//! What the broker keeps when the client is gone: wills that wait, and retained messages.

use std::io;

use mqtt_packet::{QoS, Will, WillProperties};

use super::Target;
use crate::peer::Hello;

/// A will of 12 KB that waits for ten minutes, each time from another client.
pub(super) fn wills(target: &Target) -> io::Result<()> {
    let id = format!("evil-will-{}", target.number());
    let payload = vec![1; 12_000];
    let properties = WillProperties { delay_interval_secs: Some(600), ..WillProperties::default() };
    let (qos, retain, topic) = (QoS::AtMostOnce, false, "evil/will");
    let will = Will { qos, retain, topic, payload: &payload, properties };
    drop(target.connect(&Hello { will: Some(will), ..Hello::lasting(&id) })?);
    target.hit();
    Ok(())
}

/// Retained messages with as many levels as there may be.
pub(super) fn levels(target: &Target) -> io::Result<()> {
    let mut peer = target.connect_clean("levels")?;
    for _ in 0..20 {
        let number = target.number();
        // Nothing is shared with the topics before it.
        let topic = format!("evil/v{number}{}", "/v".repeat(100));
        peer.publish(&topic, b"1", None, true)?;
    }
    target.hit();
    Ok(())
}
