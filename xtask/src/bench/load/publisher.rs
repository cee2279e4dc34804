//! The sending half of a client: packets encoded beforehand, stamped in place, written in runs.

use std::ops::Range;

use crate::bench::load::stamp::{STAMP_BYTES, Stamp};
use crate::bench::load::wire;
use crate::bench::spec::Version;

/// One write is at most about this many bytes.
const RUN_BYTES: usize = 64 * 1024;

/// When the next message is due.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As soon as the socket and the window take it.
    FlatOut,
    /// At fixed times of the run's clock, in nanoseconds, whether or not earlier ones got away:
    /// an open loop, in which a stall of the broker delays the stamps of nobody.
    Scheduled { start: u64, interval: u64 },
}

/// What a publisher sends, and how.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) version: Version,
    pub(crate) qos: u8,
    pub(crate) payload: usize,
    /// Topics of one length, each with the stream that its messages count in. They are sent in
    /// turn.
    pub(crate) topics: Vec<(String, u32)>,
    pub(crate) pace: Pace,
    /// Unacknowledged messages at QoS 1 and 2.
    pub(crate) window: u16,
}

/// A publisher with a ring of encoded packets, all of one length.
#[derive(Debug)]
pub(crate) struct Publisher {
    ring: Vec<u8>,
    /// Bytes per packet.
    stride: usize,
    /// Where in a packet the packet id and the payload are.
    id_at: usize,
    payload_at: usize,
    /// The stream of each packet of the ring, counted from the first stream.
    lanes: Vec<u32>,
    first_stream: u32,
    sequences: Vec<u64>,
    /// The packet of the ring that is sent next.
    next: usize,
    /// Bytes of the ring that are stamped and not yet written.
    pending: Range<usize>,
    qos: u8,
    pace: Pace,
    window: u64,
    /// Flat out at QoS 0, this many messages may have been sent in all; see
    /// [`crate::bench::load::throttle`].
    pub(crate) allowance: u64,
    pub(crate) sent: u64,
    acked: u64,
    recorded: u64,
    /// Acknowledgements with another packet id than the oldest open one, or with an error.
    pub(crate) corrupt: u64,
    stopped: bool,
    /// The most that the load itself was late, in nanoseconds.
    pub(crate) lateness_max: u64,
}

impl Publisher {
    /// Encodes the ring.
    pub(crate) fn new(plan: &Plan) -> Self {
        let first = 0x30 | (plan.qos << 1);
        let payload = vec![0x2e; plan.payload.max(STAMP_BYTES)];
        let encode = |topic: &str| wire::publish(plan.version, topic, first, 0, &payload);
        let stride = plan.topics.first().map_or(1, |(topic, _)| encode(topic).len());
        let repeats = (RUN_BYTES / stride).max(1).div_ceil(plan.topics.len().max(1));
        let topics = plan.topics.iter().cycle().take(plan.topics.len() * repeats);
        let ring: Vec<u8> = topics.clone().flat_map(|(topic, _)| encode(topic)).collect();
        let first_stream = plan.topics.iter().map(|(_, stream)| *stream).min().unwrap_or(0);
        let lanes: Vec<u32> = topics.map(|(_, stream)| stream - first_stream).collect();
        let streams = lanes.iter().max().map_or(0, |lane| lane + 1);
        let payload_at = stride - payload.len();
        Self {
            ring,
            stride,
            id_at: payload_at - 2 - usize::from(plan.version == Version::V5),
            payload_at,
            lanes,
            first_stream,
            sequences: (0..streams).map(|_| 0).collect(),
            next: 0,
            pending: 0..0,
            qos: plan.qos,
            pace: plan.pace,
            window: plan.window.into(),
            allowance: u64::MAX,
            sent: 0,
            acked: 0,
            recorded: 0,
            corrupt: 0,
            stopped: false,
            lateness_max: 0,
        }
    }

    /// Bytes that are to be written before anything else of this client.
    #[inline]
    pub(crate) fn pending(&self) -> &[u8] {
        self.ring.get(self.pending.clone()).unwrap_or_default()
    }

    /// Notes that `written` bytes of [`Self::pending`] are gone.
    #[inline]
    pub(crate) const fn wrote(&mut self, written: usize) {
        self.pending.start += written;
    }

    /// Stamps the next run of packets, where one is due at `now` and the window has room. Says
    /// whether there is something to write.
    #[inline]
    pub(crate) fn produce(&mut self, now: u64) -> bool {
        let count = self.may_send(now);
        if count == 0 {
            return false;
        }
        let start = self.next;
        for packet in start..start + count {
            self.stamp(packet, now);
            self.sent += 1;
        }
        self.pending = start * self.stride..(start + count) * self.stride;
        self.next = if start + count == self.lanes.len() { 0 } else { start + count };
        true
    }

    /// Publishes no more.
    pub(crate) const fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether nothing is left to write or to be acknowledged.
    pub(crate) fn is_done(&self) -> bool {
        self.stopped && self.pending.is_empty() && (self.qos == 0 || self.acked == self.sent)
    }

    /// Whether messages are sent by the clock.
    pub(crate) const fn is_scheduled(&self) -> bool {
        matches!(self.pace, Pace::Scheduled { .. })
    }

    /// The nanosecond at which it sends next, if it sends by the clock and nothing else holds it back.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let waits = self.stopped || !self.pending.is_empty() || self.room() == 0;
        (self.is_scheduled() && !waits).then(|| self.due())
    }

    /// Whether it would write if the socket had room. A publisher by the clock is asked in every
    /// turn anyway.
    #[inline]
    pub(crate) fn is_hungry(&self) -> bool {
        !self.pending.is_empty() || self.may_send(0) > 0
    }

    /// Whether only the socket and the allowance hold it back.
    pub(crate) const fn is_unconfirmed(&self) -> bool {
        self.qos == 0 && !self.is_scheduled()
    }

    /// Bytes per packet.
    pub(crate) const fn packet_bytes(&self) -> usize {
        self.stride
    }

    /// Messages of each stream so far.
    pub(crate) fn sequences(&self) -> impl Iterator<Item = (u32, u64)> {
        (self.first_stream..).zip(self.sequences.iter().copied())
    }

    /// A PUBACK, or a PUBCOMP.
    pub(crate) fn acknowledged(&mut self, packet_id: u16, reason: u8) {
        if packet_id != packet_id_of(self.acked) || reason >= 0x80 {
            self.corrupt += 1;
        }
        self.acked += 1;
    }

    /// A PUBREC. Says whether a PUBREL is due; after an error there is none.
    pub(crate) fn recorded(&mut self, packet_id: u16, reason: u8) -> bool {
        if packet_id != packet_id_of(self.recorded) || reason >= 0x80 {
            self.corrupt += 1;
        }
        self.recorded += 1;
        if reason >= 0x80 {
            self.acked += 1;
        }
        reason < 0x80
    }

    /// How many packets may go out now, without turning round at the ring's end.
    #[inline]
    fn may_send(&self, now: u64) -> usize {
        if self.stopped || self.sent >= self.allowance {
            return 0;
        }
        let run = (self.lanes.len() - self.next).min((RUN_BYTES / self.stride).max(1));
        let windowed = match self.qos {
            0 => run,
            _ => run.min(usize::try_from(self.room()).unwrap_or(run)),
        };
        match self.pace {
            Pace::FlatOut => windowed,
            Pace::Scheduled { .. } if now >= self.due() => windowed.min(1),
            Pace::Scheduled { .. } => 0,
        }
    }

    /// How many messages the window still takes.
    #[inline]
    const fn room(&self) -> u64 {
        self.window.saturating_sub(self.sent.saturating_sub(self.acked))
    }

    /// The nanosecond at which the next message is due; zero when flat out.
    #[inline]
    const fn due(&self) -> u64 {
        match self.pace {
            Pace::FlatOut => 0,
            Pace::Scheduled { start, interval } => start + self.sent * interval,
        }
    }

    #[inline]
    fn stamp(&mut self, packet: usize, now: u64) {
        let lane = self.lanes.get(packet).copied().unwrap_or(0);
        let nanos = self.due();
        if self.is_scheduled() {
            self.lateness_max = self.lateness_max.max(now.saturating_sub(nanos));
        }
        let at = packet * self.stride;
        let Some(bytes) = self.ring.get_mut(at..at + self.stride) else { return };
        if self.qos > 0
            && let Some(id) = bytes.get_mut(self.id_at..self.id_at + 2)
        {
            id.copy_from_slice(&packet_id_of(self.sent).to_be_bytes());
        }
        let sequence = usize::try_from(lane).ok().and_then(|lane| self.sequences.get_mut(lane));
        if let (Some(payload), Some(sequence)) = (bytes.get_mut(self.payload_at..), sequence) {
            let stream = self.first_stream + lane;
            Stamp { stream, sequence: *sequence, nanos }.write(payload);
            *sequence += 1;
        }
    }
}

/// Packet ids go round from 1 to 65,535; the window is far smaller, so none is used twice.
fn packet_id_of(message: u64) -> u16 {
    u16::try_from(message % 65_535).map_or(1, |id| id + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::wire::{read_publish, split_frame};

    fn publisher(qos: u8, window: u16) -> Publisher {
        Publisher::new(&Plan {
            version: Version::V5,
            qos,
            payload: 64,
            topics: vec![("t/0".into(), 4), ("t/1".into(), 5)],
            pace: Pace::FlatOut,
            window,
        })
    }

    fn stamps(mut bytes: &[u8]) -> Vec<(u16, u32, u64)> {
        let mut stamps = Vec::new();
        while let Some((frame, rest)) = split_frame(bytes).unwrap() {
            let publish = read_publish(frame, Version::V5).unwrap();
            let stamp = Stamp::read(publish.payload).unwrap();
            stamps.push((publish.packet_id, stamp.stream, stamp.sequence));
            bytes = rest;
        }
        stamps
    }

    #[test]
    fn every_topic_counts_for_itself() {
        let mut publisher = publisher(0, 0);
        assert!(publisher.produce(0));
        let stamps = stamps(publisher.pending());
        assert_eq!(stamps[..3], [(0, 4, 0), (0, 5, 0), (0, 4, 1)]);
        assert_eq!(stamps.len() as u64, publisher.sent);
    }

    #[test]
    fn the_window_bounds_what_is_in_flight() {
        let mut publisher = publisher(1, 3);
        assert!(publisher.produce(0));
        assert_eq!(stamps(publisher.pending()).last(), Some(&(3, 4, 1)));
        assert!(!publisher.produce(0));
        publisher.acknowledged(1, 0);
        assert!(publisher.produce(0));
        assert_eq!(stamps(publisher.pending()), [(4, 5, 1)]);
        assert_eq!(publisher.corrupt, 0);
    }

    #[test]
    fn an_acknowledgement_out_of_turn_or_with_an_error_is_noted() {
        let mut publisher = publisher(1, 3);
        publisher.produce(0);
        publisher.acknowledged(2, 0);
        publisher.acknowledged(2, 0x87);
        assert_eq!(publisher.corrupt, 2);
    }

    #[test]
    fn the_load_may_sleep_until_the_next_message_is_due() {
        let mut publisher = publisher(0, 1);
        assert_eq!(publisher.next_due(), None);
        publisher.pace = Pace::Scheduled { start: 1000, interval: 100 };
        publisher.window = u64::MAX;
        assert_eq!(publisher.next_due(), Some(1000));
        publisher.sent = 3;
        assert_eq!(publisher.next_due(), Some(1300));
        publisher.stop();
        assert_eq!(publisher.next_due(), None);
    }

    #[test]
    fn the_schedule_does_not_slip_when_the_load_is_late() {
        let mut publisher = publisher(0, 0);
        publisher.pace = Pace::Scheduled { start: 1000, interval: 100 };
        assert!(!publisher.produce(999));
        assert!(publisher.produce(1000) && publisher.produce(1250) && publisher.produce(1250));
        assert!(!publisher.produce(1250));
        assert_eq!(publisher.lateness_max, 150);
    }
}
