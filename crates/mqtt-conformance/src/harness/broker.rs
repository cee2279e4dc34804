//! Starting brokers, one per profile.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::options::{Broker, Options};
use super::profile::{ACL, PASSWORDS, PATTERNS, Profile, SCRAM};
use super::verdict::Stop;

/// How long a broker may take to accept its first connection.
const START: Duration = Duration::from_secs(10);

/// All brokers of a run; they are ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Fleet {
    options: Options,
    directory: PathBuf,
    running: Mutex<BTreeMap<Profile, Result<Started, String>>>,
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
        let directory =
            std::env::temp_dir().join(format!("mqtt-conformance-{}", std::process::id()));
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

    /// The address of the broker with this configuration, which is started if it does not run.
    pub(crate) fn address(&self, profile: Profile) -> Result<SocketAddr, String> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(started)) = running.get_mut(&profile)
            && started.has_ended()
        {
            running.remove(&profile);
        }
        let entry = running.entry(profile).or_insert_with(|| self.start(profile));
        entry.as_ref().map(|started| started.address).map_err(Clone::clone)
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
    pub(crate) fn has_died(&self, profile: Profile) -> bool {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get_mut(&profile).is_some_and(|entry| entry.as_mut().is_ok_and(Started::has_ended))
    }

    /// Where the output of the broker with this configuration goes, if it was started here.
    pub(crate) fn log(&self, profile: Profile) -> Option<PathBuf> {
        let path = self.directory.join(format!("{}.log", profile.name()));
        path.exists().then_some(path)
    }

    fn start(&self, profile: Profile) -> Result<Started, String> {
        if let Broker::Running(address) = self.options.broker {
            return match profile {
                Profile::Plain | Profile::Abuse => Ok(Started { address, child: None }),
                _ => Err(self.lacks(profile)),
            };
        }
        let port = free_port().map_err(|error| format!("no free port: {error}"))?;
        let words = self.command(profile, port)?;
        let (program, arguments) = words.split_first().ok_or("the command is empty")?;
        let log = fs::File::create(self.directory.join(format!("{}.log", profile.name())))
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
        self.await_start(profile, &mut started)?;
        Ok(started)
    }

    fn await_start(&self, profile: Profile, started: &mut Started) -> Result<(), String> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if TcpStream::connect_timeout(&started.address, Duration::from_secs(1)).is_ok() {
                return Ok(());
            }
            if started.has_ended() {
                let log = self.directory.join(format!("{}.log", profile.name()));
                let said = fs::read_to_string(log).unwrap_or_default();
                let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
                return Err(format!("profile {}: the broker ended: {first}", profile.name()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("profile {}: no socket was accepted in {START:?}", profile.name()))
    }

    fn lacks(&self, profile: Profile) -> String {
        format!("needs a broker with the profile {}", profile.name())
    }

    fn command(&self, profile: Profile, port: u16) -> Result<Vec<String>, String> {
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
                words.extend(["--listen".into(), listener, "--in-memory".into()]);
                words.extend(profile.surgemq().iter().map(|word| self.fill(word, port)));
                Ok(words)
            }
            Broker::Mosquitto(path) => {
                let settings = profile.mosquitto().ok_or_else(|| self.lacks(profile))?;
                // Started by root it would read its files as another user.
                let listener = format!("user root\nlistener {port} 127.0.0.1\n");
                let text = listener + &self.fill(settings, port);
                let file = self.directory.join(format!("{}.conf", profile.name()));
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
            if let Some(child) = &mut started.child {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Started {
    fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)))
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Writes a file that nobody else may read, as brokers ask for password files.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
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
            fleet.stop(fleet.address(Profile::NoShared).unwrap_err())
        };
        let missing = PathBuf::from("no-such-broker-program");
        assert!(matches!(stop(Broker::Ours(missing.clone())), Stop::Fail(_)));
        assert!(matches!(stop(Broker::Mosquitto(missing)), Stop::NotRun(_)));
    }
}
