//! From a connection that ended to a session without one, or to no session.

use std::sync::Arc;

use mqtt_session::{Delivery, Session, SessionRecord, StoredSubscription, Time, WillRequest};

use super::{
    broker::Broker,
    slot::{Report, Slot, SlotState},
};

impl Broker {
    /// Takes the session back from its connection. A will that is still there is published, now or
    /// after its delay [MQTT-3.1.2-8]; the session ends, now or after its expiry interval.
    #[expect(clippy::too_many_arguments, reason = "called once, with all that is left of a client")]
    pub(crate) fn depart(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        epoch: u64,
        session: Session,
        report: Report,
        will: Option<WillRequest>,
        expiry_secs: u32,
        now: Time,
    ) {
        let delay_secs = will.as_ref().map_or(0, |will| will.delay_secs.min(expiry_secs));
        let waits = delay_secs > 0;
        let (later, at_once) = if waits { (will, None) } else { (None, will) };
        if let Some(will) = at_once {
            self.publish_will(slot, &will.published(now), now);
        }
        let (waiting, deadlines) = {
            let mut state = slot.lock();
            state.inbox.report(report.done, report.held);
            state.traffic += report.traffic;
            state.inbox.go_offline();
            state.inbox.shrink();
            let mut session = session;
            session.shrink();
            state.session = Some(Box::new(session));
            state.expiry_secs = expiry_secs;
            state.expires_at = match expiry_secs {
                // Over for everybody, whatever the time is where they are.
                0 => Some(Time::ZERO),
                u32::MAX => None,
                secs => Some(now.after_secs(secs)),
            };
            state.will = later.map(|will| Box::new((will, now.after_secs(delay_secs))));
            let deadlines = [state.will.as_ref().map(|will| will.1), state.expires_at];
            (state.take_waiting(), deadlines)
        };
        if expiry_secs == 0 {
            self.end_abandoned(slot, epoch);
        } else {
            for due in deadlines.into_iter().flatten() {
                self.schedule(due, slot, epoch);
            }
            if self.store.saves_each_end() {
                self.save(slot, now);
            }
        }
        waiting.wake();
    }

    /// Hands a session without a connection to the store.
    pub(crate) fn save(&self, slot: &Slot, now: Time) {
        let record = {
            let state = slot.lock();
            if state.ended || state.inbox.is_online() || state.expiry_secs == 0 {
                return;
            }
            record(slot, &state, now)
        };
        if let Err(error) = self.store.save(record) {
            tracing::error!(client_id = ?slot.client_id, %error, "cannot save a session");
        }
    }

    /// Takes up the sessions that the store kept.
    pub(crate) fn restore(self: &Arc<Self>, record: SessionRecord, now: Time) {
        let identity = match &record.user_name {
            Some(name) => mqtt_auth::Identity::user(name.clone()),
            None => mqtt_auth::Identity::anonymous(),
        };
        let id = self.registry.next_id();
        let slot = Arc::new(Slot::new(id, record.client_id.clone(), identity, self.inbox_limits()));
        let deadlines = {
            let mut state = slot.lock();
            let session = Session::restore(record.in_flight, record.awaiting_release);
            let mut done = mqtt_session::Ledger::default();
            done.enqueued = session.held().messages as u64;
            state.inbox.report(done, session.held());
            state.session = Some(Box::new(session));
            for delivery in record.queue {
                // Checked against the rules of another server: they are asked for again.
                state.inbox.push(Delivery { mark: u64::MAX, ..delivery }, now);
            }
            let expires = record.expires_in_secs;
            state.expiry_secs = expires.max(1);
            state.expires_at = (expires != u32::MAX).then(|| now.after_secs(expires));
            state.will = record.will.map(|(will, left)| Box::new((will, now.after_secs(left))));
            [state.will.as_ref().map(|will| will.1), state.expires_at]
        };
        if let Some(mut shard) = self.registry.shard(&record.client_id) {
            self.registry.insert(&mut shard, &slot);
        }
        for StoredSubscription { filter, options, identifier } in record.subscriptions {
            let subscription = crate::routing::Subscription { options, identifier };
            let levels_max = self.limits.protocol.topic_levels_max;
            let parsed = mqtt_topics::SubscriptionFilter::parse_with_limit(&filter, levels_max);
            if let Ok(parsed) = parsed {
                self.routing.subscribe(id, parsed, subscription);
                slot.lock().subscriptions.insert(filter, subscription);
            }
        }
        for due in deadlines.into_iter().flatten() {
            self.schedule(due, &slot, 0);
        }
    }
}

fn record(slot: &Slot, state: &SlotState, now: Time) -> SessionRecord {
    let secs_left = |due: Time| u32::try_from(due.millis_since(now) / 1000).unwrap_or(u32::MAX);
    let session = state.session.as_deref();
    SessionRecord {
        client_id: slot.client_id.clone(),
        user_name: slot.identity.user_name().map(Into::into),
        expires_in_secs: state.expires_at.map_or(u32::MAX, secs_left),
        subscriptions: state
            .subscriptions
            .iter()
            .map(|(filter, subscription)| StoredSubscription {
                filter: filter.clone(),
                options: subscription.options,
                identifier: subscription.identifier,
            })
            .collect(),
        in_flight: session.into_iter().flat_map(Session::in_flight).collect(),
        queue: session
            .into_iter()
            .flat_map(Session::pending)
            .chain(state.inbox.iter().cloned())
            .collect(),
        awaiting_release: session.into_iter().flat_map(Session::awaiting_release).collect(),
        will: state.will.as_deref().cloned().map(|(will, due)| (will, secs_left(due))),
    }
}
