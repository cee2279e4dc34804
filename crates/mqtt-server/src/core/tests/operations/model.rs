//! What the story expects of the broker after each operation.

use std::collections::{BTreeMap, HashMap, HashSet};

use mqtt_packet::{
    Ack, Delivery, Packet, PacketId, PacketType, Publish, PublishProperties, QoS, ReasonCode,
    Unsubscribe, UnsubscribeFilters, Version,
};
use mqtt_session::{DropReason, QueueFull, Session};

use super::{CLIENTS, FILTERS, MESSAGES_MAX, Op, PAYLOAD_LEN, SECRET, TOPICS};
use crate::{
    core::tests::{
        hello::{Hello, hello},
        parts::Act,
        world::{Id, World},
    },
    limits::Limits,
};

/// What the story knows of one client identifier.
#[derive(Default)]
pub(super) struct Device {
    pub(super) connection: Option<Id>,
    /// Counts its sessions.
    session: u32,
    subscriptions: HashMap<usize, u8>,
    /// Filters that it subscribed to or gave up while it had to wait: they hold from then or till
    /// then, some time.
    perhaps: HashSet<usize>,
    /// Everything that it ever subscribed to.
    topics: HashSet<usize>,
    /// Own messages without a final acknowledgement, by packet identifier; `true` after PUBREC.
    unacknowledged: BTreeMap<u16, (usize, bool)>,
    pub(super) got: Vec<usize>,
    /// The QoS at which these came first, and in which session.
    came_at: HashMap<usize, (u8, u32)>,
}

/// A message, in the order of publication.
struct Sent {
    from: usize,
    topic: usize,
    qos: u8,
    /// Who has to get it at QoS 1 or 2, with the number of the session; as far as that is certain.
    due: Vec<(usize, u32)>,
    /// Who may get it, if the broker read it at once.
    may: Option<Vec<usize>>,
    /// The broker may take it for another, later message, for other receivers: at QoS 1, and where it
    /// died before it had written it.
    came_again: bool,
}

pub(super) struct Model {
    pub(super) world: World,
    pub(super) devices: [Device; CLIENTS],
    sent: Vec<Sent>,
    /// Says what it likes; the model does not follow it.
    intruder: Option<Id>,
    is_durable: bool,
    when_full: QueueFull,
    /// Messages that brokers counted as lost that died since.
    lost: u64,
}

impl Model {
    pub(super) fn new(is_durable: bool) -> Self {
        Self::with(is_durable, QueueFull::DropNewest)
    }

    pub(super) fn with(is_durable: bool, when_full: QueueFull) -> Self {
        let change = |limits: &mut Limits| {
            limits.output_bytes_max = 500;
            limits.queue.messages_max = MESSAGES_MAX;
            limits.queue.high_water_bytes = 1_000;
            limits.queue.slow_after_millis = 1_500;
            limits.queue.when_full = when_full;
        };
        let world = if is_durable { World::durable_with(change) } else { World::with(change) };
        world.rules.forbid_from_the_start(Act::Receive, TOPICS[SECRET]);
        let (devices, sent) = (Default::default(), Vec::new());
        Self { world, devices, sent, intruder: None, is_durable, when_full, lost: 0 }
    }

    /// A model whose clients are there.
    pub(super) fn connected(is_durable: bool, when_full: QueueFull) -> Self {
        let mut model = Self::with(is_durable, when_full);
        for who in 0..CLIENTS {
            model.apply(&Op::Connect { who, v5: who == 0, clean: false, expiry_secs: u32::MAX });
        }
        model
    }

    pub(super) fn apply(&mut self, op: &Op) {
        match *op {
            Op::Connect { who, v5, clean, expiry_secs } => {
                let version = if v5 { Version::V5 } else { Version::V311 };
                let id = format!("client {who}");
                let mut hello = Hello { clean, ..hello(version, &id) }.expiry(expiry_secs);
                hello.properties.receive_maximum = v5.then_some(3);
                self.connect(who, &hello);
            }
            Op::Subscribe { who, filter, qos } => self.subscribe(who, filter, qos),
            Op::Unsubscribe { who, filter } => self.unsubscribe(who, filter),
            Op::Publish { who, topic, count, qos, retain } => {
                self.publish(who, topic, count, qos, retain);
            }
            Op::Reads { who, reads } => {
                if let Some(client) = self.online(who) {
                    self.world.reads(client, reads);
                }
            }
            Op::LoseAcks { who } => {
                if let Some(client) = self.online(who) {
                    self.world.client(client).answers = false;
                }
            }
            Op::Cut { who } => {
                if let Some(client) = self.online(who) {
                    self.world.cut(client);
                }
            }
            Op::Disconnect { who } => {
                if let Some(client) = self.online(who) {
                    self.world.disconnect(client, ReasonCode::NORMAL_DISCONNECTION);
                }
            }
            Op::Pass { millis } => self.world.pass(millis),
            Op::Crash { who, topic, qos } => self.crash(who, topic, qos),
            Op::Noise { v5, ref bytes } => self.noise(v5, bytes),
        }
        self.check();
    }

    fn crash(&mut self, who: usize, topic: usize, qos: u8) {
        if !self.is_durable {
            return;
        }
        let before = self.sent.len();
        self.world.writes = false;
        self.publish(who, topic, 1, qos, false);
        self.take_acks(who);
        let open: HashSet<_> = self.devices[who].unacknowledged.values().collect();
        let is_promised = |number| !open.contains(&(number, false));
        for number in (before..self.sent.len()).filter(|number| !is_promised(*number)) {
            // The next broker takes it for a new message, if it comes again.
            self.sent[number].due.clear();
            self.sent[number].came_again = true;
        }
        for who in 0..CLIENTS {
            self.take_messages(who);
        }
        self.world.writes = true;
        self.lost += self.lost();
        self.intruder = None;
        self.world.crash();
    }

    /// Messages that the broker counts as lost for want of room.
    fn lost(&self) -> u64 {
        self.world.broker.totals().ledger.dropped(DropReason::QueueFull)
    }

    fn noise(&mut self, v5: bool, bytes: &[u8]) {
        let version = if v5 { Version::V5 } else { Version::V311 };
        let present = self.intruder.filter(|intruder| self.world.is_open(*intruder));
        // Its session ends with its connection, so that it leaves nothing behind.
        let intruder = present.unwrap_or_else(|| self.world.connect(&hello(version, "intruder")));
        self.intruder = Some(intruder);
        self.world.say(intruder, bytes);
    }

    fn online(&self, who: usize) -> Option<Id> {
        self.devices[who].connection.filter(|client| self.world.is_open(*client))
    }

    /// A client of which the broker has read everything, and that sees every answer.
    fn attentive(&mut self, who: usize) -> Option<Id> {
        let client = self.online(who)?;
        let this = self.world.client(client);
        (this.reads && this.unread() == 0).then_some(client)
    }

    pub(super) fn connect(&mut self, who: usize, hello: &Hello) {
        self.take_acks(who);
        let client = self.world.connect(hello);
        // The old connection's last messages, before the new one's.
        self.take_messages(who);
        let present = self.world.session_present(client);
        let device = &mut self.devices[who];
        device.connection = Some(client);
        if !present {
            device.session += 1;
            device.subscriptions.clear();
            device.perhaps.clear();
            device.unacknowledged.clear();
        }
        let again: Vec<_> = device.unacknowledged.iter().map(|(id, sent)| (*id, *sent)).collect();
        for (id, (number, received)) in again {
            let id = PacketId::new(id).unwrap();
            if received {
                let release = Packet::PubRel(Ack::new(id, ReasonCode::SUCCESS));
                self.world.send(client, &release);
            } else {
                // What a full queue refused is new when it comes again.
                let is_new = self.when_full == QueueFull::Refuse;
                self.sent[number].came_again |= self.sent[number].qos == 1 || is_new;
                self.say_publish(client, number, Some(id), true, false);
                self.world.run();
            }
        }
    }

    pub(super) fn subscribe(&mut self, who: usize, filter: usize, qos: u8) {
        let Some(client) = self.attentive(who) else { return };
        let (text, topics) = FILTERS[filter];
        // Behind a full output the answer waits, but the subscription holds.
        self.world.subscribe(client, text, qos);
        let at_once = self.world.client(client).unread() == 0;
        let device = &mut self.devices[who];
        if at_once {
            device.subscriptions.insert(filter, qos);
        } else {
            device.subscriptions.remove(&filter);
            device.perhaps.insert(filter);
        }
        self.devices[who].topics.extend(topics);
    }

    fn unsubscribe(&mut self, who: usize, filter: usize) {
        let Some(client) = self.attentive(who) else { return };
        let packet_id = self.world.client(client).next_id();
        let filters = [FILTERS[filter].0];
        let filters = UnsubscribeFilters::new(&filters);
        let unsubscribe = Unsubscribe { packet_id, properties: Default::default(), filters };
        self.world.send(client, &Packet::Unsubscribe(unsubscribe));
        let at_once = self.world.client(client).unread() == 0;
        let device = &mut self.devices[who];
        device.subscriptions.remove(&filter);
        if !at_once {
            device.perhaps.insert(filter);
        }
    }

    pub(super) fn publish(
        &mut self,
        who: usize,
        topic: usize,
        count: usize,
        qos: u8,
        retain: bool,
    ) {
        let Some(client) = self.online(who) else { return };
        let before = self.sent.len();
        let at_once = self.world.client(client).unread() == 0;
        for number in before..before + count {
            self.sent.push(Sent {
                from: who,
                topic: (topic + number - before) % TOPICS.len(),
                qos,
                due: Vec::new(),
                may: None,
                came_again: false,
            });
            let id = (qos > 0).then(|| self.world.client(client).next_id());
            if let Some(id) = id {
                self.devices[who].unacknowledged.insert(id.get(), (number, false));
            }
            self.say_publish(client, number, id, false, retain);
        }
        self.world.run();
        if at_once && self.world.client(client).unread() == 0 {
            (before..before + count).for_each(|number| self.note_receivers(number));
        }
    }

    /// The broker has handled a message: now it is certain who has to get it.
    fn note_receivers(&mut self, number: usize) {
        let Sent { topic, qos, .. } = self.sent[number];
        let (mut due, mut may) = (Vec::new(), Vec::new());
        for (who, device) in self.devices.iter().enumerate() {
            let matching =
                device.subscriptions.iter().filter(|(f, _)| FILTERS[**f].1.contains(&topic));
            let granted = matching.map(|(_, granted)| *granted).max();
            if device.perhaps.iter().any(|filter| FILTERS[*filter].1.contains(&topic)) {
                may.push(who);
            }
            if let Some(granted) = granted.filter(|_| topic != SECRET) {
                may.push(who);
                if granted.min(qos) > 0 {
                    due.push((who, device.session));
                }
            }
        }
        self.sent[number].due = due;
        self.sent[number].may = Some(may);
    }

    /// Puts a message on the wire.
    pub(super) fn say_publish(
        &mut self,
        client: Id,
        number: usize,
        id: Option<PacketId>,
        dup: bool,
        retain: bool,
    ) {
        let Sent { topic, qos, .. } = self.sent[number];
        let delivery = match (qos, id) {
            (1, Some(id)) => Delivery::AtLeastOnce(id),
            (2, Some(id)) => Delivery::ExactlyOnce(id),
            _ => Delivery::AtMostOnce,
        };
        let (topic, payload) = (TOPICS[topic], format!("{number:0PAYLOAD_LEN$}"));
        let (properties, payload) = (PublishProperties::default(), payload.as_bytes());
        let publish = Publish { dup, delivery, retain, topic, properties, payload };
        self.world.client(client).send(&Packet::Publish(publish));
    }

    pub(super) fn check(&mut self) {
        self.world.assert_balanced();
        for who in 0..CLIENTS {
            self.take_acks(who);
            self.take_messages(who);
        }
        for slot in self.world.broker.registry.all() {
            let state = slot.lock();
            let queued = state.inbox.iter().filter(|delivery| delivery.qos() > QoS::AtMostOnce);
            let queued: usize = queued.map(|delivery| delivery.count() as usize).sum();
            let held = state.session.as_ref().map_or(0, |session| Session::held(session).messages);
            assert!(queued + held <= MESSAGES_MAX, "{queued} queued and {held} held");
            drop(state);
            if let (Some(number), Some(journal)) = (slot.number, &self.world.broker.journal) {
                let stored = journal.stored(number);
                assert!(stored <= MESSAGES_MAX as u64, "{stored} are in the store");
            }
        }
    }

    fn take_acks(&mut self, who: usize) {
        let Some(client) = self.devices[who].connection else { return };
        let acked = std::mem::take(&mut self.world.client(client).acked);
        let unacknowledged = &mut self.devices[who].unacknowledged;
        for (packet, id) in acked {
            match packet {
                PacketType::PubRec => {
                    if let Some((_, received)) = unacknowledged.get_mut(&id) {
                        *received = true;
                    }
                }
                _ => {
                    unacknowledged.remove(&id);
                }
            }
        }
    }

    fn take_messages(&mut self, who: usize) {
        let Some(client) = self.devices[who].connection else { return };
        for message in self.world.messages(client) {
            assert_ne!(message.topic, TOPICS[SECRET], "{who} may not receive {message:?}");
            if message.payload.len() != PAYLOAD_LEN {
                // The intruder's.
                continue;
            }
            let number: usize = message.payload.parse().unwrap();
            let sent = &self.sent[number];
            assert_eq!(message.topic, TOPICS[sent.topic]);
            let device = &mut self.devices[who];
            assert!(device.topics.contains(&sent.topic), "{who} never asked for {message:?}");
            if message.retain {
                continue;
            }
            if let Some(may) = sent.may.as_ref().filter(|_| !sent.came_again) {
                assert!(may.contains(&who), "{who} was not subscribed to {message:?}");
            }
            if device.got.contains(&number) {
                // At QoS 0 nothing waits for the disk.
                let again = message.qos == 1 || sent.qos == 1;
                // Nor does it wait for a session that nothing is kept for.
                let (first_qos, session) = device.came_at[&number];
                let waits = message.qos > 0 && first_qos > 0 && session == device.session;
                let again = again || !waits && sent.came_again;
                assert!(again, "{who} got {message:?} twice");
                continue;
            }
            // A receiver's messages of one publisher, topic and QoS, as far as the QoS that it was
            // granted did not change in between.
            let same = |number: &&usize| {
                let other = &self.sent[**number];
                let is_as_sent = device.came_at[*number].0 == other.qos;
                is_as_sent
                    && (other.from, other.topic, other.qos) == (sent.from, sent.topic, sent.qos)
            };
            let last = device.got.iter().rev().find(same);
            if message.qos == sent.qos && !sent.came_again {
                assert!(last.is_none_or(|last| *last < number), "{message:?} came behind {last:?}");
            }
            device.got.push(number);
            device.came_at.insert(number, (message.qos, device.session));
        }
    }

    /// Everybody comes back and takes what is there.
    pub(super) fn finish(&mut self) {
        if let Some(intruder) = self.intruder.filter(|intruder| self.world.is_open(*intruder)) {
            self.world.cut(intruder);
        }
        for _ in 0..2 {
            for who in 0..CLIENTS {
                let id = format!("client {who}");
                let back = Hello { clean: false, ..hello(Version::V311, &id) };
                self.connect(who, &back);
            }
            self.check();
        }
        let totals = self.world.broker.totals();
        assert_eq!(totals.ledger.held(), 0, "everything is delivered: {totals:?}");
        let lost = self.lost + self.lost();
        let due = self.sent.iter().enumerate().flat_map(|(number, sent)| {
            sent.due.iter().map(move |(who, session)| (number, *who, *session))
        });
        let missing = due.filter(|(number, who, session)| {
            let device = &self.devices[*who];
            device.session == *session && !device.got.contains(number)
        });
        let missing: Vec<_> = missing.collect();
        assert!(missing.len() as u64 <= lost, "{missing:?} are missing, {lost} are counted");
    }
}
