//! `mqtt-siege`: attacks a broker in every way at once, beside a client that does nothing wrong.
//!
//! The attacks run in a process of their own, so that what they cost is not taken for what the broker
//! does; [`control`] is the client that must not feel them, [`watch`] looks at the broker's process,
//! [`verdict`] compares what was seen with what is promised. `soak` is the other half: mixed traffic,
//! then quiet, and what the broker has not given back by then.

mod attack;
mod broker;
mod control;
mod peer;
mod siege;
mod soak;
mod verdict;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Attacks a broker in every way at once, beside a client that does nothing wrong.
///
/// Ends with 0 if every promise was kept, 1 if one was not, 2 if the siege could not take place.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// All attacks at once, for a while; then SIGTERM, and a restart.
    Siege(siege::Options),
    /// Mixed traffic, then quiet: what is not given back?
    Soak(soak::Options),
    /// The attacks alone, on a broker that runs; `siege` starts this.
    #[command(hide = true)]
    Attack(attack::Options),
}

fn main() -> ExitCode {
    let judged = match Arguments::parse().task {
        Task::Siege(options) => siege::run(&options),
        Task::Soak(options) => soak::run(&options),
        Task::Attack(options) => attack::run(&options),
    };
    match judged {
        Ok(verdict) if verdict.is_good() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            eprintln!("mqtt-siege: {error}");
            ExitCode::from(2)
        }
    }
}
