//! What a run is asked to do.

use std::net::SocketAddr;
use std::path::PathBuf;

/// The broker under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broker {
    /// One that runs already. Tests that need a configuration are not run.
    Running(SocketAddr),
    /// A shell-like command with `{port}` in it. Tests that need a configuration are not run,
    /// except those of a profile with a command of its own.
    Command(String),
    /// Our `surgemq` at this path, started once per configuration.
    Ours(PathBuf),
    /// Mosquitto at this path, started once per configuration that it knows.
    Mosquitto(PathBuf),
}

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The broker under test.
    pub broker: Broker,
    /// Profile name and command: replaces what the broker above would be started with. The command
    /// may hold `{port}`, `{passwords}`, `{scram}`, `{acl}`, `{patterns}` and `{empty}`.
    pub profiles: Vec<(String, String)>,
    /// Only tests whose id contains this.
    pub filter: Option<String>,
    /// How many tests run at the same time; most of them wait.
    pub threads: usize,
    /// Bad inputs at the sizes that the catalogue names, also where that takes long.
    pub full: bool,
}

impl Options {
    /// All tests, 48 at a time.
    #[must_use]
    pub fn new(broker: Broker) -> Self {
        Self { broker, profiles: Vec::new(), filter: None, threads: 48, full: false }
    }
}
