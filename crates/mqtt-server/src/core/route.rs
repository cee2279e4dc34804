//! Who gets the messages of a topic, worked out once and remembered.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use mqtt_packet::QoS;

use super::slot::Slot;
use crate::routing::Subscription;

/// A connection remembers the routes of so many topics.
const REMEMBERED_MAX: usize = 256;

/// Who gets the messages that one publisher sends to one topic.
#[derive(Clone)]
pub(crate) struct Route {
    /// Whether the publisher may publish there.
    pub(crate) allowed: bool,
    /// Shared among the topics of a connection that have the same receivers.
    pub(crate) receivers: Arc<Receivers>,
}

/// Receivers of messages.
#[derive(Default)]
pub(crate) struct Receivers {
    pub(crate) direct: Vec<Target>,
    pub(crate) groups: Vec<Group>,
    /// Whether nobody gets a message because of No Local alone: a subscription matches it.
    pub(crate) only_own: bool,
}

/// One session, and what its matching subscriptions ask for together [MQTT-3.3.4-2].
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) slot: Arc<Slot>,
    pub(crate) granted: QoS,
    pub(crate) retain_as_published: bool,
    pub(crate) identifiers: Option<Arc<[u32]>>,
}

/// A group of a shared subscription.
pub(crate) struct Group {
    pub(crate) members: Vec<Target>,
    pub(crate) turn: Arc<AtomicUsize>,
}

impl Target {
    pub(crate) fn new(slot: Arc<Slot>, subscription: &Subscription) -> Self {
        Self {
            slot,
            granted: subscription.options.qos,
            retain_as_published: subscription.options.retain_as_published,
            identifiers: subscription.identifier.map(|identifier| [identifier].into()),
        }
    }

    /// Takes another matching subscription of the same session in: one copy serves all of them,
    /// with the highest QoS and every identifier.
    pub(crate) fn merge(&mut self, subscription: &Subscription) {
        self.granted = self.granted.max(subscription.options.qos);
        self.retain_as_published |= subscription.options.retain_as_published;
        if let Some(identifier) = subscription.identifier {
            let held = self.identifiers.iter().flat_map(|held| held.iter().copied());
            self.identifiers = Some(held.chain([identifier]).collect());
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.slot.id == other.slot.id
            && self.granted == other.granted
            && self.retain_as_published == other.retain_as_published
            && self.identifiers == other.identifiers
    }
}

impl Group {
    /// The member whose turn it is; one with a connection, if there is any.
    pub(crate) fn next_member(&self) -> Option<&Target> {
        let count = self.members.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = || (0..count).filter_map(move |step| self.members.get((turn + step) % count));
        in_turn().find(|member| member.slot.lock().inbox.is_online()).or_else(|| in_turn().next())
    }
}

impl Receivers {
    /// The same for receivers that are the same. Two that are not may have the same one, so who
    /// finds it compares.
    fn fingerprint(&self) -> u64 {
        let ids = self.direct.iter().map(|target| target.slot.id.0);
        ids.fold(0, |print: u64, id| {
            (print ^ id).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.groups.is_empty()
            && other.groups.is_empty()
            && self.only_own == other.only_own
            && self.direct.len() == other.direct.len()
            && self.direct.iter().zip(&other.direct).all(|(mine, theirs)| mine.is_same(theirs))
    }
}

/// The routes of the topics that a connection published to last.
///
/// They hold as long as the generations of the subscriptions and of the access rules stay what they
/// were, so in the steady state finding the receivers of a batch is a compare.
#[derive(Default)]
pub(crate) struct RouteCache {
    generations: (u64, u64),
    /// So many of the next topics were looked ahead for.
    ahead: usize,
    routes: HashMap<Box<[u8]>, Route, foldhash::fast::RandomState>,
    /// The receivers of these routes, each once, by [`Receivers::fingerprint`].
    receivers: HashMap<u64, Arc<Receivers>, foldhash::fast::RandomState>,
}

impl RouteCache {
    /// The route of `topic`, worked out by `find` if it is not remembered. Before that `look_ahead`
    /// may see to the topics behind it; it answers how many they are.
    pub(crate) fn route(
        &mut self,
        topic: &[u8],
        generations: (u64, u64),
        look_ahead: impl FnOnce() -> usize,
        find: impl FnOnce() -> Route,
    ) -> Route {
        if self.generations != generations {
            self.generations = generations;
            self.clear();
        }
        let is_seen_to = self.ahead > 0;
        self.ahead = self.ahead.saturating_sub(1);
        if let Some(route) = self.routes.get(topic) {
            return route.clone();
        }
        if !is_seen_to {
            self.ahead = look_ahead();
        }
        self.remember(topic, find())
    }

    fn remember(&mut self, topic: &[u8], mut route: Route) -> Route {
        if self.routes.len() >= REMEMBERED_MAX {
            // The room is kept: it is needed again at once.
            self.routes.clear();
            self.receivers.clear();
        }
        // Topics with the same receivers share them: their messages may travel in one run.
        if route.receivers.groups.is_empty() {
            let fingerprint = route.receivers.fingerprint();
            let known =
                self.receivers.entry(fingerprint).or_insert_with(|| route.receivers.clone());
            if known.is_same(&route.receivers) {
                route.receivers = known.clone();
            }
        }
        self.routes.insert(topic.into(), route.clone());
        route
    }

    /// Forgets everything, and with it the slots that the routes hold.
    pub(crate) fn clear(&mut self) {
        self.routes = HashMap::default();
        self.receivers = HashMap::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_looked_ahead_for_once() {
        let mut cache = RouteCache::default();
        let (mut found, mut looked) = (Vec::new(), Vec::new());
        for topic in [b"a", b"b", b"c", b"d", b"a", b"e"] {
            let look_ahead = || {
                looked.push(topic);
                2
            };
            let find = || {
                found.push(topic);
                Route { allowed: false, receivers: Arc::default() }
            };
            cache.route(topic, (1, 1), look_ahead, find);
        }
        assert_eq!(found, [b"a", b"b", b"c", b"d", b"e"]);
        // The first one saw to two more, and so did the fourth.
        assert_eq!(looked, [b"a", b"d"]);
    }
}
