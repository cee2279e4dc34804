//! What the figures were measured on.

use std::{fs, process::Command, thread};

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
        }
    }
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
