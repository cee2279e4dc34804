//! The project's own tools: `cargo xtask <task>`, one file per task.
//!
//! What a task needs and a fresh machine does not have, the task installs itself, or it says in
//! one line what to install. Every error is one line: what failed, why, and what to do.

mod bench;
mod ci;
mod conformance;
mod crash;
mod failure;
mod install;
mod instructions;
mod interop;
mod process;
mod siege;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own tools.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run every test of the workspace, the examples in the documentation included.
    Test,
    /// Check what the compiler does not: layers, manifests, statement ids, forbidden text.
    Tidy,
    /// Let real MQTT clients tell their stories about the broker.
    Interop(interop::Options),
    /// Run the black-box suite by statement id on the broker.
    Conformance(conformance::Options),
    /// Kill the broker in every way, and check that nothing it acknowledged is lost.
    Crash(crash::Options),
    /// Attack the broker in every way at once, beside a client that must not notice.
    Siege(siege::Options),
    /// Measure the broker beside a floor and other brokers.
    Bench(bench::Options),
    /// Compare what messages cost in instructions with what was accepted.
    Instructions(instructions::Options),
    /// Run every check in order and stop at the first that fails.
    Ci,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Test => test::run(),
        Task::Tidy => tidy::run(),
        Task::Interop(options) => interop::run(&options),
        Task::Conformance(options) => conformance::run(&options),
        Task::Crash(options) => crash::run(&options),
        Task::Siege(options) => siege::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Instructions(options) => instructions::run(&options),
        Task::Ci => return ci::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
