//! Sending retained messages for a new subscription, a page at a time.

use std::sync::Arc;

use mqtt_packet::QoS;
use mqtt_session::{Delivery, Time};
use mqtt_topics::{TopicFilter, TopicName, TopicNameRef};

use super::connection::{Connection, Stage};

/// So many messages are fetched at once; the next page is fetched when these are on their way.
const PAGE: usize = 256;

/// Retained messages that a new subscription is still to be sent.
pub(super) struct Replay {
    pub(super) filter: TopicFilter,
    pub(super) granted: QoS,
    pub(super) identifiers: Option<Arc<[u32]>>,
    /// The last topic that was looked at.
    pub(super) after: Option<TopicName>,
}

impl Connection {
    /// Goes on with replays as long as there is room: they are streamed, not collected.
    pub(super) fn poll_replays(&mut self, now: Time) {
        while self.room() > 0 {
            let Some(replays) = &mut self.replays else { return };
            let Some(replay) = replays.front_mut() else {
                self.replays = None;
                return;
            };
            let Stage::Open(client) = &self.stage else { return };
            let mut found = Vec::new();
            let after = replay.after.as_ref().map(TopicName::as_ref);
            let filter = replay.filter.as_ref();
            let next = self.broker.retained.scan(filter, after, PAGE, now, &mut found);
            let (granted, identifiers) = (replay.granted, replay.identifiers.clone());
            let slot = client.slot.clone();
            let is_over = next.is_none();
            replay.after = next;
            if is_over {
                replays.pop_front();
            }
            let mark = self.broker.authorizer.generation();
            for run in found {
                let topic = TopicNameRef::with_limit(run.topic(), usize::MAX);
                if !topic.is_ok_and(|topic| self.broker.may_receive(&slot, topic)) {
                    continue;
                }
                self.done_mut().enqueued += 1;
                self.traffic.replayed += 1;
                // RETAIN is set, whatever the subscription asks for [MQTT-3.3.1-8].
                let identifiers = identifiers.clone();
                let delivery = Delivery { run, granted, retain: true, identifiers, mark };
                self.endpoint.deliver(delivery, now);
            }
        }
    }
}
