//! Writes the data directory that is kept for each format, so that later versions are tested with
//! it: `cargo run -p mqtt-store --example golden -- DIR`, where there must be no directory yet.

use std::{env, error::Error, path::PathBuf};

use mqtt_session::{Level, SessionStore};
use mqtt_store::{Store, StoreOptions};

#[path = "../tests/it/golden/content.rs"]
mod content;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(env::args().nth(1).ok_or("which directory?")?);
    if dir.exists() {
        return Err(format!("{} is there already", dir.display()).into());
    }
    let mut options = StoreOptions::default();
    // So small that some of the content is in tables, and the rest in the journal.
    options.memtable_bytes = 8 * 1024;
    let store = Store::open(&dir, options.clone())?;
    for group in content::groups() {
        store.commit(&group, Level::Disk)?;
    }
    drop(store);
    // The engine makes a journal with 64 MiB of zeros behind, and cuts them off when it is read.
    drop(Store::open(&dir, options)?);
    Ok(())
}
