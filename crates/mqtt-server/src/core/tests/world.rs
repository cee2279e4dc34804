//! A broker, its clients and the time, without I/O.

use std::sync::Arc;

use mqtt_packet::{
    Delivery, Disconnect, Packet, Publish, PublishProperties, QoS, ReasonCode, Subscribe,
    SubscribeFilters, SubscribeProperties, SubscriptionOptions, Unsubscribe, UnsubscribeFilters,
};
use mqtt_session::{MemoryStore, Session, SessionStore, Stored, Time, WallClock, time::earliest};

use super::{
    client::{Client, Message, Seen},
    hello::Hello,
    parts::{Rules, broker},
};
use crate::{
    core::{
        broker::{Broker, ConnectionCount},
        connection::{Connection, Stage},
        login::Peer,
    },
    limits::Limits,
};

/// A client of the world.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) struct Id(usize);

/// What the calendar shows when a durable story begins.
const CALENDAR: WallClock = WallClock { millis_at_zero: 1_000_000_000_000 };

/// Everything that a story needs. When it is dropped, the ledger has to balance.
pub(super) struct World {
    pub(super) broker: Arc<Broker>,
    pub(super) rules: Arc<Rules>,
    pub(super) now: Time,
    clients: Vec<Client>,
    /// Messages that came with sessions of another server.
    restored: u64,
    store: Option<Arc<dyn SessionStore>>,
    clock: WallClock,
    limits: Limits,
    /// Whether the journal is written whenever nobody has anything else to do.
    pub(super) writes: bool,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A world with other limits.
    pub(super) fn with(change: impl FnOnce(&mut Limits)) -> Self {
        Self::start(change, None, WallClock::default())
    }

    /// A world whose broker keeps what it has to in a store.
    pub(super) fn durable() -> Self {
        Self::on(Arc::new(MemoryStore::default()))
    }

    /// A world with other limits, whose broker keeps what it has to in a store.
    pub(super) fn durable_with(change: impl FnOnce(&mut Limits)) -> Self {
        Self::start(change, Some(Arc::new(MemoryStore::default())), CALENDAR)
    }

    /// A world whose broker keeps what it has to in this store.
    pub(super) fn on(store: Arc<dyn SessionStore>) -> Self {
        Self::start(|_| {}, Some(store), CALENDAR)
    }

    fn start(
        change: impl FnOnce(&mut Limits),
        store: Option<Arc<dyn SessionStore>>,
        clock: WallClock,
    ) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        let rules = Arc::default();
        let broker = broker(limits.clone(), &rules, store.clone(), clock);
        let mut world = Self {
            broker,
            rules,
            now: Time::ZERO,
            clients: Vec::new(),
            restored: 0,
            store,
            clock,
            limits,
            writes: true,
        };
        world.load();
        world
    }

    fn load(&mut self) {
        self.broker.load(self.now).unwrap();
        self.restored = self.broker.totals().ledger.enqueued;
    }

    /// Entries of queues that are in the store.
    pub(super) fn stored_messages(&self) -> usize {
        let mut count = 0;
        let visit = &mut |stored| count += usize::from(matches!(stored, Stored::Queued { .. }));
        self.store.as_ref().unwrap().load(visit).unwrap();
        count
    }

    /// Retained messages that are in the store.
    pub(super) fn stored_retained(&self) -> usize {
        let mut count = 0;
        let visit = &mut |stored| count += usize::from(matches!(stored, Stored::Retained { .. }));
        self.store.as_ref().unwrap().load(visit).unwrap();
        count
    }

    /// The broker dies with all its connections, and another one starts in its place.
    pub(super) fn crash(&mut self) {
        // The journal of the dead one is never written again.
        let next = broker(self.limits.clone(), &self.rules, self.store.clone(), self.clock);
        self.broker = next;
        for client in &mut self.clients {
            client.cut(self.now);
        }
        self.load();
    }

    /// A world whose broker starts with what the store of this one holds at this moment: what was
    /// not written is gone with the process.
    pub(super) fn restart(&self) -> Self {
        self.restart_after(0)
    }

    /// The same, when some time has passed.
    pub(super) fn restart_after(&self, millis: u64) -> Self {
        let millis_at_zero = self.clock.millis(self.now.after_millis(millis));
        Self::start(|_| {}, self.store.clone(), WallClock { millis_at_zero })
    }

    /// The same, with a calendar that was set back meanwhile.
    pub(super) fn restart_before(&self, millis: u64) -> Self {
        let millis_at_zero = self.clock.millis(self.now) - millis;
        Self::start(|_| {}, self.store.clone(), WallClock { millis_at_zero })
    }

    /// Opens a connection and says nothing.
    pub(super) fn open(&mut self, hello: &Hello) -> Id {
        let count = ConnectionCount::new(&self.broker).unwrap();
        let peer = Peer { address: None, listener: "story".into() };
        let connection = Connection::new(self.broker.clone(), peer, count, self.now);
        self.clients.push(Client::new(hello.version, &hello.id, connection));
        Id(self.clients.len() - 1)
    }

    /// Connects a client; whatever comes of it.
    pub(super) fn connect(&mut self, hello: &Hello) -> Id {
        let client = self.begin(hello);
        self.run();
        client
    }

    /// A connection whose CONNECT is on the wire. It goes on where an older one of the same client
    /// identifier left off.
    pub(super) fn begin(&mut self, hello: &Hello) -> Id {
        let client = self.open(hello);
        let older = self.clients.iter().rev().skip(1).find(|other| other.id == hello.id);
        let kept = older.map(|older| (older.unreleased.clone(), older.last_id));
        let this = self.client(client);
        (this.unreleased, this.last_id) = kept.unwrap_or_default();
        this.say(&hello.encode());
        client
    }

    pub(super) fn client(&mut self, client: Id) -> &mut Client {
        &mut self.clients[client.0]
    }

    pub(super) fn send(&mut self, client: Id, packet: &Packet<'_>) {
        self.client(client).send(packet);
        self.run();
    }

    pub(super) fn say(&mut self, client: Id, bytes: &[u8]) {
        self.client(client).say(bytes);
        self.run();
    }

    /// Publishes; the reply is seen by the client.
    pub(super) fn publish(&mut self, client: Id, topic: &str, payload: &str, qos: u8) {
        self.publish_as(client, topic, payload, qos, false, PublishProperties::default());
    }

    /// A client that comes to publish one message at QoS 1, and goes.
    pub(super) fn publish_from_nowhere(&mut self, topic: &str, payload: &str) {
        let client = self.connect(&super::hello::hello(mqtt_packet::Version::V5, "nowhere"));
        self.publish(client, topic, payload, 1);
        self.disconnect(client, ReasonCode::NORMAL_DISCONNECTION);
    }

    pub(super) fn retain(&mut self, client: Id, topic: &str, payload: &str) {
        self.publish_as(client, topic, payload, 0, true, PublishProperties::default());
    }

    pub(super) fn publish_as(
        &mut self,
        client: Id,
        topic: &str,
        payload: &str,
        qos: u8,
        retain: bool,
        properties: PublishProperties<'_>,
    ) {
        let delivery = match qos {
            0 => Delivery::AtMostOnce,
            1 => Delivery::AtLeastOnce(self.client(client).next_id()),
            _ => Delivery::ExactlyOnce(self.client(client).next_id()),
        };
        let payload = payload.as_bytes();
        let publish = Publish { dup: false, delivery, retain, topic, properties, payload };
        self.send(client, &Packet::Publish(publish));
    }

    /// Subscribes; the reasons of SUBACK.
    pub(super) fn subscribe(&mut self, client: Id, filter: &str, qos: u8) -> Vec<u8> {
        let options = SubscriptionOptions::new(QoS::from_bits(qos).unwrap());
        self.subscribe_as(client, &[(filter, options)], None)
    }

    pub(super) fn subscribe_as(
        &mut self,
        client: Id,
        filters: &[(&str, SubscriptionOptions)],
        identifier: Option<u32>,
    ) -> Vec<u8> {
        let properties =
            SubscribeProperties { subscription_identifier: identifier, ..Default::default() };
        let packet_id = self.client(client).next_id();
        let filters = SubscribeFilters::new(filters);
        self.send(client, &Packet::Subscribe(Subscribe { packet_id, properties, filters }));
        let seen = self.seen(client);
        let reasons = seen.into_iter().rev().find_map(|seen| match seen {
            Seen::SubAck(reasons) => Some(reasons),
            _ => None,
        });
        reasons.unwrap_or_default()
    }

    /// Unsubscribes; the reasons of UNSUBACK.
    pub(super) fn unsubscribe(&mut self, client: Id, filter: &str) -> Vec<u8> {
        let packet_id = self.client(client).next_id();
        let filters = [filter];
        let filters = UnsubscribeFilters::new(&filters);
        let unsubscribe = Unsubscribe { packet_id, properties: Default::default(), filters };
        self.send(client, &Packet::Unsubscribe(unsubscribe));
        match self.seen(client).pop() {
            Some(Seen::UnsubAck(reasons)) => reasons,
            other => panic!("no UNSUBACK but {other:?}"),
        }
    }

    pub(super) fn disconnect(&mut self, client: Id, reason: ReasonCode) {
        self.send(client, &Packet::Disconnect(Disconnect::new(reason)));
    }

    /// The wire of a client is cut.
    pub(super) fn cut(&mut self, client: Id) {
        let now = self.now;
        self.client(client).cut(now);
        self.run();
    }

    /// Whether the client takes what it is sent.
    pub(super) fn reads(&mut self, client: Id, reads: bool) {
        self.client(client).reads = reads;
        self.client(client).wake();
        self.run();
    }

    /// A client that does not read takes so many bytes of what it is sent.
    pub(super) fn takes(&mut self, client: Id, bytes: usize) {
        self.client(client).takes(bytes);
        self.client(client).wake();
        self.run();
    }

    /// The messages that came to a client since the last time.
    pub(super) fn messages(&mut self, client: Id) -> Vec<Message> {
        std::mem::take(&mut self.client(client).messages)
    }

    /// Their payloads.
    pub(super) fn texts(&mut self, client: Id) -> Vec<String> {
        self.messages(client).into_iter().map(|message| message.payload).collect()
    }

    /// The one message that came to a client since the last time.
    #[track_caller]
    pub(super) fn message(&mut self, client: Id) -> Message {
        let mut messages = self.messages(client);
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages.remove(0)
    }

    /// Everything else that came to a client since the last time.
    pub(super) fn seen(&mut self, client: Id) -> Vec<Seen> {
        std::mem::take(&mut self.client(client).seen)
    }

    /// Whether the client's connection was accepted, and with an old session.
    #[track_caller]
    pub(super) fn session_present(&mut self, client: Id) -> bool {
        match self.seen(client).first() {
            Some(Seen::ConnAck { reason: ReasonCode::SUCCESS, present, .. }) => *present,
            other => panic!("not accepted: {other:?}"),
        }
    }

    pub(super) fn is_open(&self, client: Id) -> bool {
        self.clients[client.0].connection.is_some()
    }

    /// Runs until nobody is awake. Then nobody may have anything to do: that would be a lost
    /// wake-up.
    pub(super) fn run(&mut self) {
        let now = self.now;
        while self.turn_all() || (self.writes && self.write()) {}
        for client in &mut self.clients {
            assert!(!client.step(now), "{}: it had something to do and was not woken", client.id);
        }
    }

    /// Writes the journal, once. Answers whether there was anything to write.
    pub(super) fn write(&mut self) -> bool {
        self.broker.journal.as_ref().is_some_and(|journal| journal.commit(self.now))
    }

    fn turn_all(&mut self) -> bool {
        let now = self.now;
        let mut any = false;
        for client in &mut self.clients {
            if client.take_awake() {
                client.turn(now);
                any = true;
            }
        }
        any
    }

    /// Moves the clock from deadline to deadline.
    pub(super) fn pass(&mut self, millis: u64) {
        let target = self.now.after_millis(millis);
        while let Some(due) = self.next_deadline().filter(|due| *due <= target) {
            self.now = self.now.max(due);
            self.fire();
        }
        self.now = target;
        self.fire();
    }

    fn fire(&mut self) {
        let now = self.now;
        while self.broker.handle_timeout(now).is_some_and(|next| next <= now) {}
        for client in &self.clients {
            let connection = client.connection.as_ref();
            if connection.and_then(Connection::poll_timeout).is_some_and(|due| due <= now) {
                client.wake();
            }
        }
        self.run();
    }

    fn next_deadline(&self) -> Option<Time> {
        let timeouts = self.clients.iter().filter_map(|client| client.connection.as_ref());
        let first = timeouts.filter_map(Connection::poll_timeout).min();
        earliest(first, self.broker.schedule.next())
    }

    /// Every copy of a message is delivered, expired, dropped or really somewhere.
    #[track_caller]
    pub(super) fn assert_balanced(&mut self) {
        let mut held = 0;
        for client in &mut self.clients {
            let Some(connection) = &mut client.connection else { continue };
            if let Some(cause) = connection.take_deliveries(self.now, 0) {
                connection.go(cause, self.now);
            }
            if let Stage::Open(_) = connection.stage {
                held += connection.endpoint.held().messages as u64;
                held += connection.endpoint.unwritten();
            }
        }
        for slot in self.broker.registry.all() {
            let state = slot.lock();
            let session = state.session.as_deref().map(Session::held).unwrap_or_default();
            held += state.inbox.queued() + session.messages as u64;
            drop(state);
            if let (Some(number), Some(journal)) = (slot.number, &self.broker.journal) {
                held += journal.on_disk(number);
            }
        }
        let totals = self.broker.totals();
        let (traffic, ledger) = (totals.traffic, totals.ledger);
        let came = traffic.copies + traffic.replayed + self.restored;
        assert_eq!(ledger.enqueued, came, "{totals:?}");
        let gone = ledger.delivered + ledger.expired + ledger.dropped_total();
        assert_eq!(ledger.enqueued, gone + held, "{held} are held; {totals:?}");
    }

    /// Messages lost for a reason so far.
    pub(super) fn dropped(&mut self, reason: mqtt_session::DropReason) -> u64 {
        self.assert_balanced();
        self.broker.totals().ledger.dropped(reason)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.writes = true;
            self.run();
            self.assert_balanced();
        }
    }
}
