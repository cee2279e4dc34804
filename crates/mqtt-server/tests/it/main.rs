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
mod late;
mod linger;
mod local;
mod logins;
mod payloads;
mod refusals;
mod restart;
mod shutdown;
mod slow;
mod stuck;
mod takeover;
mod vital;
mod websocket;
