//! `mosquitto_pub` and `mosquitto_sub` as a story uses them.

use std::{
    collections::VecDeque,
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    broker::Broker,
    lines::{Lines, NoLine},
};
use crate::process::{program, show, wait_within};

/// How long the broker may take for one step.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the lines of a message begin with, so that they differ from the log.
const MESSAGE_MARK: &str = "> ";

/// How a message is shown: retain, QoS, topic, payload.
const FORMAT: &str = "> %r %q %t %p";

/// How a message is shown together with what MQTT 5.0 adds: user properties, content type,
/// response topic, correlation data.
pub(super) const FORMAT_WITH_PROPERTIES: &str = "> %P|%C|%R|%D|%p";

/// One broker and version, and names that no other story uses.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) broker: &'a Broker,
    pub(super) version: &'static str,
    /// The start of every client id and topic.
    pub(super) run: String,
}

impl Scene<'_> {
    /// A topic of this story.
    pub(super) fn topic(&self, name: &str) -> String {
        format!("mosquitto/{}/{name}", self.run)
    }

    /// Publishes with `mosquitto_pub` and fails unless it succeeds.
    pub(super) fn publish(&self, topic: &str, arguments: &[&str]) -> Result<(), String> {
        run(self.publisher(topic).args(arguments), None)
    }

    /// Publishes one message per line through one connection.
    pub(super) fn publish_lines(&self, topic: &str, qos: &str, text: &str) -> Result<(), String> {
        run(self.publisher(topic).args(["-q", qos, "-l"]), Some(text))
    }

    /// Publishes, and returns what `mosquitto_pub` logs until it ends, however it ends.
    pub(super) fn log_of_publish(
        &self,
        topic: &str,
        arguments: &[&str],
    ) -> Result<Vec<String>, String> {
        let mut command = self.through("stdbuf", &["-oL", "mosquitto_pub"]);
        command.args(["-d", "-t", topic]).args(arguments).stderr(Stdio::null());
        let mut lines = Lines::start(&mut command)?;
        let mut log = Vec::new();
        loop {
            match lines.next(PATIENCE) {
                Ok(line) => log.push(line),
                Err(NoLine::End) => return Ok(log),
                // Killing it would look like a refusal.
                Err(NoLine::Late) => return Err("neither taken nor refused in time".to_owned()),
            }
        }
    }

    /// A `mosquitto_pub` to this topic.
    fn publisher(&self, topic: &str) -> Command {
        let mut command = self.client("mosquitto_pub");
        command.args(["-t", topic]);
        command
    }

    /// Subscribes and leaves again in good order as soon as the broker has agreed.
    pub(super) fn subscribe_and_leave(&self, arguments: &[&str]) -> Result<(), String> {
        run(self.client("mosquitto_sub").args(arguments).arg("-E"), None)
    }

    /// Subscribes with `mosquitto_sub` and returns once the broker has agreed.
    pub(super) fn subscribe(&self, arguments: &[&str]) -> Result<Subscriber, String> {
        self.subscribe_showing(FORMAT, arguments)
    }

    /// The same, with messages shown in another format.
    pub(super) fn subscribe_showing(
        &self,
        format: &str,
        arguments: &[&str],
    ) -> Result<Subscriber, String> {
        // Its output is a pipe, which it would fill before it writes; stdbuf makes it write lines.
        let mut command = self.through("stdbuf", &["-oL", "mosquitto_sub"]);
        command.args(["-d", "-F", format]).args(arguments).stderr(Stdio::null());
        let mut subscriber =
            Subscriber { lines: Lines::start(&mut command)?, messages: VecDeque::new() };
        subscriber.wait("the SUBACK", |line| line.starts_with("Subscribed (mid"))?;
        Ok(subscriber)
    }

    fn client(&self, name: &str) -> Command {
        self.through(name, &[])
    }

    fn through(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = program(name);
        command.args(arguments).args(["-V", protocol(self.version)]);
        command.args(["-h", &self.broker.host, "-p", &self.broker.port.to_string()]);
        command
    }
}

/// What the programs call the versions.
fn protocol(version: &str) -> &'static str {
    match version {
        "3.1" => "mqttv31",
        "3.1.1" => "mqttv311",
        _ => "mqttv5",
    }
}

/// A running `mosquitto_sub`. Dropping it closes its connection without a DISCONNECT.
#[derive(Debug)]
pub(super) struct Subscriber {
    lines: Lines,
    messages: VecDeque<String>,
}

impl Subscriber {
    /// The next message, in the format asked for.
    pub(super) fn next(&mut self) -> Result<String, String> {
        if let Some(message) = self.messages.pop_front() {
            return Ok(message);
        }
        let line = self.wait("a message", |line| line.starts_with(MESSAGE_MARK))?;
        Ok(line.trim_start_matches(MESSAGE_MARK).to_owned())
    }

    /// Fails unless the next message is this one.
    pub(super) fn expect(&mut self, expected: &str) -> Result<(), String> {
        let got = self.next()?;
        if got == expected {
            return Ok(());
        }
        Err(format!("expected the message {}, got {}", shorten(expected), shorten(&got)))
    }

    /// The next wanted line; messages that come before it are kept for later.
    fn wait(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<String, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.next(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if wanted(&line) => return Ok(line),
                Ok(line) => {
                    self.messages.extend(line.strip_prefix(MESSAGE_MARK).map(str::to_owned));
                }
                Err(NoLine::End) => return Err(format!("{what}: mosquitto_sub ended")),
                Err(NoLine::Late) => return Err(format!("{what}: nothing within {PATIENCE:?}")),
            }
        }
    }
}

/// Runs a program to its end, with `input` if there is any; fails unless it succeeds in time.
fn run(command: &mut Command, input: Option<&str>) -> Result<(), String> {
    let shown = shorten(&show(command));
    let failed = |error: std::io::Error| format!("`{shown}`: {error}");
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = quiet.stdin(Stdio::piped()).spawn().map_err(failed)?;
    // Dropped at once, so that the program sees the end of its input.
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(text.as_bytes()).map_err(failed)?;
    }
    match wait_within(&mut child, PATIENCE).map_err(failed)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("`{shown}` failed: {status}")),
        None => Err(format!("`{shown}` did not end within {PATIENCE:?}")),
    }
}

/// The start of a text that may be megabytes long.
fn shorten(text: &str) -> String {
    const LENGTH: usize = 200;
    let start: String = text.chars().take(LENGTH).collect();
    if start.len() < text.len() { format!("{start}... ({} B)", text.len()) } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_shortened_and_a_short_one_is_not() {
        assert_eq!(shorten("short"), "short");
        assert!(shorten(&"x".repeat(1000)).ends_with("xxx... (1000 B)"));
    }

    #[test]
    fn a_program_reads_its_input_to_the_end() {
        let mut command = Command::new("sh");
        command.args(["-c", "test \"$(cat)\" = \"one two\""]);
        assert_eq!(run(&mut command, Some("one two")), Ok(()));
    }
}
