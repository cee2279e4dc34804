//! The store: opening it, and what it does when something fails.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use fjall::PersistMode;
use mqtt_session::{
    Change, ClockMark, Level, QueuedMessage, SessionNumber, SessionStore, StoreError,
    StoreErrorKind, Stored,
};
use parking_lot::Mutex;

use crate::{
    completeness,
    fault::{self, Fault},
    format_file::{self, FORMAT, sync_dir},
    group::Group,
    journal,
    keyspaces::Keyspaces,
    lock_file::{self, LockFile},
    open_error::OpenError,
    open_report::OpenReport,
    options::StoreOptions,
    place::Place,
    presync::Presync,
    privacy::{self, PrivacyError},
    rebuild,
    record::GroupMark,
    room::Room,
    scan::Bookmark,
    shares::{Shares, StagedShares},
    state_file::{self, Found, State, StateFile},
};

/// The database in a data directory.
pub(crate) const DATABASE: &str = "db";

/// A database that is being made.
pub(crate) const UNFINISHED: &str = "db.new";

/// Sessions, their messages and retained messages in a directory.
///
/// The directory is locked while the store is open. Dropping the store closes it in order.
pub struct Store {
    inner: Mutex<Inner>,
    /// Locked after `inner`, or without it.
    state: Mutex<StateFile>,
    report: OpenReport,
    // Last, so that the directory is free only when the database is closed.
    _lock: LockFile,
}

impl Store {
    /// Opens the store of a directory, or makes one. On Unix, what it keeps there is its owner's
    /// alone (modes 0700 and 0600), and so is the directory, unless it holds other things or
    /// belongs to another user: messages and sessions are nobody else's to read.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Self, OpenError> {
        privacy::make(dir, is_ours).map_err(|error| privacy_error(dir, error))?;
        let lock = LockFile::lock(dir)?;
        let found = state_file::read(dir).map_err(|source| OpenError::Io {
            what: "read",
            path: dir.join(state_file::NAME),
            source,
        })?;
        let (created, had_format) = prepare(dir, &options, found)?;
        privacy::tighten(dir, is_ours).map_err(|error| privacy_error(dir, error))?;
        let database = dir.join(DATABASE);
        let mut known = found.state();
        let must_have = known.last(state_file::boot_id());
        let mut checked = completeness::check(dir, &database, must_have, &known)?;
        let mut findings: Vec<_> = completeness::finding(&database, &known).into_iter().collect();
        if known.is_doubtful {
            let found;
            (found, known) = rebuild::where_damaged(dir, &known, &options)?;
            findings.extend(found);
            checked = completeness::check(dir, &database, known.synced, &known)?;
        }
        let keyspaces = open_keyspaces(dir, &options)?;
        let last = last_mark(dir, &keyspaces, checked.last)?;
        let place = Place::new(&database);
        let state = State {
            journals: place.journals(),
            is_in_newest: checked.is_last_in_newest,
            written: last.number,
            synced: last.synced.max(known.synced),
            boot: state_file::boot_id(),
            is_whole: true,
            ..known
        };
        let state = StateFile::open(dir, state).map_err(|source| OpenError::Io {
            what: "write",
            path: dir.join(state_file::NAME),
            source,
        })?;
        let unknown = had_format && !matches!(found, Found::State(_));
        let report = OpenReport { created, groups: last.number, cut: checked.cut, unknown };
        let inner = Inner {
            keyspaces: Some(keyspaces),
            failed: None,
            shares: None,
            last: last.number,
            synced: last.synced,
            place,
            is_doubtful: false,
            findings,
            room: Room::new(dir.to_owned(), options.reserve_bytes),
            presync: Presync::new(database.clone()),
            dir: dir.display().to_string(),
            database,
            options,
        };
        Ok(Self { inner: Mutex::new(inner), state: Mutex::new(state), report, _lock: lock })
    }

    /// What was found when the store was opened.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// Whether there is room on the file system to keep messages.
    ///
    /// # Errors
    /// There is none: messages for sessions in the store would be refused now.
    pub fn check_room(&self) -> Result<(), StoreError> {
        self.inner.lock().room.check_for_messages()
    }

    /// How many messages are kept outside of the queues, because several sessions share them or
    /// because they are large. Goes through all of them.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn messages_kept(&self) -> Result<usize, StoreError> {
        let mut inner = self.inner.lock();
        inner.open()?;
        inner.with_keyspaces(|keyspaces| keyspaces.messages.len().map_err(Fault::Engine))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("report", &self.report).finish_non_exhaustive()
    }
}

impl SessionStore for Store {
    fn load(&self, visit: &mut dyn FnMut(Stored)) -> Result<(), StoreError> {
        let mut inner = self.inner.lock();
        inner.open()?;
        let mut bookmark = Bookmark::default();
        let read = inner.with_keyspaces(|keyspaces| keyspaces.visit_all(&mut bookmark, visit));
        match read {
            Err(error) if error.kind == StoreErrorKind::Damaged => {
                // What can be read is put into a new database, and read on there.
                inner.rebuild(&mut self.state.lock())?;
                inner.with_keyspaces(|keyspaces| keyspaces.visit_all(&mut bookmark, visit))
            }
            read => read,
        }
    }

    fn commit(&self, changes: &[Change], level: Level) -> Result<(), StoreError> {
        let mut inner = self.inner.lock();
        let committed = inner.commit(changes, level).and_then(|()| inner.check_place());
        let (last, synced, is_doubtful) = (inner.last, inner.synced, inner.is_doubtful);
        let journals = inner.place.journals();
        self.state.lock().change(|state| {
            if let Ok(is_in_newest) = committed {
                let is_new = state.written != last;
                (state.written, state.synced, state.journals) = (last, synced, journals);
                // Where another journal was begun meanwhile, nobody knows which of them has it.
                state.is_in_newest = is_in_newest && (is_new || state.is_in_newest);
            }
            state.is_doubtful |= is_doubtful;
        });
        committed.map(drop)
    }

    fn read(
        &self,
        session: SessionNumber,
        from: u64,
        bytes_max: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        let mut inner = self.inner.lock();
        inner.open()?;
        let (page, damaged) =
            inner.with_keyspaces(|keyspaces| keyspaces.page(session, from, bytes_max))?;
        if damaged > 0 {
            // The next start goes through all of it.
            self.state.lock().change(|state| state.is_doubtful = true);
        }
        Ok(page)
    }

    fn clock(&self) -> Option<ClockMark> {
        self.state.lock().state().clock
    }

    fn note_clock(&self, mark: ClockMark) {
        self.state.lock().change(|state| state.clock = Some(mark));
    }

    fn take_findings(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.lock().findings)
    }
}

impl Drop for Store {
    /// What was only handed to the operating system is brought to the disk, so that the next start
    /// knows what has to be there.
    fn drop(&mut self) {
        let inner = self.inner.get_mut();
        let is_synced = inner.last == inner.synced
            || inner.failed.is_none() && inner.place.check().is_ok() && inner.sync().is_ok();
        let state = self.state.get_mut();
        if is_synced {
            state.change(|state| (state.written, state.synced) = (inner.last, inner.last));
        }
        state.sync();
    }
}

/// Whether a file of a data directory is the store's, by its name; or the file system's own.
pub(crate) fn is_ours(name: &str) -> bool {
    const OURS: [&str; 5] =
        [DATABASE, lock_file::NAME, format_file::NAME, state_file::NAME, "lost+found"];
    OURS.iter().any(|ours| {
        name.strip_prefix(ours).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// Makes the database of a directory that has none. Returns whether it had none, and whether it
/// had a format.
///
/// The machine may stop anywhere in here. So the database is made beside its place and moved there
/// when it is whole: what is found under its name was never used by anybody else, or is whole.
fn prepare(dir: &Path, options: &StoreOptions, found: Found) -> Result<(bool, bool), OpenError> {
    let database = dir.join(DATABASE);
    rebuild::finish_exchange(&database).map_err(|source| OpenError::Io {
        what: "rename",
        path: database.clone(),
        source,
    })?;
    let exists = database.exists();
    if !exists && found.state().is_whole {
        let what = format!("its database {} is missing", database.display());
        return Err(OpenError::Damaged { dir: dir.to_owned(), what, source: None });
    }
    let format = format_file::read(dir)?;
    match format {
        None if exists => {
            let what = "its file FORMAT is missing".to_owned();
            return Err(OpenError::Damaged { dir: dir.to_owned(), what, source: None });
        }
        None => format_file::write(dir)?,
        Some(found) if found > FORMAT => {
            return Err(OpenError::NewerFormat { dir: dir.to_owned(), found, known: FORMAT });
        }
        // From here on there will be records that an earlier version cannot read.
        Some(found) if found < FORMAT => format_file::write(dir)?,
        Some(_) => {}
    }
    if exists {
        return Ok((false, true));
    }
    let unfinished = dir.join(UNFINISHED);
    let failed = |what, source| OpenError::Io { what, path: unfinished.clone(), source };
    match fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", error));
        }
        _ => {}
    }
    privacy::make(&unfinished, |_| true).map_err(|error| privacy_error(dir, error))?;
    let keyspaces = Keyspaces::open(&unfinished, options);
    drop(keyspaces.map_err(|error| engine_error(dir, error))?);
    fs::rename(&unfinished, &database).map_err(|source| failed("rename", source))?;
    sync_dir(dir).map_err(|source| failed("sync the directory of", source))?;
    Ok((true, format.is_some()))
}

fn open_keyspaces(dir: &Path, options: &StoreOptions) -> Result<Keyspaces, OpenError> {
    let database = dir.join(DATABASE);
    Keyspaces::open(&database, options).map_err(|error| match engine_error(dir, error) {
        OpenError::Damaged { dir, what, source } => {
            // The engine hardly says which file it is.
            let found = rebuild::findings(&database).unwrap_or_default();
            let what = if found.is_empty() { what } else { found.join("; ") };
            OpenError::Damaged { dir, what, source }
        }
        error => error,
    })
}

/// The mark of the last group, which the journals and the database have to agree on.
fn last_mark(
    dir: &Path,
    keyspaces: &Keyspaces,
    journals: Option<GroupMark>,
) -> Result<GroupMark, OpenError> {
    let damaged = |what: String| OpenError::Damaged { dir: dir.to_owned(), what, source: None };
    let mark = keyspaces.mark().map_err(|error| engine_error(dir, error))?;
    let mark = mark.ok_or_else(|| damaged("the mark of the last group is not whole".to_owned()))?;
    match journals {
        Some(last) if last != mark => Err(damaged(format!(
            "the journals end with group {}, and the tables with group {}",
            last.number, mark.number
        ))),
        _ => Ok(mark),
    }
}

fn engine_error(dir: &Path, error: fjall::Error) -> OpenError {
    match error {
        fjall::Error::Locked => OpenError::Locked { dir: dir.to_owned(), pid: None },
        fjall::Error::Io(source) | fjall::Error::Storage(fjall::LsmError::Io(source))
            if !fault::is_damage_kind(source.kind()) =>
        {
            OpenError::Io { what: "open", path: dir.join(DATABASE), source }
        }
        error => OpenError::Damaged {
            dir: dir.to_owned(),
            what: error.to_string(),
            source: Some(Box::new(error)),
        },
    }
}

pub(crate) fn privacy_error(dir: &Path, error: PrivacyError) -> OpenError {
    match error {
        PrivacyError::Io(what, path, source) => OpenError::Io { what, path, source },
        PrivacyError::Writable => OpenError::Exposed { dir: dir.to_owned() },
    }
}

struct Inner {
    /// `None` while the store is closed for want of room.
    keyspaces: Option<Keyspaces>,
    /// Set for ever when the disk has failed.
    failed: Option<String>,
    /// Counted when they are needed first.
    shares: Option<Shares>,
    /// The number of the last group.
    last: u64,
    /// The number of the last group that is on the disk.
    synced: u64,
    /// Where the files were when they were opened.
    place: Place,
    /// Something could not be read.
    is_doubtful: bool,
    /// What was left out, for the log.
    findings: Vec<String>,
    room: Room,
    presync: Presync,
    dir: String,
    database: PathBuf,
    options: StoreOptions,
}

impl Inner {
    fn commit(&mut self, changes: &[Change], level: Level) -> Result<(), StoreError> {
        if let Some(what) = &self.failed {
            return Err(failed(what.clone(), None));
        }
        let bytes = self.room.check(changes)?;
        self.open()?;
        self.get_well()?;
        let needs_sync = level == Level::Disk && (!changes.is_empty() || self.synced != self.last);
        let number = if changes.is_empty() { self.last } else { self.last + 1 };
        let staged = self.write(number, changes)?;
        if needs_sync {
            self.sync()?;
            self.synced = number;
            self.presync.synced();
        } else {
            self.presync.written(bytes);
        }
        self.last = number;
        if let Some(shares) = &mut self.shares {
            shares.apply(staged);
        }
        Ok(())
    }

    /// Writes a group, as far as the operating system.
    fn write(&mut self, number: u64, changes: &[Change]) -> Result<StagedShares, StoreError> {
        let Some(keyspaces) = &self.keyspaces else {
            return Err(closed(&self.dir));
        };
        if changes.is_empty() {
            return Ok(StagedShares::default());
        }
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
    fn sync(&mut self) -> Result<(), StoreError> {
        let Some(keyspaces) = &self.keyspaces else {
            return Err(closed(&self.dir));
        };
        // A sync in the background takes the error of a write along, and says so a moment later:
        // the second call sees it.
        let synced = keyspaces.database.persist(PersistMode::SyncData);
        match synced.and_then(|()| keyspaces.database.persist(PersistMode::Buffer)) {
            Ok(()) => Ok(()),
            // What the operating system could not write it may have forgotten, room or not.
            Err(error) if fault::is_full(&error) => Err(self.fail(error)),
            Err(error) => Err(self.break_down(error)),
        }
    }

    /// Waits until the engine has written out enough for another group. If it has stopped to write
    /// for want of room, it is opened again.
    fn get_well(&mut self) -> Result<(), StoreError> {
        const PAUSE: Duration = Duration::from_millis(2);
        let mut opened_again = false;
        while let Some(keyspaces) = &self.keyspaces {
            if let Err(error) = keyspaces.database.persist(PersistMode::Buffer) {
                let refused = self.break_down(error);
                if opened_again || self.failed.is_some() {
                    return Err(refused);
                }
                opened_again = true;
                self.open()?;
            } else if keyspaces.is_behind() {
                thread::sleep(PAUSE);
            } else {
                break;
            }
        }
        Ok(())
    }

    /// The engine refuses to go on. Whether that is for want of room, it does not always say.
    fn break_down(&mut self, error: fjall::Error) -> StoreError {
        let is_poisoned = matches!(error, fjall::Error::Poisoned);
        if fault::is_full(&error) || is_poisoned && self.room.is_low() {
            return self.run_out(error);
        }
        // It may have found something damaged while it merged tables: the next start looks.
        self.is_doubtful |= is_poisoned || fault::is_damage(&error);
        self.fail(error)
    }

    /// There was no room for a group, or for work in the background. The engine does not get over
    /// that, and may even write the group later: it is closed, the group is taken back, and it is
    /// opened again.
    fn run_out(&mut self, error: fjall::Error) -> StoreError {
        self.keyspaces = None;
        if let Err(error) = journal::take_back(&self.database, self.last + 1) {
            return self.fail(error.into());
        }
        // Where this fails, the next group tries again.
        let _ = self.open();
        match &self.failed {
            Some(what) => failed(what.clone(), None),
            None => StoreError {
                kind: StoreErrorKind::Full,
                what: format!("no room to keep messages in {}: make room there", self.dir),
                source: Some(Box::new(error)),
            },
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
    fn rebuild(&mut self, state: &mut StateFile) -> Result<(), StoreError> {
        self.keyspaces = None;
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
    fn check_place(&mut self) -> Result<bool, StoreError> {
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

    /// Opens the database again if it was closed for want of room.
    fn open(&mut self) -> Result<(), StoreError> {
        if self.keyspaces.is_some() {
            return Ok(());
        }
        match Keyspaces::open(&self.database, &self.options) {
            Ok(keyspaces) => match keyspaces.mark() {
                Ok(Some(mark)) if mark.number == self.last => {
                    self.keyspaces = Some(keyspaces);
                    Ok(())
                }
                Ok(_) => Err(self.fail(fjall::Error::Unrecoverable)),
                Err(error) => Err(self.fail(error)),
            },
            Err(error) if fault::is_full(&error) => Err(closed(&self.dir)),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn with_keyspaces<T>(
        &self,
        work: impl FnOnce(&Keyspaces) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let keyspaces = self.keyspaces.as_ref().ok_or_else(|| closed(&self.dir))?;
        work(keyspaces).map_err(|fault| fault.into_error(&self.dir))
    }
}

fn failed(what: String, source: Option<fjall::Error>) -> StoreError {
    let source = source.map(Into::into);
    StoreError { kind: StoreErrorKind::Failed, what, source }
}

fn closed(dir: &str) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Full,
        what: format!("the store in {dir} is closed until there is room: make room there"),
        source: None,
    }
}
