//! How safe messages are before they are acknowledged.

use mqtt_session::{Level, Run};
use mqtt_topics::{TopicFilter, TopicNameRef};

/// How safe something is before it is acknowledged, for a server with a session store.
///
/// What no session in the store waits for is not written, and is acknowledged at once.
#[derive(Clone, Debug, Default)]
pub struct Durability {
    /// The level of everything that no rule names: messages, sessions and subscriptions.
    pub level: Level,
    /// Levels of messages by topic; the first filter that matches decides.
    pub topics: Vec<(TopicFilter, Level)>,
}

impl Durability {
    /// The level of the messages of a run: the highest of their topics.
    pub(crate) fn level(&self, run: &Run) -> Level {
        if self.topics.is_empty() {
            return self.level;
        }
        let topics = run.frames().map(|frame| self.topic_level(frame.publish.topic));
        topics.max().unwrap_or(self.level)
    }

    fn topic_level(&self, topic: &[u8]) -> Level {
        let name = std::str::from_utf8(topic).ok();
        let name = name.and_then(|name| TopicNameRef::with_limit(name, usize::MAX).ok());
        let rule = |name| self.topics.iter().find(|(filter, _)| filter.as_ref().matches(name));
        name.and_then(rule).map_or(self.level, |(_, level)| *level)
    }
}

#[cfg(test)]
mod tests {
    use mqtt_packet::QoS;
    use mqtt_session::MessageParts;

    use super::*;

    fn level(durability: &Durability, topic: &str) -> Level {
        let run = Run::from_message(&MessageParts {
            topic,
            payload: b"",
            properties: &[],
            qos: QoS::AtLeastOnce,
            retain: false,
            packet_id: None,
            expires_at: None,
        });
        durability.level(&run.unwrap())
    }

    #[test]
    fn the_first_filter_that_matches_decides() {
        let filter = |text: &str| TopicFilter::new(text).unwrap();
        let topics = vec![(filter("a/b"), Level::Memory), (filter("a/#"), Level::Os)];
        let durability = Durability { level: Level::Disk, topics };
        assert_eq!(level(&durability, "a/b"), Level::Memory);
        assert_eq!(level(&durability, "a/c"), Level::Os);
        assert_eq!(level(&durability, "b"), Level::Disk);
    }
}
