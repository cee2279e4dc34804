//! What all connections share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use mqtt_auth::{Action, Authenticator, Authorizer, Subject};
use mqtt_packet::{QoS, ReasonCode};
use mqtt_session::{
    Delivery, InboxLimits, Ledger, Level, Run, ServerConfig, SessionStore, Time, WallClock,
    WillRequest,
};
use mqtt_topics::TopicNameRef;
use parking_lot::Mutex;

use super::{
    journal::{Entry, Journal, Ticket, Transaction},
    legacy::Legacy,
    log_limit::LogLimit,
    memory::Memory,
    quota::Away,
    refusals::Refusals,
    registry::Registry,
    schedule::{Due, Schedule},
    slot::{Slot, SlotState},
    sweep::Sweep,
    traffic::Traffic,
    work::Work,
};
use crate::{durability::Durability, limits::Limits, retained::Retained, routing::Routing};

/// So many sessions are added up in one go, and what else is on their page.
const SUMMED: usize = 512;

/// What an entry of the schedule costs, and the end of a session with its first subscriptions, in
/// steps.
const ENTRY_STEPS: usize = 4;
const END_STEPS: usize = 256;

/// The state that the connections of a server share. It does no I/O and reads no clock.
pub(crate) struct Broker {
    pub(crate) limits: Limits,
    /// The parts of the limits that connections and sessions keep at hand.
    pub(crate) protocol: Arc<ServerConfig>,
    inbox_limits: Arc<InboxLimits>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) routing: Arc<dyn Routing>,
    pub(crate) retained: Arc<dyn Retained>,
    /// Where everything goes that has to outlive the process; `None` if nothing has to.
    pub(crate) journal: Option<Box<Journal>>,
    pub(crate) durability: Durability,
    pub(crate) registry: Registry,
    /// Sessions without a connection, where one may end to make room for another.
    pub(crate) away: Option<Away>,
    pub(crate) schedule: Arc<Schedule>,
    /// Makes client identifiers that nobody can guess.
    pub(crate) entropy: fn() -> u128,
    /// Sockets, whether or not a client was let in.
    pub(crate) connections: AtomicUsize,
    /// Clients that have a connection and their session.
    pub(crate) clients: AtomicUsize,
    pub(crate) connections_total: AtomicU64,
    /// Connections whose task panicked.
    pub(crate) connections_panicked: AtomicU64,
    /// Connections that were refused, by reason.
    pub(crate) refusals: Refusals,
    pub(crate) is_stopping: AtomicBool,
    pub(crate) log_limit: LogLimit,
    /// Logins that nobody was asked about, because there were too many.
    pub(crate) logins_refused: AtomicU64,
    /// How often identities may have ended; see [`Broker::look_at_identities`].
    pub(super) identities: AtomicU64,
    /// How much memory is left.
    pub(crate) memory: Memory,
    /// What sessions that have ended leave behind.
    retired: Mutex<Retired>,
    pub(super) sweep: Sweep,
}

/// What went through the whole server.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub struct Totals {
    /// What came from clients and went to them.
    pub traffic: Traffic,
    /// What became of the copies of messages for receivers. Replays of retained messages are in it
    /// too.
    pub ledger: Ledger,
}

/// What sessions that have ended leave behind.
#[derive(Default)]
struct Retired {
    totals: Totals,
    /// A sum over all sessions, while one is made.
    sum: Option<Sum>,
}

/// A sum over all sessions, up to a page of them.
struct Sum {
    page: usize,
    totals: Totals,
}

/// Everything that the embedder chooses.
pub(crate) struct Parts {
    pub(crate) limits: Limits,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) routing: Arc<dyn Routing>,
    pub(crate) retained: Arc<dyn Retained>,
    pub(crate) store: Option<Arc<dyn SessionStore>>,
    pub(crate) durability: Durability,
    pub(crate) clock: WallClock,
    pub(crate) entropy: fn() -> u128,
    /// Bytes that the process may use, and how many it does.
    pub(crate) memory: Memory,
}

impl Broker {
    pub(crate) fn new(mut parts: Parts) -> Self {
        // A server that keeps no retained message says so [MQTT-3.2.2-13].
        let keeps_retained =
            parts.limits.retained_messages_max > 0 && parts.limits.retained_bytes_max > 0;
        parts.limits.protocol.retain_available &= keeps_retained;
        let limits = parts.limits.queue;
        let schedule: Arc<Schedule> = Arc::default();
        let journal = |store| {
            let (schedule, retained) = (schedule.clone(), parts.retained.clone());
            Box::new(Journal::new(store, limits, parts.clock, schedule, retained))
        };
        let registry = Registry::new(&parts.limits);
        let away = parts.limits.evict_sessions.then(Away::default);
        Self {
            protocol: Arc::new(parts.limits.protocol),
            inbox_limits: Arc::new(parts.limits.queue),
            journal: parts.store.map(journal),
            durability: parts.durability,
            limits: parts.limits,
            authenticator: parts.authenticator,
            authorizer: parts.authorizer,
            routing: parts.routing,
            retained: parts.retained,
            registry,
            away,
            schedule,
            entropy: parts.entropy,
            connections: AtomicUsize::new(0),
            clients: AtomicUsize::new(0),
            connections_total: AtomicU64::new(0),
            connections_panicked: AtomicU64::new(0),
            refusals: Refusals::default(),
            is_stopping: AtomicBool::new(false),
            log_limit: LogLimit::default(),
            logins_refused: AtomicU64::new(0),
            identities: AtomicU64::new(0),
            memory: parts.memory,
            retired: Mutex::default(),
            sweep: Sweep::default(),
        }
    }

    pub(crate) fn inbox_limits(&self) -> Arc<InboxLimits> {
        self.inbox_limits.clone()
    }

    /// Changes whenever a remembered route may be wrong.
    pub(crate) fn generations(&self) -> (u64, u64) {
        (self.routing.generation(), self.authorizer.generation())
    }

    /// Whether `who` may publish to `topic`. Topics under `$SYS` are the server's own, but for the one
    /// where a bridge says whether it is connected.
    pub(crate) fn may_publish(
        &self,
        who: Subject<'_>,
        topic: TopicNameRef<'_>,
        qos: QoS,
        retain: bool,
    ) -> bool {
        let action = Action::Publish { topic, retain, qos: qos.bits() };
        let is_free = !is_sys(topic.as_str()) || is_bridge_state(topic.as_str(), who.client_id);
        is_free && self.authorizer.authorize(who, action)
    }

    /// Whether a session may be sent messages of `topic`.
    pub(crate) fn may_receive(&self, slot: &Slot, topic: TopicNameRef<'_>) -> bool {
        slot.is_local() || self.authorizer.authorize(slot.subject(), Action::Receive { topic })
    }

    /// Whether a session may be sent all messages of a delivery.
    pub(crate) fn may_deliver(&self, slot: &Slot, delivery: &Delivery) -> bool {
        delivery.run.frames().all(|frame| {
            let topic = std::str::from_utf8(frame.publish.topic).ok();
            let topic = topic.and_then(|topic| TopicNameRef::with_limit(topic, usize::MAX).ok());
            topic.is_some_and(|topic| self.may_receive(slot, topic))
        })
    }

    /// A session is over: its subscriptions go, and what it held is counted as lost.
    pub(crate) fn end_session(&self, slot: &Arc<Slot>) {
        self.end_session_if(slot, |_| true);
    }

    /// The same, unless the session has had another connection than the one of this number since:
    /// whoever decides that a session is over lets go of its lock before this is called.
    pub(crate) fn end_abandoned(&self, slot: &Arc<Slot>, epoch: u64) -> Ticket {
        self.end_session_if(slot, |state| state.is_abandoned(epoch))
    }

    fn end_session_if(&self, slot: &Arc<Slot>, is_over: impl FnOnce(&SlotState) -> bool) -> Ticket {
        let (left, legacy);
        let (subscriptions, waiting) = {
            let mut state = slot.lock();
            if state.ended || !is_over(&state) {
                return Ticket::default();
            }
            state.ended = true;
            let holds = state.inbox.ledger().held() > 0;
            legacy = Legacy::of(&state.subscriptions).filter(|_| holds).map(Arc::new);
            let queue = state.inbox.end();
            let session = state.session.take();
            if let Some(legacy) = &legacy {
                legacy.add(session.iter().flat_map(|session| session.left_behind()));
                legacy.add(queue);
            }
            state.expires_at = None;
            let waiting = state.take_waiting();
            left = Totals { ledger: state.inbox.ledger(), traffic: state.take_traffic() };
            (std::mem::take(&mut state.subscriptions), waiting)
        };
        self.retire(slot, left);
        self.registry.remove(slot);
        self.unroute_all(slot, subscriptions.into_filters());
        let mut transaction = Transaction::new();
        if let Some(number) = slot.number {
            // What is in the store alone is read before it is forgotten.
            let legacy = legacy.map(|legacy| (slot.clone(), legacy));
            transaction.add(Entry::End(number, legacy), Level::Memory);
        } else if let Some(legacy) = legacy {
            self.schedule.hand_on(slot, legacy);
        }
        // Before anybody hears of it: what a newcomer appends comes behind the end.
        let ticket = self.append(transaction, Time::ZERO);
        waiting.wake();
        ticket
    }

    /// Whether there is a store, and no room in it for what makes it larger.
    pub(crate) fn lacks_room(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.lacks_room())
    }

    /// Appends to the journal what nobody waits for here.
    pub(crate) fn append(&self, transaction: Transaction, now: Time) -> Ticket {
        match &self.journal {
            Some(journal) if !transaction.is_empty() => {
                journal.append(transaction, None, now).unwrap_or_default()
            }
            _ => Ticket::default(),
        }
    }

    /// Takes one of a session's subscriptions out of the routing.
    pub(crate) fn unroute(&self, slot: &Slot, filter: &str) {
        let levels_max = self.limits.protocol.topic_levels_max;
        if let Ok(parsed) = mqtt_topics::SubscriptionFilter::parse_with_limit(filter, levels_max) {
            self.routing.unsubscribe(slot.id, parsed);
        }
    }

    /// Counts messages that no session of a client published.
    pub(crate) fn count(&self, traffic: Traffic) {
        self.retired.lock().totals.traffic += traffic;
    }

    /// What went through so far: of all sessions, those that ended and those that are there.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = self.totals_without_sessions();
        for slots in (0..).map_while(|page| self.registry.page(page)) {
            totals.add_up(&slots);
        }
        totals
    }

    fn totals_without_sessions(&self) -> Totals {
        let mut totals = self.retired.lock().totals;
        if let Some(journal) = &self.journal {
            totals.ledger += journal.lost();
        }
        totals
    }

    /// Adds some sessions up each time it is called; returns the sum when it is done. A session that
    /// ends meanwhile is counted once.
    pub(crate) fn sum_some(&self) -> Option<Totals> {
        let fresh = self.totals_without_sessions();
        let mut page = {
            let mut retired = self.retired.lock();
            retired.sum.get_or_insert(Sum { page: 0, totals: fresh }).page
        };
        let mut count = 0;
        while count < SUMMED {
            let slots = self.registry.page(page);
            let mut part = Totals::default();
            part.add_up(slots.as_deref().unwrap_or_default());
            let mut retired = self.retired.lock();
            let Some(slots) = slots else { return retired.sum.take().map(|sum| sum.totals) };
            let sum = retired.sum.as_mut()?;
            sum.totals.add(part);
            page += 1;
            sum.page = page;
            count += slots.len();
        }
        None
    }

    /// A session ends, or its connection: what it counted is kept here from now on.
    pub(crate) fn retire(&self, slot: &Slot, left: Totals) {
        let page = self.registry.page_of(slot);
        let mut retired = self.retired.lock();
        retired.totals.add(left);
        // Where the sum has not come to its page yet, it would miss it.
        if let Some(sum) = retired.sum.as_mut().filter(|sum| page >= sum.page) {
            sum.totals.add(left);
        }
    }

    /// Works off what is due: wills whose delay has run out, sessions that have expired; and a page of
    /// what others left behind. Stops when it has done as much as a turn has room for. Returns when to
    /// come back.
    pub(crate) fn handle_timeout(self: &Arc<Self>, now: Time) -> Option<Time> {
        let mut work = Work::default();
        if self.schedule.take_retained(now) {
            work.spend(END_STEPS);
            self.expire_retained(now);
        }
        while !work.is_over() {
            let Some(entry) = self.schedule.next_due(now) else { break };
            work.spend(ENTRY_STEPS);
            let epoch = match entry.what {
                Due::Session(epoch) => epoch,
                Due::Messages => {
                    work.spend(END_STEPS);
                    self.expire_messages(&entry.slot, now);
                    continue;
                }
                Due::HandOn(legacy) => {
                    self.hand_on(&entry.slot, &legacy, now, &mut work);
                    continue;
                }
            };
            let (will, expired) = {
                let mut state = entry.slot.lock();
                if state.epoch != epoch || state.ended || state.inbox.is_online() {
                    continue;
                }
                let will_due = state.will.as_ref().is_some_and(|will| will.1 <= now);
                let expired = state.expires_at.is_some_and(|due| due <= now);
                // The end of the session is the last moment for the will [MQTT-3.1.2-8].
                let will = if will_due || expired { state.will.take() } else { None };
                (will, expired)
            };
            if let Some(will) = will {
                self.publish_late_will(&entry.slot, &will.0, &mut work, now);
            }
            if expired {
                work.spend(END_STEPS);
                self.end_abandoned(&entry.slot, epoch);
            }
        }
        self.sweep();
        if self.has_leftovers() { Some(now) } else { self.schedule.next() }
    }

    /// Puts a deadline of a session on the schedule.
    pub(crate) fn schedule(&self, due: Time, slot: &Arc<Slot>, epoch: u64) {
        self.schedule.add(due, slot, epoch);
    }

    /// Publishes a will whose delay is over: the store forgets it as it takes the message.
    fn publish_late_will(&self, slot: &Arc<Slot>, will: &WillRequest, work: &mut Work, now: Time) {
        let mut transaction = Transaction::new();
        self.publish_will(slot, &will.published(now), work, now, &mut transaction);
        if let (Some(journal), Some(number)) = (&self.journal, slot.number) {
            let (expiry_secs, expires_at) = {
                let state = slot.lock();
                (state.expiry_secs, state.expires_at)
            };
            // The end of the session stays where it is.
            let end = expires_at.map(|due| journal.clock.millis(due));
            let start = |end: u64| end.saturating_sub(u64::from(expiry_secs) * 1000);
            let parked = end.map_or_else(|| journal.clock.millis(now), start);
            let stored = slot.stored(number, expiry_secs, Some(parked), None, journal.clock);
            transaction.add(Entry::Session(stored), Level::Memory);
        }
        self.append(transaction, now);
    }

    /// Publishes the will of a session, if its client may still publish there.
    pub(crate) fn publish_will(
        &self,
        slot: &Arc<Slot>,
        run: &Run,
        work: &mut Work,
        now: Time,
        transaction: &mut Transaction,
    ) {
        let Ok(topic) = TopicNameRef::with_limit(run.topic(), usize::MAX) else { return };
        let mut traffic = Traffic { published: 1, ..Traffic::default() };
        let may_publish = self.may_publish(slot.subject(), topic, run.qos(), run.retain());
        if may_publish && !self.is_gone(&slot.identity) {
            self.publish_into(Some(slot), run, now, &mut traffic, transaction, work);
        } else {
            traffic.denied += 1;
            tracing::warn!(client_id = ?slot.client_id, topic = ?run.topic(), "a will was not permitted");
        }
        self.count(traffic);
    }

    /// Publishes a message that is not part of a connection's stream: retains it if it asks for
    /// that, and hands it to whoever is subscribed.
    pub(crate) fn publish(
        &self,
        publisher: Option<&Arc<Slot>>,
        run: &Run,
        now: Time,
        traffic: &mut Traffic,
    ) -> ReasonCode {
        let mut transaction = Transaction::new();
        let reason =
            self.publish_into(publisher, run, now, traffic, &mut transaction, &mut Work::default());
        self.append(transaction, now);
        reason
    }

    fn publish_into(
        &self,
        publisher: Option<&Arc<Slot>>,
        run: &Run,
        now: Time,
        traffic: &mut Traffic,
        transaction: &mut Transaction,
        work: &mut Work,
    ) -> ReasonCode {
        if run.retain() && self.retain(run, now, transaction).is_err() {
            return ReasonCode::QUOTA_EXCEEDED;
        }
        let Ok(topic) = TopicNameRef::with_limit(run.topic(), usize::MAX) else {
            return ReasonCode::TOPIC_NAME_INVALID;
        };
        let receivers = self.receivers(publisher.map(|slot| slot.id), topic, work);
        work.spend(receivers.steps(1));
        let mut behind = super::behind::Behind::default();
        self.hand_out(run, &receivers, now, traffic, &mut behind, transaction).reason
    }
}

/// Whether a topic is where a client of this identifier says that it is a connected bridge, as those
/// of mosquitto do by default: with a retained message when it comes, and with a will. Only its own:
/// nobody speaks for another client there.
fn is_bridge_state(topic: &str, client_id: &str) -> bool {
    let id = topic.strip_prefix("$SYS/broker/connection/");
    id.and_then(|rest| rest.strip_suffix("/state")) == Some(client_id)
}

/// Whether a topic is the server's own.
pub(crate) fn is_sys(topic: &str) -> bool {
    topic == "$SYS" || topic.starts_with("$SYS/")
}

impl Totals {
    fn add(&mut self, other: Self) {
        self.ledger += other.ledger;
        self.traffic += other.traffic;
    }

    /// Adds what these sessions counted, unless they have ended.
    fn add_up(&mut self, slots: &[Arc<Slot>]) {
        for slot in slots {
            let state = slot.lock();
            if !state.ended {
                self.ledger += state.inbox.ledger();
                self.traffic += state.traffic();
            }
        }
    }
}

/// The number of connections, kept right whatever way one ends.
pub(crate) struct ConnectionCount(Arc<Broker>);

impl ConnectionCount {
    /// Counts a connection; `None` if there are too many.
    pub(crate) fn new(broker: &Arc<Broker>) -> Option<Self> {
        Self::or_evict(broker, || false)
    }

    /// Counts a connection; where there are too many, `evict` may end another one for it and return
    /// true.
    pub(crate) fn or_evict(broker: &Arc<Broker>, evict: impl FnOnce() -> bool) -> Option<Self> {
        let counted = Self(broker.clone());
        broker.connections_total.fetch_add(1, Ordering::Relaxed);
        let before = broker.connections.fetch_add(1, Ordering::Relaxed);
        (before < broker.limits.connections_max || evict()).then_some(counted)
    }
}

impl Drop for ConnectionCount {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
