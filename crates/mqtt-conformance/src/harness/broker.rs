//! Starting brokers, one per profile.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::options::{Broker, Options};
use super::profile::{ACL, PASSWORDS, PATTERNS, Profile, SCRAM};
use super::verdict::Stop;

/// How long a broker may take to accept its first connection.
const START: Duration = Duration::from_secs(30);

/// All brokers of a run; they are ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Fleet {
    options: Options,
    directory: PathBuf,
    running: Mutex<BTreeMap<Place, Result<Started, String>>>,
}

/// Which broker: one for each profile, and one for each test that wants its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) profile: Profile,
    /// The test that has it for itself.
    pub(crate) owner: Option<String>,
}

impl Place {
    /// What its files are called.
    fn name(&self) -> String {
        match &self.owner {
            Some(owner) => format!("{}-{owner}", self.profile.name()),
            None => self.profile.name().to_owned(),
        }
    }
}

/// A broker that runs.
#[derive(Debug)]
struct Started {
    address: SocketAddr,
    child: Option<Child>,
}

impl Fleet {
    /// Nothing runs yet; the files that configurations need are written.
    pub(crate) fn new(options: &Options) -> io::Result<Self> {
        static COUNT: AtomicU16 = AtomicU16::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mqtt-conformance-{}-{count}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory)?;
        for (name, text) in [
            ("passwords", PASSWORDS),
            ("scram", SCRAM),
            ("acl", ACL),
            ("patterns", PATTERNS),
            ("empty", "\n# nothing\n"),
        ] {
            write_private(&directory.join(name), text)?;
        }
        let running = Mutex::new(BTreeMap::new());
        Ok(Self { options: options.clone(), directory, running })
    }

    /// The address of the broker at this place, which is started if it does not run.
    pub(crate) fn address(&self, place: &Place) -> Result<SocketAddr, String> {
        {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(Ok(started)) = running.get_mut(place)
                && started.has_ended()
            {
                running.remove(place);
            }
            // A broker that a test has for itself is not started with all others waiting.
            if place.owner.is_none() {
                let entry = running.entry(place.clone()).or_insert_with(|| self.start(place));
                return entry.as_ref().map(|started| started.address).map_err(Clone::clone);
            }
        }
        let started = self.start(place);
        let address = started.as_ref().map(|started| started.address).map_err(Clone::clone);
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone(), started);
        address
    }

    /// The process of the broker at this place, if it was started here.
    pub(crate) fn process(&self, place: &Place) -> Option<u32> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(place)?.as_ref().ok()?.child.as_ref().map(Child::id)
    }

    /// Ends the broker at this place.
    pub(crate) fn end(&self, place: &Place) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(mut started)) = running.remove(place) {
            started.end();
        }
    }

    /// Whether a test can have a broker for itself.
    pub(crate) fn starts_brokers(&self) -> bool {
        !matches!(self.options.broker, Broker::Running(_))
    }

    /// What was asked for.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Where files may be written for as long as the run lasts.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What it means for a test that its broker did not start. Ours knows every configuration: where
    /// one does not start, an option was renamed or broken.
    pub(crate) fn stop(&self, reason: String) -> Stop {
        match self.options.broker {
            Broker::Ours(_) => Stop::Fail(reason),
            _ => Stop::NotRun(reason),
        }
    }

    /// Whether the broker with this configuration ended on its own.
    pub(crate) fn has_died(&self, place: &Place) -> bool {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get_mut(place).is_some_and(|entry| entry.as_mut().is_ok_and(Started::has_ended))
    }

    /// Where the output of the broker with this configuration goes, if it was started here.
    pub(crate) fn log(&self, place: &Place) -> Option<PathBuf> {
        let path = self.directory.join(format!("{}.log", place.name()));
        path.exists().then_some(path)
    }

    /// All that the brokers of this run have written.
    pub(crate) fn logs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect()
    }

    fn start(&self, place: &Place) -> Result<Started, String> {
        let profile = place.profile;
        if let Broker::Running(address) = self.options.broker {
            return match profile {
                Profile::Plain | Profile::Abuse => Ok(Started { address, child: None }),
                _ => Err(self.lacks(profile)),
            };
        }
        let port = free_port().map_err(|error| format!("no free port: {error}"))?;
        let words = self.command(place, port)?;
        let (program, arguments) = words.split_first().ok_or("the command is empty")?;
        let log = fs::File::create(self.directory.join(format!("{}.log", place.name())))
            .map_err(|error| format!("cannot write a log: {error}"))?;
        let errors = log.try_clone().map_err(|error| error.to_string())?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("cannot start {program}: {error}"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut started = Started { address, child: Some(child) };
        await_start(&mut started, &self.directory.join(format!("{}.log", place.name())))
            .map_err(|error| format!("profile {}: {error}", profile.name()))?;
        Ok(started)
    }

    fn lacks(&self, profile: Profile) -> String {
        format!("needs a broker with the profile {}", profile.name())
    }

    fn command(&self, place: &Place, port: u16) -> Result<Vec<String>, String> {
        let profile = place.profile;
        let own = self.options.profiles.iter().find(|(name, _)| name == profile.name());
        if let Some((_, command)) = own {
            return Ok(command.split_whitespace().map(|word| self.fill(word, port)).collect());
        }
        match &self.options.broker {
            Broker::Command(command) if matches!(profile, Profile::Plain | Profile::Abuse) => {
                Ok(command.split_whitespace().map(|word| self.fill(word, port)).collect())
            }
            Broker::Ours(path) => {
                let listener = format!("tcp://127.0.0.1:{port}");
                let mut words = vec![path.display().to_string(), "serve".into()];
                words.extend(profile.surgemq().iter().map(|word| self.fill(word, port)));
                if profile == Profile::Defaults {
                    let data = self.directory.join(format!("{}-data", place.name()));
                    words.extend(["--data-dir".into(), data.display().to_string()]);
                } else {
                    words.push("--in-memory".into());
                }
                // Opened after the profile's own: who is let in here finds the others open.
                words.extend(["--listen".into(), listener]);
                Ok(words)
            }
            Broker::Mosquitto(path) => {
                let settings = profile.mosquitto().ok_or_else(|| self.lacks(profile))?;
                // Started by root it would read its files as another user.
                let listener =
                    format!("user root\nset_tcp_nodelay true\nlistener {port} 127.0.0.1\n");
                let text = listener + &self.fill(settings, port);
                let file = self.directory.join(format!("{}.conf", place.name()));
                write_private(&file, &text).map_err(|error| error.to_string())?;
                Ok(vec![path.display().to_string(), "-c".into(), file.display().to_string()])
            }
            Broker::Running(_) | Broker::Command(_) => Err(self.lacks(profile)),
        }
    }

    /// Puts the port and the paths in place of their names.
    fn fill(&self, word: &str, port: u16) -> String {
        let mut filled = word.replace("{port}", &port.to_string());
        for name in ["passwords", "scram", "acl", "patterns", "empty"] {
            let path = self.directory.join(name).display().to_string();
            filled = filled.replace(&format!("{{{name}}}"), &path);
        }
        filled
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for started in running.values_mut().flatten() {
            started.end();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Waits until the broker accepts a connection.
fn await_start(started: &mut Started, log: &Path) -> Result<(), String> {
    let deadline = Instant::now() + START;
    while Instant::now() < deadline {
        if TcpStream::connect_timeout(&started.address, Duration::from_secs(1)).is_ok() {
            return Ok(());
        }
        if started.has_ended() {
            let said = said(log);
            let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
            return Err(format!("the broker ended: {first}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(format!("no socket was accepted in {START:?}"))
}

/// What a broker has written.
pub(crate) fn said(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

impl Started {
    fn end(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)))
    }
}

/// A port that nobody listens at. Those that the system gives to clients are left out: with so many
/// connections one of them would have it before the broker does.
pub(crate) fn free_port() -> io::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    // Runs at the same time begin at ports that are far from each other.
    let first = u16::try_from(std::process::id().wrapping_mul(7919) % 12_000).unwrap_or(0);
    for _ in 0..1000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % 12_000;
        let port = 20_000 + (first + step) % 12_000;
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Writes a file that nobody else may read, as brokers ask for password files.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_with_which_ours_does_not_start_is_a_failure() {
        let stop = |broker| {
            let fleet = Fleet::new(&Options::new(broker)).unwrap();
            let place = Place { profile: Profile::NoShared, owner: None };
            fleet.stop(fleet.address(&place).unwrap_err())
        };
        let missing = PathBuf::from("no-such-broker-program");
        assert!(matches!(stop(Broker::Ours(missing.clone())), Stop::Fail(_)));
        assert!(matches!(stop(Broker::Mosquitto(missing)), Stop::NotRun(_)));
    }
}
