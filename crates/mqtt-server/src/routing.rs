//! Who gets a message: the seam where subscriptions are kept.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use mqtt_packet::SubscriptionOptions;
use mqtt_topics::{SubscriptionFilter, SubscriptionTree, TopicNameRef};
use parking_lot::RwLock;

/// The number of a session within this server. Never given twice.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub struct SubscriberId(pub u64);

/// What a subscription asks for.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Subscription {
    /// The options; their QoS is the granted one.
    pub options: SubscriptionOptions,
    /// The Subscription Identifier.
    pub identifier: Option<u32>,
}

/// The subscriptions that match a topic.
#[derive(Debug, Default)]
pub struct Matches {
    /// Each matching subscription that is not shared; one subscriber may appear several times.
    pub direct: Vec<(SubscriberId, Subscription)>,
    /// Each matching group of a shared subscription: one member gets the message.
    pub groups: Vec<GroupMatch>,
    /// What it cost to find them, beside what was found: places that were looked at, of about a tenth
    /// of a microsecond each. The publisher pays for it with turns.
    pub visited: usize,
}

/// A group of a shared subscription that matches a topic.
#[derive(Clone, Debug)]
pub struct GroupMatch {
    /// The members, in the order of their numbers.
    pub members: Vec<(SubscriberId, Subscription)>,
    /// Counts the group's messages, so that all publishers together go round its members.
    pub turn: Arc<AtomicUsize>,
}

/// Keeps subscriptions and finds those that match a topic.
///
/// [`MemoryRouting`] is the one that the server uses by itself; another one is set with
/// [`ServerBuilder::routing`](crate::ServerBuilder::routing).
pub trait Routing: Send + Sync {
    /// Keeps a subscription, in place of an older one of the same subscriber and filter
    /// [MQTT-3.8.4-3]. Answers whether it is new.
    fn subscribe(
        &self,
        subscriber: SubscriberId,
        filter: SubscriptionFilter<'_>,
        subscription: Subscription,
    ) -> bool;

    /// Removes a subscription. Answers whether there was one.
    fn unsubscribe(&self, subscriber: SubscriberId, filter: SubscriptionFilter<'_>) -> bool;

    /// Removes subscriptions of a subscriber that is over: whatever [`Routing::matches`] finds of it
    /// is passed over. So [`Routing::generation`] does not have to change.
    fn forget(&self, subscriber: SubscriberId, filters: &[SubscriptionFilter<'_>]) {
        for filter in filters {
            self.unsubscribe(subscriber, *filter);
        }
    }

    /// Adds all subscriptions that match `topic` to `matches`.
    fn matches(&self, topic: TopicNameRef<'_>, matches: &mut Matches);

    /// The group of a shared subscription, for messages that a member leaves behind when its session
    /// ends. Without it they end with the session.
    fn group(&self, filter: SubscriptionFilter<'_>) -> Option<GroupMatch> {
        let _ = filter;
        None
    }

    /// Messages of these topics have been read, and will mostly be asked for next with
    /// [`Routing::matches`]: time to bring near what that needs, for all of them at once. Nobody has
    /// looked yet whether they are topic names. Nothing has to be done.
    fn look_ahead(&self, topics: &[&[u8]]) {
        let _ = topics;
    }

    /// A number that has changed whenever an answer of [`Routing::matches`] may have changed.
    /// Read for every batch of messages, so it has to be cheap.
    fn generation(&self) -> u64;

    /// How many subscriptions there are.
    fn subscriptions(&self) -> usize;
}

/// So many subscriptions are removed under one lock.
const FORGOTTEN: usize = 16;

/// Keeps subscriptions in memory, in the trees of `mqtt-topics`.
#[derive(Default)]
pub struct MemoryRouting {
    tables: RwLock<Tables>,
    generation: AtomicU64,
}

#[derive(Default)]
struct Tables {
    direct: SubscriptionTree<SubscriberId, Subscription>,
    /// One entry for each group: its number.
    shared: SubscriptionTree<u64, ()>,
    groups: HashMap<u64, Group>,
    /// From the subscription as it was written to the group's number.
    numbers: HashMap<Box<str>, u64>,
    last_number: u64,
    members: usize,
}

struct Group {
    /// By their numbers.
    members: Vec<(SubscriberId, Subscription)>,
    turn: Arc<AtomicUsize>,
}

impl Group {
    /// Where a member stands, or would.
    fn place(&self, subscriber: SubscriberId) -> Result<usize, usize> {
        self.members.binary_search_by_key(&subscriber, |(member, _)| *member)
    }
}

impl MemoryRouting {
    /// No subscriptions yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Routing for MemoryRouting {
    fn subscribe(
        &self,
        subscriber: SubscriberId,
        filter: SubscriptionFilter<'_>,
        subscription: Subscription,
    ) -> bool {
        let mut tables = self.tables.write();
        let is_new = match filter.share {
            None => tables.direct.insert(filter.filter, subscriber, subscription).is_none(),
            Some(_) => tables.join(subscriber, filter, subscription),
        };
        self.generation.fetch_add(1, Ordering::Release);
        is_new
    }

    fn unsubscribe(&self, subscriber: SubscriberId, filter: SubscriptionFilter<'_>) -> bool {
        let existed = self.tables.write().remove(subscriber, filter);
        self.generation.fetch_add(1, Ordering::Release);
        existed
    }

    fn forget(&self, subscriber: SubscriberId, filters: &[SubscriptionFilter<'_>]) {
        for few in filters.chunks(FORGOTTEN) {
            let mut tables = self.tables.write();
            for filter in few {
                tables.remove(subscriber, *filter);
            }
        }
    }

    fn matches(&self, topic: TopicNameRef<'_>, matches: &mut Matches) {
        let tables = self.tables.read();
        matches.visited += tables.direct.matches(topic, &mut |subscriber, subscription| {
            matches.direct.push((*subscriber, *subscription));
        });
        matches.visited += tables.shared.matches(topic, &mut |number, ()| {
            if let Some(group) = tables.groups.get(number) {
                let (members, turn) = (group.members.clone(), group.turn.clone());
                matches.groups.push(GroupMatch { members, turn });
            }
        });
    }

    fn group(&self, filter: SubscriptionFilter<'_>) -> Option<GroupMatch> {
        let tables = self.tables.read();
        let number = tables.numbers.get(filter.to_string().as_str())?;
        let group = tables.groups.get(number)?;
        Some(GroupMatch { members: group.members.clone(), turn: group.turn.clone() })
    }

    fn look_ahead(&self, topics: &[&[u8]]) {
        let tables = self.tables.read();
        tables.direct.look_ahead(topics);
        tables.shared.look_ahead(topics);
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn subscriptions(&self) -> usize {
        let tables = self.tables.read();
        tables.direct.len() + tables.members
    }
}

impl Tables {
    fn remove(&mut self, subscriber: SubscriberId, filter: SubscriptionFilter<'_>) -> bool {
        match filter.share {
            None => self.direct.remove(filter.filter, &subscriber).is_some(),
            Some(_) => self.leave(subscriber, filter),
        }
    }

    fn join(
        &mut self,
        subscriber: SubscriberId,
        filter: SubscriptionFilter<'_>,
        subscription: Subscription,
    ) -> bool {
        let written = filter.to_string();
        let number = match self.numbers.get(written.as_str()) {
            Some(number) => *number,
            None => {
                self.last_number += 1;
                self.numbers.insert(written.into(), self.last_number);
                self.shared.insert(filter.filter, self.last_number, ());
                self.last_number
            }
        };
        let group = self
            .groups
            .entry(number)
            .or_insert_with(|| Group { members: Vec::new(), turn: Arc::default() });
        match group.place(subscriber) {
            Ok(place) => {
                if let Some((_, held)) = group.members.get_mut(place) {
                    *held = subscription;
                }
                false
            }
            Err(place) => {
                group.members.insert(place, (subscriber, subscription));
                self.members += 1;
                true
            }
        }
    }

    fn leave(&mut self, subscriber: SubscriberId, filter: SubscriptionFilter<'_>) -> bool {
        let written = filter.to_string();
        let Some(number) = self.numbers.get(written.as_str()).copied() else { return false };
        let Some(group) = self.groups.get_mut(&number) else { return false };
        let place = group.place(subscriber).ok();
        let left = place.map(|place| group.members.remove(place)).is_some();
        if group.members.is_empty() {
            self.groups.remove(&number);
            self.numbers.remove(written.as_str());
            self.shared.remove(filter.filter, &number);
        }
        self.members -= usize::from(left);
        left
    }
}

#[cfg(test)]
mod tests {
    use mqtt_packet::QoS;

    use super::*;

    fn subscription() -> Subscription {
        Subscription { options: SubscriptionOptions::new(QoS::AtMostOnce), identifier: None }
    }

    fn matches(routing: &MemoryRouting, topic: &str) -> Matches {
        let mut matches = Matches::default();
        routing.matches(TopicNameRef::new(topic).unwrap(), &mut matches);
        matches
    }

    #[test]
    fn a_group_lives_as_long_as_it_has_members() {
        let routing = MemoryRouting::new();
        let filter = SubscriptionFilter::parse("$share/g/a/+").unwrap();
        assert!(routing.subscribe(SubscriberId(1), filter, subscription()));
        assert!(routing.subscribe(SubscriberId(2), filter, subscription()));
        assert!(!routing.subscribe(SubscriberId(2), filter, subscription()));
        assert_eq!(matches(&routing, "a/b").groups[0].members.len(), 2);
        assert_eq!(routing.subscriptions(), 2);
        assert!(routing.unsubscribe(SubscriberId(1), filter));
        assert!(!routing.unsubscribe(SubscriberId(1), filter));
        assert!(routing.unsubscribe(SubscriberId(2), filter));
        assert!(matches(&routing, "a/b").groups.is_empty());
        assert_eq!(routing.subscriptions(), 0);
    }

    #[test]
    fn every_change_shows_in_the_generation() {
        let routing = MemoryRouting::new();
        let filter = SubscriptionFilter::parse("a").unwrap();
        let before = routing.generation();
        routing.subscribe(SubscriberId(1), filter, subscription());
        let between = routing.generation();
        routing.unsubscribe(SubscriberId(1), filter);
        assert!(before != between && between != routing.generation());
    }
}
