//! Other programs: find them, run them, wait for them with a deadline.

use std::{
    env,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::failure::Failure;

/// How often a child with a deadline is asked whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The cargo that started this program, run from the root of the repository.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = program(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// A program, run from the root of the repository.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    command
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    // Cargo sets the variable for `cargo run`; without cargo the current directory must do.
    let xtask = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    xtask.and_then(|path| path.parent().map(PathBuf::from)).unwrap_or_else(|| PathBuf::from("."))
}

/// Where cargo puts what it builds, and where tasks keep what they install or write.
pub(crate) fn target_directory() -> Result<PathBuf, Failure> {
    let text = output(&mut cargo(&["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Option<Value> = serde_json::from_str(&text).ok();
    let directory = metadata.as_ref().and_then(|value| value.get("target_directory")?.as_str());
    directory
        .map(PathBuf::from)
        .ok_or_else(|| Failure::new("`cargo metadata` does not tell the target directory"))
}

/// Creates a directory and its parents.
pub(crate) fn create_directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// Prints the command, runs it, and fails unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let shown = show(command);
    println!("$ {shown}");
    let status = command.status().map_err(|error| unstartable(&shown, &error))?;
    succeeded(&shown, status)
}

/// Runs the command silently and returns what it wrote to its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let shown = show(command);
    let output = command.output().map_err(|error| unstartable(&shown, &error))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let complaint = complaint.lines().next_back().unwrap_or("no message");
        return Err(Failure::new(format!("`{shown}` failed: {complaint}")));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| Failure::new(format!("`{shown}` printed something that is not UTF-8")))
}

/// Whether the command can be started and succeeds; what it prints is thrown away.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    silent(command).status().is_ok_and(|status| status.success())
}

/// The same, and soon enough.
pub(crate) fn succeeds_within(command: &mut Command, limit: Duration) -> bool {
    let status = silent(command).spawn().and_then(|mut child| wait_within(&mut child, limit));
    status.is_ok_and(|status| status.is_some_and(|status| status.success()))
}

/// Whether a program of this name is in one of the directories of `PATH`.
pub(crate) fn is_installed(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

/// Waits until the child ends; where it has not ended after `limit`, ends it and returns `None`.
pub(crate) fn wait_within(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// The command as one would type it, the program without its directory.
pub(crate) fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let words = [name].into_iter().chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn silent(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

fn unstartable(shown: &str, error: &io::Error) -> Failure {
    Failure::new(format!("`{shown}` could not be started: {error}"))
}

fn succeeded(shown: &str, status: ExitStatus) -> Result<(), Failure> {
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`{shown}` failed: {status}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_named_in_the_failure() {
        let failure =
            output(Command::new("sh").args(["-c", "echo oh no >&2; exit 3"])).unwrap_err();
        assert_eq!(failure.to_string(), "`sh -c echo oh no >&2; exit 3` failed: oh no");
    }

    #[test]
    fn a_command_is_shown_without_the_directory_of_its_program() {
        let mut command = Command::new("/usr/bin/env");
        assert_eq!(show(command.args(["true", "x"])), "env true x");
    }

    #[test]
    fn success_that_comes_too_late_is_none() {
        let minute = Duration::from_secs(60);
        assert!(succeeds_within(&mut Command::new("true"), minute));
        assert!(!succeeds_within(&mut Command::new("false"), minute));
        assert!(!succeeds_within(Command::new("sleep").arg("1000"), Duration::ZERO));
    }

    #[test]
    fn a_child_that_does_not_end_is_ended() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(wait_within(&mut child, Duration::ZERO).unwrap().is_none());
    }

    #[test]
    fn a_child_that_ends_has_a_status() {
        let mut child = Command::new("true").spawn().unwrap();
        let status = wait_within(&mut child, Duration::from_secs(60)).unwrap();
        assert!(status.is_some_and(|status| status.success()));
    }
}
