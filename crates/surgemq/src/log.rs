//! What a command says on stderr while it runs.
//!
//! The broker must not depend on who reads its log: a reader that is gone, one that does not read,
//! or a full disk cost lines and nothing else. So whoever has something to say only puts a line
//! into a bounded queue ([`sink`]), and one thread writes. The tools (`pub`, `sub`) write at once:
//! their output is a pipeline's, and whoever reads it decides how fast they are.

mod filter;
mod repeats;
mod sink;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fmt,
    io::{self, IsTerminal, Write},
    panic::PanicHookInfo,
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

use tracing_subscriber::{Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt};

use self::{repeats::Repeats, sink::Sink};
use crate::failure::Failure;

/// At the end of the process the last lines have so long to be taken by whoever reads them.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// Where the broker's lines go, once there is a broker, and what was left out of them.
static SINK: OnceLock<(Sink, Arc<Repeats>)> = OnceLock::new();

/// Logs from here on, one line for each event that the filter lets through; neither this nor
/// [`say`] waits for the reader of stderr, or minds if there is none.
///
/// # Errors
/// The filter is not one, or there is no thread to write the log.
pub(crate) fn start(filter: &str) -> Result<(), Failure> {
    let targets = filter::parse(filter)
        .map_err(|why| Failure::usage(format!("--log {filter:?}: {why}; {}", filter::FORMS)))?;
    let repeats = Arc::new(Repeats::default());
    let sink = Sink::start(repeats.clone())
        .map_err(|error| Failure::new(format!("cannot start the thread of the log: {error}")))?;
    let (sink, repeats) = SINK.get_or_init(|| (sink, repeats));
    std::panic::set_hook(Box::new(report_panic));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| sink::Line(sink))
        .with_ansi(io::stderr().is_terminal())
        .log_internal_errors(false);
    init(
        Registry::default()
            .with(lines)
            .with(repeats::Bound::new(repeats.clone(), sink))
            .with(targets),
    )
}

/// Logs what happens on the connection of `pub` or `sub`.
pub(crate) fn start_debug() -> Result<(), Failure> {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        // Its message about a stderr that cannot be written would be a panic.
        .log_internal_errors(false);
    init(Registry::default().with(lines.with_filter(filter::of_tools())))
}

fn init(subscriber: impl SubscriberInitExt) -> Result<(), Failure> {
    subscriber.try_init().map_err(|error| Failure::new(format!("cannot start the log: {error}")))
}

/// Writes one line; nobody has to listen.
pub(crate) fn say(line: &dyn fmt::Display) {
    match SINK.get() {
        Some((sink, _)) => sink.push(format!("surgemq: {line}\n").into_bytes()),
        None => drop(writeln!(io::stderr(), "surgemq: {line}")),
    }
}

/// Waits until what was said is written, for a bounded time.
pub(crate) fn finish() {
    if let Some((sink, repeats)) = SINK.get() {
        let (notes, _) = repeats.take_left_out(Instant::now(), Duration::ZERO);
        notes.into_iter().for_each(|note| sink.push(note.into_bytes()));
        sink.flush(FLUSH_MAX);
    }
}

/// Says where a thread panicked. The standard library's own report writes to stderr in the thread
/// that panics, and so would wait for a reader that does not read.
fn report_panic(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("unnamed");
    let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
    // As a failure it is one line.
    let what = Failure::new(panic.payload_as_str().unwrap_or("no message"));
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => {
            say(&format_args!("panic of thread {name}{place}: {what}\n{backtrace}"));
        }
        _ => say(&format_args!("panic of thread {name}{place}: {what}")),
    }
    if name == "main" {
        finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_none_is_refused() {
        let failure = start("mqtt_server=loudly").unwrap_err();
        assert!(failure.to_string().starts_with("--log \"mqtt_server=loudly\": "), "{failure}");
    }
}
