//! Histograms of delays, and a client that pings while others work.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::bench::load::engine::nanos;
use crate::bench::load::handshake::{Handshake, read_packet};
use crate::bench::load::wire;
use crate::bench::spec::{Latency, LoadSpec};

/// The percentiles that the curves are drawn through.
const CURVE: [f64; 16] = [
    1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95, 99.99, 99.999,
    100.0,
];

/// Time from one ping to the next.
const PING_INTERVAL: Duration = Duration::from_millis(5);

/// Longer delays count as this one: a minute.
const DELAY_MAX_NS: u64 = 60_000_000_000;

/// An empty histogram of nanoseconds, with three significant digits.
pub(crate) fn histogram() -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "the bounds and digits are within what the type allows")]
    Histogram::new_with_bounds(1, DELAY_MAX_NS, 3).expect("the bounds and digits are allowed")
}

/// The percentiles of a histogram of nanoseconds, in microseconds.
pub(crate) fn summary(histogram: &Histogram<u64>) -> Latency {
    let at = |percentile: f64| {
        Duration::from_nanos(histogram.value_at_percentile(percentile)).as_secs_f64() * 1e6
    };
    Latency {
        p50: at(50.0),
        p99: at(99.0),
        p999: at(99.9),
        max: at(100.0),
        curve: CURVE.iter().map(|percentile| (*percentile, at(*percentile))).collect(),
    }
}

/// A connected client that has not pinged yet.
#[derive(Debug)]
pub(crate) struct Pinger(Handshake);

/// A thread that pings.
#[derive(Debug)]
pub(crate) struct Pinging {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Latency>>,
}

impl Pinger {
    /// Connects.
    ///
    /// # Errors
    /// Where the broker breaks the handshake.
    pub(crate) fn connect(spec: &LoadSpec) -> io::Result<Self> {
        Handshake::connect(spec.port, spec.version, "bench-ping").map(Self)
    }

    /// Pings on a thread of its own until it is stopped.
    pub(crate) fn start(self) -> Pinging {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        Pinging { stop, thread: thread::spawn(move || ping(&self.0, &stopped)) }
    }
}

impl Pinging {
    /// Stops, and sums the answers up.
    ///
    /// # Errors
    /// Where a ping was not answered.
    pub(crate) fn stop(self) -> io::Result<Latency> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the pinging thread panicked")))
    }
}

/// Every ping has a time at which it is due. One that waits for the answer to an earlier one is
/// late, and counts from when it was due.
fn ping(handshake: &Handshake, stopped: &AtomicBool) -> io::Result<Latency> {
    let mut histogram = histogram();
    let mut due = Instant::now();
    while !stopped.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        (&handshake.stream).write_all(&wire::PINGREQ)?;
        read_packet(&handshake.stream)?;
        histogram.saturating_record(nanos(due.elapsed()));
        due += PING_INTERVAL;
    }
    Ok(summary(&histogram))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_in_microseconds() {
        let mut histogram = histogram();
        (1..=1000).for_each(|micros| histogram.saturating_record(micros * 1000));
        let summary = summary(&histogram);
        assert!((summary.p50 - 500.0).abs() < 1.0 && (summary.p99 - 990.0).abs() < 1.0);
        assert!((summary.max - 1000.0).abs() < 1.0);
    }
}
