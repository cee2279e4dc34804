//! Stories about several clients of one broker, with a clock that only the story moves.
//!
//! Each ends with the ledger being balanced: [`world::World`] sees to it when it is dropped.
//! The fuzzer is built with the harness and [`operations`] alone.
#![cfg_attr(not(test), allow(dead_code, reason = "the fuzzer needs a part of the harness"))]

#[cfg(test)]
mod access;
#[cfg(test)]
mod authentication;
#[cfg(test)]
mod bridges;
#[cfg(test)]
mod budgets;
mod client;
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod durable;
#[cfg(test)]
mod expiry;
#[cfg(test)]
mod figures;
#[cfg(test)]
mod flow;
#[cfg(test)]
mod fragile;
mod hello;
#[cfg(test)]
mod memory;
pub(crate) mod operations;
mod parts;
#[cfg(test)]
mod pressure;
#[cfg(test)]
mod queues;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod races;
#[cfg(test)]
mod retained;
#[cfg(test)]
mod rounds;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod shared;
#[cfg(test)]
mod short;
#[cfg(test)]
mod subscriptions;
#[cfg(test)]
mod timeouts;
#[cfg(test)]
mod wills;
mod world;
