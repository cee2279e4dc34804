//! A broker that a test starts for itself, with files and options of its own.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::broker::{free_port, write_private};
use super::memory::resident_bytes;
use super::options::Broker;
use super::profile::Profile;
use super::story::Story;
use super::verdict::{Done, Stop, ensure, fail};

/// What a broker of our own is started with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    /// Files by name; `{name}` in an option is the path.
    files: Vec<(&'static str, String)>,
    options: Vec<String>,
    /// Descriptors that it may open.
    descriptors: Option<u32>,
    listen: Option<&'static str>,
    /// Whether it keeps its state in a directory, `data` beside its files.
    on_disk: bool,
}

impl Setup {
    /// Options of `surgemq serve`, separated by spaces.
    pub(crate) fn new(options: &str) -> Self {
        let options = options.split_whitespace().map(str::to_owned).collect();
        Self { options, ..Self::default() }
    }

    pub(crate) fn file(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.files.push((name, text.into()));
        self
    }

    pub(crate) fn descriptors(mut self, count: u32) -> Self {
        self.descriptors = Some(count);
        self
    }

    /// Keeps its state; whoever starts it again in the same test finds it.
    pub(crate) fn on_disk(mut self) -> Self {
        self.on_disk = true;
        self
    }

    /// Another host to listen on than loopback.
    pub(crate) fn listen(mut self, host: &'static str) -> Self {
        self.listen = Some(host);
        self
    }
}

/// A broker of a test's own; ended when it is dropped.
#[derive(Debug)]
pub(crate) struct Private {
    /// Nothing where it is the broker of the story, with the defaults in place of the options.
    child: Option<Child>,
    process: u32,
    directory: PathBuf,
    address: SocketAddr,
}

impl Private {
    /// Starts it; not run where the broker under test is not ours, whose options these are.
    pub(crate) fn start(t: &Story, setup: &Setup) -> Done<Self> {
        t.needs_options();
        if let Some(process) = t.process.filter(|_| t.profile == Profile::Defaults) {
            let directory = t.fleet.directory().join(&t.unique);
            return Ok(Self { child: None, process, directory, address: t.address });
        }
        let mut broker = Self::spawn(t, setup)?;
        let deadline = Instant::now() + Duration::from_secs(30);
        // It says so when the last of its listeners is there, not the first.
        while !broker.log().contains("listening on ") {
            ensure!(!broker.has_ended(), "the broker does not start: {}", broker.log());
            ensure!(Instant::now() < deadline, "the broker does not listen: {}", broker.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(broker)
    }

    /// Starts it, which must fail; answers what it says.
    pub(crate) fn refuses_to_start(t: &Story, setup: &Setup) -> Done<String> {
        t.needs_options();
        if t.profile == Profile::Defaults {
            return Err(Stop::NotRun("it is about the options".to_owned()));
        }
        let mut broker = Self::spawn(t, setup)?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while !broker.has_ended() {
            ensure!(Instant::now() < deadline, "the broker started: {}", broker.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        let ended = broker.child.as_mut().map(Child::wait);
        let failed = matches!(ended, Some(Ok(status)) if !status.success());
        ensure!(failed, "it ended as if all were well");
        Ok(broker.log())
    }

    fn spawn(t: &Story, setup: &Setup) -> Done<Self> {
        let Broker::Ours(program) = &t.fleet.options().broker else {
            return Err(Stop::NotRun("the options are those of surgemq".to_owned()));
        };
        let failed = |error: std::io::Error| Stop::Fail(format!("cannot start a broker: {error}"));
        let directory = t.fleet.directory().join(&t.unique);
        fs::create_dir_all(&directory).map_err(failed)?;
        for (name, text) in &setup.files {
            write_private(&directory.join(name), text).map_err(failed)?;
        }
        let port = free_port().map_err(failed)?;
        let fill = |word: &String| {
            setup.files.iter().fold(word.replace("{port}", &port.to_string()), |word, (name, _)| {
                word.replace(&format!("{{{name}}}"), &directory.join(name).display().to_string())
            })
        };
        let mut command = match setup.descriptors {
            None => Command::new(program),
            Some(count) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {count} && exec \"$0\" \"$@\"")]);
                shell.arg(program);
                shell
            }
        };
        let data = directory.join("data").display().to_string();
        let storage = if setup.on_disk {
            vec!["--data-dir".to_owned(), data]
        } else {
            vec!["--in-memory".into()]
        };
        let host = setup.listen.unwrap_or("127.0.0.1");
        let log = fs::File::create(directory.join("broker.log")).map_err(failed)?;
        let errors = log.try_clone().map_err(failed)?;
        let child = command
            .args(["serve", "--listen", &format!("tcp://{host}:{port}")])
            .args(storage)
            .args(setup.options.iter().map(fill))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(failed)?;
        let (process, address) = (child.id(), (Ipv4Addr::LOCALHOST, port).into());
        Ok(Self { child: Some(child), process, directory, address })
    }

    /// The same test, on this broker.
    pub(crate) fn story(&self, t: &Story) -> Story {
        Story { address: self.address, process: Some(self.process), ..t.clone() }
    }

    /// Writes a file anew.
    pub(crate) fn write(&self, name: &str, text: &str) -> Done {
        write_private(&self.directory.join(name), text)
            .map_err(|error| Stop::Fail(format!("cannot write {name}: {error}")))
    }

    /// Has it load its files anew, and waits until it says this in its log once more.
    pub(crate) fn reload(&self, says: &str) -> Done {
        if self.child.is_none() {
            return Err(Stop::NotRun("it is about the options".to_owned()));
        }
        let count = || self.log().matches(says).count();
        let before = count();
        self.signal("HUP")?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while count() == before {
            ensure!(Instant::now() < deadline, "after SIGHUP it does not say '{says}'");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    pub(crate) fn signal(&self, name: &str) -> Done {
        let process = self.process.to_string();
        match Command::new("kill").args([&format!("-{name}"), &process]).status() {
            Ok(status) if status.success() => Ok(()),
            other => fail!("no signal was sent: {other:?}"),
        }
    }

    /// All that it has written.
    pub(crate) fn log(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = fs::File::open(self.directory.join("broker.log")) {
            let _ = file.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn process(&self) -> u32 {
        self.process
    }

    pub(crate) fn resident_bytes(&self) -> u64 {
        resident_bytes(self.process).unwrap_or(0)
    }

    fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)))
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
