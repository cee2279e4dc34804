//! The broker that is killed: how it is started, and ended without warning.

use std::{
    fs::{self, OpenOptions},
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::watchdog::Watchdog;
use crate::{failure::Failure, process};

/// How long a broker may take to listen.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How often it is asked whether it listens.
const KNOCK_INTERVAL: Duration = Duration::from_millis(5);

/// The signal that nobody survives.
const SIGKILL: i32 = 9;

/// Ports that no outgoing connection is given by the kernel. A client that knocks at a port which
/// it may be given itself would sooner or later be connected to itself.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// How to start the broker that is judged.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    /// The words of the command, in which `{port}` and `{dir}` are to be replaced.
    pub(super) words: Vec<String>,
    /// Whether it is told to end instead of being killed.
    pub(super) is_gentle: bool,
    pub(super) port: u16,
    /// Where the broker keeps its data.
    pub(super) directory: PathBuf,
    /// What it prints, over all its starts.
    pub(super) log: PathBuf,
}

/// A broker that listens.
#[derive(Debug)]
pub(super) struct Broker {
    child: Child,
    /// The broker itself, which is a child of `child` where something stands between.
    pid: u32,
    is_gentle: bool,
    watchdog: Option<Watchdog>,
}

/// Why there is no broker.
#[derive(Debug)]
pub(super) enum NoBroker {
    /// It ended before it listened. What it said last.
    Ended(String),
    /// It was killed before it listened.
    Killed,
    /// It did not listen in time.
    Silent,
}

impl Recipe {
    /// Starts the broker and waits until it listens.
    pub(super) fn start(&self) -> Result<Broker, NoBroker> {
        self.start_under(&[])
    }

    /// The same under another program, which is given the command as its last arguments.
    pub(super) fn start_under(&self, wrapper: &[String]) -> Result<Broker, NoBroker> {
        let failed = |error: io::Error| NoBroker::Ended(format!("it cannot be started: {error}"));
        let words: Vec<String> = wrapper
            .iter()
            .cloned()
            .chain(self.words.iter().map(|word| self.fill_in(word)))
            .collect();
        let (program, arguments) = words.split_first().ok_or(NoBroker::Silent)?;
        let output =
            OpenOptions::new().create(true).append(true).open(&self.log).map_err(failed)?;
        let errors = output.try_clone().map_err(failed)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.process_group(0).spawn().map_err(failed)?;
        let (pid, is_gentle) = (child.id(), self.is_gentle);
        let mut broker = Broker { child, pid, is_gentle, watchdog: None };
        broker.watchdog = Some(Watchdog::over(&broker.child).map_err(failed)?);
        self.wait_until_it_listens(&mut broker)?;
        if !wrapper.is_empty() {
            broker.pid = only_child_of(pid).unwrap_or(pid);
        }
        Ok(broker)
    }

    /// What it has printed.
    pub(super) fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last line of that.
    pub(super) fn last_words(&self) -> String {
        let printed = self.printed();
        let last = printed.lines().rev().find(|line| !line.trim().is_empty());
        last.unwrap_or("without a word").to_owned()
    }

    /// Where it panicked, if it has.
    pub(super) fn panic(&self) -> Option<String> {
        let printed = self.printed();
        printed.lines().find(|line| line.contains("panicked at")).map(str::to_owned)
    }

    fn fill_in(&self, word: &str) -> String {
        let directory = self.directory.display().to_string();
        word.replace("{port}", &self.port.to_string()).replace("{dir}", &directory)
    }

    fn wait_until_it_listens(&self, broker: &mut Broker) -> Result<(), NoBroker> {
        let deadline = Instant::now() + START_PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            if let Ok(Some(status)) = broker.child.try_wait() {
                let was_killed = status.signal() == Some(SIGKILL);
                let words = || NoBroker::Ended(self.last_words());
                return Err(if was_killed { NoBroker::Killed } else { words() });
            }
            if Instant::now() > deadline {
                return Err(NoBroker::Silent);
            }
            thread::sleep(KNOCK_INTERVAL);
        }
        Ok(())
    }
}

impl Broker {
    /// The process that is the broker.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it is gone.
    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Ends it, without warning unless it is to be gentle, and waits until it is gone.
    pub(super) fn kill(&mut self) {
        let patience = Duration::from_secs(5);
        if self.is_gentle && !self.has_ended() {
            process::succeeds(Command::new("kill").args(["-TERM", &self.pid.to_string()]));
            process::wait_within(&mut self.child, patience).ok();
        }
        if self.pid != self.child.id() && !self.has_ended() {
            // Without its tracer the broker would go on.
            process::succeeds(Command::new("kill").args(["-9", &self.pid.to_string()]));
            process::wait_within(&mut self.child, patience).ok();
        }
        self.watchdog = None;
        // Both fail only if it is gone already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that is free now; another one for another seed.
pub(super) fn free_port(seed: u64) -> Result<u16, Failure> {
    let mut ports: Vec<u16> = PORTS.collect();
    let first = (u64::from(std::process::id()) * 7 + seed) % (ports.len() as u64);
    ports.rotate_left(usize::try_from(first).unwrap_or(0));
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let none = || Failure::new(format!("no port of {PORTS:?} is free"));
    ports.into_iter().find(is_free).ok_or_else(none)
}

fn only_child_of(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

impl std::fmt::Display for NoBroker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ended(words) => write!(formatter, "the broker does not start: {words}"),
            Self::Killed => formatter.write_str("the broker was killed before it listened"),
            Self::Silent => write!(formatter, "the broker does not listen in {START_PATIENCE:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    fn recipe(words: &[&str]) -> Recipe {
        let log = env::temp_dir().join(format!("xtask-crash-{}.log", std::process::id()));
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Recipe {
            words,
            is_gentle: false,
            port: free_port(0).unwrap(),
            directory: "somewhere".into(),
            log,
        }
    }

    #[test]
    fn a_broker_that_ends_at_once_has_last_words() {
        let recipe = recipe(&["sh", "-c", "echo I do not like {dir}"]);
        let no_broker = recipe.start().unwrap_err();
        fs::remove_file(&recipe.log).unwrap();
        let expected = "the broker does not start: I do not like somewhere";
        assert_eq!(no_broker.to_string(), expected);
    }
}
