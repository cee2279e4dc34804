//! Where the broker keeps what has to outlive it.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use mqtt_server::{Durability, ServerBuilder};
use mqtt_store::{OpenError, Store, StoreOptions};

use crate::{
    cli::{self, StorageArgs},
    failure::Failure,
};

/// A store that a server was given, to be closed when it has stopped.
pub(super) struct Opened(Option<Arc<Store>>);

/// How long closing may take. Everything that was acknowledged is written by then, so nothing is
/// lost if the process ends before.
const CLOSING: Duration = Duration::from_millis(300);

impl Opened {
    /// Closes the store in order, if it and everybody who has it come to an end in time.
    pub(super) async fn close(self) {
        let Some(mut store) = self.0 else { return };
        let deadline = Instant::now() + CLOSING;
        while Instant::now() < deadline {
            match Arc::try_unwrap(store) {
                Ok(store) => {
                    let closing = tokio::task::spawn_blocking(move || drop(store));
                    let _late = tokio::time::timeout_at(deadline.into(), closing).await;
                    return;
                }
                Err(shared) => store = shared,
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Whoever has it last would wait for its threads: nobody is to be the last.
        std::mem::forget(store);
    }
}

/// Opens the data directory, if there is to be one, and says which it is and what was found.
///
/// # Errors
/// The directory cannot be used: the failure says why, and what to do.
pub(super) fn apply(
    builder: ServerBuilder,
    arguments: &StorageArgs,
    open_files: usize,
) -> Result<(ServerBuilder, Opened), Failure> {
    let (level, topics) = (arguments.durability, arguments.durability_of.clone());
    let builder = builder.durability(Durability { level, topics });
    if arguments.in_memory {
        return Ok((builder, Opened(None)));
    }
    let dir = match &arguments.data_dir {
        Some(dir) => dir.clone(),
        None => default_dir().ok_or_else(|| {
            Failure::new(
                "this system names no directory for the state of programs; name one with \
                          --data-dir, or keep everything in memory with --in-memory",
            )
        })?,
    };
    let mut options = StoreOptions::default();
    options.memtable_bytes = arguments.store_memtable.unwrap_or(options.memtable_bytes);
    options.open_files = open_files;
    let store = Arc::new(open(&dir, options)?);
    Ok((builder.sessions(store.clone()), Opened(Some(store))))
}

fn open(dir: &Path, options: StoreOptions) -> Result<Store, Failure> {
    let store = Store::open(dir, options).map_err(|error| failure(&error))?;
    let report = store.report();
    let state = if report.created { " (new)" } else { "" };
    cli::tell(&format_args!("data directory {}{state}", dir.display()));
    if report.unknown {
        tracing::warn!(
            "the file STATE is missing or damaged: whether something else is missing in the data \
             directory is not known; an earlier version had no such file"
        );
    }
    if let Some(cut) = &report.cut {
        tracing::warn!(
            journal = %cut.journal.display(), at = cut.at, bytes = cut.bytes, groups = cut.groups,
            "cut off the end of a journal: it was not written to its end when the broker died"
        );
    }
    if let Err(error) = store.check_room() {
        tracing::warn!("{error}; until then messages for sessions that are kept are refused");
    }
    Ok(store)
}

/// Says what to do as well, where the error does not.
fn failure(error: &OpenError) -> Failure {
    Failure::new(match error {
        OpenError::Io { .. } => format!(
            "{error}; name a directory that can be used with --data-dir, or keep everything in \
             memory with --in-memory"
        ),
        _ => error.to_string(),
    })
}

/// What systemd names, or else what the platform has for the state of programs.
fn default_dir() -> Option<PathBuf> {
    if let Some(dirs) = env::var_os("STATE_DIRECTORY") {
        return env::split_paths(&dirs).next();
    }
    let dir = dirs::state_dir().or_else(dirs::data_local_dir)?;
    Some(dir.join("surgemq"))
}
