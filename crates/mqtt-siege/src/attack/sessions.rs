//! Sessions that nobody comes back for.

use std::io;

use mqtt_packet::Version;

use super::Target;
use crate::peer::Hello;

/// One more session that lasts for ever, as 3.1.1 has it.
pub(super) fn round(target: &Target) -> io::Result<()> {
    let id = format!("evil-session-{}", target.number());
    drop(target.connect(&Hello { version: Version::V311, ..Hello::lasting(&id) })?);
    target.hit();
    Ok(())
}
