//! `surgemq sub`.

use std::time::Duration;

use clap::Args;
use mqtt_packet::{QoS, RetainHandling, SubscriptionOptions};
use mqtt_topics::{SubscriptionFilter, TopicFilter};

use super::{
    connection::{Connection, ConnectionArgs},
    values,
};
use crate::{failure::Failure, format::Format};

/// What stands below the options in the help.
pub(super) const NOTES: &str = r"Options are those of mosquitto_sub; -h is the host, help is --help.

FORMAT of -F:
  %t topic                    %A topic alias
  %p payload                  %C content type
  %x payload, hexadecimal     %D correlation data
  %X the same, upper case     %E message expiry interval
  %l payload length           %F payload format indicator
  %q QoS                      %P user properties
  %r retain flag              %R response topic
  %m packet identifier        %S subscription identifiers
  %I time, ISO 8601           %j JSON
  %U time, Unix               %J JSON with the payload as JSON
  %% a per cent sign          @@ an at sign
  @X what strftime(3) makes of %X; @N the nanoseconds of the second
  \n \r \t \a \e \v \0 \\ special characters
Between % and the letter may stand: 0 to pad with zeros, - to align to the left,
a width, a full stop and a greatest width. Times are in UTC.

Messages are acknowledged when they arrive. Those that arrived but were not
printed when sub ends, because of -C or a signal, are gone, even with -c.

Exit codes: 0 for success; 27 when the time of -W is over; the reason code if
the broker refused the connection or every subscription; 1 for other failures; 2
for a command line that makes no sense.";

/// The options of `sub`.
#[derive(Debug, Args)]
pub(crate) struct SubscribeArgs {
    /// The topic filter to subscribe to; may be repeated
    #[arg(short, long = "topic", value_name = "FILTER")]
    pub(crate) topics: Vec<String>,

    /// Unsubscribe from a topic filter; may be repeated
    #[arg(short = 'U', long, value_name = "FILTER")]
    pub(crate) unsubscribe: Vec<String>,

    /// Do not print messages on topics that match; may be repeated
    #[arg(short = 'T', long, value_name = "FILTER")]
    pub(crate) filter_out: Vec<String>,

    /// The highest QoS to receive messages with
    #[arg(short, long, value_name = "QOS", default_value = "0", value_parser = values::qos)]
    pub(crate) qos: QoS,

    /// End after this many messages
    #[arg(short = 'C', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// End after this many seconds, with exit code 27
    #[arg(short = 'W', value_name = "SECS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout_secs: Option<u64>,

    /// End as soon as the subscriptions are acknowledged
    #[arg(short = 'E')]
    pub(crate) exit_when_subscribed: bool,

    /// Print the topic, a space and the payload
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Print messages in this format, see below
    #[arg(short = 'F', value_name = "FORMAT")]
    pub(crate) format: Option<String>,

    /// Print no line feed after a message
    #[arg(short = 'N')]
    pub(crate) no_line_feed: bool,

    /// Do not print retained messages
    #[arg(short = 'R', conflicts_with = "retained_only")]
    pub(crate) no_retained: bool,

    /// Print only retained messages, and end at the first other one
    #[arg(long)]
    pub(crate) retained_only: bool,

    /// Remove every retained message that arrives, but for those that -T filters out
    #[arg(long)]
    pub(crate) remove_retained: bool,

    /// Let messages keep the retain flag that they were published with; MQTT 5.0 only
    #[arg(long)]
    pub(crate) retain_as_published: bool,

    /// When to receive retained messages: 0 always, 1 if the subscription is new, 2 never; MQTT
    /// 5.0 only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) retain_handling: Option<u8>,

    /// Do not receive what this client publishes itself; MQTT 5.0 only
    #[arg(long)]
    pub(crate) no_local: bool,

    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// What to subscribe to and to print: checked, with everything filled in.
#[derive(Debug)]
pub(crate) struct SubscribePlan {
    pub(crate) connection: Connection,
    pub(crate) filters: Vec<String>,
    pub(crate) unsubscribe: Vec<String>,
    pub(crate) filter_out: Vec<TopicFilter>,
    pub(crate) options: SubscriptionOptions,
    pub(crate) count: Option<u64>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) exit_when_subscribed: bool,
    pub(crate) layout: Layout,
    pub(crate) line_feed: bool,
    pub(crate) no_retained: bool,
    pub(crate) retained_only: bool,
    pub(crate) remove_retained: bool,
}

/// How a message is printed.
#[derive(Debug, PartialEq)]
pub(crate) enum Layout {
    /// The payload.
    Payload,
    /// The topic, a space, the payload.
    TopicAndPayload,
    /// What the user made up.
    Format(Format),
}

impl SubscribeArgs {
    /// Checks the options, and fills in what they leave open.
    ///
    /// # Errors
    /// What is wrong, with exit code 2.
    pub(crate) fn plan(&self) -> Result<SubscribePlan, Failure> {
        let topic_of_url = self.connection.parsed_url()?.and_then(|url| url.topic);
        let filters: Vec<_> = self.topics.iter().cloned().chain(topic_of_url).collect();
        if filters.is_empty() && self.unsubscribe.is_empty() {
            let text = "there is nothing to subscribe to; add -t FILTER, or one to the URL of -L";
            return Err(Failure::usage(text));
        }
        check_filters(&filters, "subscribe to")?;
        check_filters(&self.unsubscribe, "unsubscribe from")?;
        Ok(SubscribePlan {
            connection: self.connection.plan(self.wants_v5())?,
            filters,
            unsubscribe: self.unsubscribe.clone(),
            filter_out: self.filter_out()?,
            options: self.options(),
            count: self.count,
            timeout: self.timeout_secs.map(Duration::from_secs),
            exit_when_subscribed: self.exit_when_subscribed,
            layout: self.layout()?,
            line_feed: !self.no_line_feed,
            no_retained: self.no_retained,
            retained_only: self.retained_only,
            remove_retained: self.remove_retained,
        })
    }

    fn wants_v5(&self) -> Option<&'static str> {
        match (self.retain_as_published, self.retain_handling, self.no_local) {
            (true, _, _) => Some("--retain-as-published"),
            (_, Some(_), _) => Some("--retain-handling"),
            (_, _, true) => Some("--no-local"),
            _ => None,
        }
    }

    fn options(&self) -> SubscriptionOptions {
        SubscriptionOptions {
            qos: self.qos,
            no_local: self.no_local,
            retain_as_published: self.retain_as_published,
            retain_handling: match self.retain_handling {
                Some(1) => RetainHandling::OnNewSubscription,
                Some(2) => RetainHandling::Never,
                _ => RetainHandling::OnSubscribe,
            },
        }
    }

    fn filter_out(&self) -> Result<Vec<TopicFilter>, Failure> {
        let check = |filter: &String| {
            TopicFilter::new(filter.as_str())
                .map_err(|error| Failure::usage(format!("-T {filter:?}: {error}")))
        };
        self.filter_out.iter().map(check).collect()
    }

    fn layout(&self) -> Result<Layout, Failure> {
        match (&self.format, self.verbose) {
            (Some(format), _) => format
                .parse()
                .map(Layout::Format)
                .map_err(|error| Failure::usage(format!("-F {format:?}: {error}"))),
            (None, true) => Ok(Layout::TopicAndPayload),
            (None, false) => Ok(Layout::Payload),
        }
    }
}

fn check_filters(filters: &[String], action: &str) -> Result<(), Failure> {
    filters.iter().try_for_each(|filter| {
        SubscriptionFilter::parse(filter)
            .map(drop)
            .map_err(|error| Failure::usage(format!("cannot {action} {filter:?}: {error}")))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use mqtt_packet::Version;

    use super::*;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Only {
        #[command(flatten)]
        subscribe: SubscribeArgs,
    }

    fn plan(line: &str) -> Result<SubscribePlan, String> {
        let words = std::iter::once("x").chain(line.split_whitespace());
        let args = Only::try_parse_from(words).map_err(|error| error.to_string())?;
        args.subscribe.plan().map_err(|failure| failure.to_string())
    }

    #[test]
    fn filters_come_from_options_and_the_url() {
        let plan = plan("-t a -t b/# -L mqtt://h/$share/g/c").unwrap();
        assert_eq!(plan.filters, ["a", "b/#", "$share/g/c"]);
    }

    #[test]
    fn a_format_counts_for_more_than_verbose() {
        assert_eq!(plan("-t a").unwrap().layout, Layout::Payload);
        assert_eq!(plan("-t a -v").unwrap().layout, Layout::TopicAndPayload);
        assert!(matches!(plan("-t a -v -F %t").unwrap().layout, Layout::Format(_)));
    }

    #[test]
    fn options_of_mqtt_5_make_it_mqtt_5() {
        let plan = plan("-t a --retain-as-published --retain-handling 2 --no-local -q 1").unwrap();
        assert_eq!(plan.connection.version, Version::V5);
        assert!(plan.options.no_local && plan.options.retain_as_published);
        assert_eq!(plan.options.retain_handling, RetainHandling::Never);
        assert_eq!(plan.options.qos, QoS::AtLeastOnce);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, expected) in [
            ("", "nothing to subscribe to"),
            ("-t a#", "cannot subscribe to \"a#\""),
            ("-U a#", "cannot unsubscribe from \"a#\""),
            ("-t a -T a#", "-T \"a#\""),
            ("-t a -F %z", "-F \"%z\""),
            ("-t a -C 0", "not in 1.."),
            ("-t a -R --retained-only", "cannot be used with"),
            ("-t a -V 311 --no-local", "--no-local needs MQTT 5.0"),
        ] {
            let error = plan(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
