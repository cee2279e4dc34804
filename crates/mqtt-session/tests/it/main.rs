//! Stories about two endpoints that talk to each other, with a clock that only the story moves.

#![cfg(test)]

mod authentication;
mod cuts;
mod delivery;
mod expiry;
mod handshake;
mod inbox_model;
mod limits;
mod pair;
mod quiet;
mod reason_strings;
mod resume;
mod runs;
mod store;
mod violations;
