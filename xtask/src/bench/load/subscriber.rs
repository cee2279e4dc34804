//! The receiving half of a client: it reads the stamp of every message and keeps the ledgers.

use crate::bench::load::ledger::Ledger;
use crate::bench::load::stamp::Stamp;
use crate::bench::load::wire::Publish;

/// What one client received.
#[derive(Debug)]
pub(crate) struct Subscriber {
    first_stream: u32,
    ledgers: Vec<Ledger>,
    payload: usize,
    pub(crate) received: u64,
    pub(crate) corrupt: u64,
    /// Delays in nanoseconds, where the run measures them and the window is open.
    pub(crate) delays: Option<Delays>,
}

/// The delays of messages that were due within the window.
#[derive(Debug)]
pub(crate) struct Delays {
    /// Nanoseconds of the run's clock from which on messages count.
    pub(crate) from: u64,
    pub(crate) histogram: hdrhistogram::Histogram<u64>,
}

impl Subscriber {
    /// Expects `streams` streams from `first_stream` on, with payloads of `payload` bytes.
    pub(crate) fn new(first_stream: u32, streams: usize, payload: usize) -> Self {
        let ledgers = vec![Ledger::default(); streams];
        Self { first_stream, ledgers, payload, received: 0, corrupt: 0, delays: None }
    }

    /// Notes one message, read at `now` nanoseconds of the run's clock.
    #[inline]
    pub(crate) fn arrived(&mut self, publish: Publish<'_>, now: u64) {
        self.received += 1;
        let stamp = Stamp::read(publish.payload);
        let ledger = stamp.and_then(|stamp| {
            let lane = usize::try_from(stamp.stream.checked_sub(self.first_stream)?).ok()?;
            self.ledgers.get_mut(lane)
        });
        match (stamp, ledger) {
            (Some(stamp), Some(ledger)) if publish.payload.len() == self.payload => {
                ledger.arrived(stamp.sequence);
                if let Some(delays) = &mut self.delays
                    && stamp.nanos >= delays.from
                {
                    delays.histogram.saturating_record(now.saturating_sub(stamp.nanos));
                }
            }
            _ => self.corrupt += 1,
        }
    }

    /// How far a stream has come; `None` where it is not expected here.
    pub(crate) fn progress(&self, stream: u32) -> Option<u64> {
        let lane = usize::try_from(stream.checked_sub(self.first_stream)?).ok()?;
        self.ledgers.get(lane).map(Ledger::progress)
    }

    /// The ledgers by stream number.
    pub(crate) fn ledgers(&self) -> impl Iterator<Item = (u32, &Ledger)> {
        (self.first_stream..).zip(&self.ledgers)
    }
}
