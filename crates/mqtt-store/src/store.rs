//! The store: opening it, and what it does when something fails.

use std::{fs, io, path::Path, sync::Arc};

use mqtt_session::{
    Change, ClockMark, Level, QueuedMessage, SessionNumber, SessionStore, StoreError,
    StoreErrorKind, Stored,
};
use parking_lot::Mutex;

use crate::{
    completeness,
    engine::Engine,
    fault::{self, Fault},
    format_file::{self, FORMAT, sync_dir},
    keyspaces::Keyspaces,
    lock_file::{self, LockFile},
    open_error::OpenError,
    open_report::OpenReport,
    options::StoreOptions,
    place::Place,
    privacy::{self, PrivacyError},
    rebuild,
    reclaim::Reclaimer,
    record::GroupMark,
    room,
    scan::Bookmark,
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
    engine: Arc<Mutex<Engine>>,
    reclaimer: Reclaimer,
    /// Locked after `engine`, or without it.
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
    pub fn open(dir: &Path, mut options: StoreOptions) -> Result<Self, OpenError> {
        privacy::make(dir, is_ours).map_err(|error| privacy_error(dir, error))?;
        let lock = LockFile::lock(dir)?;
        let found = state_file::read(dir).map_err(|source| OpenError::Io {
            what: "read",
            path: dir.join(state_file::NAME),
            source,
        })?;
        options.memtable_bytes = room::fitting(dir, options.memtable_bytes);
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
        let period = options.reclaim_every;
        let engine =
            Engine::new(dir.to_owned(), database, keyspaces, last, place, findings, options);
        let engine = Arc::new(Mutex::new(engine));
        let reclaimer = Reclaimer::start(&engine, period);
        Ok(Self { engine, reclaimer, state: Mutex::new(state), report, _lock: lock })
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
        self.engine.lock().room.check_for_messages()
    }

    /// How many messages are kept outside of the queues, because several sessions share them or
    /// because they are large. Goes through all of them.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn messages_kept(&self) -> Result<usize, StoreError> {
        let mut engine = self.engine.lock();
        engine.open()?;
        engine.with_keyspaces(|keyspaces| keyspaces.messages.len().map_err(Fault::Engine))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("report", &self.report).finish_non_exhaustive()
    }
}

impl SessionStore for Store {
    fn load(&self, visit: &mut dyn FnMut(Stored)) -> Result<(), StoreError> {
        let mut engine = self.engine.lock();
        engine.open()?;
        let mut bookmark = Bookmark::default();
        let read = engine.with_keyspaces(|keyspaces| keyspaces.visit_all(&mut bookmark, visit));
        match read {
            Err(error) if error.kind == StoreErrorKind::Damaged => {
                // What can be read is put into a new database, and read on there.
                engine.rebuild(&mut self.state.lock())?;
                engine.with_keyspaces(|keyspaces| keyspaces.visit_all(&mut bookmark, visit))
            }
            read => read,
        }
    }

    fn commit(&self, changes: &[Change], level: Level) -> Result<(), StoreError> {
        let mut engine = self.engine.lock();
        let committed = engine.commit(changes, level).and_then(|()| engine.check_place());
        let (last, synced, is_doubtful) = (engine.last, engine.synced, engine.is_doubtful);
        let journals = engine.place.journals();
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

    fn takes_messages(&self) -> bool {
        let mut engine = self.engine.lock();
        engine.open().is_ok() && !engine.is_short()
    }

    fn read(
        &self,
        session: SessionNumber,
        from: u64,
        bytes_max: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        let mut engine = self.engine.lock();
        engine.open()?;
        let (page, damaged) =
            engine.with_keyspaces(|keyspaces| keyspaces.page(session, from, bytes_max))?;
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
        std::mem::take(&mut self.engine.lock().findings)
    }
}

impl Drop for Store {
    /// What was only handed to the operating system is brought to the disk, so that the next start
    /// knows what has to be there.
    fn drop(&mut self) {
        // Whoever reclaims space has the engine as well.
        self.reclaimer.stop(&self.engine);
        let engine = &mut *self.engine.lock();
        let is_synced = engine.last == engine.synced
            || engine.failed.is_none() && engine.place.check().is_ok() && engine.sync().is_ok();
        let state = self.state.get_mut();
        if is_synced {
            state.change(|state| (state.written, state.synced) = (engine.last, engine.last));
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
