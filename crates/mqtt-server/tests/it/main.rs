//! The broker over real sockets.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the harness fails loudly, as tests do"
)]

mod budgets;
mod calendar;
mod decisions;
mod exactly_once;
mod flood;
mod harness;
mod hostile;
mod large;
mod late;
mod linger;
mod local;
mod logins;
#[cfg(target_os = "linux")]
mod memory;
mod payloads;
mod quota;
mod refusals;
mod restart;
mod shutdown;
mod slow;
mod stuck;
mod takeover;
mod vital;
mod websocket;
