//! Messages of a shared subscription whose member is gone for good: another member gets them.
//!
//! The standard says that it should (5.0, 4.8.2): what was not sent, and what was sent at QoS 1 and not
//! acknowledged. What was sent at QoS 2 must not go to another member [MQTT-4.8.2-5]. Which messages came
//! by which subscription is not kept with them: it is the shared one that matches the topic, unless the
//! session had a subscription of its own that matches as well.
//!
//! There may be many messages, so the housekeeper hands them on, some at a time.

use std::{collections::VecDeque, sync::Arc};

use mqtt_packet::QoS;
use mqtt_session::{Delivery, Run, Time};
use mqtt_topics::{SubscriptionFilter, TopicNameRef};
use parking_lot::Mutex;

use super::{
    behind::Behind,
    broker::Broker,
    journal::Transaction,
    route::{Group, Receivers, Target},
    slot::Slot,
    subscriptions::Subscriptions,
    traffic::Traffic,
    work::Work,
};

/// So many messages are handed on in one go.
const BATCH: usize = 256;

/// A session with more subscriptions than these leaves nothing to others: each is compared with each
/// message.
const FILTERS_MAX: usize = 32;

/// What a session leaves to others.
pub(crate) struct Legacy {
    /// Its shared subscriptions, with their Subscription Identifiers.
    shared: Vec<(Arc<str>, Option<u32>)>,
    /// Its other subscriptions.
    own: Vec<Arc<str>>,
    messages: Mutex<VecDeque<Left>>,
}

/// A message that is left, or several that came together.
struct Left {
    run: Run,
    identifiers: Option<Arc<[u32]>>,
}

impl Legacy {
    /// What a session with these subscriptions leaves; nothing where none of them is shared.
    pub(super) fn of(subscriptions: &Subscriptions) -> Option<Self> {
        if subscriptions.len() > FILTERS_MAX {
            return None;
        }
        let (mut shared, mut own) = (Vec::new(), Vec::new());
        for (filter, subscription) in subscriptions.iter() {
            match filter.starts_with("$share/") {
                true => shared.push((filter.clone(), subscription.identifier)),
                false => own.push(filter.clone()),
            }
        }
        (!shared.is_empty()).then(|| Self { shared, own, messages: Mutex::default() })
    }

    /// Adds messages that the session had.
    pub(super) fn add(&self, deliveries: impl IntoIterator<Item = Delivery>) {
        let kept = deliveries.into_iter().filter(|d| d.qos() != QoS::AtMostOnce && d.count() > 0);
        self.messages
            .lock()
            .extend(kept.map(|Delivery { run, identifiers, .. }| Left { run, identifiers }));
    }

    /// The shared subscription by which a message came.
    fn subscription(&self, topic: TopicNameRef<'_>, identifiers: Option<&[u32]>) -> Option<&str> {
        let matches = |filter: &str| {
            let filter = SubscriptionFilter::parse_with_limit(filter, usize::MAX).ok();
            filter.is_some_and(|filter| filter.filter.matches(topic))
        };
        if self.own.iter().any(|filter| matches(filter)) {
            return None;
        }
        let fits = |known: &&(Arc<str>, Option<u32>)| {
            known.1.as_ref().map(std::slice::from_ref) == identifiers && matches(&known.0)
        };
        self.shared.iter().find(fits).map(|(filter, _)| &**filter)
    }
}

impl Broker {
    /// Hands messages of a session that ended on to other members of its groups.
    pub(super) fn hand_on(
        &self,
        slot: &Arc<Slot>,
        legacy: &Arc<Legacy>,
        now: Time,
        work: &mut Work,
    ) {
        let (mut traffic, mut transaction) = (Traffic::default(), Transaction::new());
        for _ in 0..BATCH {
            let Some(left) = legacy.messages.lock().pop_front() else { break };
            let Left { run, identifiers } = left;
            for frame in run.frames() {
                let single = run.with_frame(&frame);
                let Ok(topic) = TopicNameRef::with_limit(single.topic(), usize::MAX) else {
                    continue;
                };
                let Some(filter) = legacy.subscription(topic, identifiers.as_deref()) else {
                    continue;
                };
                let receivers = self.group(filter, topic);
                work.spend(receivers.steps(1));
                if single.is_expired(now) || receivers.groups.is_empty() {
                    continue;
                }
                let mut behind = Behind::default();
                self.hand_out(
                    &single,
                    &receivers,
                    now,
                    &mut traffic,
                    &mut behind,
                    &mut transaction,
                );
            }
        }
        self.count(traffic);
        self.append(transaction, now);
        if !legacy.messages.lock().is_empty() {
            self.schedule.hand_on(slot, legacy.clone());
        }
    }

    /// The members of a group that are left, and may have a message.
    fn group(&self, filter: &str, topic: TopicNameRef<'_>) -> Receivers {
        let mut receivers =
            Receivers { generation: self.authorizer.generation(), ..Receivers::default() };
        let filter = SubscriptionFilter::parse_with_limit(filter, usize::MAX).ok();
        if let Some(group) = filter.and_then(|filter| self.routing.group(filter)) {
            let mut members = Vec::with_capacity(group.members.len());
            self.registry.find_all(group.members, |slot, subscription| {
                members.push(Target::new(slot.clone(), &subscription));
            });
            members.retain(|member| self.may_receive(&member.slot, topic));
            if !members.is_empty() {
                receivers.groups.push(Group { members, turn: group.turn });
            }
        }
        receivers
    }
}
