//! Processes of the program, with bounded waits.

use std::{
    io::{Read, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

/// How long anything may take on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process of the program; ended when it is dropped.
pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Stream,
    stderr: Stream,
}

/// What a process left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Process {
    /// Starts the program with these arguments, separated by spaces.
    pub(crate) fn start(arguments: &str) -> Self {
        Self::start_with(arguments.split_whitespace().map(str::to_owned).collect())
    }

    /// Starts the program with these arguments.
    pub(crate) fn start_with(mut arguments: Vec<String>) -> Self {
        let names_storage = arguments.iter().any(|a| a == "--data-dir" || a == "--in-memory");
        if arguments.first().is_some_and(|first| first == "serve") && !names_storage {
            arguments.push("--in-memory".to_owned());
        }
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_surgemq")).args(arguments))
    }

    /// Starts the broker with this as its stderr, which the harness does not read.
    #[cfg(target_os = "linux")]
    pub(crate) fn serve_with_stderr(options: &str, stderr: impl Into<Stdio>) -> Self {
        let line = format!("serve --listen 127.0.0.1:0 --in-memory {options}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_surgemq"));
        Self::spawn_with(command.args(line.split_whitespace()), stderr.into())
    }

    /// The ports that the process listens on, as the system says; waits until there are any.
    #[cfg(target_os = "linux")]
    pub(crate) fn ports(&self) -> Vec<u16> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ports = listening(self.id());
            if !ports.is_empty() {
                return ports;
            }
            assert!(Instant::now() < deadline, "it listens nowhere");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lets a shell start the program, which is `$0` there.
    #[cfg(target_os = "linux")]
    pub(crate) fn start_by_shell(script: &str) -> Self {
        Self::spawn(Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_surgemq")]))
    }

    /// The identifier of the process.
    #[cfg(target_os = "linux")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn spawn(command: &mut Command) -> Self {
        Self::spawn_with(command, Stdio::piped())
    }

    fn spawn_with(command: &mut Command, stderr: Stdio) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the program starts");
        let stdout = Stream::read(child.stdout.take().expect("stdout is piped"));
        let stderr = child.stderr.take().map_or_else(Stream::default, Stream::read);
        let stdin = child.stdin.take();
        Self { child, stdin, stdout, stderr }
    }

    /// Writes to its standard input and closes it.
    pub(crate) fn give(mut self, input: &[u8]) -> Self {
        let mut stdin = self.stdin.take().expect("standard input is still open");
        stdin.write_all(input).expect("the program reads its input");
        self
    }

    /// Waits until it has printed this on stderr; answers with all that it has printed there.
    pub(crate) fn wait_for_error_text(&mut self, part: &str) -> String {
        let text = self.stderr.wait_for(part.as_bytes());
        String::from_utf8_lossy(text).into_owned()
    }

    /// Waits until it has printed this on stdout.
    pub(crate) fn wait_for_output(&mut self, part: &str) {
        self.stdout.wait_for(part.as_bytes());
    }

    /// Closes our end of its standard output.
    pub(crate) fn stop_reading(&mut self) {
        self.stdout.close();
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(status.expect("kill runs").success(), "the process is there");
    }

    /// Waits until it ends.
    pub(crate) fn finish(mut self) -> Finished {
        drop(self.stdin.take());
        let stdout = self.stdout.wait_for_end();
        let stderr = String::from_utf8_lossy(&self.stderr.wait_for_end()).into_owned();
        let status = self.child.wait().expect("the process ends");
        Finished { code: status.code(), stdout, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Finished {
    /// Asserts that it went well and said nothing about it.
    #[track_caller]
    pub(crate) fn expect_success(self) -> Vec<u8> {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self.stdout
    }

    /// Asserts that it failed with this code and one line with this in it.
    #[track_caller]
    pub(crate) fn expect_failure(self, code: i32, part: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains(part), "{self:?}");
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "{self:?}");
    }
}

/// The ports of the TCP sockets that a process has open and listens on.
#[cfg(target_os = "linux")]
fn listening(process: u32) -> Vec<u16> {
    const LISTENS: &str = "0A";
    let fds = std::fs::read_dir(format!("/proc/{process}/fd")).expect("the process is there");
    let links: Vec<_> = fds
        .filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
        .map(|link| link.display().to_string())
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap_or_default();
    let port = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let (state, inode) = (words.get(3)?, words.get(9)?);
        let port = words.get(1)?.rsplit(':').next()?;
        let is_ours = *state == LISTENS && links.contains(&format!("socket:[{inode}]"));
        is_ours.then(|| u16::from_str_radix(port, 16).ok())?
    };
    table.lines().filter_map(port).collect()
}

/// What a process prints, read by a thread of its own.
#[derive(Default)]
struct Stream {
    /// `None` when nobody reads any more.
    chunks: Option<Receiver<Vec<u8>>>,
    read: Vec<u8>,
}

impl Stream {
    fn read(pipe: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        thread::spawn(move || forward(pipe, &sender));
        Self { chunks: Some(receiver), read: Vec::new() }
    }

    /// The thread closes the pipe as soon as it cannot pass on what it read.
    fn close(&mut self) {
        self.chunks = None;
    }

    fn wait_for(&mut self, part: &[u8]) -> &[u8] {
        let deadline = Instant::now() + PATIENCE;
        while !self.read.windows(part.len()).any(|window| window == part) {
            let more = self.next(deadline);
            let (wanted, read) =
                (String::from_utf8_lossy(part), String::from_utf8_lossy(&self.read));
            assert!(more, "ended without {wanted:?}; it printed {read:?}");
        }
        &self.read
    }

    fn wait_for_end(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while self.next(deadline) {}
        std::mem::take(&mut self.read)
    }

    /// Takes what comes next; false at the end.
    fn next(&mut self, deadline: Instant) -> bool {
        let Some(chunks) = &self.chunks else { return false };
        match chunks.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(chunk) => self.read.extend(chunk),
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {
                panic!(
                    "nothing more within {PATIENCE:?}; {:?}",
                    String::from_utf8_lossy(&self.read)
                )
            }
        }
        true
    }
}

fn forward(mut pipe: impl Read, sender: &Sender<Vec<u8>>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length) = pipe.read(&mut buffer) {
        if length == 0 || sender.send(buffer.get(..length).unwrap_or_default().to_vec()).is_err() {
            return;
        }
    }
}

/// A broker on a free port of loopback.
pub(crate) struct Broker {
    process: Process,
    port: String,
}

impl Broker {
    /// Starts it with these options.
    pub(crate) fn start(options: &str) -> Self {
        let line = format!("serve --listen tcp://127.0.0.1:0 {options}");
        let mut process = Process::start(&line);
        let said = process.wait_for_error_text("listening on tcp://127.0.0.1:");
        // The port may come in a chunk of its own.
        let said = if said.ends_with('\n') { said } else { process.wait_for_error_text("\n") };
        let port = said.trim_end().rsplit(':').next().expect("a port").to_owned();
        Self { process, port }
    }

    /// Starts `pub` or `sub` for this broker.
    pub(crate) fn tool(&self, line: &str) -> Process {
        let (command, rest) = line.split_once(' ').expect("a command with options");
        Process::start(&format!("{command} -h 127.0.0.1 -p {} {rest}", self.port))
    }

    /// Publishes and waits until that is done.
    #[track_caller]
    pub(crate) fn publish(&self, options: &str) {
        self.tool(&format!("pub {options}")).finish().expect_success();
    }

    /// Starts `sub` and waits until the broker has taken its subscriptions.
    pub(crate) fn subscribe(&self, options: &str) -> Process {
        let mut process = self.tool(&format!("sub -d {options}"));
        process.wait_for_error_text("subscribed to");
        process
    }

    pub(crate) fn port(&self) -> &str {
        &self.port
    }

    /// The identifier of its process.
    #[cfg(target_os = "linux")]
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Waits until it has printed this on stderr.
    pub(crate) fn wait_for_error_text(&mut self, part: &str) -> String {
        self.process.wait_for_error_text(part)
    }

    /// Has it load its files anew, and waits until it says this about them.
    pub(crate) fn reload(&mut self, expected: &str) {
        self.signal("HUP");
        self.process.wait_for_error_text(expected);
    }

    /// Waits until it ends.
    pub(crate) fn finish(self) -> Finished {
        self.process.finish()
    }
}

/// A path for a file of this test, where nothing is yet.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => path,
    }
}

/// A data directory of this test, where nothing is yet.
pub(crate) fn data_dir(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    match std::fs::remove_dir_all(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => path,
    }
}
