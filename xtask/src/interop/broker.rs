//! The broker that the clients talk to.

use std::{
    fs::{self, File},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{failure::Failure, process};

/// How long our broker may take to listen, or to end once it is told to.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often the log is read until the broker listens.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// A broker that listens.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) host: String,
    pub(super) port: u16,
    process: Option<Started>,
}

/// Our own broker, which is killed when this is dropped.
#[derive(Debug)]
struct Started {
    child: Child,
    log: PathBuf,
}

impl Broker {
    /// The broker that somebody else has started at `HOST:PORT`.
    pub(super) fn already_at(address: &str) -> Result<Self, Failure> {
        let parts = address.rsplit_once(':');
        let parsed = parts.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
        let (host, port) = parsed
            .ok_or_else(|| Failure::new(format!("--broker {address}: write it as HOST:PORT")))?;
        let no_answer = |error| Failure::new(format!("no broker answers at {address}: {error}"));
        TcpStream::connect((host.as_str(), port)).map_err(no_answer)?;
        Ok(Self { host, port, process: None })
    }

    /// Starts our broker on a free port of the loopback and waits until it says which one.
    pub(super) fn start(binary: &Path, options: &[&str], log: &Path) -> Result<Self, Failure> {
        let failed = |what: &dyn std::fmt::Display| {
            Failure::new(format!("the broker could not be started: {what}, see {}", log.display()))
        };
        let output = File::create(log).map_err(|error| failed(&error))?;
        let errors = output.try_clone().map_err(|error| failed(&error))?;
        let mut command = Command::new(binary);
        // The broker chooses: a port chosen here could be taken by another program before.
        command.args(["serve", "--listen", "tcp://127.0.0.1:0", "--in-memory"]).args(options);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        println!("$ {}", process::show(&command));
        let child = command.spawn().map_err(|error| failed(&error))?;
        let mut started = Started { child, log: log.to_owned() };
        let port = started.wait_until_it_listens().map_err(|why| failed(&why))?;
        Ok(Self { host: "127.0.0.1".to_owned(), port, process: Some(started) })
    }

    /// Ends our broker, and fails unless it ran until now, ends in good order, and never panicked.
    pub(super) fn stop(mut self) -> Result<(), Failure> {
        let Some(Started { child, log }) = &mut self.process else { return Ok(()) };
        let failed = |what: &dyn std::fmt::Display| {
            Failure::new(format!("the broker {what}, see {}", log.display()))
        };
        let early = child.try_wait().map_err(|error| failed(&error))?;
        if let Some(status) = early {
            return Err(failed(&format!("ended while the stories were told: {status}")));
        }
        process::output(process::program("kill").args(["-TERM", &child.id().to_string()]))?;
        match process::wait_within(child, PATIENCE).map_err(|error| failed(&error))? {
            Some(status) if status.success() => {}
            Some(status) => return Err(failed(&format!("did not end well: {status}"))),
            None => return Err(failed(&format!("did not end within {PATIENCE:?} of a SIGTERM"))),
        }
        let text = fs::read_to_string(&*log).map_err(|error| failed(&error))?;
        if text.contains("panicked") { Err(failed(&"panicked")) } else { Ok(()) }
    }
}

impl Started {
    /// The port, once the log tells it.
    fn wait_until_it_listens(&mut self) -> Result<u16, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(&self.log).map_err(|error| error.to_string())?;
            if let Some(port) = listening_port(&text) {
                return Ok(port);
            }
            if let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? {
                return Err(format!("it ended at once ({status})"));
            }
            if Instant::now() > deadline {
                return Err(format!("it did not listen within {PATIENCE:?}"));
            }
            thread::sleep(RETRY_INTERVAL);
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The port in a line such as `surgemq: listening on tcp://127.0.0.1:1883`, if it is complete.
fn listening_port(log: &str) -> Option<u16> {
    let (_, address) = log.split_once("listening on tcp://127.0.0.1:")?;
    address.split_once('\n')?.0.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    #[test]
    fn an_address_without_a_port_is_refused() {
        let failure = Broker::already_at("localhost").unwrap_err();
        assert_eq!(failure.to_string(), "--broker localhost: write it as HOST:PORT");
    }

    #[test]
    fn the_log_tells_the_port_once_its_line_is_complete() {
        let line = "surgemq: listening on tcp://127.0.0.1:18830";
        assert_eq!(listening_port(&format!("a warning\n{line}\n")), Some(18830));
        assert_eq!(listening_port(line), None);
    }

    #[test]
    fn a_program_that_does_not_listen_is_no_broker() {
        let log = env::temp_dir().join(format!("xtask-broker-{}.log", std::process::id()));
        let failure = Broker::start(Path::new("false"), &[], &log).unwrap_err();
        assert!(failure.to_string().contains("it ended at once (exit status: 1)"), "{failure}");
        fs::remove_file(log).unwrap();
    }
}
