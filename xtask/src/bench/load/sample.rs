//! Counters at one instant, and the figures between two of them.

use std::time::{Duration, Instant};

use crate::bench::load::engine::Engine;
use crate::bench::load::flow::{sent_by_stream, sent_of};
use crate::bench::procfs;
use crate::bench::spec::{LoadSpec, Measured};

/// Counters at one instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Instant,
    sent: u64,
    received: u64,
    broker_cpu: Duration,
    load_cpu: Duration,
}

impl Sample {
    /// Reads all counters.
    pub(crate) fn take(engine: &Engine, spec: &LoadSpec) -> Self {
        Self { sent: engine.sent(), received: engine.received(), ..Self::of_processes(spec) }
    }

    /// Reads the counters of the processes alone.
    pub(crate) fn of_processes(spec: &LoadSpec) -> Self {
        Self {
            at: Instant::now(),
            sent: 0,
            received: 0,
            broker_cpu: procfs::cpu_time(&spec.pids),
            load_cpu: procfs::cpu_time(&[std::process::id()]),
        }
    }

    /// Broker CPU in microseconds since `earlier`.
    pub(crate) fn broker_cpu_us_since(&self, earlier: &Self) -> f64 {
        self.broker_cpu.saturating_sub(earlier.broker_cpu).as_secs_f64() * 1e6
    }

    /// Seconds since `earlier`.
    pub(crate) fn seconds_since(&self, earlier: &Self) -> f64 {
        self.at.duration_since(earlier.at).as_secs_f64()
    }
}

/// Fills in what a window from `before` to `middle`, and a drain until `after`, amount to.
///
/// The rates are those of the window alone. The CPU includes the drain, because the messages of
/// the drain are counted too: what the broker postponed it has to pay for here.
pub(crate) fn fill_rates(
    measured: &mut Measured,
    before: &Sample,
    middle: &Sample,
    after: &Sample,
) {
    let seconds = middle.seconds_since(before);
    measured.in_per_s = as_f64(middle.sent - before.sent) / seconds;
    measured.out_per_s = as_f64(middle.received - before.received) / seconds;
    let messages = after.sent - before.sent + after.received - before.received;
    measured.cpu_us_per_message = after.broker_cpu_us_since(before) / as_f64(messages.max(1));
    fill_cpu(measured, before, middle);
}

/// Fills in how much of a core each side took between two samples.
pub(crate) fn fill_cpu(measured: &mut Measured, before: &Sample, after: &Sample) {
    let seconds = after.seconds_since(before);
    measured.broker_cpu = after.broker_cpu_us_since(before) / 1e6 / seconds;
    measured.load_cpu = after.load_cpu.saturating_sub(before.load_cpu).as_secs_f64() / seconds;
}

/// Adds up the ledgers, and names the clients that the broker threw out. What had not come when
/// the time for the drain was over counts as lost, unless messages still came (`is_flowing`).
pub(crate) fn fill_account(
    measured: &mut Measured,
    engine: &Engine,
    spec: &LoadSpec,
    is_flowing: bool,
) {
    let sent = sent_by_stream(engine);
    let readers = engine.clients.iter().filter(|client| !client.stuck);
    for subscriber in readers.filter_map(|client| client.subscriber.as_ref()) {
        measured.corrupt += subscriber.corrupt;
        for (stream, ledger) in subscriber.ledgers() {
            measured.due += sent_of(&sent, stream);
            let behind = ledger.behind(sent_of(&sent, stream));
            measured.missing += ledger.skipped() + if is_flowing { 0 } else { behind };
            measured.undrained += if is_flowing { behind } else { 0 };
            measured.duplicated += ledger.duplicated;
            measured.disordered += ledger.disordered;
        }
    }
    measured.corrupt += engine.publishers().map(|publisher| publisher.corrupt).sum::<u64>();
    measured.peak_rss_kib = procfs::peak_rss_kib(&spec.pids);
    let closed = engine.clients.iter().filter(|client| !client.stuck);
    let mut closed: Vec<_> = closed.filter_map(|client| client.closed.clone()).collect();
    closed.dedup();
    measured.notes.extend(closed);
}

/// A count as a floating point number; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) const fn as_f64(count: u64) -> f64 {
    count as f64
}
