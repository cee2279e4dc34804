//! Retained messages: the seam where they are kept.

use std::{collections::BTreeSet, ops::ControlFlow};

use mqtt_session::{PackedMessage, Run, Time};
use mqtt_topics::{RetainedTree, ScanEnd, TopicFilterRef, TopicName, TopicNameRef};
use parking_lot::RwLock;
use thiserror::Error;

use crate::core::broker::is_sys;

/// A retained message was not kept: the store is at its limit.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Error)]
#[error("the limit of retained messages is reached")]
pub struct RetainedFull;

/// How many retained messages of clients there are; what the server says about itself under `$SYS`
/// is not among them.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub struct RetainedCount {
    /// Messages.
    pub messages: usize,
    /// Bytes of their packets.
    pub bytes: usize,
}

/// What a part of a scan came to.
#[derive(Clone, Debug, Default)]
pub struct ScanPage {
    /// Where to go on; `None` when there are no more.
    pub next: Option<TopicName>,
    /// What it cost to find the messages, beside the messages themselves: places that were looked at,
    /// of about a tenth of a microsecond each. The subscriber pays for it with turns.
    pub visited: usize,
}

/// Keeps the last retained message of each topic.
///
/// [`MemoryRetained`] is the one that the server uses by itself; another one is set with
/// [`ServerBuilder::retained`](crate::ServerBuilder::retained).
pub trait Retained: Send + Sync {
    /// Keeps a message in place of the one that the topic had [MQTT-3.3.1-5]; `None` removes it
    /// [MQTT-3.3.1-6]. The message may be a part of what was read from a client: whoever keeps it for
    /// long had better copy it, as [`PackedMessage`] does.
    ///
    /// # Errors
    /// The store is at its limit: the topic keeps what it had.
    fn set(&self, topic: TopicNameRef<'_>, message: Option<Run>) -> Result<(), RetainedFull>;

    /// Adds up to `messages_max` messages that `filter` matches to `found`, starting behind the
    /// topic `after`. A page may end early, even without a message: it is best kept below a
    /// millisecond, whatever the filter is. Messages that have expired at `now` are left out.
    fn scan(
        &self,
        filter: TopicFilterRef<'_>,
        after: Option<TopicNameRef<'_>>,
        messages_max: usize,
        now: Time,
        found: &mut Vec<Run>,
    ) -> ScanPage;

    /// The length of a topic's packet, in bytes; `None` if the topic has none, or if that takes long to
    /// say. Asked where memory is short: such a topic may still change.
    fn len_of(&self, topic: TopicNameRef<'_>) -> Option<usize> {
        let _ = topic;
        None
    }

    /// Removes up to `messages_max` messages that have expired at `now`, and adds their topics to
    /// `expired`. Returns when the next one expires: that is when this is called again; and before a
    /// message is refused because the limit is reached. Without it, messages that have expired are
    /// left out of what is found, and take room.
    fn expire(&self, now: Time, messages_max: usize, expired: &mut Vec<TopicName>) -> Option<Time> {
        let _ = (now, messages_max, expired);
        None
    }

    /// How many there are.
    fn count(&self) -> RetainedCount;
}

/// Keeps retained messages in memory, in the tree of `mqtt-topics`.
pub struct MemoryRetained {
    limit: RetainedCount,
    kept: RwLock<Kept>,
}

struct Kept {
    tree: RetainedTree<PackedMessage>,
    /// Those that count.
    count: RetainedCount,
    /// The nodes that their topics need.
    nodes: usize,
    /// Messages that expire, earliest first. There is none for those that do not.
    expiring: BTreeSet<(Time, Box<str>)>,
}

/// What a level of a topic takes in the tree, at most: a topic of many short levels takes far more than
/// its own bytes.
const NODE_BYTES: usize = 128;

/// A scan looks at this many nodes before it lets go of the lock.
const VISITS_MAX: usize = 1024;

/// Found messages of so many bytes end a page: the small ones are copied.
const PAGE_BYTES: usize = 256 * 1024;

impl MemoryRetained {
    /// A store with room for `limit`.
    #[must_use]
    pub fn new(limit: RetainedCount) -> Self {
        Self {
            limit,
            kept: RwLock::new(Kept {
                tree: RetainedTree::new(),
                count: RetainedCount::default(),
                nodes: 0,
                expiring: BTreeSet::new(),
            }),
        }
    }
}

impl Kept {
    fn remove(&mut self, topic: TopicNameRef<'_>) {
        let before = self.tree.node_count();
        let Some(removed) = self.tree.remove(topic) else { return };
        self.forget_expiry(topic, removed.expires_at());
        if !is_sys(topic.as_str()) {
            self.count.messages -= 1;
            self.count.bytes -= removed.len();
            self.nodes -= before - self.tree.node_count();
        }
    }

    /// Keeps the message of a client, within `limit`: bytes are those of the packets, and of the nodes
    /// that the topics need.
    fn insert(&mut self, topic: TopicNameRef<'_>, run: &Run, limit: RetainedCount) -> bool {
        let old = self.tree.get(topic).map(PackedMessage::len);
        let bytes = self.count.bytes - old.unwrap_or_default() + run.len();
        let messages = self.count.messages + usize::from(old.is_none());
        let fits = |nodes: usize| bytes.saturating_add(nodes * NODE_BYTES) <= limit.bytes;
        if (old.is_none() && messages > limit.messages) || !fits(self.nodes) {
            return false;
        }
        let before = self.tree.node_count();
        let replaced = self.tree.insert(topic, PackedMessage::new(run));
        let nodes = self.nodes + self.tree.node_count() - before;
        if !fits(nodes) {
            // Only a new topic needs nodes: without it everything is as it was.
            self.tree.remove(topic);
            return false;
        }
        self.forget_expiry(topic, replaced.and_then(|replaced| replaced.expires_at()));
        if let Some(due) = run.expires_at() {
            self.expiring.insert((due, topic.as_str().into()));
        }
        (self.count, self.nodes) = (RetainedCount { messages, bytes }, nodes);
        true
    }

    fn forget_expiry(&mut self, topic: TopicNameRef<'_>, due: Option<Time>) {
        if let Some(due) = due {
            self.expiring.remove(&(due, topic.as_str().into()));
        }
    }
}

impl Retained for MemoryRetained {
    fn set(&self, topic: TopicNameRef<'_>, message: Option<Run>) -> Result<(), RetainedFull> {
        let mut kept = self.kept.write();
        let Some(run) = message else {
            kept.remove(topic);
            return Ok(());
        };
        if is_sys(topic.as_str()) {
            kept.tree.insert(topic, PackedMessage::new(&run));
            return Ok(());
        }
        if kept.insert(topic, &run, self.limit) { Ok(()) } else { Err(RetainedFull) }
    }

    fn scan(
        &self,
        filter: TopicFilterRef<'_>,
        after: Option<TopicNameRef<'_>>,
        messages_max: usize,
        now: Time,
        found: &mut Vec<Run>,
    ) -> ScanPage {
        let wanted = found.len() + messages_max;
        let mut bytes_left = PAGE_BYTES;
        let mut visits_left = VISITS_MAX;
        let mut last = None;
        let end = self.kept.read().tree.scan_counted(
            filter,
            after,
            &mut visits_left,
            &mut |topic, run| {
                bytes_left = bytes_left.saturating_sub(run.len());
                if run.is_expired(now) {
                    return ControlFlow::Continue(());
                }
                found.push(run.unpack());
                if found.len() < wanted && bytes_left > 0 {
                    return ControlFlow::Continue(());
                }
                last = Some(topic.to_owned());
                ControlFlow::Break(())
            },
        );
        let next = match end {
            ScanEnd::Complete => None,
            ScanEnd::Stopped => last.and_then(|topic| {
                // The tree's own limit of levels was checked when the topic came in.
                TopicName::with_limit(topic, usize::MAX).ok()
            }),
            ScanEnd::Paused(at) => Some(at),
        };
        ScanPage { next, visited: VISITS_MAX - visits_left }
    }

    fn len_of(&self, topic: TopicNameRef<'_>) -> Option<usize> {
        self.kept.read().tree.get(topic).map(PackedMessage::len)
    }

    fn expire(&self, now: Time, messages_max: usize, expired: &mut Vec<TopicName>) -> Option<Time> {
        let mut kept = self.kept.write();
        for _ in 0..messages_max {
            if kept.expiring.first().is_none_or(|(due, _)| *due > now) {
                break;
            }
            let Some((_, topic)) = kept.expiring.pop_first() else { break };
            if let Ok(topic) = TopicName::with_limit(&*topic, usize::MAX) {
                kept.remove(topic.as_ref());
                expired.push(topic);
            }
        }
        kept.expiring.first().map(|(due, _)| *due)
    }

    fn count(&self) -> RetainedCount {
        self.kept.read().count
    }
}

#[cfg(test)]
mod tests {
    use mqtt_packet::QoS;
    use mqtt_session::MessageParts;

    use super::*;

    fn message(topic: &str, expires_at: Option<Time>) -> Run {
        Run::from_message(&MessageParts {
            topic,
            payload: b"x",
            properties: &[],
            qos: QoS::AtMostOnce,
            retain: true,
            packet_id: None,
            expires_at,
        })
        .unwrap()
    }

    fn topic(name: &str) -> TopicNameRef<'_> {
        TopicNameRef::new(name).unwrap()
    }

    fn store() -> MemoryRetained {
        MemoryRetained::new(RetainedCount { messages: 3, bytes: 1000 })
    }

    #[test]
    fn pages_give_each_message_once() {
        let store = store();
        for name in ["a/1", "a/2", "a/3"] {
            store.set(topic(name), Some(message(name, None))).unwrap();
        }
        let filter = TopicFilterRef::new("a/+").unwrap();
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let at = after.as_ref().map(TopicName::as_ref);
            after = store.scan(filter, at, 1, Time::ZERO, &mut found).next;
            if after.is_none() {
                break;
            }
        }
        let mut topics: Vec<_> = found.iter().map(Run::topic).collect();
        topics.sort_unstable();
        assert_eq!(topics, ["a/1", "a/2", "a/3"]);
    }

    #[test]
    fn what_the_server_says_about_itself_takes_no_room() {
        let store = store();
        for name in ["$SYS/1", "$SYS/2", "$SYS/3", "$SYS", "a", "b", "c"] {
            store.set(topic(name), Some(message(name, None))).unwrap();
        }
        assert_eq!(store.count().messages, 3);
        assert_eq!(store.set(topic("d"), Some(message("d", None))), Err(RetainedFull));
        store.set(topic("$SYS/1"), None).unwrap();
        assert_eq!(store.count().messages, 3);
        store.set(topic("a"), None).unwrap();
        assert_eq!(store.count().messages, 2);
    }

    #[test]
    fn the_limit_refuses_new_topics_and_lets_old_ones_change() {
        let store = store();
        for name in ["a", "b", "c"] {
            store.set(topic(name), Some(message(name, None))).unwrap();
        }
        assert_eq!(store.set(topic("d"), Some(message("d", None))), Err(RetainedFull));
        assert!(store.set(topic("a"), Some(message("a", None))).is_ok());
        store.set(topic("b"), None).unwrap();
        assert!(store.set(topic("d"), Some(message("d", None))).is_ok());
        assert_eq!(store.count().messages, 3);
    }

    #[test]
    fn a_topic_of_many_levels_takes_the_room_that_it_costs() {
        let store = MemoryRetained::new(RetainedCount { messages: 10, bytes: 100 * NODE_BYTES });
        let deep = |first: &str| format!("{first}{}", "/x".repeat(59));
        store.set(topic(&deep("a")), Some(message(&deep("a"), None))).unwrap();
        assert_eq!(
            store.set(topic(&deep("b")), Some(message(&deep("b"), None))),
            Err(RetainedFull)
        );
        // The refused one has left nothing behind, and a sibling needs one node more.
        let sibling = format!("{}/y", deep("a"));
        store.set(topic(&sibling), Some(message(&sibling, None))).unwrap();
        store.set(topic(&deep("a")), None).unwrap();
        store.set(topic(&sibling), None).unwrap();
        assert_eq!((store.count(), store.kept.read().nodes), (RetainedCount::default(), 0));
        store.set(topic(&deep("b")), Some(message(&deep("b"), None))).unwrap();
    }

    #[test]
    fn expired_messages_are_left_out_and_freed() {
        let store = store();
        for (name, due) in [("a", 5), ("b", 5), ("c", 9), ("b", 7)] {
            store.set(topic(name), Some(message(name, Some(Time::from_millis(due))))).unwrap();
        }
        let filter = TopicFilterRef::new("#").unwrap();
        let mut found = Vec::new();
        store.scan(filter, None, 10, Time::from_millis(5), &mut found);
        assert_eq!(found.iter().map(Run::topic).collect::<Vec<_>>(), ["b", "c"]);
        let mut expired = Vec::new();
        let next = store.expire(Time::from_millis(5), 10, &mut expired);
        assert_eq!((next, expired.len()), (Some(Time::from_millis(7)), 1));
        assert_eq!(store.expire(Time::from_millis(9), 1, &mut expired), Some(Time::from_millis(9)));
        assert_eq!(store.expire(Time::from_millis(9), 1, &mut expired), None);
        assert_eq!(expired.iter().map(TopicName::as_str).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(store.count(), RetainedCount::default());
    }
}
