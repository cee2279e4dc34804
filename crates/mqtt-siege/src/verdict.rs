//! Promises, and whether they were kept.

use std::time::Duration;

/// What was promised and what was seen, line by line.
#[derive(Default)]
pub(crate) struct Verdict {
    broken: usize,
}

impl Verdict {
    /// Compares, and says it.
    pub(crate) fn note(&mut self, is_kept: bool, promise: &str, seen: impl std::fmt::Display) {
        self.broken += usize::from(!is_kept);
        println!("{} {promise}: {seen}", if is_kept { "kept  " } else { "BROKEN" });
    }

    /// Whether every promise was kept.
    pub(crate) const fn is_good(&self) -> bool {
        self.broken == 0
    }

    /// The last line.
    pub(crate) fn close(&self) {
        match self.broken {
            0 => println!("siege: every promise was kept"),
            broken => println!("siege: {broken} promises were broken"),
        }
    }
}

/// A number of bytes, to be read by people.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// A time in milliseconds.
pub(crate) fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
