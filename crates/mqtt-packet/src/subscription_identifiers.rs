//! The subscription identifiers of a PUBLISH.

use std::fmt;

use crate::property::{self, Property};

/// The identifiers of the subscriptions that a message was sent for [MQTT-3.3.4-3], each
/// 1 to 268,435,455.
///
/// Two are equal if they have the same numbers in the same order, however they are held.
#[derive(Copy, Clone)]
pub enum SubscriptionIdentifiers<'a> {
    /// A property block, without its length, as it came in; what else it holds is passed over.
    Block(&'a [u8]),
    /// Identifiers to write.
    Ids(&'a [u32]),
}

impl<'a> SubscriptionIdentifiers<'a> {
    /// The identifiers, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + Clone + use<'a> {
        let (block, ids): (&[u8], &[u32]) = match *self {
            Self::Block(block) => (block, &[]),
            Self::Ids(ids) => (&[], ids),
        };
        let in_block = property::iter(block).filter_map(|item| match item {
            Ok(Property::SubscriptionIdentifier(id)) => Some(id),
            _ => None,
        });
        in_block.chain(ids.iter().copied())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl Default for SubscriptionIdentifiers<'_> {
    fn default() -> Self {
        Self::Ids(&[])
    }
}

impl PartialEq for SubscriptionIdentifiers<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for SubscriptionIdentifiers<'_> {}

impl fmt::Debug for SubscriptionIdentifiers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
