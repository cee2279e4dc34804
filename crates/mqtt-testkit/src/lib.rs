//! Helpers for the tests of this workspace: randomness from a seed, and an end for everything that
//! could wait for ever.

pub mod bounded;
pub mod seeded;

pub use crate::{bounded::within, seeded::Seeded};
