//! All sessions: by client identifier, and by number.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard, RwLock};

use super::slot::Slot;
use crate::routing::SubscriberId;

/// So many connects at once do not wait for each other.
const SHARDS: usize = 16;

type Shard = HashMap<Arc<str>, Arc<Slot>>;

/// Finds the slots of sessions.
pub(crate) struct Registry {
    by_client: [Mutex<Shard>; SHARDS],
    by_id: RwLock<HashMap<SubscriberId, Arc<Slot>>>,
    hasher: std::hash::RandomState,
    last_id: AtomicU64,
    len: AtomicUsize,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            by_client: std::array::from_fn(|_| Mutex::default()),
            by_id: RwLock::default(),
            hasher: std::hash::RandomState::new(),
            last_id: AtomicU64::new(0),
            len: AtomicUsize::new(0),
        }
    }

    /// A number that no session had before.
    pub(crate) fn next_id(&self) -> SubscriberId {
        SubscriberId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The part of the table that a client identifier is in, locked: what is decided under the lock
    /// is decided once for this client.
    pub(crate) fn shard(&self, client_id: &str) -> Option<MutexGuard<'_, Shard>> {
        let hash = usize::try_from(self.hasher.hash_one(client_id) % SHARDS as u64).ok()?;
        self.by_client.get(hash).map(Mutex::lock)
    }

    pub(crate) fn insert(&self, shard: &mut Shard, slot: &Arc<Slot>) {
        if shard.insert(slot.client_id.clone(), slot.clone()).is_none() {
            self.len.fetch_add(1, Ordering::Relaxed);
        }
        self.by_id.write().insert(slot.id, slot.clone());
    }

    /// Forgets a session, unless its client identifier has gone to another since.
    pub(crate) fn remove(&self, slot: &Slot) {
        self.by_id.write().remove(&slot.id);
        let Some(mut shard) = self.shard(&slot.client_id) else { return };
        if shard.get(&slot.client_id).is_some_and(|held| held.id == slot.id) {
            shard.remove(&slot.client_id);
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The slots of several sessions, in one go.
    pub(crate) fn find_all<T>(
        &self,
        ids: impl IntoIterator<Item = (SubscriberId, T)>,
        mut f: impl FnMut(&Arc<Slot>, T),
    ) {
        let by_id = self.by_id.read();
        for (id, value) in ids {
            if let Some(slot) = by_id.get(&id) {
                f(slot, value);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Slot>> {
        self.by_id.read().values().cloned().collect()
    }
}
