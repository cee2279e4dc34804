//! What the figures were measured on.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

/// The machine and the state of the sources.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    /// The load over the last minute before the run: what else the machine was doing.
    pub(crate) load_average: String,
    pub(crate) commit: String,
    /// How late a program is that only reads the clock, where it should be there 10,000 times a
    /// second: 99 of 100 times less than this, in µs. No broker's delays can be shorter.
    #[serde(default)]
    pub(crate) clock_p99_us: f64,
    /// How much of the processors' time others on the host had during the run.
    #[serde(default)]
    pub(crate) stolen_percent: f64,
}

impl Machine {
    /// Describes this machine.
    pub(crate) fn this() -> Self {
        let memory_kib: u64 = line_of("/proc/meminfo", "MemTotal:")
            .and_then(|line| line.split_whitespace().next()?.parse().ok())
            .unwrap_or(0);
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            processor: line_of("/proc/cpuinfo", "model name").unwrap_or_default(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_gib: memory_kib.div_ceil(1024 * 1024),
            kernel: read_trimmed("/proc/sys/kernel/osrelease"),
            load_average: load.split_whitespace().next().unwrap_or_default().to_owned(),
            commit: commit(),
            clock_p99_us: 0.0,
            stolen_percent: 0.0,
        }
    }
}

/// Time of the processors since the machine was started, in the kernel's steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ProcessorTime {
    all: f64,
    stolen: f64,
}

impl ProcessorTime {
    pub(crate) fn now() -> Self {
        Self::of(&line_of("/proc/stat", "cpu ").unwrap_or_default())
    }

    /// User, nice, system, idle, waiting for a disk, two kinds of interrupts, stolen; guests follow,
    /// and are in the first two.
    fn of(line: &str) -> Self {
        let steps: Vec<f64> =
            line.split_whitespace().take(8).filter_map(|field| field.parse().ok()).collect();
        Self { all: steps.iter().sum(), stolen: steps.get(7).copied().unwrap_or(0.0) }
    }

    /// The part of the time since `before` that others on the host had.
    pub(crate) fn stolen_percent_since(self, before: Self) -> f64 {
        let all = self.all - before.all;
        if all > 0.0 { (self.stolen - before.stolen) / all * 100.0 } else { 0.0 }
    }
}

/// Measures [`Machine::clock_p99_us`], which takes two seconds and a processor.
pub(crate) fn clock_p99_us() -> f64 {
    const EVERY: Duration = Duration::from_micros(100);
    const TIMES: u32 = 20_000;
    let start = Instant::now();
    let mut late: Vec<f64> = (0..TIMES)
        .map(|time| {
            let due = EVERY * time;
            loop {
                if let Some(late) = start.elapsed().checked_sub(due) {
                    return late.as_secs_f64() * 1e6;
                }
            }
        })
        .collect();
    late.sort_by(f64::total_cmp);
    late.get(late.len() * 99 / 100).copied().unwrap_or(0.0)
}

fn commit() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

fn line_of(path: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim_start_matches([':', ' ', '\t']).trim().to_owned())
}

fn read_trimmed(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_took_is_a_part_of_all() {
        let before = ProcessorTime::of("10 20 30 900 5 5 20 10 0 0");
        let after = ProcessorTime::of("60 20 80 950 5 5 20 60 50 0");
        assert_eq!(before, ProcessorTime { all: 1000.0, stolen: 10.0 });
        assert_eq!(after.stolen_percent_since(before), 25.0);
        assert_eq!(before.stolen_percent_since(before), 0.0);
    }
}
