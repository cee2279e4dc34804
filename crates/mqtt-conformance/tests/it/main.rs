//! The suite itself under test: it must bite.

#![expect(clippy::unwrap_used, reason = "a helper that fails ends its test")]

mod bites;
mod options;
