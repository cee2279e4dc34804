//! Who gets the messages of a topic, worked out once and remembered.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use mqtt_packet::QoS;
use mqtt_session::Run;

use super::{slot::Slot, work::Work};
use crate::routing::Subscription;

/// What it costs to leave messages with a receiver, in steps.
const COPY_STEPS: u32 = 2;

/// So many members of a group are asked for one with a connection before all are looked at.
const NEXT_SEARCHED: usize = 16;

/// A connection remembers so many routes.
const REMEMBERED_MAX: usize = 256;

/// Bytes that a receiver's packet may have above the publisher's: the packet identifier, the length and
/// Message Expiry Interval, or one Subscription Identifier.
const OWN_BYTES: usize = 16;

/// The number that no route has.
pub(crate) const NOWHERE: NonZeroU32 = NonZeroU32::MAX;

/// Who gets the messages that one publisher sends to some topics.
#[derive(Default)]
pub(crate) struct Route {
    /// Whether the publisher may publish there.
    pub(crate) allowed: bool,
    pub(crate) receivers: Receivers,
}

/// Receivers of messages.
#[derive(Default)]
pub(crate) struct Receivers {
    pub(crate) direct: Vec<Target>,
    pub(crate) groups: Vec<Group>,
    /// Whether nobody gets a message because of No Local alone: a subscription matches it.
    pub(crate) only_own: bool,
    /// The generation of the access rules, from before they were asked: what is handed out under it
    /// is asked for again where they have changed since.
    pub(crate) generation: u64,
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
    /// A receiver by one of its subscriptions, without identifiers.
    pub(crate) fn new(slot: Arc<Slot>, subscription: &Subscription) -> Self {
        Self {
            slot,
            granted: subscription.options.qos,
            retain_as_published: subscription.options.retain_as_published,
            identifiers: None,
        }
    }

    /// Takes another matching subscription of the same session in: one copy serves all of them,
    /// with the highest QoS. The identifiers are collected elsewhere.
    pub(crate) fn merge(&mut self, subscription: &Subscription) {
        self.granted = self.granted.max(subscription.options.qos);
        self.retain_as_published |= subscription.options.retain_as_published;
    }

    /// Whether a message of so many bytes surely fits into the receiver's Maximum Packet Size, whatever
    /// is written differently for it.
    fn takes(&self, bytes: usize) -> bool {
        let identifiers = self.identifiers.as_ref().map_or(0, |identifiers| identifiers.len());
        bytes + OWN_BYTES * (1 + identifiers) <= self.slot.packet_bytes_max() as usize
    }

    fn is_same(&self, other: &Self) -> bool {
        self.slot.id == other.slot.id
            && self.granted == other.granted
            && self.retain_as_published == other.retain_as_published
            && self.identifiers == other.identifiers
    }
}

/// The turns that the members of a group take with the messages of one run.
pub(crate) struct GroupTurn<'a> {
    group: &'a Group,
    /// The members with a connection, once they had to be searched for.
    online: Option<Vec<&'a Target>>,
}

impl<'a> GroupTurn<'a> {
    pub(crate) const fn new(group: &'a Group) -> Self {
        Self { group, online: None }
    }

    /// The member whose turn it is for a message of so many bytes: one with a connection that takes
    /// packets as large, if there is any; otherwise one that is away, or any. Where most have no
    /// connection, all are looked at once for each run, not for each message.
    pub(crate) fn next_member(&mut self, bytes: usize) -> Option<&'a Target> {
        let Group { members, turn } = self.group;
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        let fits = |member: &&Target| member.takes(bytes);
        if self.online.is_none() {
            let next = members.iter().cycle().skip(turn % members.len().max(1));
            let mut next = next.take(members.len().min(NEXT_SEARCHED));
            let found = next.find(|next| fits(next) && is_online(next));
            if found.is_some() {
                return found;
            }
        }
        let online = self
            .online
            .get_or_insert_with(|| members.iter().filter(|member| is_online(member)).collect());
        let next = online.iter().copied().cycle().skip(turn.checked_rem(online.len()).unwrap_or(0));
        let away = members.iter().cycle().skip(turn % members.len().max(1));
        let place = |len: usize| turn.checked_rem(len);
        next.take(online.len().min(NEXT_SEARCHED))
            .find(fits)
            .or_else(|| away.take(members.len().min(NEXT_SEARCHED)).find(fits))
            .or_else(|| online.get(place(online.len())?).copied())
            .or_else(|| members.get(place(members.len())?))
    }
}

fn is_online(member: &Target) -> bool {
    member.slot.lock().inbox.is_online()
}

impl Route {
    /// As many of the messages as the turn has room for, and one at least; and the others. Without
    /// groups a run is handed out in one piece, whatever its length; with groups each message by itself
    /// where any of them may be refused (`is_alone`).
    pub(crate) fn part(&self, run: Run, is_alone: bool, work: &mut Work) -> (Run, Option<Run>) {
        let groups = u32::try_from(self.receivers.groups.len()).unwrap_or(u32::MAX);
        let room = work.left() / groups.saturating_mul(COPY_STEPS).max(1);
        let (part, rest) = match groups {
            0 => (None, None),
            _ if is_alone => run.split(1),
            _ => run.split(room.max(1)),
        };
        let part = part.unwrap_or(run);
        work.spend(self.receivers.steps(part.count()));
        (part, rest)
    }

    /// The same for routes that are the same. Two that are not may have the same one, so who finds
    /// it compares.
    fn fingerprint(&self) -> u64 {
        let ids = self.receivers.direct.iter().map(|target| target.slot.id.0);
        ids.fold(u64::from(self.allowed), |print, id| {
            (print ^ id).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
        })
    }

    /// Whether messages of both may travel in one run. The members of a group take turns, so each
    /// topic that has one goes by itself.
    fn is_same(&self, other: &Self) -> bool {
        self.allowed == other.allowed && self.receivers.is_same(&other.receivers)
    }
}

impl Receivers {
    /// What it costs to hand so many messages out: a run goes to each receiver in one piece, and each
    /// message to a member of each group.
    pub(crate) fn steps(&self, messages: u32) -> usize {
        let copies = self.direct.len() + self.groups.len() * messages as usize;
        1 + copies * COPY_STEPS as usize
    }

    fn is_same(&self, other: &Self) -> bool {
        self.groups.is_empty()
            && other.groups.is_empty()
            && self.only_own == other.only_own
            && self.generation == other.generation
            && self.direct.len() == other.direct.len()
            && self.direct.iter().zip(&other.direct).all(|(mine, theirs)| mine.is_same(theirs))
    }
}

/// The routes of the topics that a connection published to last. The endpoint knows their numbers as
/// the classes of topics.
///
/// They hold as long as the generations of the subscriptions and of the access rules stay what they
/// were, so in the steady state finding the receivers of a batch is a compare.
#[derive(Default)]
pub(crate) struct Routes {
    generations: (u64, u64),
    /// So many of the next topics were looked ahead for.
    ahead: usize,
    /// The first has the number 1.
    routes: Vec<Route>,
    /// The numbers of routes by [`Route::fingerprint`].
    known: HashMap<u64, NonZeroU32, foldhash::fast::RandomState>,
}

impl Routes {
    /// No routes yet; those that come hold for these generations.
    pub(crate) fn new(generations: (u64, u64)) -> Self {
        Self { generations, ..Self::default() }
    }

    /// Whether the routes are out of date.
    pub(crate) fn are_over(&self, generations: (u64, u64)) -> bool {
        self.generations != generations
    }

    /// Whether there is no room for another route.
    pub(crate) const fn are_full(&self) -> bool {
        self.routes.len() >= REMEMBERED_MAX
    }

    /// Forgets all routes. No number means anything then.
    pub(crate) fn start_anew(&mut self, generations: (u64, u64)) {
        self.generations = generations;
        // The room is kept: it is needed again at once.
        self.routes.clear();
        self.known.clear();
    }

    /// The route with this number.
    pub(crate) fn get(&self, number: NonZeroU32) -> Option<&Route> {
        self.routes.get(number.get() as usize - 1)
    }

    /// Whether the messages of a route go to groups too.
    pub(crate) fn is_shared(&self, number: NonZeroU32) -> bool {
        self.get(number).is_some_and(|route| !route.receivers.groups.is_empty())
    }

    /// The number of a topic's route, which `find` works out. Before that `look_ahead` may see to the
    /// topics behind it; it answers how many they are.
    pub(crate) fn add(
        &mut self,
        look_ahead: impl FnOnce() -> usize,
        find: impl FnOnce() -> Route,
    ) -> NonZeroU32 {
        match self.ahead.checked_sub(1) {
            Some(ahead) => self.ahead = ahead,
            None => self.ahead = look_ahead(),
        }
        let route = find();
        let fingerprint = route.fingerprint();
        let known = self.known.get(&fingerprint).copied();
        let same = |number| self.get(number).is_some_and(|known| known.is_same(&route));
        if let Some(number) = known.filter(|number| same(*number)) {
            return number;
        }
        let is_alone = !route.receivers.groups.is_empty();
        self.routes.push(route);
        let count = u32::try_from(self.routes.len()).unwrap_or(u32::MAX);
        let number = NonZeroU32::new(count).unwrap_or(NOWHERE);
        if !is_alone {
            self.known.insert(fingerprint, number);
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_looked_ahead_for_once() {
        let mut routes = Routes::default();
        let mut looked = Vec::new();
        for topic in ["a", "b", "c", "d", "e"] {
            let look_ahead = || {
                looked.push(topic);
                2
            };
            routes.add(look_ahead, Route::default);
        }
        // The first one saw to two more, and so did the fourth.
        assert_eq!(looked, ["a", "d"]);
    }

    #[test]
    fn routes_that_are_the_same_have_one_number() {
        let mut routes = Routes::default();
        let mut number = |route| routes.add(|| 0, || route).get();
        let group = || Group { members: Vec::new(), turn: Arc::default() };
        let to_group = || Route {
            allowed: true,
            receivers: Receivers { groups: vec![group()], ..Receivers::default() },
        };
        assert_eq!(number(Route::default()), 1);
        assert_eq!(number(Route { allowed: true, ..Route::default() }), 2);
        assert_eq!(number(Route { allowed: true, ..Route::default() }), 2);
        assert_eq!([number(to_group()), number(to_group())], [3, 4]);
    }

    #[test]
    fn routes_hold_for_their_generations_and_are_limited() {
        let mut routes = Routes::default();
        assert!(routes.are_over((1, 1)));
        routes.start_anew((1, 1));
        assert!(!routes.are_over((1, 1)) && routes.are_over((1, 2)) && routes.are_over((2, 1)));
        let group = || Group { members: Vec::new(), turn: Arc::default() };
        while !routes.are_full() {
            let receivers = Receivers { groups: vec![group()], ..Receivers::default() };
            let number = routes.add(|| 0, || Route { allowed: true, receivers });
            assert!(routes.get(number).is_some());
        }
        assert_eq!(routes.routes.len(), REMEMBERED_MAX);
        routes.start_anew((1, 1));
        assert!(!routes.are_full() && routes.get(NonZeroU32::MIN).is_none());
        assert!(routes.get(NOWHERE).is_none());
    }
}
