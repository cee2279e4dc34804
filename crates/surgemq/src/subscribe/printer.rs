//! Which messages are printed, and how.

use std::{
    io::{self, Write},
    time::SystemTime,
};

use mqtt_client::Message;
use mqtt_topics::TopicNameRef;

use crate::{
    cli::{self, Layout, SubscribePlan},
    failure::Failure,
    format::Printable,
};

/// Output is collected up to this many bytes before it is written.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Whether there is more to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Go on.
    More,
    /// It was the last message, or nobody reads the output.
    End,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Printed {
    /// Whether the broker is to forget it.
    pub(super) remove_retained: bool,
    pub(super) next: Next,
}

/// Prints messages as the plan says.
pub(super) struct Printer<'a, W> {
    out: W,
    plan: &'a SubscribePlan,
    buffer: Vec<u8>,
    printed: u64,
    quiet: bool,
}

impl<'a, W: Write> Printer<'a, W> {
    pub(super) fn new(out: W, plan: &'a SubscribePlan, quiet: bool) -> Self {
        Self { out, plan, buffer: Vec::new(), printed: 0, quiet }
    }

    /// Prints the message, unless the plan says otherwise.
    ///
    /// # Errors
    /// The output cannot be written. That nobody reads it any more is [`Next::End`] instead.
    pub(super) fn take(&mut self, message: &Message) -> Result<Printed, Failure> {
        let packet_id = message.packet_id().map(mqtt_packet::PacketId::get);
        self.take_printable(&Printable {
            topic: message.topic(),
            payload: message.payload(),
            qos: message.qos(),
            retain: message.retain(),
            packet_id,
            properties: message.properties(),
            at: SystemTime::now(),
        })
    }

    /// Writes what has been collected.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(super) fn flush(&mut self) -> Result<Next, Failure> {
        let written = self.out.write_all(&self.buffer).and_then(|()| self.out.flush());
        if self.buffer.capacity() > 16 * BUFFER_BYTES_MAX {
            // One large message must not hold its memory for ever.
            self.buffer = Vec::new();
        }
        self.buffer.clear();
        match written {
            Ok(()) => Ok(Next::More),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Next::End),
            Err(error) => Err(Failure::new(format!("cannot write to stdout: {error}"))),
        }
    }

    /// The order of the questions is that of mosquitto_sub.
    fn take_printable(&mut self, message: &Printable<'_>) -> Result<Printed, Failure> {
        let passed_over = Printed { remove_retained: false, next: Next::More };
        if self.plan.retained_only && !message.retain {
            self.flush()?;
            return Ok(Printed { next: Next::End, ..passed_over });
        }
        if self.is_filtered_out(message.topic) {
            return Ok(passed_over);
        }
        let remove_retained = self.plan.remove_retained && message.retain;
        let next = match message.retain && self.plan.no_retained {
            true => Next::More,
            false => self.print(message)?,
        };
        Ok(Printed { remove_retained, next })
    }

    fn is_filtered_out(&self, topic: &str) -> bool {
        // A topic that is none matches nothing.
        let Ok(topic) = TopicNameRef::new(topic) else {
            return false;
        };
        self.plan.filter_out.iter().any(|filter| filter.as_ref().matches(topic))
    }

    fn print(&mut self, message: &Printable<'_>) -> Result<Next, Failure> {
        self.write(message);
        self.printed = self.printed.saturating_add(1);
        let is_last = self.plan.count.is_some_and(|count| self.printed >= count);
        if !is_last && self.buffer.len() < BUFFER_BYTES_MAX {
            return Ok(Next::More);
        }
        let next = self.flush()?;
        Ok(if is_last { Next::End } else { next })
    }

    fn write(&mut self, message: &Printable<'_>) {
        match &self.plan.layout {
            Layout::Payload => self.buffer.extend_from_slice(message.payload),
            Layout::TopicAndPayload => {
                for part in [message.topic.as_bytes(), b" ", message.payload] {
                    self.buffer.extend_from_slice(part);
                }
            }
            Layout::Format(format) => {
                if format.print(message, &mut self.buffer).is_err() && !self.quiet {
                    let topic = message.topic;
                    cli::tell(&format_args!(
                        "the payload on the topic {topic:?} is not valid JSON"
                    ));
                }
            }
        }
        if self.plan.line_feed {
            self.buffer.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use mqtt_packet::{PublishProperties, QoS};

    use super::*;
    use crate::cli::SubscribeArgs;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Only {
        #[command(flatten)]
        subscribe: SubscribeArgs,
    }

    /// Takes messages, `topic` or `topic!` for a retained one, each with its topic as payload;
    /// answers with what was printed, which were removed, and after how many it ended.
    fn story(options: &str, topics: &[&str]) -> (String, Vec<String>, Option<usize>) {
        let words = std::iter::once("x").chain(options.split_whitespace());
        let plan = Only::parse_from(words).subscribe.plan().unwrap();
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, &plan, true);
        let (mut removed, mut ended) = (Vec::new(), None);
        for (index, topic) in topics.iter().enumerate() {
            let printed = printer.take_printable(&printable(topic)).unwrap();
            removed.extend(printed.remove_retained.then(|| (*topic).to_owned()));
            if printed.next == Next::End {
                ended = Some(index + 1);
                break;
            }
        }
        if ended.is_none() {
            printer.flush().unwrap();
        }
        (String::from_utf8(out).unwrap(), removed, ended)
    }

    fn printable(topic: &str) -> Printable<'_> {
        Printable {
            topic: topic.trim_end_matches('!'),
            payload: topic.as_bytes(),
            qos: QoS::AtMostOnce,
            retain: topic.ends_with('!'),
            packet_id: None,
            properties: PublishProperties::default(),
            at: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_message_is_printed_in_one_of_four_ways() {
        assert_eq!(story("-t a", &["x", "y"]).0, "x\ny\n");
        assert_eq!(story("-t a -N", &["x", "y"]).0, "xy");
        assert_eq!(story("-t a -v", &["x"]).0, "x x\n");
        assert_eq!(story("-t a -F %l:%p", &["x"]).0, "1:x\n");
    }

    #[test]
    fn only_printed_messages_count() {
        let (printed, _, ended) = story("-t a -C 2 -T no/# -R", &["no/1", "a", "b!", "c", "d"]);
        assert_eq!((printed.as_str(), ended), ("a\nc\n", Some(4)));
    }

    #[test]
    fn the_first_fresh_message_ends_retained_only() {
        let (printed, _, ended) = story("-t a --retained-only", &["a!", "b!", "c", "d!"]);
        assert_eq!((printed.as_str(), ended), ("a!\nb!\n", Some(3)));
    }

    #[test]
    fn retained_messages_are_removed_even_if_they_are_not_printed() {
        let options = "-t a --remove-retained -R -T keep";
        let (printed, removed, _) = story(options, &["a!", "keep!", "b"]);
        assert_eq!((printed.as_str(), removed), ("b\n", vec!["a!".to_owned()]));
    }

    /// A pipe whose reader has gone.
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_reading_is_the_end_and_no_failure() {
        let plan = Only::parse_from(["x", "-t", "a"]).subscribe.plan().unwrap();
        let mut printer = Printer::new(Broken, &plan, true);
        printer.take_printable(&printable("a")).unwrap();
        assert_eq!(printer.flush(), Ok(Next::End));
    }
}
