//! Who subscribed to what: from a topic name to the subscriptions that match it.

use std::hash::Hash;

use crate::exact_filters::ExactFilters;
use crate::subscribers::Subscribers;
use crate::wildcard_trie::WildcardTrie;
use crate::{TopicFilterRef, TopicNameRef};

/// So many nodes are near anyway: a processor's second cache holds them.
const FAR: usize = 4096;

/// Subscriptions by filter: `K` is the number of a subscriber, `V` the options of one
/// subscription.
///
/// A subscriber has at most one subscription per filter; a second one replaces the first
/// `[MQTT-3.8.4-3]`. A subscription of a group is kept by its inner filter, in a tree of
/// its own or under a key of its own.
///
/// # Cost
/// Filters without a wildcard stand in a hash table: however many there are, a match costs
/// one look-up of the whole topic. The others stand in a tree by levels, most of them in one
/// node of their own. A
/// match visits each node at most once, and at most two nodes below each node that it visits
/// (the one named as the topic's level, and `+`); so for a topic of *n* levels it visits at
/// most min(2ⁿ⁺¹ − 1, [`node_count`](Self::node_count) + 1) nodes, with one hash look-up
/// each. Nobody can make one topic cost more than the nodes that were paid for with
/// subscriptions. Nothing is allocated for topics of up to 16 levels.
///
/// ```
/// use mqtt_topics::{SubscriptionTree, TopicFilterRef, TopicNameRef};
///
/// let mut tree = SubscriptionTree::new();
/// tree.insert(TopicFilterRef::new("sport/+/score")?, 1, "at most once");
/// tree.insert(TopicFilterRef::new("sport/#")?, 2, "exactly once");
///
/// let mut found = Vec::new();
/// tree.matches(TopicNameRef::new("sport/tennis/score")?, &mut |key, _| found.push(*key));
/// found.sort();
/// assert_eq!(found, [1, 2]);
/// # Ok::<(), mqtt_topics::TopicError>(())
/// ```
pub struct SubscriptionTree<K, V> {
    exact: ExactFilters<K, V>,
    wild: WildcardTrie<K, V>,
    len: usize,
}

impl<K: Copy + Eq + Hash + Ord, V> SubscriptionTree<K, V> {
    /// A tree without subscriptions.
    pub fn new() -> Self {
        Self { exact: ExactFilters::new(), wild: WildcardTrie::new(), len: 0 }
    }

    /// Adds a subscription, or replaces the options of the same subscriber's subscription to
    /// the same filter and returns the old ones.
    pub fn insert(&mut self, filter: TopicFilterRef<'_>, key: K, value: V) -> Option<V> {
        let replaced = if filter.has_wildcards() {
            self.wild.insert(filter.as_str(), key, value)
        } else {
            self.exact.insert(filter.as_str(), key, value)
        };
        self.len += usize::from(replaced.is_none());
        replaced
    }

    /// Removes a subscription and frees what only it needed. `None` says that there was none.
    pub fn remove(&mut self, filter: TopicFilterRef<'_>, key: &K) -> Option<V> {
        let removed = if filter.has_wildcards() {
            self.wild.remove(filter.as_str(), key)
        } else {
            self.exact.remove(filter.as_str(), key)
        };
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// The options of one subscription.
    pub fn get(&self, filter: TopicFilterRef<'_>, key: &K) -> Option<&V> {
        let subscribers: &Subscribers<K, V> = if filter.has_wildcards() {
            self.wild.get(filter.as_str())?
        } else {
            self.exact.get(filter.as_str())?
        };
        subscribers.get(key)
    }

    /// The options of one subscription, to change them.
    pub fn get_mut(&mut self, filter: TopicFilterRef<'_>, key: &K) -> Option<&mut V> {
        let subscribers = if filter.has_wildcards() {
            self.wild.get_mut(filter.as_str())?
        } else {
            self.exact.get_mut(filter.as_str())?
        };
        subscribers.get_mut(key)
    }

    /// Calls `f` once for each subscription that matches; a subscriber with two matching
    /// filters is met twice.
    ///
    /// Filters that begin with a wildcard do not match topics that begin with `$`
    /// `[MQTT-4.7.2-1]`. The order is the same for the same history of the tree, and means
    /// nothing.
    ///
    /// Returns how many nodes were visited, beside the one of the filter that is the topic itself.
    pub fn matches(&self, topic: TopicNameRef<'_>, f: &mut impl FnMut(&K, &V)) -> usize {
        if let Some(subscribers) = self.exact.get(topic.as_str()) {
            subscribers.for_each(f);
        }
        self.wild.matches(topic, f)
    }

    /// Topics are about to be asked for, one by one, with [`SubscriptionTree::matches`]: brings near
    /// what that will read. It changes no answer, and does nothing for a small tree. The topics may
    /// be any bytes: those that are no topic names are not missed.
    ///
    /// Among a million subscriptions a match mostly waits for memory, once for each step. A few topics
    /// at a time, eight or sixteen, wait for each step together.
    pub fn look_ahead(&self, topics: &[&[u8]]) {
        if topics.len() < 2 {
            return;
        }
        if self.exact.len() >= FAR {
            self.exact.look_ahead(topics);
        }
        if self.wild.node_count() >= FAR {
            self.wild.look_ahead(topics);
        }
    }

    /// How many subscriptions there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no subscription.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many nodes the filters need: one for each filter without a wildcard, at most one
    /// for each distinct beginning of the others. It is zero when the tree is empty.
    pub fn node_count(&self) -> usize {
        self.exact.len() + self.wild.node_count()
    }
}

impl<K: Copy + Eq + Hash + Ord, V> Default for SubscriptionTree<K, V> {
    fn default() -> Self {
        Self::new()
    }
}
