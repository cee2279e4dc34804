//! `cargo xtask test`: every test of the workspace.

use crate::{
    failure::Failure,
    process::{self, cargo, is_installed},
};

/// Runs every test of the workspace, with nextest where it is installed, then the doc tests.
pub(crate) fn run() -> Result<(), Failure> {
    process::run(&mut cargo(unit_and_integration(is_installed("cargo-nextest"))))?;
    process::run(&mut cargo(&["test", "--doc", "--workspace"]))
}

/// The arguments that run everything but the doc tests: nextest knows none of them.
fn unit_and_integration(has_nextest: bool) -> &'static [&'static str] {
    if has_nextest {
        &["nextest", "run", "--workspace", "--no-fail-fast"]
    } else {
        &["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests", "--examples"]
    }
}
