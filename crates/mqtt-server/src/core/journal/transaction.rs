//! What a connection hands to the journal in one piece.

use std::sync::{Arc, atomic::AtomicU32};

use mqtt_packet::{PacketId, QoS};
use mqtt_session::{Level, Progress, Run, SessionNumber, StoredSession, StoredSubscription};
use mqtt_topics::TopicName;

use super::Ticket;
use crate::core::{legacy::Legacy, slot::Slot};

/// Changes that are written together or not at all. Nearly always there are none, and it is one
/// word.
#[derive(Default)]
pub(crate) struct Transaction(Option<Box<Contents>>);

/// What is in a transaction.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) entries: Vec<Entry>,
    /// How safe they have to be.
    pub(super) level: Level,
    /// Bytes of the messages in it.
    pub(super) bytes: usize,
    /// There are new messages in it, which are refused where there is no room for more.
    pub(super) brings_messages: bool,
}

/// One change, before the journal has given it its place.
pub(crate) enum Entry {
    /// Messages for sessions whose queues are in the store.
    Publish {
        run: Run,
        targets: Vec<QueueTarget>,
        /// How many messages a queue has taken, for a publisher that is told.
        taken: Option<Arc<AtomicU32>>,
    },
    /// A retained message, or the end of one.
    Retain {
        topic: Arc<str>,
        run: Option<Run>,
    },
    /// The retained message of a topic has expired. One that is there all the same is newer, and was
    /// or will be written.
    ForgetRetained {
        topic: TopicName,
    },
    /// A session is as this says.
    Session(StoredSession),
    /// A session is over; what it leaves to others is read and handed on.
    End(SessionNumber, Option<(Arc<Slot>, Arc<Legacy>)>),
    Subscribe(StoredSubscription),
    Unsubscribe {
        session: SessionNumber,
        filter: Arc<str>,
    },
    /// A session got on with its messages.
    Progress {
        session: SessionNumber,
        progress: Progress,
    },
    /// The QoS 2 identifiers that await PUBREL.
    Received {
        session: SessionNumber,
        ids: Vec<PacketId>,
        unsettled: Unsettled,
        refusable: Refusable,
    },
    /// A session has a connection, of this number: its messages are wanted, from the first on.
    Open {
        session: SessionNumber,
        slot: Arc<Slot>,
        epoch: u64,
    },
    /// The connection ended: its messages are on the disk alone. One that was never told how far
    /// the session is does not know it either.
    Park {
        session: SessionNumber,
        progress: Option<Progress>,
    },
    /// Nothing: everything before it has to be safe.
    Sync,
    /// Messages of the session's queue may have expired.
    Expire {
        session: SessionNumber,
        slot: Arc<Slot>,
    },
    /// The connection has room for more messages from the disk.
    Fetch {
        session: SessionNumber,
        slot: Arc<Slot>,
    },
}

/// QoS 2 identifiers whose messages may still be refused, with the group that decides on that; `None`
/// is the group of the transaction that names them.
pub(crate) type Unsettled = Vec<(PacketId, Option<Ticket>)>;

/// QoS 2 identifiers whose messages may find all queues full: the message's place in its run, and how
/// many of that were taken.
pub(crate) type Refusable = Vec<(PacketId, u32, Arc<AtomicU32>)>;

/// A session that gets messages, and how.
pub(crate) struct QueueTarget {
    pub(crate) session: SessionNumber,
    pub(crate) slot: Arc<Slot>,
    pub(crate) granted: QoS,
    pub(crate) retain: bool,
    pub(crate) identifiers: Option<Arc<[u32]>>,
    /// See [`mqtt_session::Delivery::mark`].
    pub(crate) mark: u64,
    /// Room in the queue was taken before, with [`Slot::reserve`].
    pub(crate) is_reserved: bool,
}

impl QueueTarget {
    /// The messages are in the queue, or will never be.
    pub(super) fn give_room_back(&self, count: u32) {
        if self.is_reserved {
            self.slot.unreserve(count);
        }
    }
}

impl Transaction {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    pub(crate) fn add(&mut self, entry: Entry, level: Level) {
        let empty = || Box::new(Contents { level: Level::Memory, ..Contents::default() });
        let contents = self.0.get_or_insert_with(empty);
        if let Entry::Publish { run, .. } | Entry::Retain { run: Some(run), .. } = &entry {
            contents.bytes += run.len();
            contents.brings_messages = true;
        }
        contents.level = contents.level.max(level);
        contents.entries.push(entry);
    }

    pub(super) fn contents(self) -> Contents {
        self.0.map(|contents| *contents).unwrap_or_default()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether somebody has to wait for it.
    pub(crate) fn is_awaited(&self) -> bool {
        self.0.as_ref().is_some_and(|contents| contents.level > Level::Memory)
    }
}
