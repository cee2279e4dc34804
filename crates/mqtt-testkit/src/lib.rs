//! Helpers for the tests of this workspace: randomness from a seed, and an end for everything that
//! could wait for ever.

pub mod bounded;
pub mod seeded;

pub use crate::{bounded::within, seeded::Seeded};

/// The examples of the project's front page: compiled with every test run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct FrontPage;
