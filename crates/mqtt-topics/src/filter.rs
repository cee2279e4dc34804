//! Topic filters: what a subscription asks for.

use std::borrow::Borrow;
use std::fmt;
use std::str::Split;
use std::sync::Arc;

use crate::level::{check_nul, check_size, has_special, is_dollar, split_level};
use crate::{MAX_LEVELS, TopicError, TopicNameRef};

/// A checked topic filter, borrowed from where it stands.
///
/// It has 1 to 65,535 bytes, no U+0000, a limited number of levels, and its wildcards are
/// whole levels. `$share/…` is nothing special here: see
/// [`SubscriptionFilter`](crate::SubscriptionFilter).
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct TopicFilterRef<'a>(&'a str);

impl<'a> TopicFilterRef<'a> {
    /// Checks a topic filter of at most [`MAX_LEVELS`] levels.
    ///
    /// # Errors
    /// The rule that the string breaks: `[MQTT-4.7.1-1]`, `[MQTT-4.7.1-2]`,
    /// `[MQTT-4.7.3-1]`, `[MQTT-4.7.3-2]`, `[MQTT-4.7.3-3]`, or the limit of levels.
    pub fn new(filter: &'a str) -> Result<Self, TopicError> {
        Self::with_limit(filter, MAX_LEVELS)
    }

    /// Checks a topic filter of at most `levels_max` levels.
    ///
    /// # Errors
    /// As [`TopicFilterRef::new`].
    pub fn with_limit(filter: &'a str, levels_max: usize) -> Result<Self, TopicError> {
        check_size(filter, levels_max)?;
        if has_special(filter) {
            check_nul(filter)?;
            check_wildcards(filter)?;
        }
        Ok(Self(filter))
    }

    /// The filter as it was handed in; nothing is ever normalised `[MQTT-4.7.3-4]`.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The levels from left to right; there is at least one, and any may be empty.
    pub fn levels(self) -> Split<'a, char> {
        self.0.split('/')
    }

    /// An owned copy.
    pub fn to_owned(self) -> TopicFilter {
        TopicFilter(self.0.into())
    }

    /// Whether there is a `+` or a `#` in it, so that it may match more than one topic.
    pub fn has_wildcards(self) -> bool {
        // In a checked filter there is no U+0000, and these characters are wildcards.
        has_special(self.0)
    }

    /// Whether the first level is a wildcard, so that no topic that begins with `$` is
    /// matched `[MQTT-4.7.2-1]`.
    pub fn starts_with_wildcard(self) -> bool {
        matches!(self.0.as_bytes().first(), Some(b'+' | b'#'))
    }

    /// Whether this filter matches that topic name. A tree does this for many filters at
    /// once; this is for one pair.
    pub fn matches(self, topic: TopicNameRef<'_>) -> bool {
        if self.starts_with_wildcard() && topic.is_dollar() {
            return false;
        }
        levels_match(self.0.as_bytes(), topic.as_str().as_bytes())
    }

    /// Whether there is a topic name that both filters match.
    pub fn overlaps(self, other: TopicFilterRef<'_>) -> bool {
        if excludes_dollar(self, other) || excludes_dollar(other, self) {
            return false;
        }
        let (mut ours, mut theirs) = (self.spelt_out().split('/'), other.spelt_out().split('/'));
        loop {
            match (ours.next(), theirs.next()) {
                // A `#` stands for no level as well: it overlaps whatever is left.
                (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
                (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
                (Some(our), Some(their)) if our == their => {}
                _ => return false,
            }
        }
    }

    /// Whether every topic name that `other` matches is matched by this filter too.
    pub fn covers(self, other: TopicFilterRef<'_>) -> bool {
        if excludes_dollar(self, other) {
            return false;
        }
        let (mut ours, mut theirs) = (self.levels(), other.spelt_out().split('/'));
        loop {
            match (ours.next(), theirs.next()) {
                (Some("#"), _) | (None, None) => return true,
                (_, Some("#")) => return false,
                (Some("+"), Some(_)) => {}
                (Some(our), Some(their)) if our == their => {}
                _ => return false,
            }
        }
    }
    /// The filter that matches the same topics and in which a `#` may stand for no level. In
    /// `#` it may not, because a topic has a level, and in `/#` not, because the topic before
    /// the slash would be empty.
    fn spelt_out(self) -> &'a str {
        match self.0 {
            "#" => "+/#",
            "/#" => "/+/#",
            other => other,
        }
    }
}

/// Do these levels of a filter match those of a topic? The rule about `$` is for the caller,
/// who knows whether the first level is the first of all.
pub(crate) fn levels_match(filter: &[u8], topic: &[u8]) -> bool {
    let (mut filter, mut topic) = (Some(filter), Some(topic));
    loop {
        match (filter.map(split_level), topic.map(split_level)) {
            (Some((b"#", _)), _) | (None, None) => return true,
            (Some((level, levels)), Some((name, names))) if level == b"+" || level == name => {
                (filter, topic) = (levels, names);
            }
            _ => return false,
        }
    }
}

/// Does the first filter refuse all that the second asks for, because the second asks for
/// topics that begin with `$` and the first begins with a wildcard? `[MQTT-4.7.2-1]`
fn excludes_dollar(wild: TopicFilterRef<'_>, dollar: TopicFilterRef<'_>) -> bool {
    wild.starts_with_wildcard() && is_dollar(dollar.0)
}

/// Each wildcard is a whole level, and a `#` is the last one.
fn check_wildcards(filter: &str) -> Result<(), TopicError> {
    let mut start = 0;
    for level in filter.split('/') {
        let end = start + level.len();
        if let Some(found) = level.bytes().position(|byte| byte == b'+' || byte == b'#') {
            let at = start + found;
            match level {
                "+" => {}
                "#" if end == filter.len() => {}
                _ if level.as_bytes().get(found) == Some(&b'+') => {
                    return Err(TopicError::MisplacedPlus { at });
                }
                _ => return Err(TopicError::MisplacedHash { at }),
            }
        }
        start = end + 1;
    }
    Ok(())
}

impl<'a> TryFrom<&'a str> for TopicFilterRef<'a> {
    type Error = TopicError;

    fn try_from(filter: &'a str) -> Result<Self, TopicError> {
        Self::new(filter)
    }
}

impl fmt::Display for TopicFilterRef<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

/// A checked topic filter that owns its text; a clone shares it.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct TopicFilter(Arc<str>);

impl TopicFilter {
    /// Checks a topic filter of at most [`MAX_LEVELS`] levels.
    ///
    /// # Errors
    /// As [`TopicFilterRef::new`].
    pub fn new(filter: impl Into<Arc<str>>) -> Result<Self, TopicError> {
        Self::with_limit(filter, MAX_LEVELS)
    }

    /// Checks a topic filter of at most `levels_max` levels.
    ///
    /// # Errors
    /// As [`TopicFilterRef::new`].
    pub fn with_limit(filter: impl Into<Arc<str>>, levels_max: usize) -> Result<Self, TopicError> {
        let filter = filter.into();
        TopicFilterRef::with_limit(&filter, levels_max)?;
        Ok(Self(filter))
    }

    /// The borrowed form, which the trees take.
    pub fn as_ref(&self) -> TopicFilterRef<'_> {
        TopicFilterRef(&self.0)
    }

    /// The filter as it was handed in; nothing is ever normalised `[MQTT-4.7.3-4]`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TopicFilter {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<TopicFilterRef<'_>> for TopicFilter {
    fn from(filter: TopicFilterRef<'_>) -> Self {
        filter.to_owned()
    }
}

impl<'a> From<TopicNameRef<'a>> for TopicFilterRef<'a> {
    /// The filter that matches this topic name alone.
    fn from(topic: TopicNameRef<'a>) -> Self {
        Self(topic.as_str())
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
