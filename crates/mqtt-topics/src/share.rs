//! `$share`: what a SUBSCRIBE packet may name besides a plain filter.

use std::fmt;

use crate::level::{check_nul, check_size};
use crate::{MAX_LEVELS, TopicError, TopicFilterRef};

/// The name of a group that shares a subscription: at least one character, none of `/`,
/// `+`, `#` `[MQTT-4.8.2-1]` `[MQTT-4.8.2-2]`.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct ShareName<'a>(&'a str);

impl<'a> ShareName<'a> {
    /// Checks a share name.
    ///
    /// # Errors
    /// [`TopicError::EmptyShareName`], [`TopicError::BadShareName`], [`TopicError::Nul`] or
    /// [`TopicError::TooLong`].
    pub fn new(name: &'a str) -> Result<Self, TopicError> {
        if name.is_empty() {
            return Err(TopicError::EmptyShareName { at: 0 });
        }
        check_size(name, usize::MAX)?;
        check_nul(name)?;
        match name.bytes().position(|byte| matches!(byte, b'/' | b'+' | b'#')) {
            Some(at) => Err(TopicError::BadShareName { at }),
            None => Ok(Self(name)),
        }
    }

    /// The name alone, without `$share/`.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for ShareName<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

/// What a SUBSCRIBE or UNSUBSCRIBE packet names: a filter, shared or not.
///
/// It prints as it was written, so that `parse` and `to_string` are inverse.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct SubscriptionFilter<'a> {
    /// The group, if this is a shared subscription.
    pub share: Option<ShareName<'a>>,
    /// The filter that topics are matched with; access rules are asked about this one.
    pub filter: TopicFilterRef<'a>,
}

impl<'a> SubscriptionFilter<'a> {
    /// Reads `$share/NAME/FILTER` or a plain filter of at most [`MAX_LEVELS`] levels.
    ///
    /// What begins with `$share/`, and `$share` itself, is a shared subscription or an
    /// error, never a plain filter. Case matters: `$SHARE/g/t` is a plain filter.
    ///
    /// # Errors
    /// As [`TopicFilterRef::new`], and for a share `[MQTT-4.8.2-1]` and `[MQTT-4.8.2-2]`.
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        Self::parse_with_limit(text, MAX_LEVELS)
    }

    /// As [`SubscriptionFilter::parse`], with a filter of at most `levels_max` levels. The
    /// two levels of `$share/NAME` do not count.
    ///
    /// # Errors
    /// As [`SubscriptionFilter::parse`].
    pub fn parse_with_limit(text: &'a str, levels_max: usize) -> Result<Self, TopicError> {
        match text.strip_prefix(SHARE) {
            Some("") => Err(TopicError::EmptyShareName { at: SHARE.len() }),
            Some(rest) if rest.starts_with('/') => parse_shared(text, levels_max),
            _ => Ok(Self { share: None, filter: TopicFilterRef::with_limit(text, levels_max)? }),
        }
    }
}

const SHARE: &str = "$share";

fn parse_shared(text: &str, levels_max: usize) -> Result<SubscriptionFilter<'_>, TopicError> {
    // The limit of length is one for the whole string, as it stands in the packet.
    check_size(text, usize::MAX)?;
    let name_at = SHARE.len() + 1;
    let rest = text.get(name_at..).unwrap_or_default();
    let (name, filter) = match rest.split_once('/') {
        Some((name, filter)) => (name, filter),
        None => (rest, ""),
    };
    let share = ShareName::new(name).map_err(|error| error.behind(name_at))?;
    let filter_at = name_at + name.len() + 1;
    if filter.is_empty() {
        return Err(TopicError::ShareWithoutFilter { at: filter_at.min(text.len()) });
    }
    let filter =
        TopicFilterRef::with_limit(filter, levels_max).map_err(|error| error.behind(filter_at))?;
    Ok(SubscriptionFilter { share: Some(share), filter })
}

impl fmt::Display for SubscriptionFilter<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(share) = self.share {
            write!(out, "{SHARE}/{share}/")?;
        }
        out.write_str(self.filter.as_str())
    }
}
