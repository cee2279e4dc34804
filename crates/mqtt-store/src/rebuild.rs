//! Makes a new database of what can be read of a damaged one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use fjall::{OwnedWriteBatch, PersistMode, Slice};

use crate::{
    format_file::sync_dir,
    journal,
    keyspaces::{Keyspaces, Kind, MARK_KEY},
    open_error::OpenError,
    options::StoreOptions,
    record::GroupMark,
    state_file::{self, State, StateFile},
    store::DATABASE,
    survey::{Exported, Sink, Survey, survey},
};

/// So many bytes are written as one group.
const GROUP_BYTES: usize = 1024 * 1024;

/// Puts what can be read of one database into another, which must not be there yet, and brings it
/// to the disk. `last` is the last group that has to be there. Also returns the last group of the
/// new database: they are counted anew.
pub(crate) fn rebuild(
    from: &Path,
    last: u64,
    to: &Path,
    options: &StoreOptions,
) -> io::Result<(Survey, u64)> {
    let keyspaces = Keyspaces::open(to, options).map_err(io::Error::other)?;
    let mut rebuild = Rebuild { keyspaces, batch: None, bytes: 0, groups: 0 };
    let survey = survey(from, last, &mut rebuild)?;
    rebuild.flush()?;
    let Rebuild { keyspaces, groups, .. } = rebuild;
    keyspaces.database.persist(PersistMode::SyncAll).map_err(io::Error::other)?;
    drop(keyspaces);
    journal::wait_until_closed(&to.canonicalize()?);
    Ok((survey, groups))
}

/// A place for a damaged database beside the new one, where nothing is yet.
fn aside(database: &Path) -> PathBuf {
    let free = |number: &u32| !numbered(database, *number).exists();
    let number = (1..).find(free).unwrap_or(u32::MAX);
    numbered(database, number)
}

fn numbered(database: &Path, number: u32) -> PathBuf {
    database.with_extension(format!("damaged-{number}"))
}

/// Goes through the database of a directory in which something could not be read, and makes a new
/// one if that is still so.
pub(crate) fn where_damaged(
    dir: &Path,
    known: &State,
    options: &StoreOptions,
) -> Result<(Vec<String>, State), OpenError> {
    let database = dir.join(DATABASE);
    let last = known.last(state_file::boot_id());
    let survey = survey(&database, last, &mut Nowhere);
    let survey = survey.map_err(|source| OpenError::Io { what: "read", path: database, source })?;
    if survey.findings.is_empty() {
        return Ok((Vec::new(), State { is_doubtful: false, ..*known }));
    }
    in_place(dir, known, options)
}

/// The first things that are wrong with a database.
pub(crate) fn findings(database: &Path) -> io::Result<Vec<String>> {
    const SHOWN_MAX: usize = 3;
    let mut findings = survey(database, 0, &mut Nowhere)?.findings;
    findings.truncate(SHOWN_MAX);
    Ok(findings)
}

/// Takes nothing: what is looked for is what is wrong.
pub(crate) struct Nowhere;

impl Sink for Nowhere {
    fn put(&mut self, _: Kind, _: &[u8], _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn remove(&mut self, _: Kind, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn show(&mut self, _: Exported) -> io::Result<()> {
        Ok(())
    }
}

/// Puts what can be read of the database in a directory into a new one that takes its place. The
/// damaged one is kept beside it. Returns what was found, and what is known of the new one.
pub(crate) fn in_place(
    dir: &Path,
    known: &State,
    options: &StoreOptions,
) -> Result<(Vec<String>, State), OpenError> {
    let database = dir.join(DATABASE);
    let new = new(&database);
    let failed = |what, path: &Path, source| OpenError::Io { what, path: path.to_owned(), source };
    journal::wait_until_closed(&database.canonicalize().map_err(|e| failed("open", &database, e))?);
    match fs::remove_dir_all(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", &new, error));
        }
        _ => {}
    }
    let last = known.last(state_file::boot_id());
    let (survey, groups) = rebuild(&database, last, &new, options)
        .map_err(|source| failed("keep what can be read of", &database, source))?;
    if survey.unreadable > 0 {
        // The disk may give it back another time.
        let first = survey.findings.into_iter().next().unwrap_or_default();
        return Err(failed("read all of", &database, io::Error::other(first)));
    }
    let state = State {
        written: groups,
        synced: groups,
        journals: None,
        is_in_newest: false,
        is_doubtful: false,
        ..*known
    };
    // Before the exchange: until then it says less than there is, and nothing wrong.
    StateFile::open(dir, state)
        .map_err(|source| failed("write", &dir.join(state_file::NAME), source))?;
    let aside = aside(&database);
    fs::rename(&database, &aside).map_err(|source| failed("rename", &database, source))?;
    fs::rename(&new, &database).map_err(|source| failed("rename", &new, source))?;
    sync_dir(dir).map_err(|source| failed("sync", dir, source))?;
    let mut findings = survey.findings;
    findings.push(format!(
        "what can be read was put into a new database: {} sessions, {} messages, {} retained \
         messages; the damaged one is kept as {}",
        survey.sessions,
        survey.messages,
        survey.retained,
        aside.display()
    ));
    Ok((findings, state))
}

/// Where a database is put together that takes the place of a damaged one.
fn new(database: &Path) -> PathBuf {
    database.with_extension("rebuilt")
}

/// Ends an exchange in the middle of which the machine stopped: the damaged database was put aside,
/// so the new one was whole.
pub(crate) fn finish_exchange(database: &Path) -> io::Result<()> {
    let new = new(database);
    if !database.exists() && numbered(database, 1).exists() && new.exists() {
        fs::rename(new, database)?;
    }
    Ok(())
}

struct Rebuild {
    keyspaces: Keyspaces,
    batch: Option<OwnedWriteBatch>,
    bytes: usize,
    groups: u64,
}

impl Rebuild {
    /// The group that is being put together; it begins with its mark, as every group does.
    fn batch(&mut self) -> &mut OwnedWriteBatch {
        let Self { keyspaces, batch, groups, .. } = self;
        batch.get_or_insert_with(|| {
            let after = keyspaces.database.seqno();
            let mark = GroupMark { number: *groups + 1, after, synced: 0 };
            let mut batch = OwnedWriteBatch::with_capacity(keyspaces.database.clone(), 1024);
            batch.insert(&keyspaces.marks, MARK_KEY, mark.encode());
            batch
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(batch) = self.batch.take() else { return Ok(()) };
        (self.bytes, self.groups) = (0, self.groups + 1);
        batch.durability(Some(PersistMode::Buffer)).commit().map_err(io::Error::other)
    }
}

impl Sink for Rebuild {
    fn put(&mut self, kind: Kind, key: &[u8], record: &[u8]) -> io::Result<()> {
        let keyspace = self.keyspaces.of(kind).clone();
        self.batch().insert(&keyspace, key, Slice::from(record));
        self.bytes += key.len() + record.len();
        if self.bytes >= GROUP_BYTES { self.flush() } else { Ok(()) }
    }

    fn remove(&mut self, kind: Kind, key: &[u8]) -> io::Result<()> {
        let keyspace = self.keyspaces.of(kind).clone();
        // The last write of a key is the one that counts.
        self.batch().remove(&keyspace, key);
        self.bytes += key.len();
        if self.bytes >= GROUP_BYTES { self.flush() } else { Ok(()) }
    }

    fn show(&mut self, _: Exported) -> io::Result<()> {
        Ok(())
    }
}
