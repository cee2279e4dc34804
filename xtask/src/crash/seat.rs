//! What every client has: its name, its history, and the stage on which all of them play.

use std::{
    io::{self, ErrorKind},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

use mqtt_packet::{
    Connect, ConnectProperties, Disconnect, Packet, ReasonCode, SubscribeFilters,
    SubscribeProperties, SubscriptionOptions, Version,
};

use super::{
    history::{Client, End, Event, Recorder},
    wire::{Incoming, Wire},
};

/// How long a client waits before it knocks again.
const KNOCK_INTERVAL: Duration = Duration::from_millis(10);

/// How long the broker may take to answer CONNECT.
const CONNACK_PATIENCE: Duration = Duration::from_secs(10);

/// How long the broker may take to close a connection after DISCONNECT.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(1);

/// What all clients of a run look at.
#[derive(Debug)]
pub(super) struct Stage {
    /// Where the broker listens, whenever it does.
    pub(super) port: u16,
    phase: AtomicU8,
}

/// What the clients are to do.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Debug)]
#[repr(u8)]
pub(super) enum Phase {
    /// Publish, come and go.
    Play = 0,
    /// Finish what was begun: nothing new is published, and everybody stays connected.
    Settle = 1,
    /// Leave.
    Over = 2,
}

/// One client, between its connections as well.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) client: Client,
    pub(super) version: Version,
    /// The Receive Maximum, where the version has one.
    pub(super) receive_maximum: u16,
    pub(super) recorder: Arc<Recorder>,
    pub(super) stage: Arc<Stage>,
}

impl Stage {
    /// A stage in front of this port.
    pub(super) fn at(port: u16) -> Arc<Self> {
        Arc::new(Self { port, phase: AtomicU8::new(Phase::Play as u8) })
    }

    /// Tells everybody what to do from now on.
    pub(super) fn turn_to(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
    }

    /// Whether this phase or a later one has begun.
    pub(super) fn has_come_to(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::SeqCst) >= phase as u8
    }
}

impl Seat {
    /// Writes down what happens.
    pub(super) fn record(&self, event: Event) {
        self.recorder.record(event);
    }

    /// Connects and resumes the session that lasts for ever; says whether there was one.
    ///
    /// # Errors
    /// There is no broker, or it does not want this client.
    pub(super) fn resume(&self) -> io::Result<(Wire, bool)> {
        self.connect(false, self.lasting())
    }

    /// Asks for the session, and is gone before the answer comes.
    pub(super) fn knock(&self) {
        let Ok(mut wire) = Wire::open(self.stage.port, self.version) else { return };
        self.record(Event::Connecting { clean_start: false });
        // Whether it arrives does not matter.
        self.say_hello(&mut wire, false, self.lasting()).ok();
        self.record(Event::Ended(End::Dropped));
    }

    /// Connects with a new session that ends with the connection.
    ///
    /// # Errors
    /// There is no broker, or it does not want this client.
    pub(super) fn start_clean(&self) -> io::Result<Wire> {
        self.connect(true, ConnectProperties::default()).map(|(wire, _)| wire)
    }

    /// Waits a little before the next attempt.
    pub(super) fn wait(&self) {
        thread::sleep(KNOCK_INTERVAL);
    }

    /// Asks for one subscription. SUBACK is yet to come.
    pub(super) fn subscribe(
        &self,
        wire: &mut Wire,
        filter: &str,
        options: SubscriptionOptions,
    ) -> io::Result<()> {
        self.record(Event::Subscribing);
        let filters = [(filter, options)];
        let subscribe = mqtt_packet::Subscribe {
            packet_id: mqtt_packet::PacketId::MAX,
            properties: SubscribeProperties::default(),
            filters: SubscribeFilters::new(&filters),
        };
        wire.send(&Packet::Subscribe(subscribe))
    }

    /// Says goodbye, and waits until the broker has closed the connection: whoever closes with
    /// something unread resets it, and may destroy what the broker has not read.
    pub(super) fn disconnect(&self, wire: &mut Wire) -> io::Result<()> {
        wire.send(&Packet::Disconnect(Disconnect::default()))?;
        self.record(Event::Ended(End::Disconnected));
        let nothing = |_: &Incoming| None::<()>;
        wire.wait_for(GOODBYE_PATIENCE, nothing).ok();
        Ok(())
    }

    /// What asks for a session that lasts for ever.
    fn lasting(&self) -> ConnectProperties<'static> {
        ConnectProperties {
            session_expiry_interval: Some(u32::MAX),
            receive_maximum: Some(self.receive_maximum),
            ..Default::default()
        }
    }

    fn connect(
        &self,
        clean_start: bool,
        properties: ConnectProperties<'_>,
    ) -> io::Result<(Wire, bool)> {
        let mut wire = Wire::open(self.stage.port, self.version)?;
        self.record(Event::Connecting { clean_start });
        let answer = self.introduce(&mut wire, clean_start, properties);
        if answer.is_err() {
            self.record(Event::Ended(End::Lost));
        }
        answer.map(|session_present| (wire, session_present))
    }

    fn introduce(
        &self,
        wire: &mut Wire,
        clean_start: bool,
        properties: ConnectProperties<'_>,
    ) -> io::Result<bool> {
        self.say_hello(wire, clean_start, properties)?;
        let (session_present, reason) = wire.wait_for(CONNACK_PATIENCE, connack)?;
        if reason.is_error() {
            self.record(Event::TurnedAway { reason: reason.0 });
            return Err(ErrorKind::ConnectionRefused.into());
        }
        self.record(Event::Connected { session_present });
        Ok(session_present)
    }

    fn say_hello(
        &self,
        wire: &mut Wire,
        clean_start: bool,
        properties: ConnectProperties<'_>,
    ) -> io::Result<()> {
        let is_v5 = self.version.is_v5();
        let connect = Connect {
            version: self.version,
            clean_start,
            keep_alive_secs: 0,
            client_id: &self.client.name,
            will: None,
            user_name: None,
            password: None,
            properties: if is_v5 { properties } else { ConnectProperties::default() },
        };
        wire.send(&Packet::Connect(connect))
    }
}

fn connack(packet: &Incoming) -> Option<(bool, ReasonCode)> {
    match packet {
        Incoming::ConnAck { session_present, reason } => Some((*session_present, *reason)),
        _ => None,
    }
}
