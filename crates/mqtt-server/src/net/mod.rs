//! The async shell: listeners and the tasks of connections.

pub(crate) mod clock;
pub(crate) mod driver;
pub(crate) mod journal;
mod linger;
pub(crate) mod listen;
pub(crate) mod login;
pub(crate) mod login_turns;
pub(crate) mod open;
pub(crate) mod read_size;
pub(crate) mod recent;
pub(crate) mod strangers;
pub(crate) mod websocket;
