//! The crate as its users see it.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests may fail loudly, as tests do"
)]

mod acl_file;
mod acl_substitution;
mod authenticators;
mod password_editor;
mod password_file;
mod scram;
mod scratch;
