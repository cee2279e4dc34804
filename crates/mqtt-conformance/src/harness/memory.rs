//! What a broker costs, as the operating system tells it.

use std::time::{Duration, Instant};

use super::verdict::{Done, ensure, fail};

/// A story that takes longer is not told again: it repeats what it does itself.
const QUICK: Duration = Duration::from_millis(1500);

/// How often a story may be told until the memory does not grow any more: an allocator keeps what
/// it once had, for each of its threads.
const ROUNDS: u32 = 8;

/// What may come on top of five in a hundred: some pages, whose number does not grow with rounds.
const SLACK_BYTES: u64 = 1024 * 1024;

/// The memory of a process that is resident, in bytes; `None` where the system does not say.
pub(crate) fn resident_bytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The processor time that a process has used; `None` where the system does not say.
pub(crate) fn processor_time(process: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<_> = fields.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    // Linux counts in hundredths of a second, whatever its clock does.
    Some(Duration::from_millis(ticks * 10))
}

/// Tells a quick story again until the memory stays within 5 % of what it was: a leak never does.
pub(crate) fn settles(process: u32, took: Duration, play: impl Fn() -> Done) -> Done {
    let Some(mut most) = resident_bytes(process).filter(|_| took < QUICK) else { return Ok(()) };
    for _ in 0..ROUNDS {
        play()?;
        let now = resident_bytes(process).unwrap_or(most);
        if now <= most + most / 20 + SLACK_BYTES {
            return Ok(());
        }
        most = now;
    }
    fail!("the memory grows with each repeat: {} KiB after {ROUNDS}", most / 1024)
}

/// The memory comes down to this within some seconds.
pub(crate) fn falls_below(process: u32, bytes: u64) -> Done {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let Some(now) = resident_bytes(process) else { return Ok(()) };
        if now <= bytes {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{} KiB are resident, expected {}",
            now / 1024,
            bytes / 1024
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_time() {
        let process = std::process::id();
        if std::path::Path::new("/proc/self/status").exists() {
            assert!(resident_bytes(process).unwrap() > 100_000);
            assert!(processor_time(process).is_some());
        }
        assert_eq!(resident_bytes(u32::MAX), None);
    }

    #[test]
    fn what_grows_with_each_round_does_not_settle() {
        let kept = std::cell::RefCell::new(Vec::new());
        let leak = || {
            kept.borrow_mut().push(vec![1_u8; 64 * 1024 * 1024]);
            Ok(())
        };
        if resident_bytes(std::process::id()).is_some() {
            assert!(settles(std::process::id(), Duration::ZERO, leak).is_err());
            assert!(settles(std::process::id(), Duration::ZERO, || Ok(())).is_ok());
        }
    }
}
