//! The store over real files.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests may fail loudly, as tests do"
)]

mod cost;
mod damage;
mod golden;
mod harness;
mod integrity;
mod model;
mod opening;
mod room;
#[cfg(unix)]
mod space;
