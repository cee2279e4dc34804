//! Topic aliases, one table for each direction. They live as long as the connection
//! [MQTT-3.3.2-7].

use std::{collections::HashMap, sync::Arc};

use mqtt_packet::ReasonCode;

use crate::violation::Violation;

/// More aliases than this are not used towards a peer, whatever it permits.
const SENT_MAX: u16 = 64;

/// The aliases that the peer set.
#[derive(Debug, Default)]
pub(crate) struct ReceivedAliases {
    maximum: u16,
    /// Nothing until the peer sets its first alias.
    topics: Option<Box<Vec<Option<Arc<str>>>>>,
}

impl ReceivedAliases {
    pub(crate) const fn new(maximum: u16) -> Self {
        Self { maximum, topics: None }
    }

    /// Binds an alias to a topic, anew if it has one.
    pub(crate) fn bind(&mut self, alias: u16, topic: &str) -> Result<(), Violation> {
        let index = self.index(alias)?;
        let topics = self.topics.get_or_insert_default();
        if topics.len() <= index {
            topics.resize(index + 1, None);
        }
        if let Some(slot) = topics.get_mut(index) {
            *slot = Some(topic.into());
        }
        Ok(())
    }

    /// The topic that an alias stands for.
    pub(crate) fn topic(&self, alias: u16) -> Result<Arc<str>, Violation> {
        let index = self.index(alias)?;
        let topic = self.topics.as_ref().and_then(|topics| topics.get(index)).cloned().flatten();
        topic.ok_or(Violation::protocol("U5-058", "a topic alias that was never set"))
    }

    fn index(&self, alias: u16) -> Result<usize, Violation> {
        match alias.checked_sub(1) {
            Some(index) if alias <= self.maximum => Ok(usize::from(index)),
            _ => Err(Violation::new(
                ReasonCode::TOPIC_ALIAS_INVALID,
                "MQTT-3.3.2-9",
                "a topic alias that is 0 or above the maximum",
            )),
        }
    }
}

/// The aliases that this side set. The first topics get one, and keep it.
#[derive(Debug, Default)]
pub(crate) struct SentAliases {
    maximum: u16,
    /// Nothing until the first topic gets one.
    aliases: Option<Box<HashMap<Box<[u8]>, u16>>>,
}

/// How a topic goes out.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum SentAs {
    /// In full, without an alias.
    Topic,
    /// In full, and bound to this alias.
    Binding(u16),
    /// As this alias, with an empty topic.
    Alias(u16),
}

impl SentAliases {
    pub(crate) fn new(maximum: u16) -> Self {
        Self { maximum: maximum.min(SENT_MAX), aliases: None }
    }

    /// Whether the peer takes aliases at all.
    pub(crate) const fn is_active(&self) -> bool {
        self.maximum > 0
    }

    /// How `topic` would go out; nothing is bound before [`SentAliases::bind`].
    pub(crate) fn plan(&self, topic: &[u8]) -> SentAs {
        if self.maximum == 0 {
            return SentAs::Topic;
        }
        let aliases = self.aliases.as_deref();
        if let Some(alias) = aliases.and_then(|aliases| aliases.get(topic)) {
            return SentAs::Alias(*alias);
        }
        match u16::try_from(aliases.map_or(0, HashMap::len)) {
            // An alias costs three bytes, so a shorter topic is cheaper in full.
            Ok(used) if used < self.maximum && topic.len() > 3 => SentAs::Binding(used + 1),
            _ => SentAs::Topic,
        }
    }

    /// The packet with the binding went out.
    pub(crate) fn bind(&mut self, topic: &[u8], alias: u16) {
        self.aliases.get_or_insert_default().insert(topic.into(), alias);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_outside_the_range_are_refused() {
        let mut aliases = ReceivedAliases::new(2);
        assert!(aliases.bind(2, "a").is_ok());
        for alias in [0, 3] {
            let refused = aliases.bind(alias, "a").unwrap_err();
            assert_eq!(refused.reason, ReasonCode::TOPIC_ALIAS_INVALID);
        }
        assert_eq!(&*aliases.topic(2).unwrap(), "a");
        assert_eq!(aliases.topic(1).unwrap_err().reason, ReasonCode::PROTOCOL_ERROR);
    }

    #[test]
    fn topics_get_aliases_until_there_are_none_left() {
        let mut aliases = SentAliases::new(1);
        assert_eq!(aliases.plan(b"first"), SentAs::Binding(1));
        aliases.bind(b"first", 1);
        assert_eq!(aliases.plan(b"first"), SentAs::Alias(1));
        assert_eq!(aliases.plan(b"second"), SentAs::Topic);
        assert_eq!(SentAliases::new(0).plan(b"first"), SentAs::Topic);
    }
}
