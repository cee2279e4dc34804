//! Taking up what the store holds when the server starts.

use std::{collections::HashMap, sync::Arc};

use mqtt_session::{
    Level, SessionNumber, StoreError, Stored, StoredMessage, StoredSession, StoredSubscription,
    Time,
};
use mqtt_topics::{SubscriptionFilter, TopicNameRef};

use super::{
    Entry, Journal, Queues, Transaction,
    queue::{Loaded, Queue},
};
use crate::{
    core::{broker::Broker, slot::Slot},
    routing::Subscription,
};

/// What is found, while it is read.
struct Finder<'a> {
    broker: &'a Arc<Broker>,
    journal: &'a Journal,
    now: Time,
    queues: Queues,
    sessions: HashMap<SessionNumber, (Arc<Slot>, StoredSession)>,
    last: u64,
    /// What is to be written at once.
    parked: Transaction,
}

impl Broker {
    /// Takes up the sessions and the retained messages that the store holds. Called once, before
    /// there is a connection.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn load(self: &Arc<Self>, now: Time) -> Result<(), StoreError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let (queues, sessions) = (Queues::default(), HashMap::new());
        let parked = Transaction::new();
        let mut finder = Finder { broker: self, journal, now, queues, sessions, last: 0, parked };
        journal.store.load(&mut |stored| finder.find(stored))?;
        let found = finder.finish();
        for finding in journal.store.take_findings() {
            tracing::error!("the session store is damaged: {finding}");
        }
        *journal.queues.lock() = found;
        Ok(())
    }
}

impl Finder<'_> {
    fn find(&mut self, stored: Stored) {
        match stored {
            Stored::Session(session) => self.session(session),
            Stored::Subscription(subscription) => self.subscription(subscription),
            Stored::Progress(session, progress) => {
                if let Some(queue) = self.queues.by_session.get_mut(&session) {
                    queue.set_progress(progress);
                }
            }
            Stored::Received(session, ids) => {
                if let Some((slot, _)) = self.sessions.get(&session) {
                    slot.lock().session.get_or_insert_default().restore_received(ids);
                }
            }
            Stored::Queued { session, seq, count, bytes, shared, expires_at_millis } => {
                self.queues.last_shared = self.queues.last_shared.max(shared.unwrap_or(0));
                if let Some(queue) = self.queues.by_session.get_mut(&session) {
                    let expires_at = expires_at_millis.map(|due| self.journal.clock.time(due));
                    let when_full = self.broker.limits.queue.when_full;
                    queue.find(Loaded { seq, count, bytes, shared, expires_at }, when_full);
                }
            }
            Stored::Retained { topic, message } => self.retained(&topic, message),
        }
    }

    fn session(&mut self, session: StoredSession) {
        let broker = self.broker;
        let identity = match &session.user_name {
            Some(name) => mqtt_auth::Identity::user(name.clone()),
            None => mqtt_auth::Identity::anonymous(),
        };
        let slot = Arc::new(Slot::new(
            broker.registry.next_id(),
            session.client_id.clone(),
            identity,
            broker.inbox_limits(),
            Some(session.number),
        ));
        if let Some(mut shard) = broker.registry.shard(&session.client_id) {
            broker.registry.insert(&mut shard, &slot);
        }
        broker.registry.quota.restore(&slot);
        self.last = self.last.max(session.number.0);
        self.queues.by_session.insert(session.number, Queue::new());
        self.sessions.insert(session.number, (slot, session));
    }

    fn subscription(&self, stored: StoredSubscription) {
        let StoredSubscription { session, filter, options, identifier } = stored;
        let Some((slot, _)) = self.sessions.get(&session) else { return };
        let subscription = Subscription { options, identifier };
        let levels_max = self.broker.limits.protocol.topic_levels_max;
        if let Ok(parsed) = SubscriptionFilter::parse_with_limit(&filter, levels_max) {
            self.broker.routing.subscribe(slot.id, parsed, subscription);
            slot.lock().subscriptions.insert(filter, subscription);
        }
    }

    fn retained(&mut self, topic: &str, message: StoredMessage) {
        let run = message.run(self.journal.clock);
        let Ok(name) = TopicNameRef::with_limit(topic, usize::MAX) else { return };
        if run.is_expired(self.now) {
            let topic = name.to_owned();
            self.parked.add(Entry::ForgetRetained { topic }, Level::Memory);
            return;
        }
        let due = run.expires_at();
        if self.broker.retained.set(name, Some(run)).is_err() {
            tracing::warn!(topic, "a retained message was left out: the limit is reached");
        } else if let Some(due) = due {
            self.broker.schedule.look_at_retained(due);
        }
    }

    fn finish(self) -> Queues {
        let Self { broker, journal, now, mut queues, sessions, last, mut parked } = self;
        journal.last_session.store(last, std::sync::atomic::Ordering::Relaxed);
        let mut left = Vec::new();
        for (number, (slot, mut session)) in sessions {
            let Some(queue) = queues.by_session.get_mut(&number) else { continue };
            queue.settle(session.parked_at_millis.is_none());
            if session.parked_at_millis.is_none() {
                // From here on the time counts that its client has to come back.
                session.parked_at_millis = Some(journal.clock.millis(now));
                let progress = Some(queue.progress());
                parked.add(Entry::Session(session.clone()), Level::Memory);
                parked.add(Entry::Park { session: number, progress }, Level::Memory);
            }
            if broker.away.is_some() {
                left.push((session.parked_at_millis, slot.clone()));
            }
            let held = (queue.messages(), queue.bytes);
            if let Some(due) = queue.first_expiry() {
                broker.look_at(&slot, due.max(now));
            }
            broker.take_up(&slot, session, held, now);
        }
        left.sort_unstable_by_key(|(parked_at, _)| *parked_at);
        for (_, slot) in left {
            let sessions = broker.registry.len();
            broker.away.iter().for_each(|away| away.add(&slot, 0, sessions));
        }
        if !parked.is_empty() {
            // Nobody waits for it, so it is not refused.
            let _ = journal.append(parked, None, now);
        }
        queues
    }
}

impl Broker {
    /// A session from the store is there again, without a connection.
    fn take_up(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        session: StoredSession,
        (messages, bytes): (u64, u64),
        now: Time,
    ) {
        let Some(journal) = &self.journal else { return };
        let parked = session.parked_at_millis.unwrap_or_default();
        let at = |secs: u32| journal.clock.time(parked.saturating_add(u64::from(secs) * 1000));
        let deadlines = {
            let mut state = slot.lock();
            state.inbox.count(mqtt_session::Ledger::of(messages));
            state.inbox.keep_on_disk(bytes);
            state.expiry_secs = session.expiry_secs;
            state.expires_at = (session.expiry_secs != u32::MAX).then(|| at(session.expiry_secs));
            state.will = session.will.map(|will| {
                let due = at(will.delay_secs);
                Box::new((will.request(journal.clock), due))
            });
            [state.will.as_ref().map(|will| will.1), state.expires_at]
        };
        for due in deadlines.into_iter().flatten() {
            self.schedule(due.max(now), slot, 0);
        }
    }
}
