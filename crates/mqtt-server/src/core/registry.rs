//! All sessions: by client identifier, and by number.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use hashbrown::HashTable;
use parking_lot::{Mutex, MutexGuard, RwLock};

use super::{quota::SessionQuota, slot::Slot};
use crate::{limits::Limits, routing::SubscriberId};

/// The parts of the table by client identifier. Connects in different parts do not wait for each
/// other, and who goes through all sessions takes a part at a time: with a million sessions four
/// thousand of them.
const SHARDS: usize = 256;

/// Smaller tables than this are not made smaller still.
const SMALL: usize = 64;

/// The keys are in the slots themselves: a table costs nine bytes for each place.
type Table = HashTable<Arc<Slot>>;

/// Finds the slots of sessions.
pub(crate) struct Registry {
    by_client: [Mutex<Table>; SHARDS],
    by_id: RwLock<Table>,
    hasher: RandomState,
    last_id: AtomicU64,
    len: AtomicUsize,
    pub(crate) quota: SessionQuota,
}

/// The part of the table that a client identifier is in, locked.
pub(crate) struct Shard<'a> {
    table: MutexGuard<'a, Table>,
    hash: u64,
}

impl Shard<'_> {
    /// The session of a client; `client_id` is the one that the shard was asked for.
    pub(crate) fn find(&self, client_id: &str) -> Option<&Arc<Slot>> {
        self.table.find(self.hash, |slot| *slot.client_id == *client_id)
    }
}

impl Registry {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            by_client: std::array::from_fn(|_| Mutex::default()),
            by_id: RwLock::default(),
            hasher: RandomState::new(),
            last_id: AtomicU64::new(0),
            len: AtomicUsize::new(0),
            quota: SessionQuota::new(limits),
        }
    }

    /// A number that no session had before.
    pub(crate) fn next_id(&self) -> SubscriberId {
        SubscriberId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The part of the table that a client identifier is in, locked: what is decided under the lock
    /// is decided once for this client.
    pub(crate) fn shard(&self, client_id: &str) -> Option<Shard<'_>> {
        let hash = self.hasher.hash_one(client_id);
        Some(Shard { table: self.by_client.get(number(hash))?.lock(), hash })
    }

    /// The sessions of one part of the table, from 0 on; `None` behind the last part.
    pub(crate) fn page(&self, page: usize) -> Option<Vec<Arc<Slot>>> {
        Some(self.by_client.get(page)?.lock().iter().cloned().collect())
    }

    /// The page that a session is on.
    pub(crate) fn page_of(&self, slot: &Slot) -> usize {
        number(self.hasher.hash_one(&*slot.client_id))
    }

    /// Keeps a session under the client identifier that `shard` was asked for, in place of an
    /// older one.
    pub(crate) fn insert(&self, shard: &mut Shard<'_>, slot: &Arc<Slot>) {
        let hash = shard.hash;
        match shard.table.find_mut(hash, |held| held.client_id == slot.client_id) {
            Some(held) => *held = slot.clone(),
            None => {
                let rehash = |slot: &Arc<Slot>| self.hasher.hash_one(&*slot.client_id);
                shard.table.insert_unique(hash, slot.clone(), rehash);
                self.len.fetch_add(1, Ordering::Relaxed);
            }
        }
        let hash = self.hash_id(slot.id);
        self.by_id.write().insert_unique(hash, slot.clone(), |slot| self.hash_id(slot.id));
    }

    /// Forgets a session, unless its client identifier has gone to another since.
    pub(crate) fn remove(&self, slot: &Slot) {
        self.quota.release(slot.id);
        {
            let mut by_id = self.by_id.write();
            if let Ok(entry) = by_id.find_entry(self.hash_id(slot.id), |held| held.id == slot.id) {
                entry.remove();
                shrink(&mut by_id, |slot| self.hash_id(slot.id));
            }
        }
        let Some(mut shard) = self.shard(&slot.client_id) else { return };
        let hash = shard.hash;
        if let Ok(entry) = shard.table.find_entry(hash, |held| held.id == slot.id) {
            entry.remove();
            self.len.fetch_sub(1, Ordering::Relaxed);
            shrink(&mut shard.table, |slot| self.hasher.hash_one(&*slot.client_id));
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
            if let Some(slot) = by_id.find(self.hash_id(id), |slot| slot.id == id) {
                f(slot, value);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// All sessions, of which each part is locked for itself.
    pub(crate) fn all(&self) -> Vec<Arc<Slot>> {
        (0..).map_while(|page| self.page(page)).flatten().collect()
    }

    /// The numbers are the server's own, so nobody can choose them to collide: mixing them is enough.
    fn hash_id(&self, id: SubscriberId) -> u64 {
        foldhash::fast::FixedState::default().hash_one(id)
    }
}

/// The part of the table for a hash: the upper and lower bits choose the place within it.
fn number(hash: u64) -> usize {
    usize::try_from((hash >> 32) % SHARDS as u64).unwrap_or_default()
}

/// Gives memory back when most of the sessions that a table was made for are gone.
fn shrink(table: &mut Table, rehash: impl Fn(&Arc<Slot>) -> u64) {
    if table.capacity() >= SMALL && table.len() <= table.capacity() / 8 {
        table.shrink_to(table.len() * 2, rehash);
    }
}
