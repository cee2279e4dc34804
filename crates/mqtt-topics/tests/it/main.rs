//! The crate as its users see it.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are outside of `#[test]`")]

mod filters;
mod naive;
mod names;
mod retained_tree;
mod share;
mod subscription_tree;
