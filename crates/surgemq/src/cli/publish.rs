//! `surgemq pub`.

use std::{ffi::OsString, num::NonZeroU16, path::PathBuf, time::Duration};

use clap::Args;
use mqtt_packet::QoS;
use mqtt_topics::TopicNameRef;

use super::{
    connection::{Connection, ConnectionArgs},
    values,
};
use crate::failure::Failure;

/// What stands below the options in the help.
pub(super) const NOTES: &str = "\
Options are those of mosquitto_pub; -h is the host, help is --help.

Exit codes: 0 when every message was acknowledged; the reason code if the broker
refused the connection or a message; 1 for other failures; 2 for a command line
that makes no sense.";

/// The options of `pub`.
#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// The topic to publish to
    #[arg(short, long, value_name = "TOPIC")]
    pub(crate) topic: Option<String>,

    /// The payload
    #[arg(short, long, value_name = "PAYLOAD", group = "payload")]
    pub(crate) message: Option<OsString>,

    /// Send a file as one message
    #[arg(short, long, value_name = "FILE", group = "payload")]
    pub(crate) file: Option<PathBuf>,

    /// Send each line of stdin as a message, without its line feed
    #[arg(short = 'l', long, group = "payload")]
    pub(crate) stdin_line: bool,

    /// Send all of stdin as one message
    #[arg(short = 's', long, group = "payload")]
    pub(crate) stdin_file: bool,

    /// Send a message without payload
    #[arg(short, long, group = "payload")]
    pub(crate) null_message: bool,

    /// 0: at most once, 1: at least once, 2: exactly once
    #[arg(short, long, value_name = "QOS", default_value = "0", value_parser = values::qos)]
    pub(crate) qos: QoS,

    /// Let the broker keep it for clients that subscribe later; an empty one removes the kept one
    #[arg(short, long)]
    pub(crate) retain: bool,

    /// Publish the same message this often
    #[arg(long, value_name = "N", conflicts_with = "stdin_line", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) repeat: Option<u64>,

    /// Wait between repetitions, in seconds
    #[arg(long, value_name = "SECS", requires = "repeat", value_parser = values::seconds)]
    pub(crate) repeat_delay: Option<Duration>,

    /// How many messages of QoS 1 and 2 may wait for their acknowledgement
    #[arg(short = 'M', long, value_name = "N", default_value = "20")]
    pub(crate) max_inflight: NonZeroU16,

    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// What to publish: checked, with everything filled in.
#[derive(Debug)]
pub(crate) struct PublishPlan {
    pub(crate) connection: Connection,
    pub(crate) topic: String,
    pub(crate) source: Source,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) repeat: u64,
    pub(crate) repeat_delay: Duration,
    pub(crate) max_inflight: NonZeroU16,
}

/// Where payloads come from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The command line.
    Given(Vec<u8>),
    /// A file, whole.
    File(PathBuf),
    /// Standard input, whole.
    Stdin,
    /// Standard input, line by line.
    Lines,
}

impl PublishArgs {
    /// Checks the options, and fills in what they leave open.
    ///
    /// # Errors
    /// What is wrong, with exit code 2.
    pub(crate) fn plan(&self) -> Result<PublishPlan, Failure> {
        let topic_of_url = self.connection.parsed_url()?.and_then(|url| url.topic);
        let topic = self.topic.clone().or(topic_of_url).ok_or_else(|| {
            Failure::usage("there is no topic to publish to; add -t TOPIC, or one to the URL of -L")
        })?;
        TopicNameRef::new(&topic).map_err(|error| {
            Failure::usage(format!("cannot publish to the topic {topic:?}: {error}"))
        })?;
        Ok(PublishPlan {
            connection: self.connection.plan(None)?,
            topic,
            source: self.source()?,
            qos: self.qos,
            retain: self.retain,
            repeat: self.repeat.unwrap_or(1),
            repeat_delay: self.repeat_delay.unwrap_or_default(),
            max_inflight: self.max_inflight,
        })
    }

    fn source(&self) -> Result<Source, Failure> {
        if let Some(message) = &self.message {
            return Ok(Source::Given(message.as_encoded_bytes().to_vec()));
        }
        if let Some(file) = &self.file {
            return Ok(Source::File(file.clone()));
        }
        match (self.stdin_line, self.stdin_file, self.null_message) {
            (true, _, _) => Ok(Source::Lines),
            (_, true, _) => Ok(Source::Stdin),
            (_, _, true) => Ok(Source::Given(Vec::new())),
            _ => Err(Failure::usage(
                "there is nothing to publish; add -m PAYLOAD, -f FILE, -s, -l or -n",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Only {
        #[command(flatten)]
        publish: PublishArgs,
    }

    fn plan(line: &str) -> Result<PublishPlan, String> {
        let words = std::iter::once("x").chain(line.split_whitespace());
        let args = Only::try_parse_from(words).map_err(|error| error.to_string())?;
        args.publish.plan().map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_payload_has_five_sources() {
        for (line, source) in [
            ("-m x", Source::Given(b"x".to_vec())),
            ("-f x", Source::File("x".into())),
            ("-s", Source::Stdin),
            ("-l", Source::Lines),
            ("-n", Source::Given(vec![])),
        ] {
            assert_eq!(plan(&format!("-t a {line}")).unwrap().source, source, "{line}");
        }
    }

    #[test]
    fn the_topic_may_come_with_the_url() {
        assert_eq!(plan("-L mqtt://h/a/b -n").unwrap().topic, "a/b");
        assert_eq!(plan("-L mqtt://h/a/b -t c -n").unwrap().topic, "c");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, expected) in [
            ("-m x", "no topic"),
            ("-t a", "nothing to publish"),
            ("-t a/# -n", "cannot publish to the topic \"a/#\""),
            ("-t a -n -s", "cannot be used with"),
            ("-t a -l --repeat 2", "cannot be used with"),
            ("-t a -n --repeat 0", "not in 1.."),
            ("-t a -n -q 3", "expected 0, 1 or 2"),
            ("-t a -n -V 4", "expected mqttv31"),
        ] {
            let error = plan(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
