//! What a server keeps on a disk, and the trait of what keeps it.
//!
//! A store is told of *changes*, a group at a time. A group is kept whole or not at all, and groups
//! are kept in the order in which they were committed. The server alone decides what is in them: a
//! store knows no MQTT.
//!
//! Messages for a session are numbered from 1 on, without a gap; the number decides the packet
//! identifier, so nothing is written when a message is sent. What a session has behind it is a
//! *head* that moves, and the few messages beyond it that were finished out of order.

use std::{error::Error, sync::Arc};

use bytes::Bytes;
use mqtt_packet::{PacketId, QoS, SubscriptionOptions};
use thiserror::Error;

use crate::{
    run::{Run, Wire},
    server::WillRequest,
    time::{ClockMark, WallClock},
};

mod memory;

pub use memory::MemoryStore;

/// The number of a session in a store. A session that is made anew gets another number.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug, Default)]
pub struct SessionNumber(pub u64);

/// How safe a group is when [`SessionStore::commit`] returns.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug, Default)]
pub enum Level {
    /// In this process. Lost if the process dies.
    Memory,
    /// Handed to the operating system. Lost if the machine dies.
    Os,
    /// On the disk, as far as the disk tells the truth.
    #[default]
    Disk,
}

/// Consecutive messages of one publisher, as they came.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct StoredMessage {
    /// The PUBLISH packets; see [`Run`].
    pub frames: Bytes,
    /// The form of the packets.
    pub wire: Wire,
    /// The QoS that they were published with.
    pub qos: QoS,
    /// The RETAIN flag that they were published with.
    pub retain: bool,
    /// How many packets there are; never 0.
    pub count: u32,
    /// The length of the largest packet, in bytes.
    pub largest: u32,
    /// When the Message Expiry Interval runs out, in milliseconds since 1970.
    pub expires_at_millis: Option<u64>,
}

/// What is known of a session beside its messages.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct StoredSession {
    /// Its number.
    pub number: SessionNumber,
    /// The client identifier.
    pub client_id: Arc<str>,
    /// The user name of the identity that the session belongs to; `None` for an anonymous one.
    pub user_name: Option<Arc<str>>,
    /// The Session Expiry Interval, in seconds; `u32::MAX` for never.
    pub expiry_secs: u32,
    /// When the session's connection ended, in milliseconds since 1970; `None` while it has one. A
    /// session that is found without this had a connection when the server died.
    pub parked_at_millis: Option<u64>,
    /// The Will Message of the connection, or one whose delay runs.
    pub will: Option<StoredWill>,
}

/// A Will Message.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct StoredWill {
    /// The message.
    pub message: StoredMessage,
    /// The Message Expiry Interval, in seconds.
    pub expiry_secs: Option<u32>,
    /// The Will Delay Interval, in seconds, counted from the end of the connection.
    pub delay_secs: u32,
}

/// One subscription of a session.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct StoredSubscription {
    /// Whose it is.
    pub session: SessionNumber,
    /// The filter as the client gave it, with `$share` where it is shared.
    pub filter: Arc<str>,
    /// What the client asked for, with the granted QoS.
    pub options: SubscriptionOptions,
    /// The Subscription Identifier.
    pub identifier: Option<u32>,
}

/// How far a session is with its messages.
#[derive(Clone, Eq, PartialEq, Debug, Default)]
pub struct Progress {
    /// All messages before this one are finished.
    pub head: u64,
    /// No message from this one on was ever sent. Holds only while the session has no connection.
    pub sent: u64,
    /// Messages between `head` and `sent` that are not simply waiting for their acknowledgement, in
    /// order.
    pub settled: Vec<(u64, Settled)>,
}

/// What has become of a message that was sent and stands behind an unfinished one.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Settled {
    /// It is finished.
    Done,
    /// QoS 2: PUBREC came, PUBCOMP did not.
    Released,
}

/// A place of an entry in a session's queue.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct QueuePlace {
    /// Whose queue.
    pub session: SessionNumber,
    /// The number of the entry's first message; the others follow.
    pub seq: u64,
    /// The highest QoS that the matching subscriptions were granted.
    pub granted: QoS,
    /// The RETAIN flag to send.
    pub retain: bool,
    /// Subscription Identifiers of all matching subscriptions.
    pub identifiers: Option<Arc<[u32]>>,
}

/// An entry of a session's queue, as [`SessionStore::read`] gives it.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct QueuedMessage {
    /// Its place.
    pub place: QueuePlace,
    /// The messages.
    pub message: StoredMessage,
    /// The number under which several sessions share the messages.
    pub shared: Option<u64>,
}

/// An entry of a session's queue that is used up.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct FinishedEntry {
    /// The number of its first message.
    pub seq: u64,
    /// The number under which several sessions share the messages.
    pub shared: Option<u64>,
}

/// One change of what a store keeps.
#[derive(Clone, Eq, PartialEq, Debug)]
pub enum Change {
    /// A session began, or something of it changed: keeps it in place of what had its number.
    Session(StoredSession),
    /// A session is over: forgets it, its subscriptions, its queue, and its share of messages.
    End(SessionNumber),
    /// Keeps a subscription in place of one with the same filter.
    Subscribe(StoredSubscription),
    /// Forgets a subscription; there may be none.
    Unsubscribe {
        /// Whose it is.
        session: SessionNumber,
        /// The filter as the client gave it.
        filter: Arc<str>,
    },
    /// Puts messages into the queues of sessions.
    Enqueue {
        /// The messages.
        message: StoredMessage,
        /// Set if and only if there are several places: the messages are kept once, under this
        /// number, until every entry that shares them is finished.
        shared: Option<u64>,
        /// The places, of different sessions; never none.
        places: Vec<QueuePlace>,
    },
    /// A session got on with its messages.
    Progress {
        /// Whose.
        session: SessionNumber,
        /// How far it is.
        progress: Progress,
        /// Entries of its queue that it does not need any more.
        finished: Vec<FinishedEntry>,
    },
    /// The identifiers of QoS 2 messages from the client that await PUBREL: all of them, in place of
    /// those before.
    Received {
        /// Whose.
        session: SessionNumber,
        /// The identifiers.
        ids: Vec<PacketId>,
    },
    /// Keeps the retained message of a topic, in place of the one before; `None` forgets it.
    Retain {
        /// The topic name.
        topic: Arc<str>,
        /// The message.
        message: Option<StoredMessage>,
    },
}

/// What a store holds when it is opened.
#[derive(Clone, Eq, PartialEq, Debug)]
pub enum Stored {
    /// A session. All sessions come before everything else.
    Session(StoredSession),
    /// A subscription.
    Subscription(StoredSubscription),
    /// How far a session is; what [`Change::Progress`] said last.
    Progress(SessionNumber, Progress),
    /// Identifiers that await PUBREL; what [`Change::Received`] said last.
    Received(SessionNumber, Vec<PacketId>),
    /// An entry of a session's queue, in the order of the queue. The messages stay in the store.
    Queued {
        /// Whose queue.
        session: SessionNumber,
        /// The number of the first message.
        seq: u64,
        /// How many messages there are.
        count: u32,
        /// The length of their packets together, in bytes.
        bytes: u64,
        /// The number under which several sessions share the messages.
        shared: Option<u64>,
        /// When the Message Expiry Interval runs out, in milliseconds since 1970; `None` where that
        /// is only known from the messages, or never.
        expires_at_millis: Option<u64>,
    },
    /// A retained message.
    Retained {
        /// The topic name.
        topic: Arc<str>,
        /// The message.
        message: StoredMessage,
    },
}

/// Keeps sessions, their messages and retained messages while no server runs.
///
/// The server calls it from one thread at a time.
pub trait SessionStore: Send + Sync {
    /// Shows everything that is kept, once, before anything is changed. What is damaged is left
    /// out: see [`SessionStore::take_findings`].
    ///
    /// # Errors
    /// The store cannot be read, or so little of it that it should not be gone on with.
    fn load(&self, visit: &mut dyn FnMut(Stored)) -> Result<(), StoreError>;

    /// Makes a group of changes, in order: all of them or none. When it returns, the group is as
    /// safe as `level` says, and so are all groups before it.
    ///
    /// # Errors
    /// [`StoreErrorKind::Full`]: nothing of the group is kept, and a later group may succeed.
    /// [`StoreErrorKind::Failed`]: whether the group is kept is not known, and no later group will
    /// be.
    fn commit(&self, changes: &[Change], level: Level) -> Result<(), StoreError>;

    /// Whether there is room for new messages. Asked now and then after a group with messages was
    /// refused as [`Full`](StoreErrorKind::Full), and the rest of it was written.
    fn takes_messages(&self) -> bool {
        true
    }

    /// Reads a part of a session's queue: entries from `from` on, the number of the first message
    /// of an entry, in order, until they hold `bytes_max` bytes of packets; at least one, if there
    /// is one. Sees every group that was committed before. Entries that are damaged are left out:
    /// the numbers of a queue have no gaps, so it is seen which messages are lost.
    ///
    /// # Errors
    /// The store cannot be read.
    fn read(
        &self,
        session: SessionNumber,
        from: u64,
        bytes_max: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError>;

    /// What the clocks showed at the last [`SessionStore::note_clock`], by this server or one before
    /// it; `None` if there was none.
    fn clock(&self) -> Option<ClockMark> {
        None
    }

    /// Keeps what the clocks show. Called when the server has started, whenever the calendar was
    /// set, and when the server stops. Never waits for a commit.
    fn note_clock(&self, mark: ClockMark) {
        let _not_kept = mark;
    }

    /// What was found damaged since the last call, and was left out: a line for each finding, for
    /// the log.
    fn take_findings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A store that cannot do what it should.
#[derive(Debug, Error)]
#[error("{what}")]
pub struct StoreError {
    /// What it means for the server.
    pub kind: StoreErrorKind,
    /// What failed, where, and what to do, in words.
    pub what: String,
    /// What is behind it.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// What an error of a store means for the server.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum StoreErrorKind {
    /// Something is missing now, such as room or descriptors; it may come. A group without new
    /// messages may find what one with messages does not.
    Full,
    /// The disk failed: nothing that was not acknowledged before can be trusted to be kept.
    Failed,
    /// What the store holds is damaged.
    Damaged,
}

impl StoredMessage {
    /// What a store keeps of a run.
    #[must_use]
    pub fn new(run: &Run, clock: WallClock) -> Self {
        Self {
            frames: run.bytes().clone(),
            wire: run.wire(),
            qos: run.qos(),
            retain: run.retain(),
            count: run.count(),
            largest: run.largest(),
            expires_at_millis: run.expires_at().map(|due| clock.millis(due)),
        }
    }

    /// The run again. The packets are those that [`StoredMessage::new`] was given: they were
    /// checked when they were read from the peer.
    #[must_use]
    pub fn run(self, clock: WallClock) -> Run {
        let Self { frames, wire, qos, retain, count, largest, expires_at_millis } = self;
        Run::from_checked(frames, wire, qos, retain, count, largest)
            .with_expiry(expires_at_millis.map(|millis| clock.time(millis)))
    }
}

impl StoredWill {
    /// What a store keeps of a will.
    #[must_use]
    pub fn new(will: &WillRequest, clock: WallClock) -> Self {
        Self {
            message: StoredMessage::new(&will.message, clock),
            expiry_secs: will.expiry_secs,
            delay_secs: will.delay_secs,
        }
    }

    /// The will again.
    #[must_use]
    pub fn request(self, clock: WallClock) -> WillRequest {
        WillRequest {
            message: self.message.run(clock),
            expiry_secs: self.expiry_secs,
            delay_secs: self.delay_secs,
        }
    }
}
