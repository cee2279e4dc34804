//! strace, which makes system calls of the broker fail or be its last.

use std::process::Command;

use crate::process;

/// Whether there is a strace that may trace, or why not.
pub(super) fn is_usable() -> Result<(), String> {
    if !process::is_installed("strace") {
        return Err("strace is not installed: apt-get install strace".to_owned());
    }
    let mut trial = Command::new("strace");
    if process::succeeds(trial.args(["-f", "-qq", "-o", "/dev/null", "true"])) {
        return Ok(());
    }
    Err("strace may not trace here: it needs the capability SYS_PTRACE".to_owned())
}

/// The words before a command, or before `-p`, that bring this injection about.
pub(super) fn wrapper(injection: &str) -> Vec<String> {
    let calls = injection.trim_start_matches("inject=").split(':').next().unwrap_or("none");
    let trace = format!("trace={calls}");
    // Not --seccomp-bpf, which would be faster: with it, injections do not always come about.
    let words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", injection];
    words.into_iter().map(str::to_owned).collect()
}
