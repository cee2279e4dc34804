//! The program from the outside: as a process, over real sockets.

#![expect(clippy::panic, clippy::unwrap_used, reason = "the harness fails loudly, as tests do")]

mod durable;
mod harness;
mod incidents;
mod limits;
#[cfg(target_os = "linux")]
mod log;
mod login;
#[cfg(target_os = "linux")]
mod memory;
mod messages;
mod mqtt;
mod order;
#[cfg(unix)]
mod privacy;
mod queues;
mod serve;
mod sessions;
mod shortage;
mod store;
mod usage;
mod websocket;
