//! The messages that are published: each says in its payload which one it is, and cannot be
//! changed without being noticed.

use std::fmt;

use super::dice::mix;

/// The longest filler of an ordinary message, in bytes.
const FILLER_BYTES: u64 = 300;

/// The filler of a large message, in bytes, and how often one comes.
const LARGE_FILLER_BYTES: u64 = 5_000;
const LARGE_ONCE_IN: u32 = 50;

/// A publisher all of whose messages are heavy, and their filler, in bytes.
pub(super) const HEAVY_PUBLISHER: u8 = 6;
const HEAVY_FILLER_BYTES: u64 = 48_000;

/// One message: who published it, where, and the how manieth there it is, from 1.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub(super) struct Message {
    pub(super) publisher: u8,
    pub(super) topic: Topic,
    pub(super) number: u32,
}

/// What the topics are for.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub(super) enum Topic {
    /// One for each publisher.
    Direct,
    /// One that all publish to and many sessions wait for.
    Fan,
    /// One that a group shares.
    Shared,
    /// Several whose messages are retained.
    Retained(u8),
}

impl Message {
    /// The name of its topic.
    pub(super) fn topic_name(&self) -> String {
        match self.topic {
            Topic::Direct => format!("crash/direct/{}", self.publisher),
            Topic::Fan => "crash/fan".to_owned(),
            Topic::Shared => "crash/shared".to_owned(),
            Topic::Retained(number) => format!("crash/retained/{number}"),
        }
    }

    /// Its payload: what it is, and a filler that follows from it.
    pub(super) fn payload(&self) -> Vec<u8> {
        let mut text = format!("{self} ");
        let mut state = self.fingerprint();
        let is_large = self.number.is_multiple_of(LARGE_ONCE_IN);
        let (filler, times) = match self.publisher {
            // What is long is the same over and over: it has to be made and compared fast.
            HEAVY_PUBLISHER => (FILLER_BYTES, HEAVY_FILLER_BYTES.div_ceil(FILLER_BYTES)),
            _ if is_large => (LARGE_FILLER_BYTES, 1),
            _ => (state % FILLER_BYTES, 1),
        };
        let full = text.len().saturating_add(usize::try_from(filler).unwrap_or(0));
        loop {
            state = mix(state.wrapping_add(1));
            text.push_str(&format!("{state:016x}"));
            if text.len() >= full {
                return text.repeat(usize::try_from(times).unwrap_or(1)).into_bytes();
            }
        }
    }

    /// The message that came on this topic with this payload, if it is one of ours, unchanged.
    pub(super) fn read(topic: &str, payload: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(payload).ok()?;
        let mut words = text.splitn(4, ' ');
        let publisher = words.next()?.strip_prefix('p')?.parse().ok()?;
        let message = Self {
            publisher,
            topic: Topic::read(words.next()?)?,
            number: words.next()?.parse().ok()?,
        };
        (message.topic_name() == topic && message.payload() == payload).then_some(message)
    }

    fn fingerprint(&self) -> u64 {
        let topic = match self.topic {
            Topic::Direct => 0,
            Topic::Fan => 1,
            Topic::Shared => 2,
            Topic::Retained(number) => 4 + u64::from(number),
        };
        mix((u64::from(self.publisher) << 48) ^ (topic << 32) ^ u64::from(self.number))
    }
}

impl fmt::Display for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "p{} {} {}", self.publisher, self.topic, self.number)
    }
}

impl Topic {
    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "direct" => Self::Direct,
            "fan" => Self::Fan,
            "shared" => Self::Shared,
            _ => Self::Retained(text.strip_prefix("retained")?.parse().ok()?),
        })
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => formatter.write_str("direct"),
            Self::Fan => formatter.write_str("fan"),
            Self::Shared => formatter.write_str("shared"),
            Self::Retained(number) => write!(formatter, "retained{number}"),
        }
    }
}

/// What a subscriber asks for.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) enum Interest {
    Direct,
    Fan,
    /// The topic of the group, shared with the other members.
    Shared,
    /// The retained topics, as they are published.
    Retained,
    /// All of it.
    Everything,
}

impl Interest {
    /// The topic filter to subscribe to.
    pub(super) fn filter(self) -> &'static str {
        match self {
            Self::Direct => "crash/direct/+",
            Self::Fan => "crash/fan",
            Self::Shared => "$share/crew/crash/shared",
            Self::Retained => "crash/retained/+",
            Self::Everything => "crash/#",
        }
    }

    /// Whether the filter matches this topic.
    pub(super) fn covers(self, topic: Topic) -> bool {
        match self {
            Self::Direct => topic == Topic::Direct,
            Self::Fan => topic == Topic::Fan,
            Self::Shared => topic == Topic::Shared,
            Self::Retained => matches!(topic, Topic::Retained(_)),
            Self::Everything => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLES: [Message; 5] = [
        Message { publisher: 3, topic: Topic::Direct, number: 17 },
        Message { publisher: 0, topic: Topic::Retained(12), number: 50 },
        Message { publisher: 255, topic: Topic::Fan, number: u32::MAX },
        Message { publisher: 9, topic: Topic::Shared, number: 1 },
        Message { publisher: HEAVY_PUBLISHER, topic: Topic::Direct, number: 2 },
    ];

    #[test]
    fn a_message_is_known_by_its_payload() {
        for message in EXAMPLES {
            assert_eq!(Message::read(&message.topic_name(), &message.payload()), Some(message));
        }
    }

    #[test]
    fn a_flipped_bit_and_a_missing_byte_are_noticed() {
        for message in EXAMPLES {
            let (topic, payload) = (message.topic_name(), message.payload());
            let step = payload.len().div_ceil(1000);
            for at in (0..payload.len()).step_by(step) {
                let mut flipped = payload.clone();
                flipped[at] ^= 1;
                assert_eq!(Message::read(&topic, &flipped), None, "{message}, byte {at}");
                assert_eq!(Message::read(&topic, &payload[..at]), None, "{message}, cut at {at}");
            }
        }
    }

    #[test]
    fn a_message_on_another_topic_is_not_ours() {
        let message = EXAMPLES[0];
        assert_eq!(Message::read("crash/direct/4", &message.payload()), None);
    }

    #[test]
    fn every_hundredth_message_is_large() {
        let large = Message { publisher: 1, topic: Topic::Fan, number: 100 };
        assert!(large.payload().len() > 5_000);
        let heavy = Message { publisher: HEAVY_PUBLISHER, ..large };
        assert!(heavy.payload().len() > 48_000);
    }
}
