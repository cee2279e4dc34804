//! Whether all groups are there that have to be, before the engine opens a database.
//!
//! The engine takes a missing journal for one that it has finished with. So the journals have to
//! begin where the tables end, or before, and everything together must reach the last group that is
//! known. The tables of the marks tell where tables end: every group writes its mark.

use std::{
    fs::{self, OpenOptions},
    path::Path,
};

use crate::{
    file_list::FileList,
    findings::Findings,
    journal::{self, Checked, JournalError},
    keyspaces::{Kind, MARK_KEY},
    manifest::{self, ManifestError},
    open_error::OpenError,
    record::GroupMark,
    state_file::State,
    tables::{Journaled, Merged, Value},
};

/// Checks the lists of tables and the journals, cuts off a torn end, and checks that no group is
/// missing. `must_have` is the last group that is known.
pub(crate) fn check(
    dir: &Path,
    database: &Path,
    must_have: u64,
    known: &State,
) -> Result<Checked, OpenError> {
    let damaged = |what: String| OpenError::Damaged { dir: dir.to_owned(), what, source: None };
    if let Some(what) = wrong_version(database) {
        return Err(damaged(what));
    }
    // Nothing is in it, and the engine does not open a database without it.
    let lock = database.join("lock");
    OpenOptions::new().append(true).create(true).open(&lock).map_err(|source| OpenError::Io {
        what: "open",
        path: lock,
        source,
    })?;
    manifest::check(database).map_err(|error| manifest_error(dir, error))?;
    let checked = journal::check(database, must_have).map_err(|error| journal_error(dir, error))?;
    let tables = in_tables(database).map_err(|error| manifest_error(dir, error))?;
    let missing = missing_journal(database, &checked, must_have, known);
    match missing.or_else(|| missing_groups(&checked, tables, must_have)) {
        None => Ok(checked),
        Some(what) => Err(damaged(format!("{what} in {}", database.display()))),
    }
}

/// What is wrong with the file by which the engine knows a database. Without it the engine would
/// make a new one.
pub(crate) fn wrong_version(database: &Path) -> Option<String> {
    let path = database.join("version");
    match fs::read(&path) {
        Ok(version) if version == b"FJL\x03" => None,
        Ok(_) => Some(format!("{} is not what was written", path.display())),
        Err(error) => Some(format!("{}: {error}", path.display())),
    }
}

/// What is lost with the newest journal, which the engine never removes.
fn missing_journal(
    database: &Path,
    checked: &Checked,
    must_have: u64,
    known: &State,
) -> Option<String> {
    let (_, newest) = known.journals?;
    let found = journal::numbers(database).last().copied();
    if found.is_none_or(|found| found < newest) {
        return Some(format!("the journal is missing or empty: {newest}.jnl is not there"));
    }
    let last = checked.last.map_or(0, |last| last.number);
    let is_lost = found == Some(newest) && known.is_in_newest && last < must_have;
    let how = if checked.is_last_in_newest { "ends too early" } else { "is missing or empty" };
    is_lost.then(|| {
        format!("the journal {how}: {newest}.jnl held the groups up to number {must_have}")
    })
}

/// What is to be said of journals that are not there any more, although nobody saw the engine remove
/// them. It does that when their groups are in tables, and may have just before the process died.
pub(crate) fn finding(database: &Path, known: &State) -> Option<String> {
    let (oldest, _) = known.journals?;
    let found = journal::numbers(database).first().copied()?;
    (found > oldest).then(|| {
        format!(
            "journals up to {}.jnl are not there any more in {}: the engine was done with them when \
             the broker died, or they were removed, and what was in them alone is lost",
            found - 1, database.display()
        )
    })
}

fn missing_groups(
    checked: &Checked,
    tables: Option<(GroupMark, u64)>,
    must_have: u64,
) -> Option<String> {
    let (in_tables, sequence) = tables.unzip();
    let in_tables = in_tables.map_or(0, |mark| mark.number);
    if let Some((first, begin)) = checked.first
        && sequence.is_none_or(|sequence| sequence < begin)
        && first.number != in_tables + 1
    {
        return Some(format!(
            "a journal is missing: the tables end with group {in_tables}, and the journals begin \
             with group {}",
            first.number
        ));
    }
    let last = checked.last.map_or(in_tables, |last| last.number.max(in_tables));
    let journals = match checked.first {
        None => "the journal is missing or empty",
        Some(_) => "the journals end too early",
    };
    (last < must_have).then(|| {
        format!(
            "{journals}: the last group that is there is number {last}, and {must_have} were kept"
        )
    })
}

/// The newest mark in the tables, and its sequence number.
fn in_tables(database: &Path) -> Result<Option<(GroupMark, u64)>, ManifestError> {
    let keyspace = database.join("keyspaces").join(Kind::Marks.number().to_string());
    let files = FileList::read(&keyspace)?;
    let mut newest: Option<(GroupMark, u64)> = None;
    // What is damaged is found when the engine opens the tables.
    let mut findings = Findings::default();
    let mut merged = Merged::new(&files.tables, Journaled::new(), &mut findings);
    while let Some(record) = merged.next(&mut findings) {
        if let Value::Here(value) = &record.value
            && record.key == MARK_KEY
        {
            newest = GroupMark::decode(value).map(|mark| (mark, record.order));
        }
    }
    findings.check().map_err(|error| ManifestError::Io(keyspace, error))?;
    Ok(newest)
}

fn manifest_error(dir: &Path, error: ManifestError) -> OpenError {
    match error {
        ManifestError::Io(path, source) => OpenError::Io { what: "read", path, source },
        ManifestError::Damaged(path) => OpenError::Damaged {
            dir: dir.to_owned(),
            what: format!("{} is not what was written", path.display()),
            source: None,
        },
    }
}

fn journal_error(dir: &Path, error: JournalError) -> OpenError {
    match error {
        JournalError::Io(path, source) => OpenError::Io { what: "read", path, source },
        JournalError::Damaged(what) => {
            OpenError::Damaged { dir: dir.to_owned(), what, source: None }
        }
    }
}
