//! Queues of sessions that are away: they fill the disk, are drained, and fill it again.

use std::{
    io,
    time::{Duration, Instant},
};

use mqtt_packet::{PacketId, QoS, ReasonCode};

use super::Target;
use crate::peer::{Heard, Hello, PATIENCE};

/// Bytes of each message.
const PAYLOAD: usize = 64 * 1024;

/// Messages of one round.
const MESSAGES: u32 = 2000;

/// Fills a queue until the broker refuses, then takes everything out of it.
pub(super) fn hoard(target: &Target) -> io::Result<()> {
    let hello = Hello::lasting("evil-hoard");
    let mut reader = target.connect(&hello)?;
    reader.subscribe(&["evil/hoard"], QoS::AtLeastOnce, None)?;
    reader.wait_for(PATIENCE, |heard| matches!(heard, Heard::SubAck { .. }).then_some(()))?;
    drop(reader);
    let mut writer = target.connect_clean("writer")?;
    let payload = vec![3; PAYLOAD];
    for _ in 0..MESSAGES {
        writer.publish("evil/hoard", &payload, PacketId::new(1), false)?;
        let reason = writer.wait_for(PATIENCE, |heard| match heard {
            Heard::Ack { reason, .. } => Some(*reason),
            _ => None,
        })?;
        target.pause(Duration::from_millis(2));
        if reason != ReasonCode::SUCCESS || target.is_over() {
            break;
        }
    }
    target.hit();
    let mut reader = target.connect(&hello)?;
    let mut quiet_since = Instant::now();
    while quiet_since.elapsed() < Duration::from_secs(2) && !target.is_over() {
        if let Some(Heard::Publish { packet_id: Some(id), .. }) =
            reader.receive(Duration::from_millis(100))?
        {
            reader.puback(id)?;
            quiet_since = Instant::now();
        }
    }
    Ok(())
}
