//! The database under a store: written to, closed when it cannot go on, and opened again.

use std::{
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use fjall::PersistMode;
use mqtt_session::{Change, Level, StoreError, StoreErrorKind};

use crate::{
    fault::{self, Fault},
    group::Group,
    journal,
    keyspaces::Keyspaces,
    open_error::OpenError,
    options::StoreOptions,
    outage::{Backoff, Outage},
    place::Place,
    presync::Presync,
    rebuild,
    reclaim::Nudge,
    record::GroupMark,
    renewal::Activity,
    room::Room,
    shares::{Shares, StagedShares},
    state_file::{State, StateFile},
    witness::Witness,
};

/// So often the engine is asked to write out what is in memory, at most. It keeps a thousand such
/// requests, and the thread that works them off puts more behind them: where there is no place, it waits
/// for itself for ever.
const ASKED_MAX: usize = 400;

/// The database of a store, and what is known of it.
pub(crate) struct Engine {
    /// `None` while there is an outage.
    pub(crate) keyspaces: Option<Keyspaces>,
    /// One for each who has the keyspaces beside the engine, which is not closed and opened before
    /// they have let go.
    pub(crate) handles: Arc<()>,
    pub(crate) outage: Option<Outage>,
    pub(crate) backoff: Backoff,
    /// Set for ever when the disk has failed.
    pub(crate) failed: Option<String>,
    /// Counted when they are needed first.
    shares: Option<Shares>,
    /// The number of the last group.
    pub(crate) last: u64,
    /// The number of the last group that is on the disk.
    pub(crate) synced: u64,
    /// Where the files were when they were opened.
    pub(crate) place: Place,
    /// Something could not be read.
    pub(crate) is_doubtful: bool,
    /// What was left out, for the log.
    pub(crate) findings: Vec<String>,
    pub(crate) room: Room,
    pub(crate) activity: Activity,
    /// Has space reclaimed at once.
    pub(crate) nudge: Option<Nudge>,
    presync: Presync,
    /// How often the engine was asked to write out what is in memory, and has not begun to.
    asked: usize,
    /// The engine was waited for in vain, and has not caught up since.
    is_idle: bool,
    pub(crate) witness: Witness,
    dir: String,
    pub(crate) database: PathBuf,
    options: StoreOptions,
}

impl Engine {
    /// The database of a directory, which was opened; `last` is the mark of its last group.
    pub(crate) fn new(
        dir: PathBuf,
        database: PathBuf,
        keyspaces: Keyspaces,
        last: GroupMark,
        place: Place,
        findings: Vec<String>,
        options: StoreOptions,
    ) -> Self {
        Self {
            keyspaces: Some(keyspaces),
            handles: Arc::default(),
            outage: None,
            backoff: Backoff::new(),
            failed: None,
            shares: None,
            last: last.number,
            synced: last.synced,
            place,
            is_doubtful: false,
            findings,
            presync: Presync::new(database.clone()),
            asked: 0,
            is_idle: false,
            witness: Witness::new(database.clone()),
            dir: dir.display().to_string(),
            room: Room::new(dir, options.reserve_bytes),
            activity: Activity::unknown(),
            nudge: None,
            database,
            options,
        }
    }

    pub(crate) fn commit(&mut self, changes: &[Change], level: Level) -> Result<(), StoreError> {
        if let Some(what) = &self.failed {
            return Err(failed(what.clone(), None));
        }
        let bytes = self.check_room(changes)?;
        self.open()?;
        self.get_well()?;
        self.witness.follow();
        let needs_sync = level == Level::Disk && (!changes.is_empty() || self.synced != self.last);
        let number = if changes.is_empty() { self.last } else { self.last + 1 };
        let staged = match changes {
            [] => StagedShares::default(),
            changes => self.write(number, changes)?,
        };
        if needs_sync {
            self.sync()?;
            self.synced = number;
            self.presync.synced();
        } else {
            self.presync.written(bytes);
        }
        let asking = |keyspaces: &Keyspaces| keyspaces.asking(self.options.memtable_bytes);
        self.asked = match self.keyspaces.as_ref().map_or(0, asking) {
            0 => 0,
            more => self.asked + more,
        };
        self.last = number;
        self.activity.note(bytes, staged.finished());
        if let Some(shares) = &mut self.shares {
            shares.apply(staged);
        }
        Ok(())
    }

    /// Writes a group that has a mark and nothing else.
    pub(crate) fn commit_mark(&mut self) -> Result<(), StoreError> {
        let number = self.last + 1;
        self.write(number, &[])?;
        self.last = number;
        Ok(())
    }

    /// Refuses a group that there is no room for. Returns about how many bytes it writes.
    fn check_room(&self, changes: &[Change]) -> Result<u64, StoreError> {
        let checked = self.room.check(changes, self.unwritten_bytes());
        if let (Err(_), Some(nudge)) = (&checked, &self.nudge) {
            nudge.wake();
        }
        checked
    }

    /// Writes a group, as far as the operating system.
    fn write(&mut self, number: u64, changes: &[Change]) -> Result<StagedShares, StoreError> {
        let Some(keyspaces) = &self.keyspaces else {
            return Err(self.closed());
        };
        let shares = match &mut self.shares {
            Some(shares) => shares,
            none => none.insert(keyspaces.shares().map_err(|fault| fault.into_error(&self.dir))?),
        };
        let mark = GroupMark { number, after: keyspaces.database.seqno(), synced: self.synced };
        let group = Group::build(keyspaces, shares, self.options.apart_bytes, mark, changes)
            .map_err(|fault| fault.into_error(&self.dir))?;
        let written = group.batch.durability(Some(PersistMode::Buffer)).commit();
        written.map_err(|error| self.break_down(error))?;
        Ok(group.shares)
    }

    /// Makes sure that all groups are on the disk.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        let Some(keyspaces) = &self.keyspaces else {
            return Err(self.closed());
        };
        // A sync in the background takes the error of a write along, and says so a moment later:
        // the second call sees it.
        let synced = keyspaces.database.persist(PersistMode::SyncData);
        match synced.and_then(|()| keyspaces.database.persist(PersistMode::Buffer)) {
            Ok(()) => Ok(()),
            Err(error @ fjall::Error::Poisoned) => Err(self.break_down(error)),
            // What the operating system could not write it may have forgotten, whatever it lacked.
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Waits until the engine has written out enough for another group. If it goes on no more, it is
    /// opened again. One that was just opened merges nothing before it is asked to, which the next
    /// groups do: so it is waited for once, and again when it has caught up.
    fn get_well(&mut self) -> Result<(), StoreError> {
        const PAUSE: Duration = Duration::from_millis(2);
        const PATIENCE: Duration = Duration::from_secs(2);
        let mut opened_again = false;
        let since = Instant::now();
        while let Some(keyspaces) = &self.keyspaces {
            if let Err(error) = keyspaces.database.persist(PersistMode::Buffer) {
                let refused = self.break_down(error);
                if opened_again || self.failed.is_some() {
                    return Err(refused);
                }
                opened_again = true;
                self.open()?;
                continue;
            }
            let is_behind = keyspaces.is_behind()
                || self.asked > ASKED_MAX && keyspaces.asking(self.options.memtable_bytes) > 0;
            self.is_idle &= is_behind;
            if !is_behind || self.is_idle {
                break;
            }
            self.is_idle = since.elapsed() > PATIENCE;
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// The engine refuses to go on. It does not always say why: a thread of its own may have lacked
    /// room or descriptors. Only what the journal lost is the disk's failure, because a table that
    /// was not finished is made again.
    fn break_down(&mut self, error: fjall::Error) -> StoreError {
        if fault::is_passing(&error) {
            return self.close(error);
        }
        if !matches!(error, fjall::Error::Poisoned) {
            self.is_doubtful |= fault::is_damage(&error);
            return self.fail(error);
        }
        // It may have found something damaged while it merged tables: the next start looks.
        self.is_doubtful |= !self.room.is_low();
        match self.witness.testify() {
            Ok(()) => self.close(error),
            Err(error) => self.fail(error.into()),
        }
    }

    /// Something was missing for a group, or for work in the background. The engine does not get over
    /// that, and may even write the group later: it is closed, the group is taken back, and it is
    /// opened again.
    fn close(&mut self, error: fjall::Error) -> StoreError {
        self.keyspaces = None;
        self.witness.close();
        let why = match error {
            fjall::Error::Poisoned => {
                "its background work failed: it lacked room, descriptors or memory".to_owned()
            }
            ref error => fault::explain(error),
        };
        self.outage = Some(Outage::new(why, Some(self.last + 1), &mut self.backoff));
        let refused = StoreError { source: Some(Box::new(error)), ..self.closed() };
        // Where this fails, the next group tries again.
        let _ = self.open();
        match &self.failed {
            Some(what) => failed(what.clone(), None),
            None => refused,
        }
    }

    /// The disk failed: nothing is kept from now on.
    fn fail(&mut self, error: fjall::Error) -> StoreError {
        let what = format!(
            "the disk failed under the store in {}: {error}; check the disk, then start again",
            self.dir
        );
        self.failed = Some(what.clone());
        failed(what, Some(error))
    }

    /// Puts what can be read of the database into a new one, and goes on with that.
    pub(crate) fn rebuild(&mut self, state: &mut StateFile) -> Result<(), StoreError> {
        const PAUSE: Duration = Duration::from_millis(5);
        // Whoever reclaims space comes to the end of it, and begins no more while this is locked.
        while Arc::strong_count(&self.handles) > 1 {
            thread::sleep(PAUSE);
        }
        self.keyspaces = None;
        self.witness.close();
        self.shares = None;
        let dir = PathBuf::from(&self.dir);
        let known = State { written: self.last, synced: self.synced, ..*state.state() };
        let rebuilt = rebuild::in_place(&dir, &known, &self.options);
        let (findings, known) = rebuilt.map_err(|error| self.fail_to_rebuild(error))?;
        state.change(|state| *state = known);
        self.findings.extend(findings);
        (self.last, self.synced, self.is_doubtful) = (known.written, known.synced, false);
        self.place = Place::new(&self.database);
        self.open()
    }

    fn fail_to_rebuild(&mut self, error: OpenError) -> StoreError {
        let what = format!("the store in {} is damaged, and what is left cannot be kept", self.dir);
        self.failed = Some(what.clone());
        StoreError {
            kind: StoreErrorKind::Damaged,
            what: format!("{what}: {error}"),
            source: Some(Box::new(error)),
        }
    }

    /// Makes sure that the files are where they were: what was written may have gone to files that
    /// nobody will find again. Returns whether the newest journal still is the same.
    pub(crate) fn check_place(&mut self) -> Result<bool, StoreError> {
        let gone = match self.place.check() {
            Ok(is_same) => return Ok(is_same),
            Err(gone) => gone,
        };
        let what = format!(
            "the data directory {} was removed, moved or replaced while it was in use ({gone}): \
             nothing is kept any more; stop the broker, put the directory back, and start again",
            self.dir
        );
        self.failed = Some(what.clone());
        Err(failed(what, None))
    }

    /// Opens the database again if it was closed.
    pub(crate) fn open(&mut self) -> Result<(), StoreError> {
        if self.keyspaces.is_some() {
            return Ok(());
        }
        let is_held = Arc::strong_count(&self.handles) > 1;
        let is_early = self.outage.as_ref().is_some_and(|outage| !outage.is_due());
        if self.failed.is_some() || is_held || is_early {
            return Err(self.closed());
        }
        let last = self.last;
        let opened = self.take_back().and_then(|()| {
            let keyspaces = Keyspaces::open(&self.database, &self.options)?;
            let is_as_it_was = keyspaces.mark()?.is_some_and(|mark| mark.number == last);
            is_as_it_was.then_some(keyspaces).ok_or(fjall::Error::Unrecoverable)
        });
        match opened {
            Ok(keyspaces) => {
                self.keyspaces = Some(keyspaces);
                self.outage = None;
                self.backoff.opened();
                self.witness.look();
                Ok(())
            }
            Err(error) if fault::is_passing(&error) => {
                if let Some(outage) = &mut self.outage {
                    outage.goes_on(fault::explain(&error), &mut self.backoff);
                }
                Err(self.closed())
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Takes the group back that was refused when the database was closed.
    fn take_back(&mut self) -> Result<(), fjall::Error> {
        let Some(outage) = &mut self.outage else { return Ok(()) };
        if let Some(number) = outage.refused_group {
            journal::take_back(&self.database, number)?;
            outage.refused_group = None;
        }
        Ok(())
    }

    /// What is answered while the database is closed.
    fn closed(&self) -> StoreError {
        match (&self.failed, &self.outage) {
            (Some(what), _) => failed(what.clone(), None),
            (None, Some(outage)) => outage.error(&self.dir),
            (None, None) => failed(format!("the store in {} is closed", self.dir), None),
        }
    }

    pub(crate) fn with_keyspaces<T>(
        &self,
        work: impl FnOnce(&Keyspaces) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let keyspaces = self.keyspaces.as_ref().ok_or_else(|| self.closed())?;
        work(keyspaces).map_err(|fault| fault.into_error(&self.dir))
    }
}

fn failed(what: String, source: Option<fjall::Error>) -> StoreError {
    let source = source.map(Into::into);
    StoreError { kind: StoreErrorKind::Failed, what, source }
}
