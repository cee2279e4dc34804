//! Gives the disk back what finished messages took.
//!
//! The engine forgets by writing: a finished message becomes a tombstone in memory, and what it took
//! stays in tables, in files of large messages and in journals until enough is written on top. A queue
//! that was drained would stay on the disk for ever. So a thread looks now and then how much of the
//! disk is garbage, and takes it away:
//!
//! 1. what is in memory is written out as tables, tombstones included ([`Rewrite::flush`]);
//! 2. keyspaces with garbage are rewritten, beginning with the one that leaves least, and only where
//!    there is room for what it leaves ([`Rewrite::compact`]);
//! 3. the journals, all of which stands in tables then, are emptied ([`Engine::renew_journal`]).
//!
//! It may be killed anywhere in this: tables are exchanged by the engine in one step, and a journal is
//! only emptied when all that it holds is in tables that are on the disk.
//!
//! [`Engine::renew_journal`]: crate::engine::Engine::renew_journal

use std::{
    sync::{
        Arc, Weak,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use fjall::{AbstractTree, Keyspace, PersistMode};
use parking_lot::Mutex;

use crate::{engine::Engine, fault, keyspaces::Keyspaces, room::Room, usage::Usage};

/// How soon it looks again while room is short, at the latest.
const PERIOD_SHORT: Duration = Duration::from_secs(1);

/// The thread that reclaims space.
#[derive(Debug)]
pub(crate) struct Reclaimer {
    wanted: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Asks for a look at once.
#[derive(Clone, Debug)]
pub(crate) struct Nudge(SyncSender<()>);

impl Nudge {
    pub(crate) fn wake(&self) {
        let _awake_or_gone = self.0.try_send(());
    }
}

impl Reclaimer {
    /// Starts the thread. Without one, where there can be no other thread, space comes back when the
    /// engine finds to it.
    pub(crate) fn start(engine: &Arc<Mutex<Engine>>, period: Duration) -> Self {
        let (wanted, asked) = sync_channel(1);
        engine.lock().nudge = Some(Nudge(wanted.clone()));
        let engine = Arc::downgrade(engine);
        let work = move || reclaim_when_it_is_time(&engine, &asked, period);
        let thread = thread::Builder::new().name("store-reclaim".to_owned()).spawn(work).ok();
        Self { wanted: Some(wanted), thread }
    }

    /// Ends the thread, after the step that it is in.
    pub(crate) fn stop(&mut self, engine: &Mutex<Engine>) {
        engine.lock().nudge = None;
        drop(self.wanted.take());
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn reclaim_when_it_is_time(engine: &Weak<Mutex<Engine>>, asked: &Receiver<()>, period: Duration) {
    let mut pause = period;
    loop {
        match asked.recv_timeout(pause) {
            Err(RecvTimeoutError::Disconnected) => return,
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
        }
        let Some(engine) = engine.upgrade() else { return };
        pause = period;
        if look(&engine) {
            pause = period.min(PERIOD_SHORT);
            // Whoever is refused asks for a look at once, and again and again.
            thread::sleep(pause / 4);
        }
    }
}

/// Takes away what garbage there is. Returns whether room is short.
fn look(engine: &Mutex<Engine>) -> bool {
    let Some(rewrite) = engine.lock().begin_rewrite() else { return false };
    let is_short = rewrite.is_short;
    let mut is_well = true;
    let mut was_worth_it = None;
    if rewrite.is_wanted {
        let before = rewrite.garbage_bytes();
        is_well = rewrite.flush();
        let garbage = before.max(rewrite.garbage_bytes());
        is_well = is_well && rewrite.compact();
        let left = rewrite.garbage_bytes();
        was_worth_it = Some(left <= rewrite.left_alone || left < garbage / 4 * 3);
    }
    // The engine can only be closed when nobody else has it.
    drop(rewrite);
    let mut engine = engine.lock();
    if let Some(was_worth_it) = was_worth_it {
        engine.activity.learn(was_worth_it);
    }
    if is_well {
        engine.renew_journal();
    }
    is_short
}

/// What is rewritten, and what for. Whoever has it keeps the engine open.
pub(crate) struct Rewrite {
    pub(crate) keyspaces: Keyspaces,
    pub(crate) is_short: bool,
    /// There is so much garbage that it is worth it.
    pub(crate) is_wanted: bool,
    /// Bytes of garbage in a keyspace that are left alone.
    pub(crate) left_alone: u64,
    pub(crate) room: Room,
    /// Held as long as the keyspaces: the engine is not opened anew before it is let go.
    pub(crate) _handle: Arc<()>,
}

impl Rewrite {
    /// Writes everything out that is in memory. Returns false if the engine goes on no more.
    fn flush(&self) -> bool {
        let keyspaces = &self.keyspaces;
        let marks = [&keyspaces.marks];
        // The marks come last: what the engine may throw away counts from the last memtable that was
        // sealed, and each group has a mark.
        flush(&keyspaces.database, keyspaces.records().into_iter())
            && flush(&keyspaces.database, marks.into_iter())
    }

    fn garbage_bytes(&self) -> u64 {
        self.keyspaces.all().iter().map(|keyspace| Usage::of(keyspace).garbage_bytes()).sum()
    }

    /// Rewrites the keyspaces that have garbage, those first that need least room.
    fn compact(&self) -> bool {
        let mut usages: Vec<_> = self
            .keyspaces
            .all()
            .into_iter()
            .map(|keyspace: &Keyspace| (Usage::of(keyspace), keyspace))
            .filter(|(usage, _)| usage.is_worth_it(self.left_alone))
            .collect();
        usages.sort_by_key(|(usage, _)| usage.live_bytes());
        usages.into_iter().all(|(_, keyspace)| self.rewrite(keyspace))
    }

    /// Rewrites a keyspace. Files of large messages take more than one pass: what is dead in them is
    /// known only after a pass, and each pass moves a part of what lives in them.
    fn rewrite(&self, keyspace: &Keyspace) -> bool {
        const PASSES_MAX: usize = 24;
        for pass in 0..PASSES_MAX {
            let before = Usage::of(keyspace);
            if self.room.for_rewriting() < before.rewrite_bytes() {
                return true;
            }
            if let Err(error) = keyspace.major_compact() {
                // What it has written is taken away when the engine is opened again.
                return !fault::is_passing(&error) && self.is_well();
            }
            let after = Usage::of(keyspace);
            let is_done = after.garbage_bytes() == 0 || after.all_bytes() >= before.all_bytes();
            if is_done && pass > 0 {
                break;
            }
        }
        self.is_well()
    }

    fn is_well(&self) -> bool {
        self.keyspaces.database.persist(PersistMode::Buffer).is_ok()
    }
}

/// Writes out what keyspaces have in memory; false if the engine goes on no more.
pub(crate) fn flush<'a>(
    database: &fjall::Database,
    keyspaces: impl Iterator<Item = &'a Keyspace>,
) -> bool {
    const PAUSE: Duration = Duration::from_millis(2);
    const PATIENCE: Duration = Duration::from_secs(60);
    let deadline = Instant::now() + PATIENCE;
    for keyspace in keyspaces {
        if keyspace.tree.active_memtable().is_empty() && keyspace.sealed_memtable_count() == 0 {
            continue;
        }
        if keyspace.rotate_memtable().is_err() {
            return false;
        }
        while keyspace.sealed_memtable_count() > 0 {
            if database.persist(PersistMode::Buffer).is_err() || Instant::now() > deadline {
                return false;
            }
            thread::sleep(PAUSE);
        }
    }
    true
}
