//! Helpers for the tests of this workspace. Not published.
