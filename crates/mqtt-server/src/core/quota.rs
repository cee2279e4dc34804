//! Who has how many sessions, and which of them goes first when there is no room for another.
//!
//! Sessions outlive their connections, so that one client can make as many as there may be in a minute
//! and leave them for ever. Three bounds stand against that: how many one user and one address may
//! have, a part that is left for sessions that end with their connection, and, where the operator
//! chose that, the end of sessions that were left long ago and hold nothing.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use mqtt_session::Time;
use parking_lot::Mutex;

use super::{arrive::Arrival, broker::Broker, cause::Cause, slot::Slot};
use crate::{limits::Limits, routing::SubscriberId};

/// So many sessions are looked at for one newcomer, at most.
const LOOKED_AT: usize = 64;

/// Entries of sessions that came back are swept out when there are this many more than sessions.
const STALE_MAX: usize = 1024;

/// Counts the sessions of each user and address, where there is a limit.
#[derive(Default)]
pub(crate) struct SessionQuota {
    per_user_max: Option<usize>,
    per_address_max: Option<usize>,
    held: Mutex<Held>,
    pub(crate) refused: AtomicU64,
    pub(crate) evicted: AtomicU64,
}

#[derive(Default)]
struct Held {
    owners: HashMap<SubscriberId, Owner>,
    users: HashMap<Arc<str>, usize>,
    addresses: HashMap<IpAddr, usize>,
}

struct Owner {
    user: Option<Arc<str>>,
    address: Option<IpAddr>,
}

impl SessionQuota {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            per_user_max: limits.sessions_per_user_max,
            per_address_max: limits.sessions_per_address_max,
            ..Self::default()
        }
    }

    /// Counts a session; false if its user or its address has as many as they may. One that comes from
    /// the store is counted whatever there is, and has no address.
    fn claim(
        &self,
        id: SubscriberId,
        user: Option<&str>,
        address: Option<IpAddr>,
        is_stored: bool,
    ) -> bool {
        let user = user.filter(|_| self.per_user_max.is_some());
        let address = address.filter(|_| self.per_address_max.is_some()).map(network);
        if user.is_none() && address.is_none() {
            return true;
        }
        let mut held = self.held.lock();
        let has_room = |count: Option<&usize>, max: Option<usize>| {
            is_stored || max.is_none_or(|max| count.copied().unwrap_or_default() < max)
        };
        let user_has = user.is_none_or(|user| has_room(held.users.get(user), self.per_user_max));
        let address_has = address
            .is_none_or(|address| has_room(held.addresses.get(&address), self.per_address_max));
        if !user_has || !address_has {
            return false;
        }
        let owner = Owner { user: user.map(Into::into), address };
        if let Some(user) = &owner.user {
            *held.users.entry(user.clone()).or_default() += 1;
        }
        if let Some(address) = owner.address {
            *held.addresses.entry(address).or_default() += 1;
        }
        held.owners.insert(id, owner);
        true
    }

    /// Counts a session that the store had.
    pub(crate) fn restore(&self, slot: &Slot) {
        self.claim(slot.id, slot.identity.user_name(), None, true);
    }

    /// A session is over. Does nothing the second time.
    pub(crate) fn release(&self, id: SubscriberId) {
        if self.per_user_max.is_none() && self.per_address_max.is_none() {
            return;
        }
        let mut held = self.held.lock();
        let Some(owner) = held.owners.remove(&id) else { return };
        if let Some(user) = owner.user {
            count_down(&mut held.users, &user);
        }
        if let Some(address) = owner.address {
            count_down(&mut held.addresses, &address);
        }
    }
}

fn count_down<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    let Some(count) = counts.get_mut(key) else { return };
    *count = count.saturating_sub(1);
    if *count == 0 {
        counts.remove(key);
    }
}

/// What counts as one address: of IPv6 the /64, which is what one customer has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            std::net::Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

/// Sessions without a connection, that which was left first in front.
///
/// An entry names the connection count of its session: where it has had another connection since, the
/// entry means nothing.
#[derive(Default)]
pub(crate) struct Away(Mutex<VecDeque<(Arc<Slot>, u64)>>);

impl Away {
    /// A session was left; there are so many sessions.
    pub(crate) fn add(&self, slot: &Arc<Slot>, epoch: u64, sessions: usize) {
        let mut away = self.0.lock();
        away.push_back((slot.clone(), epoch));
        if away.len() > sessions.saturating_mul(2).saturating_add(STALE_MAX) {
            away.retain(|(slot, epoch)| {
                let state = slot.lock();
                !state.ended && state.is_abandoned(*epoch)
            });
        }
    }

    /// Takes the session out that was left first and holds nothing. Those that hold messages go to
    /// the end; only so many are looked at.
    fn take_empty(&self) -> Option<(Arc<Slot>, u64)> {
        let mut away = self.0.lock();
        for _ in 0..LOOKED_AT.min(away.len()) {
            let (slot, epoch) = away.pop_front()?;
            let (is_away, is_empty) = {
                let state = slot.lock();
                let is_away = !state.ended && state.is_abandoned(epoch);
                (is_away, state.inbox.ledger().held() == 0)
            };
            match (is_away, is_empty) {
                (true, true) => return Some((slot, epoch)),
                (true, false) => away.push_back((slot, epoch)),
                (false, _) => {}
            }
        }
        None
    }
}

impl Broker {
    /// Whether there is room for one more session; one that outlives its connection leaves a part for
    /// those that do not.
    pub(super) fn has_room_for(&self, arrival: &Arrival<'_>) -> bool {
        let max = self.limits.sessions_max;
        let percent = usize::from(self.limits.clean_session_reserve_percent.min(100));
        let reserve = max.saturating_mul(percent) / 100;
        let max = if arrival.expiry_secs > 0 { max.saturating_sub(reserve) } else { max };
        self.registry.len() < max
    }

    /// Counts the session of a newcomer.
    pub(super) fn claim_session(&self, id: SubscriberId, arrival: &Arrival<'_>) -> Option<Cause> {
        let user = arrival.admitted.identity.user_name();
        if self.registry.quota.claim(id, user, arrival.address, false) {
            return None;
        }
        self.registry.quota.refused.fetch_add(1, Ordering::Relaxed);
        Some(Cause::SessionQuota)
    }

    /// Ends the session that was left first and holds nothing, if that is permitted and there is one.
    /// No lock may be held.
    pub(super) fn evict_session(self: &Arc<Self>, now: Time) -> bool {
        let Some((slot, epoch)) = self.away.as_ref().and_then(Away::take_empty) else {
            return false;
        };
        tracing::debug!(client_id = ?slot.client_id, "ended a session to make room for another");
        self.end_with_will(&slot, epoch, now);
        self.registry.quota.evicted.fetch_add(1, Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(per_user: Option<usize>, per_address: Option<usize>) -> SessionQuota {
        SessionQuota {
            per_user_max: per_user,
            per_address_max: per_address,
            ..SessionQuota::default()
        }
    }

    fn id(number: u64) -> SubscriberId {
        SubscriberId(number)
    }

    #[test]
    fn a_session_that_is_over_makes_room_once() {
        let quota = quota(Some(2), None);
        assert!(quota.claim(id(1), Some("a"), None, false));
        assert!(quota.claim(id(2), Some("a"), None, false));
        assert!(!quota.claim(id(3), Some("a"), None, false));
        assert!(quota.claim(id(4), Some("b"), None, false));
        assert!(quota.claim(id(5), None, None, false), "who has no name has no count");
        quota.release(id(1));
        quota.release(id(1));
        assert!(quota.claim(id(6), Some("a"), None, false));
        assert!(!quota.claim(id(7), Some("a"), None, false));
        (2..=7).for_each(|number| quota.release(id(number)));
        assert!(quota.held.lock().users.is_empty() && quota.held.lock().owners.is_empty());
    }

    #[test]
    fn what_the_store_had_counts_though_it_is_too_much() {
        let quota = quota(Some(1), Some(1));
        assert!(quota.claim(id(1), Some("a"), None, true));
        assert!(quota.claim(id(2), Some("a"), None, true));
        quota.release(id(1));
        assert!(!quota.claim(id(3), Some("a"), None, false));
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let quota = quota(None, Some(1));
        let claim = |number, address: &str| {
            quota.claim(id(number), None, Some(address.parse().unwrap()), false)
        };
        assert!(claim(1, "2001:db8::1"));
        assert!(!claim(2, "2001:db8:0:0:ffff::2"));
        assert!(claim(3, "2001:db8:0:1::1"));
        assert!(claim(4, "10.0.0.1"));
        assert!(!claim(5, "::ffff:10.0.0.1"));
        assert!(claim(6, "10.0.0.2"));
    }
}
