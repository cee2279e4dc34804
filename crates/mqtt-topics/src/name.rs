//! Topic names: what a message is published to.

use std::borrow::Borrow;
use std::fmt;
use std::str::Split;
use std::sync::Arc;

use crate::level::{check_nul, check_size, has_special, is_dollar};
use crate::{MAX_LEVELS, TopicError};

/// A checked topic name, borrowed from where it stands.
///
/// It has 1 to 65,535 bytes, no U+0000, no wildcard, and a limited number of levels.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct TopicNameRef<'a>(&'a str);

impl<'a> TopicNameRef<'a> {
    /// Checks a topic name of at most [`MAX_LEVELS`] levels.
    ///
    /// # Errors
    /// The rule that the string breaks: `[MQTT-4.7.0-1]`, `[MQTT-4.7.3-1]`,
    /// `[MQTT-4.7.3-2]`, `[MQTT-4.7.3-3]`, or the limit of levels.
    pub fn new(topic: &'a str) -> Result<Self, TopicError> {
        Self::with_limit(topic, MAX_LEVELS)
    }

    /// Checks a topic name of at most `levels_max` levels.
    ///
    /// # Errors
    /// As [`TopicNameRef::new`].
    pub fn with_limit(topic: &'a str, levels_max: usize) -> Result<Self, TopicError> {
        check_size(topic, levels_max)?;
        if has_special(topic) {
            check_nul(topic)?;
            let at = topic.find(['+', '#']).unwrap_or_default();
            return Err(TopicError::WildcardInName { at });
        }
        Ok(Self(topic))
    }

    /// The name as it was handed in; nothing is ever normalised `[MQTT-4.7.3-4]`.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The levels from left to right; there is at least one, and any may be empty.
    pub fn levels(self) -> Split<'a, char> {
        self.0.split('/')
    }

    /// An owned copy.
    pub fn to_owned(self) -> TopicName {
        TopicName(self.0.into())
    }

    /// Whether the name begins with `$`, so that no filter that begins with a wildcard
    /// matches it `[MQTT-4.7.2-1]`.
    pub fn is_dollar(self) -> bool {
        is_dollar(self.0)
    }
}

impl<'a> TryFrom<&'a str> for TopicNameRef<'a> {
    type Error = TopicError;

    fn try_from(topic: &'a str) -> Result<Self, TopicError> {
        Self::new(topic)
    }
}

impl fmt::Display for TopicNameRef<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

/// A checked topic name that owns its text; a clone shares it.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Checks a topic name of at most [`MAX_LEVELS`] levels.
    ///
    /// # Errors
    /// As [`TopicNameRef::new`].
    pub fn new(topic: impl Into<Arc<str>>) -> Result<Self, TopicError> {
        Self::with_limit(topic, MAX_LEVELS)
    }

    /// Checks a topic name of at most `levels_max` levels.
    ///
    /// # Errors
    /// As [`TopicNameRef::new`].
    pub fn with_limit(topic: impl Into<Arc<str>>, levels_max: usize) -> Result<Self, TopicError> {
        let topic = topic.into();
        TopicNameRef::with_limit(&topic, levels_max)?;
        Ok(Self(topic))
    }

    /// The borrowed form, which the trees take.
    pub fn as_ref(&self) -> TopicNameRef<'_> {
        TopicNameRef(&self.0)
    }

    /// The name as it was handed in; nothing is ever normalised `[MQTT-4.7.3-4]`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of a node of a tree that was built from checked names.
    pub(crate) fn from_checked(topic: &str) -> Self {
        Self(topic.into())
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<TopicNameRef<'_>> for TopicName {
    fn from(topic: TopicNameRef<'_>) -> Self {
        topic.to_owned()
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
