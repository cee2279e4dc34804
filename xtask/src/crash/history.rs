//! What happened, written down by those whom it happened to.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use mqtt_packet::{PacketType, QoS};

use super::message::{Interest, Message};

/// One thing that happened.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(super) enum Event {
    /// The broker listens.
    Started,
    /// The broker is about to be killed.
    Killed,
    /// Something about the disk changes, which only the part that does it understands.
    Moment,

    /// CONNECT is about to be written.
    Connecting { clean_start: bool },
    /// CONNACK came and was a yes.
    Connected { session_present: bool },
    /// CONNACK came and was a no.
    TurnedAway { reason: u8 },
    /// The connection is over.
    Ended(End),
    /// SUBSCRIBE is about to be written.
    Subscribing,
    /// SUBACK came and was a yes.
    Subscribed,
    /// All retained messages that were waited for have come, or their time is over.
    ReadAll,

    /// PUBLISH is about to be written.
    Sent { message: Message, packet_id: u16, dup: bool },
    /// PUBACK, PUBREC or PUBCOMP came and was a yes.
    Acknowledged { message: Message, step: PacketType },
    /// PUBACK or PUBREC came and was a no.
    Refused { message: Message, reason: u8 },
    /// The client forgot a message that was not acknowledged, because its session is gone.
    Abandoned { message: Message },

    /// PUBLISH came.
    Received { message: Message, qos: QoS, packet_id: u16, dup: bool, retain: bool },
    /// PUBLISH came with something that nobody of us writes.
    Foreign { topic: Box<str>, payload: Box<str> },
    /// PUBACK, PUBREC or PUBCOMP is about to be written.
    Answered { packet_id: u16, step: PacketType },
}

/// How a connection ended.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) enum End {
    /// The client wrote DISCONNECT.
    Disconnected,
    /// The client closed it without a word.
    Dropped,
    /// It broke, or the broker closed it.
    Lost,
}

/// An event and when it happened.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(super) struct Entry {
    /// Of two events in any two histories, the one with the smaller stamp was written first.
    pub(super) stamp: u64,
    /// Microseconds since the clock began.
    pub(super) at_micros: u64,
    pub(super) event: Event,
}

/// Whom a history is about.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// The client identifier.
    pub(super) name: String,
    pub(super) role: Role,
}

/// What a client does.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) enum Role {
    Publisher {
        qos: QoS,
    },
    Subscriber {
        interest: Interest,
        qos: QoS,
    },
    /// Reads retained messages, with a new session each time.
    Reader,
}

/// The history of one client.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) client: Client,
    pub(super) entries: Vec<Entry>,
}

/// All histories of a run, which the checker judges.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    pub(super) broker: Vec<Entry>,
    pub(super) clients: Vec<History>,
}

/// The clock that stamps all events of a run.
#[derive(Debug)]
pub(super) struct Clock {
    stamps: AtomicU64,
    beginning: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub(super) fn start() -> Arc<Self> {
        Arc::new(Self { stamps: AtomicU64::new(1), beginning: Instant::now() })
    }
}

/// Where one client, or the supervisor for the broker, writes down what happens.
#[derive(Debug)]
pub(super) struct Recorder {
    clock: Arc<Clock>,
    entries: Mutex<Vec<Entry>>,
}

impl Recorder {
    /// An empty history.
    pub(super) fn new(clock: &Arc<Clock>) -> Arc<Self> {
        Arc::new(Self { clock: Arc::clone(clock), entries: Mutex::default() })
    }

    /// Writes the event down.
    pub(super) fn record(&self, event: Event) {
        let mut entries = self.lock();
        let stamp = self.clock.stamps.fetch_add(1, Ordering::SeqCst);
        let elapsed = self.clock.beginning.elapsed().as_micros();
        let at_micros = u64::try_from(elapsed).unwrap_or(u64::MAX);
        entries.push(Entry { stamp, at_micros, event });
    }

    /// Everything so far.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// Whether this has happened.
    pub(super) fn has(&self, is_it: impl Fn(&Event) -> bool) -> bool {
        self.lock().iter().any(|entry| is_it(&entry.event))
    }

    /// How often something of this kind has happened.
    pub(super) fn count(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.lock().iter().filter(|entry| is_it(&entry.event)).count()
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        // A list of whole entries is good to read even if another thread has panicked.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Event {
    /// The message that it is about.
    pub(super) fn message(&self) -> Option<Message> {
        match *self {
            Self::Sent { message, .. }
            | Self::Acknowledged { message, .. }
            | Self::Refused { message, .. }
            | Self::Abandoned { message }
            | Self::Received { message, .. } => Some(message),
            _ => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yes_no = |value: bool| if value { 1 } else { 0 };
        match self {
            Self::Started => formatter.write_str("the broker listens"),
            Self::Killed => formatter.write_str("the broker is killed"),
            Self::Moment => formatter.write_str("the disk changes"),
            Self::Connecting { clean_start } => {
                write!(formatter, "-> CONNECT clean start {}", yes_no(*clean_start))
            }
            Self::Connected { session_present } => {
                write!(formatter, "<- CONNACK session present {}", yes_no(*session_present))
            }
            Self::TurnedAway { reason } => write!(formatter, "<- CONNACK 0x{reason:02X}"),
            Self::Ended(End::Disconnected) => formatter.write_str("-> DISCONNECT"),
            Self::Ended(End::Dropped) => formatter.write_str("closed without DISCONNECT"),
            Self::Ended(End::Lost) => formatter.write_str("connection lost"),
            Self::Subscribing => formatter.write_str("-> SUBSCRIBE"),
            Self::Subscribed => formatter.write_str("<- SUBACK"),
            Self::ReadAll => formatter.write_str("read all that is retained"),
            Self::Sent { message, packet_id, dup } => {
                write!(formatter, "-> PUBLISH {message} id {packet_id}{}", dup_mark(*dup))
            }
            Self::Acknowledged { message, step } => write!(formatter, "<- {step} {message}"),
            Self::Refused { message, reason } => {
                write!(formatter, "<- refusal 0x{reason:02X} of {message}")
            }
            Self::Abandoned { message } => write!(formatter, "forgot {message} with the session"),
            Self::Received { message, qos, packet_id, dup, retain } => {
                let retained = if *retain { " retained" } else { "" };
                let dup = dup_mark(*dup);
                write!(formatter, "<- PUBLISH {message} {qos} id {packet_id}{dup}{retained}")
            }
            Self::Foreign { topic, payload } => write!(formatter, "<- PUBLISH {topic}: {payload}"),
            Self::Answered { packet_id, step } => write!(formatter, "-> {step} id {packet_id}"),
        }
    }
}

fn dup_mark(dup: bool) -> &'static str {
    if dup { " DUP" } else { "" }
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.at_micros / 1_000_000, self.at_micros % 1_000_000);
        write!(formatter, "{:>8} {seconds:>4}.{micros:06} {}", self.stamp, self.event)
    }
}
