//! A bound on lines of one kind: whatever happens a thousand times a second is said a few times,
//! and then how often it was left out.
//!
//! A kind is a place in the program that logs, and the `reason` that it gives. The server bounds what a single peer can have said
//! more tightly, and by address; this is for everything, whoever is to blame.

use std::{
    collections::HashMap,
    fmt::{self, Debug, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tracing::{
    Event, Level, Subscriber,
    callsite::Identifier,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::sink::Sink;

/// The time in which lines are counted.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// Lines of one kind in that time: errors and warnings.
const ALARMS_MAX: u32 = 100;

/// Lines of one kind in that time at `info`, which is what clients do when nothing is wrong. Whoever
/// asks for `debug` or `trace` wants them all.
const INFOS_MAX: u32 = 1000;

/// So many kinds are told apart; beyond, the reason does not count.
const KINDS_MAX: usize = 1024;

/// Counts lines by their kind.
#[derive(Default)]
pub(super) struct Repeats {
    kinds: Mutex<HashMap<(Identifier, String), Kind>>,
}

struct Kind {
    since: Instant,
    lines: u32,
    left_out: u64,
    /// What the line says, without its fields, once one was left out.
    what: String,
}

impl Repeats {
    /// Counts a line; whether it is to be written.
    fn permits(&self, event: &Event<'_>, now: Instant) -> bool {
        let max = match *event.metadata().level() {
            Level::ERROR | Level::WARN => ALARMS_MAX,
            Level::INFO => INFOS_MAX,
            _ => return true,
        };
        let text = |field| {
            let mut text = Text { field, shown: String::new() };
            event.record(&mut text);
            text.shown
        };
        let reason = text("reason");
        let what = || match reason.as_str() {
            "" => text("message"),
            reason => format!("{}: {reason}", text("message")),
        };
        self.count((event.metadata().callsite(), reason.clone()), max, now, what)
    }

    fn count(
        &self,
        (place, reason): (Identifier, String),
        max: u32,
        now: Instant,
        what: impl FnOnce() -> String,
    ) -> bool {
        let mut kinds = self.kinds.lock();
        let is_full = kinds.len() >= KINDS_MAX;
        let mut id = (place, reason);
        if is_full && !kinds.contains_key(&id) {
            id.1.clear();
        }
        let fresh = || Kind { since: now, lines: 0, left_out: 0, what: String::new() };
        let kind = kinds.entry(id).or_insert_with(fresh);
        // What was left out keeps its window until it is said.
        if kind.left_out == 0 && now.saturating_duration_since(kind.since) >= WINDOW {
            *kind = fresh();
        }
        if kind.lines < max {
            kind.lines += 1;
            return true;
        }
        if kind.left_out == 0 {
            kind.what = what();
        }
        kind.left_out += 1;
        false
    }

    /// The lines that say what was left out in windows that have this length by now, and whether
    /// there are others that have left something out.
    pub(super) fn take_left_out(&self, now: Instant, length: Duration) -> (Vec<String>, bool) {
        let (mut notes, mut more) = (Vec::new(), false);
        for kind in self.kinds.lock().values_mut().filter(|kind| kind.left_out > 0) {
            if now.saturating_duration_since(kind.since) < length {
                more = true;
                continue;
            }
            let (left_out, what) =
                (std::mem::take(&mut kind.left_out), std::mem::take(&mut kind.what));
            let secs = now.saturating_duration_since(kind.since).as_secs();
            notes.push(format!(
                "surgemq: {left_out} lines left out in {secs} seconds that said \"{what}\"\n"
            ));
            (kind.since, kind.lines) = (now, 0);
        }
        (notes, more)
    }
}

/// What an event says in one of its fields; `message` is the one without a name.
struct Text {
    field: &'static str,
    shown: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        const SHOWN_MAX: usize = 120;
        if field.name() != self.field {
            return;
        }
        for c in format!("{value:?}").chars().take(SHOWN_MAX) {
            // A String takes everything.
            let _: fmt::Result = match c.is_control() {
                true => write!(self.shown, "{}", c.escape_default()),
                false => self.shown.write_char(c),
            };
        }
    }
}

/// Keeps events that repeat too often from becoming lines.
pub(super) struct Bound {
    repeats: Arc<Repeats>,
    sink: &'static Sink,
}

impl Bound {
    pub(super) const fn new(repeats: Arc<Repeats>, sink: &'static Sink) -> Self {
        Self { repeats, sink }
    }
}

impl<S: Subscriber> Layer<S> for Bound {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let permits = self.repeats.permits(event, Instant::now());
        if !permits {
            self.sink.note_left_out();
        }
        permits
    }
}

#[cfg(test)]
mod tests {
    use tracing::Callsite;

    use super::*;

    fn kind(reason: &str) -> (Identifier, String) {
        let place = tracing::callsite!(name: "a line", kind: tracing::metadata::Kind::EVENT, fields: message)
            .metadata()
            .callsite();
        (place, reason.to_owned())
    }

    #[test]
    fn what_repeats_is_left_out_and_counted() {
        let (repeats, id, start) = (Repeats::default(), kind(""), Instant::now());
        let count = |now| repeats.count(id.clone(), 3, now, || "it rains".to_owned());
        let written = (0..10).filter(|_| count(start)).count();
        assert_eq!(written, 3);
        assert_eq!(
            repeats.take_left_out(start, WINDOW),
            (Vec::new(), true),
            "its time is not over"
        );
        let later = start + WINDOW;
        assert!(!count(later), "what was left out is said first");
        let note = "surgemq: 8 lines left out in 10 seconds that said \"it rains\"\n";
        assert_eq!(repeats.take_left_out(later, WINDOW), (vec![note.to_owned()], false));
        assert!(count(later));
        assert_eq!(repeats.take_left_out(later + WINDOW, WINDOW), (Vec::new(), false));
    }

    #[test]
    fn one_reason_hides_no_other() {
        let (repeats, now) = (Repeats::default(), Instant::now());
        (0..10).for_each(|_| _ = repeats.count(kind("password"), 3, now, String::new));
        assert!(repeats.count(kind("protocol"), 3, now, String::new));
        for number in 0..2 * KINDS_MAX {
            repeats.count(kind(&number.to_string()), 3, now, String::new);
        }
        assert!(repeats.kinds.lock().len() <= KINDS_MAX + 1);
    }

    #[test]
    fn what_is_said_now_and_then_is_never_left_out() {
        let (repeats, id, start) = (Repeats::default(), kind(""), Instant::now());
        for window in 0..100 {
            let now = start + window * WINDOW;
            assert_eq!(
                (0..3).filter(|_| repeats.count(id.clone(), 3, now, String::new)).count(),
                3
            );
        }
    }
}
