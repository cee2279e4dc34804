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

/// Whether a log tells of a thread that made so many calls.
pub(super) fn has_thread_with(number: u32, log: &str) -> bool {
    let mut threads: HashMap<&str, u32> = HashMap::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.trim_start().split_once(' ') else { continue };
        let Some((name, _)) = rest.trim_start().split_once('(') else { continue };
        // "<... write resumed>" is the end of a call that was told of before.
        if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            *threads.entry(thread).or_default() += 1;
        }
    }
    threads.into_values().any(|count| count == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
        71  write(3, \"a(b\", 3) = 3\n\
        72  write(4, \"x\", 1 <unfinished ...>\n\
        71  write(3, \"b\", 1)         = 1\n\
        72  <... write resumed>)      = 1\n\
        71  write(3, \"c\", 1)         = ?\n\
        71  +++ killed by SIGKILL +++\n\
        72  +++ killed by SIGKILL +++\n";

    #[test]
    fn calls_are_counted_for_each_thread() {
        let numbers = (0..5).filter(|number| has_thread_with(*number, LOG));
        assert_eq!(numbers.collect::<Vec<_>>(), [1, 3]);
    }
}
