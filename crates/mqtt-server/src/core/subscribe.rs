//! SUBSCRIBE and UNSUBSCRIBE.

use std::sync::Arc;

use mqtt_auth::Action;
use mqtt_packet::{
    PacketType, QoS, ReasonCode, RetainHandling, Subscribe, SubscriptionOptions, Unsubscribe,
    Version,
};
use mqtt_session::StoredSubscription;
use mqtt_topics::{SubscriptionFilter, TopicError};

use super::{
    cause::Cause,
    connection::{Connection, Stage},
    journal::Entry,
    pressure::Answer,
    replay::Replay,
    slot::Slot,
};
use crate::routing::Subscription;

impl Connection {
    /// Makes subscriptions, one reason code for each filter; then retained messages follow.
    pub(super) fn subscribe(&mut self, body: &[u8]) {
        let Stage::Open(client) = &self.stage else { return };
        let (slot, is_bridge) = (client.slot.clone(), client.is_bridge);
        let Some(version) = self.endpoint.negotiated().map(|negotiated| negotiated.version) else {
            return;
        };
        // The endpoint has parsed it before.
        let first = PacketType::Subscribe.first_byte();
        let Ok(subscribe) = Subscribe::parse(first, body, version) else { return };
        let identifier = subscribe.properties.subscription_identifier;
        let protocol = &self.broker.limits.protocol;
        if identifier.is_some() && !protocol.subscription_identifiers_available {
            return self.leave(Cause::SubscriptionId);
        }
        let mut reasons = Vec::with_capacity(subscribe.filters.len());
        for (filter, mut options) in subscribe.filters.iter() {
            if is_bridge {
                // What a bridge of 5.0 asks for itself, and older ones by the bit in CONNECT: its own
                // messages do not come back, and RETAIN passes through it (D31-02).
                options.no_local = !filter.starts_with("$share/");
                options.retain_as_published = true;
            }
            match self.subscribe_one(&slot, version, filter, options, identifier) {
                Ok(reason) => reasons.push(reason.0),
                // The whole packet is a violation, not this filter alone.
                Err(cause) => return self.leave(cause),
            }
        }
        if self.transaction.is_awaited() {
            self.pressure.owe(Answer::SubAck(subscribe.packet_id, reasons));
        } else {
            self.endpoint.suback(subscribe.packet_id, &reasons);
        }
    }

    fn subscribe_one(
        &mut self,
        slot: &Arc<Slot>,
        version: Version,
        text: &str,
        options: SubscriptionOptions,
        identifier: Option<u32>,
    ) -> Result<ReasonCode, Cause> {
        let protocol = self.broker.limits.protocol;
        let filter = match SubscriptionFilter::parse_with_limit(text, protocol.topic_levels_max) {
            Ok(filter) => filter,
            Err(error) => return refuse_filter(&error, version),
        };
        if filter.share.is_some() {
            if !protocol.shared_subscriptions_available {
                return Err(Cause::Shared);
            }
            if options.no_local {
                return Err(Cause::SharedNoLocal);
            }
        }
        if filter.filter.has_wildcards() && !protocol.wildcards_available {
            return if version.is_v5() {
                Err(Cause::Wildcards)
            } else {
                Ok(ReasonCode::UNSPECIFIED_ERROR)
            };
        }
        let action = Action::Subscribe { filter: filter.filter };
        if !self.broker.authorizer.authorize(slot.subject(), action) {
            return Ok(match version {
                // 3.1 has no way to say no: the subscription is granted and delivers nothing.
                Version::V31 => ReasonCode(options.qos.bits()),
                _ => ReasonCode::NOT_AUTHORIZED,
            });
        }
        let granted = options.qos.min(protocol.maximum_qos);
        let subscription =
            Subscription { options: SubscriptionOptions { qos: granted, ..options }, identifier };
        if self.replays.as_ref().map_or(0, |replays| replays.len())
            >= self.broker.limits.replays_per_connection_max
            || !self.note_subscription(slot, text, subscription)
        {
            return Ok(ReasonCode::QUOTA_EXCEEDED);
        }
        let is_new = self.broker.routing.subscribe(slot.id, filter, subscription);
        if let Some(session) = slot.number {
            let Subscription { options, identifier } = subscription;
            let stored = StoredSubscription { session, filter: text.into(), options, identifier };
            self.transaction.add(Entry::Subscribe(stored), self.broker.durability.level);
        }
        self.replay(filter, granted, options.retain_handling, is_new, identifier);
        Ok(ReasonCode(granted.bits()))
    }

    /// Keeps the subscription with the session; false if it has too many, or the store has no room.
    fn note_subscription(&self, slot: &Slot, text: &str, subscription: Subscription) -> bool {
        let is_short = slot.number.is_some() && self.broker.lacks_room();
        let mut state = slot.lock();
        let has_room = state.subscriptions.contains(text)
            || !is_short
                && state.subscriptions.len() < self.broker.limits.subscriptions_per_session_max;
        if has_room {
            state.subscriptions.insert(text.into(), subscription);
        }
        has_room
    }

    /// Retained messages for the subscription, as its Retain Handling says [MQTT-3.3.1-9],
    /// [MQTT-3.3.1-10], [MQTT-3.3.1-11]; none for a shared one.
    fn replay(
        &mut self,
        filter: SubscriptionFilter<'_>,
        granted: QoS,
        handling: RetainHandling,
        is_new: bool,
        identifier: Option<u32>,
    ) {
        let wanted = match handling {
            RetainHandling::OnSubscribe => true,
            RetainHandling::OnNewSubscription => is_new,
            RetainHandling::Never => false,
        };
        if wanted && filter.share.is_none() {
            let identifiers = identifier.map(|identifier| [identifier].into());
            let replay = Replay::new(filter.filter.to_owned(), granted, identifiers);
            self.replays.get_or_insert_default().push_back(replay);
        }
    }

    /// Removes subscriptions, one reason code for each filter.
    pub(super) fn unsubscribe(&mut self, body: &[u8]) {
        let Stage::Open(client) = &self.stage else { return };
        let slot = client.slot.clone();
        let Some(version) = self.endpoint.negotiated().map(|negotiated| negotiated.version) else {
            return;
        };
        let first = PacketType::Unsubscribe.first_byte();
        let Ok(unsubscribe) = Unsubscribe::parse(first, body, version) else { return };
        let levels_max = self.broker.limits.protocol.topic_levels_max;
        let is_bad = |text| SubscriptionFilter::parse_with_limit(text, levels_max).is_err();
        // Before 5.0 UNSUBACK has no way to say no, and the packet is a violation as a whole
        // [MQTT-4.7.1-3], [MQTT-4.8.0-1].
        if !version.is_v5() && unsubscribe.filters.iter().any(is_bad) {
            return self.leave(Cause::Filter);
        }
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        for text in unsubscribe.filters.iter() {
            match SubscriptionFilter::parse_with_limit(text, levels_max) {
                Ok(filter) => {
                    slot.lock().subscriptions.remove(text);
                    let existed = self.broker.routing.unsubscribe(slot.id, filter);
                    if let Some(session) = slot.number {
                        let entry = Entry::Unsubscribe { session, filter: text.into() };
                        self.transaction.add(entry, self.broker.durability.level);
                    }
                    reasons.push(if existed {
                        ReasonCode::SUCCESS.0
                    } else {
                        ReasonCode::NO_SUBSCRIPTION_EXISTED.0
                    });
                }
                Err(error) => match refuse_filter(&error, version) {
                    Ok(reason) => reasons.push(reason.0),
                    Err(cause) => return self.leave(cause),
                },
            }
        }
        if self.transaction.is_awaited() {
            self.pressure.owe(Answer::UnsubAck(unsubscribe.packet_id, reasons));
        } else {
            self.endpoint.unsuback(unsubscribe.packet_id, &reasons);
        }
    }
}

/// What is not a filter is refused by its reason code where the version has one. Any bad one from a 3.1
/// client, which has no failure code, ends the connection. An empty one does not come this far.
fn refuse_filter(error: &TopicError, version: Version) -> Result<ReasonCode, Cause> {
    match version {
        Version::V5 => Ok(ReasonCode::TOPIC_FILTER_INVALID),
        Version::V311 if !matches!(error, TopicError::Empty) => Ok(ReasonCode::UNSPECIFIED_ERROR),
        _ => Err(Cause::Filter),
    }
}
