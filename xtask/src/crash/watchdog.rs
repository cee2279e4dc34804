//! Ends the broker when this program is gone, whatever ended that: a failure, Ctrl-C or `kill -9`.

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

/// What the watchdog does with the broker's process group: its input ends with the process that
/// holds the other end. A tracer is in the same group as its broker, which would outlive it.
const SCRIPT: &str = "read -r _; kill -9 \"-$0\"";

/// A process that watches over one broker, until this is dropped.
#[derive(Debug)]
pub(super) struct Watchdog(Child);

impl Watchdog {
    /// Watches over a process that leads a group of its own, and over its children in that group.
    ///
    /// # Errors
    /// There is no shell.
    pub(super) fn over(leader: &Child) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, &leader.id().to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Ctrl-C is for the group of the terminal; this has to outlive it.
        command.process_group(0).spawn().map(Self)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // Before its input ends: the broker's number may be another's by now.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        os::unix::process::ExitStatusExt,
        time::Duration,
    };

    use super::*;
    use crate::process::wait_within;

    /// Longer than any machine needs for it.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn the_broker_and_its_children_end_with_us() {
        let words = ["-c", "sleep 1000 & echo $!; wait"];
        let mut command = Command::new("sh");
        command.args(words).stdout(Stdio::piped()).process_group(0);
        let mut broker = command.spawn().unwrap();
        let mut watchdog = Watchdog::over(&broker).unwrap();
        let mut said = BufReader::new(broker.stdout.take().unwrap());
        let mut child = String::new();
        said.read_line(&mut child).unwrap();
        // What the kernel does when this process ends.
        drop(watchdog.0.stdin.take());
        let status = wait_within(&mut broker, PATIENCE).unwrap().unwrap();
        assert_eq!(status.signal(), Some(9));
        // The pipe has no other end any more when the child has ended as well.
        assert_eq!(said.read_line(&mut child).unwrap(), 0, "{child}");
    }

    #[test]
    fn a_broker_that_ended_in_order_is_let_alone() {
        let mut broker = Command::new("cat");
        let broker = broker.stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0);
        let mut broker = broker.spawn().unwrap();
        drop(Watchdog::over(&broker).unwrap());
        drop(broker.stdin.take());
        assert!(wait_within(&mut broker, PATIENCE).unwrap().unwrap().success());
    }
}
