//! Helpers for the tests of this workspace. Not published.

/// The examples of the project's front page: compiled with every test run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct FrontPage;
