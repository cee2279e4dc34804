//! strace, which makes system calls of the broker fail or be its last.

use std::{collections::HashMap, path::Path, process::Command};

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

/// The words before a command, or before `-p`, that bring this injection about. The log gets the
/// calls concerned.
pub(super) fn wrapper(injection: &str, log: &Path) -> Vec<String> {
    let calls = injection.trim_start_matches("inject=").split(':').next().unwrap_or("none");
    let trace = format!("trace={calls}");
    // Not --seccomp-bpf, which would be faster: with it, injections do not always come about.
    let log = log.display().to_string();
    let words = ["strace", "-f", "-qq", "-o", &log, "-e", &trace, "-e", injection];
    words.into_iter().map(str::to_owned).collect()
}

/// The name of the call that a log says was the Nth of a thread, and the last of that thread.
pub(super) fn nth_call(log: &str, number: u32) -> Option<String> {
    let mut threads: HashMap<&str, (u32, &str)> = HashMap::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((name, _)) = rest.trim_start().split_once('(') else { continue };
        // "<... write resumed>" is the end of a call that was told of before.
        if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            let thread = threads.entry(thread).or_default();
            *thread = (thread.0 + 1, name);
        }
    }
    threads.into_values().find(|(count, _)| *count == number).map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
        71  write(3, \"a(b\", 3) = 3\n\
        72  openat(AT_FDCWD, \"x\", O_RDONLY <unfinished ...>\n\
        71  fdatasync(3 <unfinished ...>\n\
        72  <... openat resumed>)     = 4\n\
        71  <... fdatasync resumed>)  = 0\n\
        71  write(3, \"c\", 1)         = ?\n\
        71  +++ killed by SIGKILL +++\n\
        72  +++ killed by SIGKILL +++\n";

    #[test]
    fn the_nth_call_of_a_thread_is_named() {
        assert_eq!(nth_call(LOG, 3).as_deref(), Some("write"));
        assert_eq!(nth_call(LOG, 1).as_deref(), Some("openat"));
        assert_eq!(nth_call(LOG, 2), None, "no thread made just two");
    }
}
