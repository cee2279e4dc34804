//! Keeps MQTT sessions, their messages and retained messages in a directory.
//!
//! [`Store`] is a [`SessionStore`](mqtt_session::SessionStore) on a log-structured merge tree
//! ([fjall](https://docs.rs/fjall)): a group of changes is one write to a journal and, at
//! [`Level::Disk`](mqtt_session::Level::Disk), one `fdatasync`.
//!
//! ```
//! use mqtt_session::{Level, SessionNumber, SessionStore, Stored, StoredSession};
//! use mqtt_store::{Store, StoreOptions};
//!
//! # let dir = std::env::temp_dir().join(format!("mqtt-store-doctest-{}", std::process::id()));
//! let store = Store::open(&dir, StoreOptions::default())?;
//! let session = StoredSession {
//!     number: SessionNumber(1),
//!     client_id: "meter-7".into(),
//!     user_name: None,
//!     expiry_secs: 3600,
//!     parked_at_millis: None,
//!     will: None,
//! };
//! store.commit(&[mqtt_session::Change::Session(session.clone())], Level::Disk)?;
//! drop(store);
//!
//! let store = Store::open(&dir, StoreOptions::default())?;
//! let mut found = Vec::new();
//! store.load(&mut |stored| found.push(stored))?;
//! assert_eq!(found, [Stored::Session(session)]);
//! # drop(store);
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The rules
//!
//! - **A group is whole or not there.** After a crash, the groups that are there are the first so
//!   many that were committed.
//! - **What is found is what was kept.** Every record is under a checksum: in the journal, in the
//!   tables, and in the files of large messages. What is wrong is an error, never other bytes.
//! - **What is missing passes.** Without descriptors, memory or threads the engine is closed, and
//!   opened again by itself; meanwhile groups are refused like those of a full disk.
//! - **A full disk is no end.** [`Full`](mqtt_session::StoreErrorKind::Full) means that nothing of
//!   the group is kept; later groups are, when there is room again. Room is held back, so that work
//!   in the background does not fail first ([`StoreOptions::reserve_bytes`]).
//! - **A failed disk is the end.** After [`Failed`](mqtt_session::StoreErrorKind::Failed) every
//!   group is refused, because the operating system may have dropped what it could not write.
//!
//! # The directory
//!
//! `LOCK` holds the lock and the number of the process, `FORMAT` the format, `db` the database.
//! Everything in it belongs to the store; a copy may be made while nothing has it open.

mod completeness;
mod engine;
mod fault;
mod fields;
mod file_list;
mod findings;
mod format_file;
mod group;
mod journal;
mod key;
mod keyspaces;
mod lock_file;
mod manifest;
mod open_error;
mod open_report;
mod options;
mod outage;
mod place;
mod presync;
mod privacy;
mod rebuild;
mod reclaim;
mod record;
mod remains;
mod renewal;
mod room;
mod scan;
mod shares;
mod state_file;
mod store;
mod survey;
mod tables;
mod tools;
mod usage;
mod witness;

pub use crate::{
    open_error::OpenError,
    open_report::{Cut, OpenReport},
    options::StoreOptions,
    store::Store,
    survey::{Exported, Survey},
    tools::{check, export, salvage},
};
