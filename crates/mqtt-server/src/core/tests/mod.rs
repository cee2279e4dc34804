//! Stories about several clients of one broker, with a clock that only the story moves.
//!
//! Each ends with the ledger being balanced: [`world::World`] sees to it when it is dropped.

mod access;
mod authentication;
mod client;
mod delivery;
mod expiry;
mod flow;
mod hello;
mod operations;
mod parts;
mod pressure;
mod races;
mod retained;
mod sessions;
mod shared;
mod subscriptions;
mod timeouts;
mod wills;
mod world;
