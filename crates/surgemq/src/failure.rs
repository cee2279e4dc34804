//! How a command ends when it does not end well.

use std::{fmt, process::ExitCode};

/// One line for people, what, why and what to do, and an exit code for scripts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    /// Something failed while the command ran: exit code 1.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::with_code(text, 1)
    }

    /// The command line makes no sense: exit code 2, as clap's own errors.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::with_code(text, 2)
    }

    /// A failure with an exit code that scripts may rely on.
    pub(crate) fn with_code(text: impl Into<String>, code: u8) -> Self {
        Self { text: text.into(), code }
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A line break from the outside must not make two lines of one.
        for c in self.text.chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line() {
        let failure = Failure::new("the server said \"a\nb\"\u{1b}[0m");
        assert_eq!(failure.to_string(), "the server said \"a\\nb\"\\u{1b}[0m");
    }
}
