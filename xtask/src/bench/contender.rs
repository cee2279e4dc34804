//! The brokers of a run: how each is started, and how it is ended.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    bench::{
        procfs,
        spec::{FilterKind, Flow, Shape, Work},
    },
    failure::Failure,
};

/// The name of this project's broker in every table.
pub(crate) const OURS: &str = "surgemq";

/// The names of this project's broker with a data directory, by the level of durability.
const OURS_KEPT: [(&str, &str); 2] = [(OURS_ON_DISK, "disk"), ("surgemq-os", "os")];

/// The one of them that also shows what a store costs those for whom nothing is kept.
const OURS_ON_DISK: &str = "surgemq-disk";

/// The name of the built-in relay in every table.
pub(crate) const FLOOR: &str = "floor";

/// A broker that does not listen after this long has failed.
const START_MAX: Duration = Duration::from_secs(10);

/// A broker that does not listen after this long, where it has much to read, has failed.
const START_AGAIN_MAX: Duration = Duration::from_secs(60);

/// Everything that mosquitto limits by default and the others do not is unlimited.
const MOSQUITTO_CONFIG: &str = "listener {port} 127.0.0.1
allow_anonymous true
persistence false
log_type none
max_inflight_messages 0
max_queued_messages 0
max_queued_bytes 0
";

/// Mosquitto leaves Nagle's algorithm on by default. That makes it half as expensive flat out and
/// slow to deliver a single message, so where delays are measured it runs in both ways.
const MOSQUITTO_NODELAY: &str = "set_tcp_nodelay true\n";

/// The name of mosquitto without Nagle's algorithm.
const NODELAY: &str = "mosquitto-nodelay";

/// One broker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Contender {
    pub(crate) name: String,
    /// What the broker says its version is.
    pub(crate) version: String,
    /// A shell command; `{port}` stands for the port and `{config}` for the file below.
    pub(crate) command: String,
    /// The content of a configuration file, where the broker needs one.
    pub(crate) config: Option<String>,
}

/// `NAME=COMMAND`, as `--against` takes it.
impl FromStr for Contender {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, command) = text.split_once('=').ok_or("expected NAME='COMMAND {port}'")?;
        if name.is_empty() || !command.contains("{port}") {
            return Err("expected NAME='COMMAND {port}', with the port somewhere".into());
        }
        Ok(Self::new(name, command.into(), String::new()))
    }
}

impl Contender {
    fn new(name: &str, command: String, version: String) -> Self {
        Self { name: name.into(), version, command, config: None }
    }

    /// This project's broker.
    pub(crate) fn ours(binary: &Path) -> Self {
        let command = format!(
            "{} serve --listen tcp://127.0.0.1:{{port}} --in-memory --allow-anonymous \
             --max-packet-size 1048576",
            quoted(binary)
        );
        Self::new(OURS, command, first_line(Command::new(binary).arg("--version")))
    }

    /// This project's broker where it keeps what sessions wait for, at each level.
    pub(crate) fn ours_kept(binary: &Path) -> Vec<Self> {
        let version = first_line(Command::new(binary).arg("--version"));
        let with = |(name, level): (&str, &str)| {
            let command = format!(
                "{} serve --listen tcp://127.0.0.1:{{port}} --data-dir {{data}} --durability \
                 {level} --allow-anonymous --max-packet-size 1048576",
                quoted(binary)
            );
            Self::new(name, command, version.clone())
        };
        OURS_KEPT.into_iter().map(with).collect()
    }

    /// The built-in relay, out of the program that also makes the load.
    pub(crate) fn floor(tools: &Path) -> Self {
        let command = format!("{} bench floor {{port}}", quoted(tools));
        Self::new(FLOOR, command, "a relay without a broker around it".into())
    }

    /// Mosquitto, where it is installed, by default and without Nagle's algorithm.
    pub(crate) fn mosquitto() -> Vec<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let directories = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        let mut binaries = directories.map(|path| path.join("mosquitto"));
        let Some(binary) = binaries.find(|path| path.is_file()) else { return Vec::new() };
        let version = first_line(Command::new(&binary).arg("-h"));
        let command = format!("{} -c {{config}}", quoted(&binary));
        let with = |name, config| Self {
            config: Some(config),
            ..Self::new(name, command.clone(), version.clone())
        };
        vec![
            with("mosquitto", MOSQUITTO_CONFIG.to_owned()),
            with(NODELAY, format!("{MOSQUITTO_CONFIG}{MOSQUITTO_NODELAY}")),
        ]
    }

    /// Whether the broker takes part in this. The floor knows QoS 0 and exact topics.
    pub(crate) fn takes_part(&self, work: Work) -> bool {
        let is_kept = matches!(work, Work::Flow(Flow { kept: true, .. }) | Work::Parked { .. });
        match (self.name.as_str(), work) {
            (OURS_ON_DISK, _) => is_kept || is_plain(work),
            (name, _) if OURS_KEPT.iter().any(|(kept, _)| *kept == name) => is_kept,
            (FLOOR, Work::Flow(flow)) => flow.qos == 0 && flow.topics == 1,
            (FLOOR, Work::Matching { kind, .. }) => kind == FilterKind::Exact,
            (FLOOR, Work::Retained { .. } | Work::Parked { .. }) => false,
            (NODELAY, Work::Flow(flow)) => flow.rate.is_some(),
            (NODELAY, _) => false,
            _ => true,
        }
    }

    /// Starts the broker on a free port and waits until it listens. What it prints goes into a
    /// file of `directory`.
    ///
    /// # Errors
    /// Where it ends at once or does not listen in time.
    pub(crate) fn start(&self, directory: &Path) -> Result<Running, Failure> {
        let failed =
            |why: String| Failure::new(format!("{} could not be started: {why}", self.name));
        let io_failed = |error: std::io::Error| failed(error.to_string());
        let port = free_port().map_err(io_failed)?;
        fs::create_dir_all(directory).map_err(io_failed)?;
        let config = directory.join(format!("{}.conf", self.name));
        if let Some(content) = &self.config {
            let content = content.replace("{port}", &port.to_string());
            fs::write(&config, content).map_err(io_failed)?;
        }
        let log_path = directory.join(format!("{}.log", self.name));
        let log = fs::File::create(&log_path).map_err(io_failed)?;
        // A new directory for each start: what is found in it takes time to read.
        let data = directory.join(format!("{}-{port}.data", self.name));
        if self.command.contains("{data}") && data.exists() {
            fs::remove_dir_all(&data).map_err(io_failed)?;
        }
        let command = self
            .command
            .replace("{port}", &port.to_string())
            .replace("{config}", &quoted(&config))
            .replace("{data}", &quoted(&data));
        let child = spawn(&command, &log).map_err(io_failed)?;
        let mut running = Running { child, port, data, command, log_path };
        running.wait_until_listening(START_MAX).map_err(failed)?;
        Ok(running)
    }
}

/// A broker that runs; it is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) port: u16,
    /// Removed in the end.
    data: PathBuf,
    command: String,
    log_path: PathBuf,
}

impl Running {
    /// The broker's processes.
    pub(crate) fn pids(&self) -> Vec<u32> {
        procfs::family(self.child.id())
    }

    /// Kills the broker, and starts it again on what it has kept. Answers how long it took until
    /// it listened; `None` where it keeps nothing.
    ///
    /// # Errors
    /// As those of [`Contender::start`].
    pub(crate) fn start_again(&mut self) -> Result<Option<Duration>, Failure> {
        if !self.data.exists() {
            return Ok(None);
        }
        let failed = |why: String| Failure::new(format!("it could not be started again: {why}"));
        let io_failed = |error: std::io::Error| failed(error.to_string());
        self.child.kill().map_err(io_failed)?;
        self.child.wait().map_err(io_failed)?;
        let log = fs::File::create(&self.log_path).map_err(io_failed)?;
        let began = Instant::now();
        self.child = spawn(&self.command, &log).map_err(io_failed)?;
        self.wait_until_listening(START_AGAIN_MAX).map_err(failed)?;
        Ok(Some(began.elapsed()))
    }

    /// What the broker's data directory takes on the disk, in bytes.
    pub(crate) fn disk_bytes(&self) -> u64 {
        disk_bytes(&self.data)
    }

    fn wait_until_listening(&mut self, patience: Duration) -> Result<(), String> {
        let log = &self.log_path;
        let deadline = Instant::now() + patience;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let ended = self.child.try_wait().is_ok_and(|status| status.is_some());
            if ended || Instant::now() > deadline {
                let said = fs::read_to_string(log).unwrap_or_default();
                let said = said.lines().next_back().unwrap_or("nothing").to_owned();
                let what = if ended { "it ended" } else { "it does not listen" };
                return Err(format!("{what}; it said: {said}"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let own = self.child.id();
        for pid in self.pids().into_iter().filter(|pid| *pid != own) {
            let _gone_already = Command::new("kill").arg(pid.to_string()).status();
        }
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
        // Most brokers have none.
        let _removed = fs::remove_dir_all(&self.data);
    }
}

/// Whether it is the traffic of clients that leave nothing behind, in the form that every run has.
const fn is_plain(work: Work) -> bool {
    match work {
        Work::Churn => true,
        Work::Flow(flow) => {
            let is_usual = flow.payload == 64 && flow.topics == 1 && flow.rate.is_none();
            matches!(flow.shape, Shape::Pairs) && is_usual
        }
        _ => false,
    }
}

/// Starts a broker; what it prints goes into `log`.
fn spawn(command: &str, log: &fs::File) -> std::io::Result<Child> {
    with_all_descriptors(&format!("exec {command}"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .spawn()
}

/// What the files of a directory take on the disk, in bytes.
fn disk_bytes(directory: &Path) -> u64 {
    const BLOCK: u64 = 512;
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let bytes = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        let is_directory = metadata.is_dir();
        Some(if is_directory { disk_bytes(&entry.path()) } else { metadata.blocks() * BLOCK })
    });
    bytes.sum()
}

/// A shell that raises the soft limit of descriptors to the hard one before it runs `command`.
pub(crate) fn with_all_descriptors(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("ulimit -n \"$(ulimit -Hn)\"; {command}"));
    shell
}

/// A path as one word of a shell command.
pub(crate) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn first_line(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scenario::{self, Breadth};

    #[test]
    fn against_needs_a_name_and_a_port() {
        let contender: Contender = "nano=nanomq start --port {port} --x=1".parse().unwrap();
        assert_eq!(contender.name, "nano");
        assert_eq!(contender.command, "nanomq start --port {port} --x=1");
        assert!("nano".parse::<Contender>().is_err());
        assert!("nano=nanomq".parse::<Contender>().is_err());
    }

    #[test]
    fn the_store_stands_beside_none_where_nothing_is_kept() {
        let [disk, os] = ["surgemq-disk", "surgemq-os"]
            .map(|name| Contender::new(name, String::new(), String::new()));
        let plain = |id: &str| {
            let mut scenarios = scenario::scenarios(Breadth::Standard, Some(id));
            scenarios.remove(0).work
        };
        let all = ["pairs/q0/64B", "pairs/q1/64B", "churn", "kept/"].map(plain);
        assert_eq!(all.map(|work| disk.takes_part(work)), [true; 4]);
        assert_eq!(all.map(|work| os.takes_part(work)), [false, false, false, true]);
        assert!(!disk.takes_part(plain("mesh/q0/64B")) && !disk.takes_part(plain("idle")));
    }

    #[test]
    fn a_quoted_path_is_one_word() {
        assert_eq!(quoted(Path::new("it's here")), r"'it'\''s here'");
    }
}
