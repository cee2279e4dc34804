//! Where sessions are kept.

use std::{collections::HashMap, sync::Arc};

use mqtt_packet::{PacketId, SubscriptionOptions};
use thiserror::Error;

use crate::{delivery::Delivery, server::WillRequest, session::InFlight};

/// A session without a connection, as a store keeps it.
///
/// Deadlines are seconds that were left when the record was made: the clock that they were counted
/// on does not outlive the process.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// The client identifier.
    pub client_id: Arc<str>,
    /// The user name of the identity that the session belongs to; `None` for an anonymous one.
    pub user_name: Option<Arc<str>>,
    /// Seconds until the session ends; `u32::MAX` for never.
    pub expires_in_secs: u32,
    /// The subscriptions.
    pub subscriptions: Vec<StoredSubscription>,
    /// Messages that were sent and not finally acknowledged, in order.
    pub in_flight: Vec<InFlight>,
    /// Messages that wait, in order.
    pub queue: Vec<Delivery>,
    /// Identifiers of received QoS 2 messages that await PUBREL.
    pub awaiting_release: Vec<PacketId>,
    /// A will whose delay runs, and the seconds that are left of it.
    pub will: Option<(WillRequest, u32)>,
}

/// One subscription of a session.
#[derive(Clone, Debug)]
pub struct StoredSubscription {
    /// The filter as the client gave it, with `$share` where it is shared.
    pub filter: Arc<str>,
    /// What the client asked for, with the granted QoS.
    pub options: SubscriptionOptions,
    /// The Subscription Identifier.
    pub identifier: Option<u32>,
}

/// A store that cannot do what it should.
#[derive(Debug, Error)]
#[error("the session store failed: {0}")]
pub struct StoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Keeps sessions that have no connection.
///
/// The server saves a session when its connection ends and when the server stops, and reads all of
/// them when it starts. While a session has a connection its state is in one place only: with the
/// connection's owner.
pub trait SessionStore: Send + Sync {
    /// All sessions that were saved and not removed; called once, at the start.
    ///
    /// # Errors
    /// The store cannot be read.
    fn load(&self) -> Result<Vec<SessionRecord>, StoreError>;

    /// Keeps a session, in place of an older record of the same client identifier.
    ///
    /// # Errors
    /// The store cannot be written.
    fn save(&self, record: SessionRecord) -> Result<(), StoreError>;

    /// Forgets a session, because it ended.
    ///
    /// # Errors
    /// The store cannot be written.
    fn remove(&self, client_id: &str) -> Result<(), StoreError>;

    /// Whether the server should save a session each time its connection ends, or only when the
    /// server itself stops. A store that dies with the process gains nothing from the former.
    fn saves_each_end(&self) -> bool {
        true
    }
}

/// Keeps sessions in memory: they survive the server object, not the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    records: std::sync::Mutex<HashMap<Arc<str>, SessionRecord>>,
}

impl MemoryStore {
    fn records(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, SessionRecord>> {
        // A panic elsewhere leaves the map whole: each change is one call.
        self.records.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl SessionStore for MemoryStore {
    fn load(&self) -> Result<Vec<SessionRecord>, StoreError> {
        Ok(self.records().values().cloned().collect())
    }

    fn save(&self, record: SessionRecord) -> Result<(), StoreError> {
        self.records().insert(record.client_id.clone(), record);
        Ok(())
    }

    fn remove(&self, client_id: &str) -> Result<(), StoreError> {
        self.records().remove(client_id);
        Ok(())
    }

    fn saves_each_end(&self) -> bool {
        false
    }
}
