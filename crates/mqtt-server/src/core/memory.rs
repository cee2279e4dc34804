//! The gate above all single limits: how near the process is to the memory that it may use.
//!
//! Single limits multiply: a thousand sessions, each within its own, together hold more than the
//! machine has. So the truth is what the whole process holds ([`Memory::measure`]), looked at every so
//! often and whenever enough has come in that it may have changed ([`Memory::charge`]). It puts the
//! broker on a [`MemoryLevel`]; whoever makes something grow asks for it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use super::{broker::Broker, cause::Cause, slot::Slot};
use crate::routing::SubscriberId;

/// What a place in a queue takes beside the bytes of its messages.
const QUEUED_BYTES: usize = 128;

/// A receiver may get its own copy of so many bytes of a message; more are shared.
const COPIED_MAX: usize = 2048;

/// Handing a message to fewer receivers than this is covered by the bytes that came in.
const FEW: usize = 8;

/// Memory is measured after so many bytes, or after a 128th of the limit if that is less.
const CHARGE_MAX: u64 = 16 * 1024 * 1024;
const CHARGE_MIN: u64 = 256 * 1024;

/// A receiver that holds less is not behind, and a connection is not closed for it.
const SMALL_BYTES: usize = 16 * 1024;

/// Where memory is short, a receiver that holds so much gets nothing more; where it is nearly used up,
/// nobody gets a message of this size.
const LARGE_BYTES: usize = 256 * 1024;

/// A level is left only this much (in percent of the limit) below where it begins.
const BACK_PERCENT: u64 = 3;

/// How near the process is to the memory that it may use.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug, Default)]
#[repr(u8)]
pub enum MemoryLevel {
    /// There is enough.
    #[default]
    Fine,
    /// From 60 % on: publishers wait earlier for receivers that are behind, and reads are smaller.
    Slow,
    /// From 75 % on: QoS 0 messages for receivers that are behind are dropped, so are QoS 1 and 2
    /// messages for those far behind (256 KiB) and for sessions in memory that are not connected; no
    /// topic is retained that was not; no more than 1,000 subscriptions for each session.
    Shed,
    /// From 85 % on: no new sessions that outlive their connection, and no more than 16 subscriptions
    /// for each session; all
    /// messages for receivers that are behind are dropped, and those of 256 KiB and more for all;
    /// connections that hold much and do not move are closed.
    Refuse,
    /// From 95 % on: no new connections and subscriptions; messages of 16 KiB and more are dropped for all, and who
    /// sends a packet of more than 64 KiB is closed.
    Full,
}

impl MemoryLevel {
    const ALL: [Self; 5] = [Self::Fine, Self::Slow, Self::Shed, Self::Refuse, Self::Full];

    /// The name under which counters and the log show the level.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Slow => "slow",
            Self::Shed => "shed",
            Self::Refuse => "refuse",
            Self::Full => "full",
        }
    }

    /// Where the level begins, in percent of the limit.
    const fn begins_at(self) -> u64 {
        match self {
            Self::Fine => 0,
            Self::Slow => 60,
            Self::Shed => 75,
            Self::Refuse => 85,
            Self::Full => 95,
        }
    }

    /// How many subscriptions a session may have to get another: who has few may subscribe for longer.
    pub(crate) const fn subscriptions_max(self) -> usize {
        match self {
            Self::Fine | Self::Slow => usize::MAX,
            Self::Shed => 1000,
            Self::Refuse => 16,
            Self::Full => 0,
        }
    }

    /// How many times a mark that is `bytes` when there is enough is halved.
    const fn halvings(self) -> u32 {
        match self {
            Self::Fine => 0,
            Self::Slow => 2,
            Self::Shed | Self::Refuse | Self::Full => 4,
        }
    }
}

/// What a server knows about its memory.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
#[non_exhaustive]
pub struct MemoryState {
    /// Bytes that the process may use; `None` without a limit.
    pub limit: Option<u64>,
    /// Bytes that it used when that was looked at last; 0 where the system does not say.
    pub resident: u64,
    /// What that means.
    pub level: MemoryLevel,
    /// Connections, sessions, subscriptions and retained messages that were refused, and connections
    /// that were closed, for want of memory.
    pub refused: u64,
}

/// How near the process is to the memory that it may use.
pub(crate) struct Memory {
    limit: Option<u64>,
    measure: fn() -> Option<u64>,
    level: AtomicU8,
    /// The highest level that was logged since there was enough.
    logged: AtomicU8,
    resident: AtomicU64,
    /// Bytes that came in, or were queued, since memory was measured last.
    charged: AtomicUsize,
    charge_max: usize,
    refused: AtomicU64,
    /// What connections had delivered and held when they were looked at last.
    seen: Mutex<HashMap<SubscriberId, (u64, usize)>>,
}

impl Memory {
    /// A gate at `limit` bytes; `measure` tells what the process uses.
    pub(crate) fn new(limit: Option<u64>, measure: fn() -> Option<u64>) -> Self {
        let charge_max =
            limit.map_or(u64::MAX, |limit| (limit / 128).clamp(CHARGE_MIN, CHARGE_MAX));
        Self {
            limit,
            measure,
            level: AtomicU8::new(0),
            logged: AtomicU8::new(0),
            resident: AtomicU64::new(0),
            charged: AtomicUsize::new(0),
            charge_max: usize::try_from(charge_max).unwrap_or(usize::MAX),
            refused: AtomicU64::new(0),
            seen: Mutex::default(),
        }
    }

    /// How near the limit is.
    #[inline]
    pub(crate) fn level(&self) -> MemoryLevel {
        let level = usize::from(self.level.load(Ordering::Relaxed));
        MemoryLevel::ALL.get(level).copied().unwrap_or_default()
    }

    /// A mark or a size of `bytes`, made smaller where memory is short.
    #[inline]
    pub(crate) fn squeeze(&self, bytes: usize) -> usize {
        bytes >> self.level().halvings()
    }

    /// The same for what is read at once and for what waits in an output: not below 4 KiB.
    pub(crate) fn squeeze_buffer(&self, bytes: usize) -> usize {
        self.squeeze(bytes).max(bytes.min(4096))
    }

    pub(crate) fn state(&self) -> MemoryState {
        MemoryState {
            limit: self.limit,
            resident: self.resident.load(Ordering::Relaxed),
            level: self.level(),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    /// Whether the level is this or above; if so the refusal that follows is counted.
    pub(crate) fn refuses(&self, from: MemoryLevel) -> bool {
        self.refuses_if(self.level() >= from)
    }

    /// Whether a session with so many subscriptions gets no more; if so that is counted.
    pub(crate) fn refuses_subscription(&self, has: usize) -> bool {
        self.refuses_if(has >= self.level().subscriptions_max())
    }

    fn refuses_if(&self, refuses: bool) -> bool {
        if refuses {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        refuses
    }

    /// The same, but looks again first: for what is rare, so that nobody is refused for what is over.
    pub(crate) fn still_refuses(&self, from: MemoryLevel) -> bool {
        if self.level() < from {
            return false;
        }
        self.measure();
        self.refuses(from)
    }

    /// So many bytes came in or were queued. Measures when that is enough to make a difference, so
    /// that no burst is faster than the gate.
    pub(crate) fn charge(&self, bytes: usize) {
        if self.limit.is_none() {
            return;
        }
        let before = self.charged.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) >= self.charge_max {
            self.measure();
        }
    }

    /// A message of `bytes` is handed to so many receivers.
    #[inline]
    pub(crate) fn charge_fan_out(&self, bytes: usize, receivers: usize) {
        if receivers >= FEW {
            self.charge(receivers.saturating_mul(QUEUED_BYTES + bytes.min(COPIED_MAX)));
        }
    }

    /// Looks at what the process uses, and sets the level.
    pub(crate) fn measure(&self) {
        self.charged.store(0, Ordering::Relaxed);
        if let Some(resident) = (self.measure)() {
            self.set_resident(resident);
        }
    }

    /// The process uses `resident` bytes.
    pub(crate) fn set_resident(&self, resident: u64) {
        self.resident.store(resident, Ordering::Relaxed);
        let Some(limit) = self.limit else { return };
        let level = self.level_at(resident, limit);
        if self.level.swap(level as u8, Ordering::Relaxed) != level as u8 {
            self.log(level, resident >> 20, limit >> 20);
        }
    }

    /// Says that the level has changed: where it is higher than it was since there was enough, and when
    /// there is enough again. So a level that goes to and fro is said once.
    fn log(&self, level: MemoryLevel, resident_mib: u64, limit_mib: u64) {
        let what = what_happens(level);
        let now = level.name();
        if level == MemoryLevel::Fine {
            self.logged.store(0, Ordering::Relaxed);
            tracing::info!(resident_mib, limit_mib, now, "{what}");
        } else if self.logged.fetch_max(level as u8, Ordering::Relaxed) < level as u8 {
            tracing::warn!(resident_mib, limit_mib, now, "{what}");
        }
    }

    /// The level of `resident` bytes: up at once, and down only some way below, so that it does not
    /// go to and fro.
    fn level_at(&self, resident: u64, limit: u64) -> MemoryLevel {
        let percent = resident.saturating_mul(100) / limit.max(1);
        let reached = |percent: u64| {
            let mut levels = MemoryLevel::ALL.into_iter().rev();
            levels.find(|level| percent >= level.begins_at()).unwrap_or_default()
        };
        reached(percent).max(reached(percent + BACK_PERCENT).min(self.level()))
    }

    /// How many bytes have to go until nobody has to be closed any more.
    fn excess(&self) -> u64 {
        let resident = self.resident.load(Ordering::Relaxed);
        let target = |limit: u64| limit / 100 * (MemoryLevel::Refuse.begins_at() - BACK_PERCENT);
        self.limit.map_or(0, |limit| resident.saturating_sub(target(limit)))
    }
}

const fn what_happens(level: MemoryLevel) -> &'static str {
    match level {
        MemoryLevel::Fine => "there is enough memory again",
        MemoryLevel::Slow => "memory gets short: publishers wait earlier for slow receivers",
        MemoryLevel::Shed => {
            "memory is short: messages for slow receivers and for sessions in memory that are not \
             connected are dropped, no new topics are retained; see --memory-limit"
        }
        MemoryLevel::Refuse => {
            "memory is nearly used up: new lasting sessions and many subscriptions are refused, \
             messages for slow receivers are dropped, connections that hold much and do not move are \
             closed; see --memory-limit"
        }
        MemoryLevel::Full => "memory is used up: new connections are refused; see --memory-limit",
    }
}

/// A connection that holds much.
struct Heavy {
    slot: Arc<Slot>,
    bytes: usize,
    /// It has delivered nothing since it was looked at last, and holds no less.
    is_stuck: bool,
}

impl Broker {
    /// Measures, and where memory is nearly used up closes connections that hold much: those that do
    /// not move first, the heaviest of them first. Called every now and then.
    pub(crate) fn watch_memory(&self) -> MemoryLevel {
        self.memory.measure();
        let level = self.memory.level();
        if level < MemoryLevel::Refuse {
            self.memory.seen.lock().clear();
            return level;
        }
        let mut heavy = self.heavy_connections();
        heavy.sort_unstable_by_key(|heavy| (!heavy.is_stuck, std::cmp::Reverse(heavy.bytes)));
        // One that moves is closed only where nothing else helps.
        heavy.retain(|heavy| heavy.is_stuck || level == MemoryLevel::Full);
        let mut excess = self.memory.excess();
        for Heavy { slot, bytes, .. } in heavy {
            if excess == 0 {
                break;
            }
            if slot.ask_to_leave(Cause::Memory, None) {
                self.memory.refused.fetch_add(1, Ordering::Relaxed);
                excess = excess.saturating_sub(bytes as u64);
            }
        }
        level
    }

    fn heavy_connections(&self) -> Vec<Heavy> {
        let mut seen = self.memory.seen.lock();
        let mut now = HashMap::new();
        let mut heavy = Vec::new();
        for slot in self.registry.all() {
            let (bytes, delivered) = {
                let state = slot.lock();
                if !state.inbox.is_online() || slot.is_local() {
                    continue;
                }
                (state.bytes(), state.inbox.ledger().delivered)
            };
            if bytes < SMALL_BYTES {
                continue;
            }
            let before = seen.get(&slot.id);
            let is_stuck = before.is_some_and(|(then, held)| *then == delivered && *held <= bytes);
            now.insert(slot.id, (delivered, bytes));
            heavy.push(Heavy { slot, bytes, is_stuck });
        }
        *seen = now;
        heavy
    }
}

/// What the level means for messages that are handed to a session.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Intake {
    pub(crate) level: MemoryLevel,
    /// Where publishers begin to wait for the receiver.
    pub(crate) high_water: usize,
}

impl Intake {
    /// Whether messages may have to be dropped.
    pub(crate) const fn is_short(self) -> bool {
        matches!(self.level, MemoryLevel::Shed | MemoryLevel::Refuse | MemoryLevel::Full)
    }

    /// Whether messages of `len` bytes are dropped: at QoS 0, or above it; for a session that holds
    /// `bytes` already.
    pub(crate) const fn drops(
        self,
        is_qos0: bool,
        is_online: bool,
        bytes: usize,
        len: usize,
    ) -> bool {
        let is_behind = bytes >= SMALL_BYTES;
        match self.level {
            MemoryLevel::Fine | MemoryLevel::Slow => false,
            MemoryLevel::Shed if is_qos0 => is_online && is_behind,
            MemoryLevel::Shed => !is_online || bytes >= LARGE_BYTES,
            // A large message is much by itself, if many get it who do not read.
            MemoryLevel::Refuse => !is_online || is_behind || len >= LARGE_BYTES,
            MemoryLevel::Full => !is_online || is_behind || len >= SMALL_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_reached_at_once_and_left_a_little_below() {
        let memory = Memory::new(Some(1000), || None);
        let level = |resident| {
            memory.set_resident(resident);
            memory.level()
        };
        assert_eq!(level(599), MemoryLevel::Fine);
        assert_eq!(level(600), MemoryLevel::Slow);
        assert_eq!(level(580), MemoryLevel::Slow);
        assert_eq!(level(560), MemoryLevel::Fine);
        assert_eq!(level(5000), MemoryLevel::Full);
        assert_eq!(level(930), MemoryLevel::Full);
        assert_eq!(level(919), MemoryLevel::Refuse);
        assert_eq!(level(0), MemoryLevel::Fine);
    }

    #[test]
    fn without_a_limit_there_is_always_enough() {
        let memory = Memory::new(None, || Some(u64::MAX));
        memory.charge(usize::MAX);
        memory.measure();
        assert_eq!((memory.level(), memory.squeeze(100)), (MemoryLevel::Fine, 100));
    }

    #[test]
    fn a_burst_is_measured_before_the_time_is_up() {
        let memory = Memory::new(Some(64 << 20), || Some(63 << 20));
        memory.charge(400 * 1024);
        assert_eq!(memory.level(), MemoryLevel::Fine);
        memory.charge(200 * 1024);
        assert_eq!(memory.level(), MemoryLevel::Full);
    }

    #[test]
    fn what_is_squeezed_stays_usable() {
        let memory = Memory::new(Some(1000), || None);
        memory.set_resident(1000);
        assert_eq!(memory.squeeze_buffer(256 * 1024), 16 * 1024);
        assert_eq!(memory.squeeze_buffer(8 * 1024), 4 * 1024);
        assert_eq!(memory.squeeze_buffer(2 * 1024), 2 * 1024);
    }
}
