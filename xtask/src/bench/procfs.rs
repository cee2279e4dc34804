//! CPU time and memory of processes, read from `/proc`.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// `/proc` counts CPU time in hundredths of a second on every architecture of Linux.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of several processes together. A process that is gone counts as zero.
pub(crate) fn cpu_time(pids: &[u32]) -> Duration {
    pids.iter().filter_map(|pid| ticks(&fs::read_to_string(stat(*pid)).ok()?)).sum()
}

/// Resident memory of several processes together, in KiB: now (`VmRSS`).
pub(crate) fn rss_kib(pids: &[u32]) -> u64 {
    pids.iter().filter_map(|pid| status_kib(*pid, "VmRSS:")).sum()
}

/// Resident memory of several processes together, in KiB: at its highest (`VmHWM`).
pub(crate) fn peak_rss_kib(pids: &[u32]) -> u64 {
    pids.iter().filter_map(|pid| status_kib(*pid, "VmHWM:")).sum()
}

/// A process and all that it started, and they in turn.
pub(crate) fn family(root: u32) -> Vec<u32> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let parents: Vec<(u32, u32)> =
        pids.filter_map(|pid| Some((pid, parent(&fs::read_to_string(stat(pid)).ok()?)?))).collect();
    let mut family = BTreeSet::from([root]);
    loop {
        let known = family.len();
        family.extend(
            parents
                .iter()
                .filter(|(_, up)| family.contains(up))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        if family.len() == known {
            return family.into_iter().collect();
        }
    }
}

/// How many descriptors this process may open.
pub(crate) fn descriptors_max() -> u32 {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(1024)
}

fn stat(pid: u32) -> String {
    format!("/proc/{pid}/stat")
}

/// The fields behind the command's name, which may itself hold blanks and brackets. The first of
/// them is number 3 of the manual page.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace()
}

fn ticks(stat: &str) -> Option<Duration> {
    let mut fields = fields(stat).skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user.saturating_add(system))
}

fn parent(stat: &str) -> Option<u32> {
    fields(stat).nth(1)?.parse().ok()
}

fn status_kib(pid: u32, key: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "7 (a) b) S 3 7 7 0 -1 4194560 100 0 0 0 250 50 9 9 20 0 1 0 100 0 0";

    #[test]
    fn times_and_parents_are_read_behind_an_odd_name() {
        assert_eq!(ticks(STAT), Some(Duration::from_secs(3)));
        assert_eq!(parent(STAT), Some(3));
    }

    #[test]
    fn this_process_has_memory_and_a_family() {
        let me = std::process::id();
        assert!(rss_kib(&[me]) > 0 && peak_rss_kib(&[me]) >= rss_kib(&[me]));
        assert!(family(me).contains(&me));
        assert!(descriptors_max() > 2);
    }
}
