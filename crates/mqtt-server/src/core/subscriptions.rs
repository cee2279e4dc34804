//! The subscriptions of one session, by filter.

use std::{collections::HashMap, sync::Arc};

use crate::routing::Subscription;

/// Above this many the filters are hashed; up to it they are compared one by one.
const FEW: usize = 8;

/// What one session is subscribed to. Most sessions have one or two subscriptions, and a table for
/// so few would be larger than they are.
#[derive(Default)]
pub(crate) struct Subscriptions(Kept);

enum Kept {
    Few(Vec<(Arc<str>, Subscription)>),
    Many(Box<HashMap<Arc<str>, Subscription>>),
}

impl Default for Kept {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Subscriptions {
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Kept::Few(few) => few.len(),
            Kept::Many(many) => many.len(),
        }
    }

    pub(crate) fn contains(&self, filter: &str) -> bool {
        match &self.0 {
            Kept::Few(few) => few.iter().any(|(held, _)| **held == *filter),
            Kept::Many(many) => many.contains_key(filter),
        }
    }

    /// Keeps a subscription, in place of an older one with the same filter.
    pub(crate) fn insert(&mut self, filter: Arc<str>, subscription: Subscription) {
        match &mut self.0 {
            Kept::Few(few) => {
                if let Some((_, held)) = few.iter_mut().find(|(held, _)| *held == filter) {
                    *held = subscription;
                } else if few.len() < FEW {
                    few.reserve_exact(1);
                    few.push((filter, subscription));
                } else {
                    let many = few.drain(..).chain([(filter, subscription)]).collect();
                    self.0 = Kept::Many(Box::new(many));
                }
            }
            Kept::Many(many) => {
                many.insert(filter, subscription);
            }
        }
    }

    pub(crate) fn remove(&mut self, filter: &str) {
        match &mut self.0 {
            Kept::Few(few) => few.retain(|(held, _)| **held != *filter),
            Kept::Many(many) => {
                many.remove(filter);
                if many.is_empty() {
                    self.0 = Kept::default();
                }
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Subscription)> {
        let (few, many) = match &self.0 {
            Kept::Few(few) => (Some(few), None),
            Kept::Many(many) => (None, Some(many)),
        };
        let few = few.into_iter().flatten().map(|(filter, subscription)| (filter, subscription));
        few.chain(many.into_iter().flat_map(|many| many.iter()))
    }
}

#[cfg(test)]
mod tests {
    use mqtt_packet::{QoS, SubscriptionOptions};

    use super::*;

    fn subscription(identifier: u32) -> Subscription {
        let options = SubscriptionOptions::new(QoS::AtMostOnce);
        Subscription { options, identifier: Some(identifier) }
    }

    #[test]
    fn few_or_many_each_filter_is_there_once_until_it_is_removed() {
        let mut subscriptions = Subscriptions::default();
        let filters: Vec<_> = (0..100_u32).map(|number| (number, format!("a/{number}"))).collect();
        for (number, filter) in &filters {
            subscriptions.insert(filter.as_str().into(), subscription(0));
            subscriptions.insert(filter.as_str().into(), subscription(*number));
            assert_eq!(subscriptions.len(), *number as usize + 1);
        }
        let mut identifiers: Vec<_> =
            subscriptions.iter().filter_map(|(_, held)| held.identifier).collect();
        identifiers.sort_unstable();
        assert_eq!(identifiers, (0..100).collect::<Vec<_>>());
        for (_, filter) in &filters {
            assert!(subscriptions.contains(filter));
            subscriptions.remove(filter);
            assert!(!subscriptions.contains(filter));
        }
        assert_eq!((subscriptions.len(), subscriptions.iter().count()), (0, 0));
    }
}
