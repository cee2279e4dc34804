//! Whether the client is still there: Keep Alive, and the packet that is not complete.
//!
//! ```text
//! a whole packet, or 1 KiB more of one ──> heard ── 1.5 x Keep Alive ──> gone [MQTT-3.1.2-22]
//! the first bytes of a packet ──> part ── 1 KiB more in time ──> part ── packet timeout ──> gone
//! ```

use crate::time::{Time, earliest};

/// So many more bytes of a packet that is not complete are a sign of life. Fewer are none: a client
/// that drips would live for ever.
pub(super) const PART_BYTES: usize = 1024;

/// When the client was heard last.
#[derive(Debug)]
pub(super) struct Life {
    heard: Time,
    /// The packet that has begun and is not complete. Few clients have one at a time.
    part: Option<Box<Part>>,
}

#[derive(Copy, Clone, Debug)]
struct Part {
    /// When it had `bytes`, in steps of [`PART_BYTES`].
    since: Time,
    bytes: usize,
}

impl Life {
    pub(super) const fn new(now: Time) -> Self {
        Self { heard: now, part: None }
    }

    /// Input came: whole packets of `whole` bytes, and behind them `rest` bytes of the next one.
    pub(super) fn handle_input(&mut self, whole: usize, rest: usize, now: Time) {
        let goes_on = |part: &Part| rest >= part.bytes.saturating_add(PART_BYTES);
        let is_sign = whole > 0 || self.part.as_deref().is_some_and(goes_on);
        if is_sign {
            self.heard = now;
        }
        match &mut self.part {
            part if rest == 0 => *part = None,
            Some(part) if is_sign => **part = Part { since: now, bytes: rest },
            Some(_) => {}
            part => *part = Some(Box::new(Part { since: now, bytes: rest })),
        }
    }

    /// The client could not be heard until now.
    pub(super) fn renew(&mut self, now: Time) {
        self.heard = now;
        if let Some(part) = &mut self.part {
            part.since = now;
        }
    }

    /// When to give the client up.
    pub(super) fn deadline(
        &self,
        keep_alive_secs: u16,
        packet_timeout_millis: u64,
    ) -> Option<Time> {
        let keep_alive = u64::from(keep_alive_secs) * 1500;
        let silent = (keep_alive > 0).then(|| self.heard.after_millis(keep_alive));
        earliest(silent, self.part_deadline(packet_timeout_millis))
    }

    /// When the packet that is not complete has come too slowly.
    pub(super) fn part_deadline(&self, packet_timeout_millis: u64) -> Option<Time> {
        self.part.as_ref().map(|part| part.since.after_millis(packet_timeout_millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: u64 = 60_000;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn a_packet_that_moves_is_a_sign_of_life_and_a_drip_is_none() {
        let mut life = Life::new(at(0));
        life.handle_input(0, 1, at(1_000));
        life.handle_input(0, PART_BYTES, at(2_000));
        assert_eq!(life.deadline(10, TIMEOUT), Some(at(15_000)));
        life.handle_input(0, PART_BYTES + 1, at(3_000));
        assert_eq!(life.deadline(10, TIMEOUT), Some(at(18_000)));
        // From there on it is 1 KiB again.
        life.handle_input(0, 2 * PART_BYTES, at(4_000));
        assert_eq!(life.deadline(10, TIMEOUT), Some(at(18_000)));
        life.handle_input(9_000, 0, at(5_000));
        assert_eq!(life.deadline(10, TIMEOUT), Some(at(20_000)));
    }

    #[test]
    fn without_a_keep_alive_a_packet_has_its_own_time() {
        let mut life = Life::new(at(0));
        assert_eq!(life.deadline(0, TIMEOUT), None);
        life.handle_input(10, 5, at(1_000));
        assert_eq!(life.deadline(0, TIMEOUT), Some(at(61_000)));
        life.handle_input(0, 6, at(50_000));
        assert_eq!(life.deadline(0, TIMEOUT), Some(at(61_000)));
        life.renew(at(55_000));
        assert_eq!(life.deadline(0, TIMEOUT), Some(at(115_000)));
        life.handle_input(7, 0, at(60_000));
        assert_eq!(life.deadline(0, TIMEOUT), None);
    }
}
