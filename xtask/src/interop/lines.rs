//! A program that is read line by line, with patience that ends.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use crate::process::show;

/// A running program whose standard output is read line by line. Dropping it kills the program.
#[derive(Debug)]
pub(super) struct Lines {
    child: Child,
    lines: Receiver<String>,
}

/// Why there is no next line.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum NoLine {
    /// The program has closed its output.
    End,
    /// Nothing came for as long as the reader was willing to wait.
    Late,
}

impl Lines {
    /// Starts the program.
    pub(super) fn start(command: &mut Command) -> Result<Self, String> {
        let shown = show(command);
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let could_not = |error| format!("`{shown}` could not be started: {error}");
        let mut child = piped.spawn().map_err(could_not)?;
        let (sender, lines) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            // The thread ends with the output, at the latest when the program is killed.
            thread::spawn(move || {
                let read = BufReader::new(output).lines().map_while(Result::ok);
                read.map(|line| sender.send(line)).all(|sent| sent.is_ok())
            });
        }
        Ok(Self { child, lines })
    }

    /// The next line, if it comes in time.
    pub(super) fn next(&mut self, patience: Duration) -> Result<String, NoLine> {
        self.lines.recv_timeout(patience).map_err(|error| match error {
            RecvTimeoutError::Disconnected => NoLine::End,
            RecvTimeoutError::Timeout => NoLine::Late,
        })
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // Both fail only if the program is gone already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn lines_come_in_order_and_then_the_end() {
        let mut lines = Lines::start(Command::new("sh").args(["-c", "echo a; echo b"])).unwrap();
        assert_eq!([lines.next(LONG).unwrap(), lines.next(LONG).unwrap()], ["a", "b"]);
        assert_eq!(lines.next(LONG), Err(NoLine::End));
    }

    #[test]
    fn a_silent_program_is_late() {
        let mut lines = Lines::start(Command::new("sleep").arg("1000")).unwrap();
        assert_eq!(lines.next(Duration::ZERO), Err(NoLine::Late));
    }

    #[test]
    fn a_program_that_does_not_exist_is_told() {
        let error = Lines::start(&mut Command::new("no-such-program")).unwrap_err();
        assert!(error.starts_with("`no-such-program` could not be started"));
    }
}
