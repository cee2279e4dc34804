//! The broker under siege: its files, its start, and its end.

use std::{
    fs, io,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long the broker may take to say where it listens.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// The one who may do everything; the control client.
pub(crate) const CONTROL: (&str, &str) = ("control", "a password that is right");

/// What everybody else may do: publish below `evil`, and read everything. So an attacker can be a
/// receiver of what the control client publishes.
const RULES: &str = "topic readwrite evil/#\ntopic read #\n\nuser control\ntopic readwrite #\n";

/// How to start the broker.
pub(crate) struct Recipe {
    /// The program.
    pub(crate) program: PathBuf,
    /// Where its files are.
    pub(crate) directory: PathBuf,
    /// Descriptors that it may have.
    pub(crate) descriptors: u32,
    /// What it is given beside what every siege gives it.
    pub(crate) arguments: Vec<String>,
}

/// A broker that listens on this port of 127.0.0.1.
pub(crate) struct Broker {
    child: Child,
    pub(crate) port: u16,
    /// Set when nobody is to read the log any more.
    log_is_broken: Arc<AtomicBool>,
}

impl Recipe {
    /// Writes the files that the broker reads.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let (user, password) = CONTROL;
        let users = self.directory.join("users");
        let mut passwd = Command::new(&self.program)
            .args(["passwd", "-c"])
            .args([users.as_os_str(), user.as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        if let Some(mut input) = passwd.stdin.take() {
            io::Write::write_all(&mut input, format!("{password}\n{password}\n").as_bytes())?;
        }
        if !passwd.wait()?.success() {
            return Err(io::Error::other("`surgemq passwd` failed"));
        }
        fs::write(self.directory.join("rules"), RULES)
    }

    /// The directory of the store.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Starts it. Its log goes to `log` until [`Broker::break_log`] is called.
    pub(crate) fn start(&self, log: &Path) -> io::Result<Broker> {
        let limit = format!("ulimit -n {}; exec \"$0\" \"$@\"", self.descriptors);
        let mut command = Command::new("sh");
        command.args(["-c", &limit]).arg(&self.program).arg("serve");
        command.args(["--listen", "tcp://127.0.0.1:0", "--allow-anonymous", "--log", "info"]);
        command.arg("--password-file").arg(self.directory.join("users"));
        command.arg("--acl-file").arg(self.directory.join("rules"));
        command.arg("--data-dir").arg(self.data()).args(&self.arguments);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let errors = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut errors = BufReader::new(errors);
        let port = listening(&mut errors, &mut child)?;
        let file = fs::File::create(log)?;
        let log_is_broken = Arc::new(AtomicBool::new(false));
        let is_broken = log_is_broken.clone();
        thread::spawn(move || copy(errors, file, &is_broken));
        Ok(Broker { child, port, log_is_broken })
    }
}

/// Reads until the broker says where it listens.
fn listening(log: &mut BufReader<ChildStderr>, child: &mut Child) -> io::Result<u16> {
    let deadline = Instant::now() + START_PATIENCE;
    let mut line = String::new();
    let mut last = String::new();
    while Instant::now() < deadline && log.read_line(&mut line)? > 0 {
        if let Some((_, rest)) = line.split_once("listening on tcp://127.0.0.1:") {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            return digits.parse().map_err(io::Error::other);
        }
        last = std::mem::take(&mut line);
    }
    child.kill().ok();
    child.wait().ok();
    Err(io::Error::other(format!("the broker does not start: {}", last.trim())))
}

/// Copies the log until it is to be broken: then the pipe has no reader any more.
fn copy(mut log: BufReader<ChildStderr>, mut file: fs::File, is_broken: &AtomicBool) {
    let mut line = Vec::new();
    while log.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        if is_broken.load(Ordering::Relaxed) || io::Write::write_all(&mut file, &line).is_err() {
            return;
        }
        line.clear();
    }
}

impl Broker {
    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Closes the reading end of its log, with the next line that it writes.
    pub(crate) fn break_log(&self) {
        self.log_is_broken.store(true, Ordering::Relaxed);
    }

    /// Whether it is still there.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends SIGTERM; returns how long the process took to end, or `None` if it had to be killed.
    pub(crate) fn terminate(&mut self, patience: Duration) -> Option<Duration> {
        let start = Instant::now();
        let pid = self.pid().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().ok();
        while start.elapsed() < patience {
            if !self.is_running() {
                return Some(start.elapsed());
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.child.kill().ok();
        self.child.wait().ok();
        None
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
