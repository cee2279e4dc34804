//! Whose password is hashed next.
//!
//! Hashing a password takes tens of milliseconds by design, and who sends a wrong one pays the price
//! of a packet for it. So logins take turns: networks, within a network its addresses, within an
//! address the user names that come from there. An address with a login that failed lately goes behind
//! those without. Whoever comes last is first, everywhere: then a crowd that was there before does not
//! stand before who comes next, and those who have waited for longest, and may have given up, wait on
//! until they are refused. Who waits is bounded as well. So a right login comes in beside any number
//! of wrong ones.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use mqtt_auth::Identity;
use mqtt_session::Time;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{limits::Limits, net::recent::Recent};

/// Where both kinds wait, so many turns go to addresses without a failure for one of the others.
const CLEAN_TURNS: u32 = 3;

/// So long an address is known for a login that failed, and at most twice this.
const FAILURE_MILLIS: u64 = 60_000;

/// So many addresses, and so many verified logins, are remembered; at most twice as many.
const REMEMBERED_MAX: usize = 32 * 1024;

/// Where a login comes from: a network, and an address in it.
///
/// A network is a /24 of IPv4 or a /48 of IPv6, and an address of IPv6 is its /64: what somebody
/// has who has one. Everybody in the same process is one.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub(crate) struct Origin {
    network: u128,
    address: u128,
}

impl Origin {
    pub(crate) fn of(peer: Option<SocketAddr>) -> Self {
        match peer.map(|peer| peer.ip().to_canonical()) {
            None => Self { network: 0, address: 0 },
            Some(IpAddr::V4(address)) => {
                // No address of IPv6 is one of these once its lower half is gone.
                let address = (1 << 32) | u128::from(address.to_bits());
                Self { network: address >> 8, address }
            }
            Some(IpAddr::V6(address)) => {
                let bits = address.to_bits();
                Self { network: bits >> 80 << 80, address: bits >> 64 << 64 }
            }
        }
    }
}

/// Hands out the turns to hash a password.
pub(crate) struct LoginTurns {
    limits: Bounds,
    hasher: RandomState,
    state: Mutex<State>,
}

/// The bounds of [`Limits`] that are about waiting.
struct Bounds {
    waiting_max: usize,
    waiting_per_address_max: usize,
    waiting_bytes_max: usize,
    wait: Duration,
}

struct State {
    /// Threads that hash nothing.
    free: usize,
    clean: Line,
    failing: Line,
    /// Turns since one went to `failing`.
    clean_turns: u32,
    by_address: HashMap<u128, usize>,
    waiting: usize,
    waiting_bytes: usize,
    last_id: u64,
    failures: Recent<u128, u32>,
    verified: Recent<[u8; 32], Identity>,
}

/// One of the threads that hash. It is free again when this is dropped.
pub(crate) struct Turn {
    turns: Arc<LoginTurns>,
}

/// There are too many logins: this one may come again later.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Busy;

impl LoginTurns {
    pub(crate) fn new(limits: &Limits) -> Self {
        let state = State {
            free: limits.login_threads.max(1),
            clean: Line::default(),
            failing: Line::default(),
            clean_turns: 0,
            by_address: HashMap::new(),
            waiting: 0,
            waiting_bytes: 0,
            last_id: 0,
            failures: Recent::new(FAILURE_MILLIS, REMEMBERED_MAX),
            verified: Recent::new(limits.login_memory_millis, REMEMBERED_MAX),
        };
        let limits = Bounds {
            waiting_max: limits.logins_waiting_max,
            waiting_per_address_max: limits.logins_waiting_per_address_max,
            waiting_bytes_max: limits.logins_waiting_bytes_max,
            wait: Duration::from_millis(limits.login_wait_millis),
        };
        Self { limits, hasher: RandomState::new(), state: Mutex::new(state) }
    }

    /// Waits for a turn. A login that is dropped while it waits is forgotten.
    ///
    /// # Errors
    /// Too many wait already, or it has waited for too long.
    pub(crate) async fn turn(
        self: &Arc<Self>,
        origin: Origin,
        user_name: &str,
        bytes: usize,
        now: Time,
    ) -> Result<Turn, Busy> {
        let path = [origin.network, origin.address, self.hasher.hash_one(user_name).into()];
        let (waiter, turn) = {
            let mut state = self.state.lock();
            if state.free > 0 {
                // Nobody waits while a thread is free.
                state.free -= 1;
                return Ok(Turn { turns: self.clone() });
            }
            let (id, turn) = state.wait(path, bytes, &self.limits, now)?;
            (Waiter { turns: self, path, id, bytes }, turn)
        };
        let turn = tokio::time::timeout(self.limits.wait, turn).await;
        drop(waiter);
        turn.ok().and_then(Result::ok).ok_or(Busy)
    }

    /// A login from there failed; returns how often that has happened lately.
    pub(crate) fn note_failure(&self, origin: Origin, now: Time) -> u32 {
        let mut state = self.state.lock();
        let count = state.failures.get(&origin.address, now).copied().unwrap_or_default();
        let count = count.saturating_add(1);
        state.failures.note(origin.address, count, now);
        count
    }

    /// A login was verified: the same one is let in without hashing for a short time.
    pub(crate) fn note_verified(&self, fingerprint: [u8; 32], identity: Identity, now: Time) {
        self.state.lock().verified.note(fingerprint, identity, now);
    }

    /// Who this login was verified to be a short time ago.
    pub(crate) fn verified(&self, fingerprint: &[u8; 32], now: Time) -> Option<Identity> {
        self.state.lock().verified.get(fingerprint, now).cloned()
    }
}

impl State {
    /// Puts a login in line.
    fn wait(
        &mut self,
        path: Path,
        bytes: usize,
        limits: &Bounds,
        now: Time,
    ) -> Result<(u64, oneshot::Receiver<Turn>), Busy> {
        let [_, address, _] = path;
        let at_address = self.by_address.get(&address).copied().unwrap_or_default();
        if self.waiting >= limits.waiting_max
            || at_address >= limits.waiting_per_address_max
            || self.waiting_bytes.saturating_add(bytes) > limits.waiting_bytes_max
        {
            return Err(Busy);
        }
        self.by_address.insert(address, at_address + 1);
        self.waiting += 1;
        self.waiting_bytes += bytes;
        self.last_id += 1;
        let (sender, receiver) = oneshot::channel();
        let has_failed = self.failures.get(&address, now).is_some();
        let line = if has_failed { &mut self.failing } else { &mut self.clean };
        line.push(&path, Ticket { id: self.last_id, sender });
        Ok((self.last_id, receiver))
    }

    /// The login whose turn it is.
    fn next(&mut self) -> Option<Ticket> {
        let is_for_failing = self.clean_turns >= CLEAN_TURNS && !self.failing.is_empty();
        let clean = if is_for_failing { None } else { self.clean.pop() };
        self.clean_turns = if clean.is_some() { self.clean_turns.saturating_add(1) } else { 0 };
        clean.or_else(|| self.failing.pop())
    }
}

/// Stands in line. Whatever becomes of it, it does not count among those who wait any more when it is
/// dropped.
struct Waiter<'a> {
    turns: &'a LoginTurns,
    path: Path,
    id: u64,
    bytes: usize,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let [_, address, _] = self.path;
        let mut state = self.turns.state.lock();
        state.waiting = state.waiting.saturating_sub(1);
        state.waiting_bytes = state.waiting_bytes.saturating_sub(self.bytes);
        if let Some(count) = state.by_address.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.by_address.remove(&address);
            }
        }
        // It is in neither if it had its turn.
        let _ =
            state.clean.remove(&self.path, self.id) || state.failing.remove(&self.path, self.id);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.state.lock();
        let Some(ticket) = state.next() else {
            state.free += 1;
            return;
        };
        drop(state);
        // Who has just left the line drops the turn, and it goes on to the next one.
        drop(ticket.sender.send(Turn { turns: self.turns.clone() }));
    }
}

/// A network, an address in it, a user name from there.
type Path = [u128; 3];

/// A login that waits.
struct Ticket {
    id: u64,
    sender: oneshot::Sender<Turn>,
}

/// A line in which those who stand for one part of a path take turns; at its end, who came last.
#[derive(Default)]
struct Line {
    /// The parts that have somebody waiting, the next one in front.
    order: VecDeque<u128>,
    parts: HashMap<u128, Line>,
    tickets: VecDeque<Ticket>,
}

impl Line {
    fn is_empty(&self) -> bool {
        self.order.is_empty() && self.tickets.is_empty()
    }

    /// Puts somebody in line; a part that nobody stood for yet goes to the front.
    fn push(&mut self, path: &[u128], ticket: Ticket) {
        let Some((part, rest)) = path.split_first() else {
            return self.tickets.push_front(ticket);
        };
        let line = self.parts.entry(*part).or_insert_with(|| {
            self.order.push_front(*part);
            Self::default()
        });
        line.push(rest, ticket);
    }

    fn pop(&mut self) -> Option<Ticket> {
        let Some(part) = self.order.pop_front() else { return self.tickets.pop_front() };
        let line = self.parts.get_mut(&part)?;
        let ticket = line.pop();
        match line.is_empty() {
            true => drop(self.parts.remove(&part)),
            false => self.order.push_back(part),
        }
        ticket
    }

    /// Takes somebody out of the line; whether it was there.
    fn remove(&mut self, path: &[u128], id: u64) -> bool {
        let Some((part, rest)) = path.split_first() else {
            let before = self.tickets.len();
            self.tickets.retain(|ticket| ticket.id != id);
            return self.tickets.len() < before;
        };
        let Some(line) = self.parts.get_mut(part) else { return false };
        let was_there = line.remove(rest, id);
        if line.is_empty() {
            self.parts.remove(part);
            self.order.retain(|kept| kept != part);
        }
        was_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(address: [u8; 4]) -> Origin {
        Origin::of(Some((address, 1883).into()))
    }

    fn turns(change: impl FnOnce(&mut Limits)) -> Arc<LoginTurns> {
        let mut limits = Limits { login_threads: 1, ..Limits::default() };
        change(&mut limits);
        Arc::new(LoginTurns::new(&limits))
    }

    /// Lets logins wait in this order while the only thread is taken; answers with that in which they
    /// get their turns.
    async fn order(turns: &Arc<LoginTurns>, logins: &[([u8; 4], &str)]) -> Vec<String> {
        let busy = turns.turn(origin([9, 9, 9, 9]), "", 0, Time::ZERO).await.ok().unwrap();
        let order: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut waiting = tokio::task::JoinSet::new();
        for (address, user_name) in logins {
            let (turns, order, user_name) = (turns.clone(), order.clone(), (*user_name).to_owned());
            let origin = origin(*address);
            waiting.spawn(async move {
                let turn = turns.turn(origin, &user_name, 1, Time::ZERO).await.ok();
                order.lock().push(user_name);
                drop(turn);
            });
        }
        // The runtime has one thread, and runs its tasks in order.
        tokio::task::yield_now().await;
        drop(busy);
        while waiting.join_next().await.is_some() {}
        std::mem::take(&mut *order.lock())
    }

    #[tokio::test]
    async fn networks_addresses_and_users_take_turns() {
        let (here, there) = ([10, 0, 0, 1], [10, 0, 1, 1]);
        let logins = [
            (here, "a1"),
            (here, "a1"),
            (here, "a1"),
            (here, "a2"),
            ([10, 0, 0, 2], "b1"),
            ([10, 0, 0, 2], "b1"),
            (there, "c1"),
            (there, "c1"),
        ];
        let order = order(&turns(|_| {}), &logins).await;
        assert_eq!(order, ["c1", "b1", "c1", "a2", "b1", "a1", "a1", "a1"]);
    }

    #[tokio::test]
    async fn who_failed_lately_goes_behind_and_is_not_starved() {
        let turns = turns(|_| {});
        let bad = [10, 0, 0, 1];
        assert_eq!(turns.note_failure(origin(bad), Time::ZERO), 1);
        assert_eq!(turns.note_failure(origin(bad), Time::ZERO), 2);
        let mut logins = vec![(bad, "bad")];
        logins.extend([([10, 0, 1, 1], "good"); 5]);
        let order = order(&turns, &logins).await;
        assert_eq!(order, ["good", "good", "good", "bad", "good", "good"]);
    }

    #[tokio::test]
    async fn who_leaves_the_line_leaves_nothing() {
        let turns = turns(|limits| limits.logins_waiting_per_address_max = 2);
        let busy = turns.turn(origin([1; 4]), "", 0, Time::ZERO).await.ok().unwrap();
        for _ in 0..10 {
            let mut first = Box::pin(turns.turn(origin([2; 4]), "a", 7, Time::ZERO));
            let mut second = Box::pin(turns.turn(origin([2; 4]), "a", 7, Time::ZERO));
            let polled = futures_poll(&mut first).await.is_none();
            assert!(polled && futures_poll(&mut second).await.is_none());
            let third = turns.turn(origin([2; 4]), "b", 7, Time::ZERO).await;
            assert_eq!(third.err(), Some(Busy));
        }
        let state = turns.state.lock();
        assert_eq!((state.waiting, state.waiting_bytes, state.by_address.len()), (0, 0, 0));
        assert!(state.clean.is_empty() && state.clean.parts.is_empty());
        drop(state);
        drop(busy);
        assert_eq!(turns.state.lock().free, 1);
    }

    /// What a future answers at once, if anything.
    async fn futures_poll<T>(
        future: &mut std::pin::Pin<Box<impl Future<Output = T>>>,
    ) -> Option<T> {
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }

    #[test]
    fn an_origin_is_a_network_and_an_address_in_it() {
        let of = |text: &str| Origin::of(Some((text.parse::<IpAddr>().unwrap(), 1).into()));
        assert_eq!(of("10.0.0.1"), of("::ffff:10.0.0.1"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        for (one, other, same_network) in [
            ("10.0.0.1", "10.0.0.2", true),
            ("10.0.0.1", "10.0.1.1", false),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", true),
            ("2001:db8:1:2::1", "2001:db8:2:2::1", false),
        ] {
            let (one, other) = (of(one), of(other));
            assert_ne!(one.address, other.address);
            assert_eq!(one.network == other.network, same_network);
        }
    }
}
