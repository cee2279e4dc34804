//! SUBSCRIBE and UNSUBSCRIBE, a few filters at a time: one packet may hold half a million.

use std::sync::Arc;

use bytes::Bytes;
use mqtt_auth::Action;
use mqtt_packet::{
    PacketId, PacketType, ReasonCode, RetainHandling, Subscribe, SubscribeFilters,
    SubscriptionOptions, Unsubscribe, UnsubscribeFilters, Version,
};
use mqtt_session::StoredSubscription;
use mqtt_topics::{SubscriptionFilter, TopicError};

use super::{
    backlog::Request,
    cause::Cause,
    connection::{Connection, Stage},
    journal::Entry,
    pressure::Answer,
    replay::Wanted,
    slot::Slot,
    work::Work,
};
use crate::routing::Subscription;

/// What it costs to make or to remove a subscription, in steps.
const FILTER_STEPS: usize = 16;

/// A SUBSCRIBE or UNSUBSCRIBE that is being worked off.
pub(super) struct FilterRequest {
    packet_id: PacketId,
    version: Version,
    kind: Kind,
    /// The filters that are left, as the packet has them.
    filters: Bytes,
    /// One for each filter before them.
    reasons: Vec<u8>,
}

#[derive(Copy, Clone)]
enum Kind {
    /// With the Subscription Identifier.
    Subscribe(Option<u32>),
    Unsubscribe,
}

impl FilterRequest {
    /// Takes the next filter off, with its options if there are any.
    fn next(&mut self) -> Option<(Bytes, SubscriptionOptions)> {
        let filters = std::mem::take(&mut self.filters);
        let (text, options, rest) = match self.kind {
            Kind::Subscribe(_) => {
                let mut left = SubscribeFilters::resume(&filters, self.version);
                let (text, options) = left.take_first()?;
                (text, options, left.payload())
            }
            Kind::Unsubscribe => {
                let mut left = UnsubscribeFilters::resume(&filters, self.version);
                (left.take_first()?, SubscriptionOptions::default(), left.payload())
            }
        };
        self.filters = filters.slice_ref(rest);
        Some((filters.slice_ref(text.as_bytes()), options))
    }
}

impl Connection {
    /// Makes subscriptions, one reason code for each filter; then retained messages follow.
    pub(super) fn subscribe(&mut self, body: &Bytes, work: &mut Work) {
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
        let request = FilterRequest {
            packet_id: subscribe.packet_id,
            version,
            kind: Kind::Subscribe(identifier),
            filters: body.slice_ref(subscribe.filters.payload()),
            reasons: Vec::new(),
        };
        self.work_off_filters(request, work);
    }

    /// Removes subscriptions, one reason code for each filter.
    pub(super) fn unsubscribe(&mut self, body: &Bytes, work: &mut Work) {
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
        let request = FilterRequest {
            packet_id: unsubscribe.packet_id,
            version,
            kind: Kind::Unsubscribe,
            filters: body.slice_ref(unsubscribe.filters.payload()),
            reasons: Vec::new(),
        };
        self.work_off_filters(request, work);
    }

    /// Works off as many filters as the turn has room for, and answers when there are no more.
    pub(super) fn work_off_filters(&mut self, mut request: FilterRequest, work: &mut Work) {
        let Stage::Open(client) = &self.stage else { return };
        let (slot, is_bridge) = (client.slot.clone(), client.is_bridge);
        while !work.is_over() {
            let Some((text, mut options)) = request.next() else {
                return self.answer_filters(request);
            };
            work.spend(FILTER_STEPS + text.len() / 64);
            let text = std::str::from_utf8(&text).unwrap_or_default();
            if is_bridge {
                // What a bridge of 5.0 asks for itself, and older ones by the bit in CONNECT: its own
                // messages do not come back, and RETAIN passes through it (D31-02).
                options.no_local = !text.starts_with("$share/");
                options.retain_as_published = true;
            }
            let reason = match request.kind {
                Kind::Subscribe(identifier) => {
                    self.subscribe_one(&slot, request.version, text, options, identifier)
                }
                Kind::Unsubscribe => self.unsubscribe_one(&slot, request.version, text),
            };
            match reason {
                Ok(reason) => request.reasons.push(reason.0),
                // The whole packet is a violation, not this filter alone.
                Err(cause) => return self.leave(cause),
            }
        }
        self.keep_request(Request::Filters(request));
    }

    fn answer_filters(&mut self, request: FilterRequest) {
        let FilterRequest { packet_id, kind, reasons, .. } = request;
        match (kind, self.transaction.is_awaited()) {
            (Kind::Subscribe(_), true) => self.pressure.owe(Answer::SubAck(packet_id, reasons)),
            (Kind::Subscribe(_), false) => self.endpoint.suback(packet_id, &reasons),
            (Kind::Unsubscribe, true) => self.pressure.owe(Answer::UnsubAck(packet_id, reasons)),
            (Kind::Unsubscribe, false) => self.endpoint.unsuback(packet_id, &reasons),
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
        let text: Arc<str> = text.into();
        if !self.note_subscription(slot, &text, subscription) {
            return Ok(ReasonCode::QUOTA_EXCEEDED);
        }
        let is_new = self.broker.routing.subscribe(slot.id, filter, subscription);
        if let Some(session) = slot.number {
            let Subscription { options, identifier } = subscription;
            let stored = StoredSubscription { session, filter: text.clone(), options, identifier };
            self.transaction.add(Entry::Subscribe(stored), self.broker.durability.level);
        }
        let wanted = match options.retain_handling {
            RetainHandling::OnSubscribe => true,
            RetainHandling::OnNewSubscription => is_new,
            RetainHandling::Never => false,
        };
        // Retained messages for the subscription, as its Retain Handling says [MQTT-3.3.1-9],
        // [MQTT-3.3.1-10], [MQTT-3.3.1-11]; none for a shared one.
        if wanted && filter.share.is_none() {
            let backlog = self.backlog.get_or_insert_default();
            backlog.replays.ask(text, Wanted { granted, identifier });
        }
        Ok(ReasonCode(granted.bits()))
    }

    /// Keeps the subscription with the session; false if it has too many, or the store has no room.
    fn note_subscription(&self, slot: &Slot, text: &Arc<str>, subscription: Subscription) -> bool {
        let is_short = slot.number.is_some() && self.broker.lacks_room();
        let mut state = slot.lock();
        let has_room = state.subscriptions.contains(text)
            || !is_short
                && state.subscriptions.has_room(text, &self.broker.limits)
                && !self.broker.memory.refuses_subscription(state.subscriptions.len());
        if has_room {
            state.subscriptions.insert(text.clone(), subscription);
        }
        has_room
    }

    fn unsubscribe_one(
        &mut self,
        slot: &Slot,
        version: Version,
        text: &str,
    ) -> Result<ReasonCode, Cause> {
        let levels_max = self.broker.limits.protocol.topic_levels_max;
        let filter = match SubscriptionFilter::parse_with_limit(text, levels_max) {
            Ok(filter) => filter,
            Err(error) => return refuse_filter(&error, version),
        };
        slot.lock().subscriptions.remove(text);
        let existed = self.broker.routing.unsubscribe(slot.id, filter);
        if let Some(session) = slot.number {
            let entry = Entry::Unsubscribe { session, filter: text.into() };
            self.transaction.add(entry, self.broker.durability.level);
        }
        if let Some(backlog) = &mut self.backlog {
            backlog.replays.cancel(text);
        }
        Ok(if existed { ReasonCode::SUCCESS } else { ReasonCode::NO_SUBSCRIPTION_EXISTED })
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
