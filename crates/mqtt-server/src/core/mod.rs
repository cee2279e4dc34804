//! The broker without I/O: what connections share, and what one connection does.
//!
//! Bytes, answers of the authenticator and time are handed in; bytes come out. The tasks in `net`
//! drive exactly this, and so do the tests.

mod arrive;
mod backlog;
mod behind;
pub(crate) mod broker;
pub(crate) mod cause;
pub(crate) mod connection;
pub(crate) mod connection_log;
mod depart;
mod expire;
pub(crate) mod foreign;
mod handshake;
mod identities;
pub(crate) mod journal;
mod legacy;
pub(crate) mod log_limit;
pub(crate) mod login;
pub(crate) mod memory;
mod pressure;
mod publish;
mod quota;
pub(crate) mod refusals;
mod registry;
mod replay;
mod route;
mod schedule;
pub(crate) mod slot;
mod subscribe;
mod subscriptions;
mod sweep;
pub(crate) mod sys;
pub(crate) mod traffic;
pub(crate) mod work;

#[cfg(test)]
pub(crate) mod tests;
// Twice, because clippy lets a module panic only where `test` alone stands above it.
#[cfg(all(feature = "fuzzing", not(test)))]
pub(crate) mod tests;
