//! The broker's own queues fill the disk: when they are drained, there is room again within a minute.

use std::{
    collections::BTreeSet,
    io, thread,
    time::{Duration, Instant},
};

use mqtt_packet::{
    Connect, ConnectProperties, Delivery, Packet, PacketId, PacketType, Publish, PublishProperties,
    QoS, ReasonCode, SubscribeFilters, SubscribeProperties, SubscriptionOptions, Version,
};

use super::{
    broker::{Broker, NoBroker, Recipe},
    checker::Violation,
    full_disk::Disk,
    history::Run,
    lab::Lab,
    wire::{Incoming, Wire},
};
use crate::{failure::Failure, process::create_directory};

/// How large the disk is.
const SIZE: &str = "size=48m";

/// How long it may take until there is room again.
const A_MINUTE: Duration = Duration::from_secs(60);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long nothing may come before everything has.
const QUIET: Duration = Duration::from_secs(2);

/// How often the disk is filled and drained.
const ROUNDS: usize = 3;

/// The length of messages: kept within the queue, and apart from it.
const LENGTHS: [usize; 3] = [1_000, 30_000, 700_000];

const TOPIC: &str = "own-queue";

/// Fills a small disk with a queue and drains it, again and again; then the same with kills in between.
pub(super) fn run(lab: &mut Lab) -> Result<(), Failure> {
    for (length, is_killed) in
        LENGTHS.into_iter().flat_map(|length| [(length, false), (length, true)])
    {
        let mut recipe = lab.broker_in("queues")?;
        let disk = match Disk::mount(&recipe.directory, SIZE) {
            Ok(disk) => disk,
            Err(why) => {
                println!("skip own queues: {why}");
                return Ok(());
            }
        };
        recipe.directory = disk.directory();
        create_directory(&recipe.directory)?;
        let mut story =
            Story { recipe: &recipe, length, is_killed, queued: BTreeSet::new(), next: 0 };
        let seen = match story.play() {
            Ok(seen) => seen,
            Err(problem) => vec![Violation::of_broker(problem)],
        };
        let title =
            format!("own queues of {length} bytes{}", if is_killed { ", killed" } else { "" });
        lab.judge(&recipe, &title, &Run { broker: Vec::new(), clients: Vec::new() }, seen)?;
    }
    lab.sum_up("own queues");
    Ok(())
}

/// One disk, filled and drained.
struct Story<'a> {
    recipe: &'a Recipe,
    length: usize,
    is_killed: bool,
    /// Messages that were acknowledged to the publisher and did not come to the subscriber.
    queued: BTreeSet<u32>,
    next: u32,
}

impl Story<'_> {
    fn play(&mut self) -> Result<Vec<Violation>, String> {
        let mut broker = self.start()?;
        let mut seen = Vec::new();
        let subscriber = self.connect("reader").and_then(|mut wire| subscribe(&mut wire));
        subscriber.map_err(|error| format!("it takes no subscription: {error}"))?;
        let failed = |error: io::Error| format!("a connection broke: {error}");
        for round in 0..ROUNDS {
            self.fill().map_err(failed)?;
            if round == 0 && self.queued.is_empty() {
                return Err("it takes nothing at all".to_owned());
            }
            if self.is_killed {
                broker.kill();
                broker = self.start()?;
            }
            self.drain().map_err(failed)?;
            if let Some(number) = self.queued.first() {
                let lost = self.queued.len();
                seen.push(Violation::of_broker(format!(
                    "{lost} messages are lost, number {number} first"
                )));
                self.queued.clear();
            }
            if self.is_killed {
                broker.kill();
                broker = self.start()?;
                // What was acknowledged a moment ago may come again.
                self.drain().map_err(failed)?;
            }
            if !self.takes_again().map_err(failed)? {
                seen.push(Violation::of_broker(format!("round {round}: no room within a minute")));
                break;
            }
        }
        Ok(seen)
    }

    fn start(&self) -> Result<Broker, String> {
        self.recipe.start().map_err(|error: NoBroker| error.to_string())
    }

    fn connect(&self, client_id: &str) -> io::Result<Wire> {
        let mut wire = Wire::open(self.recipe.port, Version::V5)?;
        let properties =
            ConnectProperties { session_expiry_interval: Some(u32::MAX), ..Default::default() };
        let connect = Connect {
            version: Version::V5,
            clean_start: false,
            keep_alive_secs: 0,
            properties,
            client_id,
            will: None,
            user_name: None,
            password: None,
        };
        wire.send(&Packet::Connect(connect))?;
        let reason = wire.wait_for(PATIENCE, |packet| match packet {
            Incoming::ConnAck { reason, .. } => Some(*reason),
            _ => None,
        })?;
        if reason != ReasonCode::SUCCESS {
            return Err(io::Error::other(format!("{client_id} is refused: {reason:?}")));
        }
        Ok(wire)
    }

    /// Publishes until there is no room.
    fn fill(&mut self) -> io::Result<()> {
        let mut wire = self.connect("writer")?;
        while self.publish(&mut wire)? {}
        Ok(())
    }

    /// Publishes one message, in one call; whether it was taken.
    fn publish(&mut self, wire: &mut Wire) -> io::Result<bool> {
        let mut payload = self.next.to_be_bytes().to_vec();
        payload.resize(self.length, 0x5A);
        let publish = Publish {
            dup: false,
            delivery: Delivery::AtLeastOnce(PacketId::MAX),
            retain: false,
            topic: TOPIC,
            properties: PublishProperties::default(),
            payload: &payload,
        };
        wire.send(&Packet::Publish(publish))?;
        let reason = wire.wait_for(PATIENCE, |packet| match packet {
            Incoming::Ack { packet_type: PacketType::PubAck, reason, .. } => Some(*reason),
            _ => None,
        })?;
        let is_taken = reason == ReasonCode::SUCCESS;
        if is_taken {
            self.queued.insert(self.next);
        }
        self.next += 1;
        Ok(is_taken)
    }

    /// Takes all that waits, and acknowledges it.
    fn drain(&mut self) -> io::Result<()> {
        let mut wire = self.connect("reader")?;
        let mut quiet_since = Instant::now();
        loop {
            let patience = if self.queued.is_empty() { QUIET } else { PATIENCE };
            match wire.receive(QUIET)? {
                None if quiet_since.elapsed() > patience => return Ok(()),
                // A part of a packet, perhaps.
                None => {}
                Some(Incoming::Publish { packet_id: Some(id), payload, .. }) => {
                    quiet_since = Instant::now();
                    if let Some(number) = payload.first_chunk() {
                        self.queued.remove(&u32::from_be_bytes(*number));
                    }
                    wire.queue_ack(PacketType::PubAck, id)?;
                    wire.flush()?;
                }
                Some(_) => {}
            }
        }
    }

    /// Whether a message is taken within a minute.
    fn takes_again(&mut self) -> io::Result<bool> {
        let deadline = Instant::now() + A_MINUTE;
        let mut wire = self.connect("writer")?;
        while !self.publish(&mut wire)? {
            if Instant::now() > deadline {
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(true)
    }
}

fn subscribe(wire: &mut Wire) -> io::Result<()> {
    let filters = [(TOPIC, SubscriptionOptions::new(QoS::AtLeastOnce))];
    let subscribe = mqtt_packet::Subscribe {
        packet_id: PacketId::MAX,
        properties: SubscribeProperties::default(),
        filters: SubscribeFilters::new(&filters),
    };
    wire.send(&Packet::Subscribe(subscribe))?;
    let is_suback = |packet: &Incoming| matches!(packet, Incoming::SubAck { .. }).then_some(());
    wire.wait_for(PATIENCE, is_suback)
}
