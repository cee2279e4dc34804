//! Not yet.
use crate::harness::test::Test;
pub(crate) fn tests() -> Vec<Test> { Vec::new() }
pub(crate) const WAITING: &[(&str, &[&str])] = &[];
