//! User properties: names and values that the protocol only carries.

use std::fmt;

use crate::property::{self, Property};

/// User properties in their order [MQTT-3.3.2-18]. A name may stand more than once.
///
/// Two are equal if they have the same pairs in the same order, however they are held.
#[derive(Copy, Clone)]
pub enum UserProperties<'a> {
    /// A property block, without its length, as it came in; what else it holds is passed over.
    Block(&'a [u8]),
    /// Names and values to write.
    Pairs(&'a [(&'a str, &'a str)]),
}

impl<'a> UserProperties<'a> {
    /// The pairs of name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + Clone + use<'a> {
        let (block, pairs): (&[u8], &[_]) = match *self {
            Self::Block(block) => (block, &[]),
            Self::Pairs(pairs) => (&[], pairs),
        };
        let in_block = property::iter(block).filter_map(|item| match item {
            Ok(Property::UserProperty(pair)) => Some(pair),
            _ => None,
        });
        in_block.chain(pairs.iter().copied())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl Default for UserProperties<'_> {
    fn default() -> Self {
        Self::Pairs(&[])
    }
}

impl PartialEq for UserProperties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for UserProperties<'_> {}

impl fmt::Debug for UserProperties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
