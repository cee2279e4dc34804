//! `cargo xtask bench`: this project's broker beside a floor and other brokers, in one run.
//!
//! Every measurement starts a fresh broker and a fresh load process. The load is this program
//! again, optimised, on raw sockets, with packets that are encoded beforehand: it costs less than
//! what it measures, and it checks that every message arrives, once and in order. The brokers take
//! turns within each round, so that ratios are those of neighbouring runs.

mod artifacts;
mod contender;
mod floor;
mod load;
pub(crate) mod machine;
mod procfs;
mod report;
mod run;
mod scenario;
mod spec;
mod stats;

use std::{
    error::Error,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand};

use self::{
    contender::{Contender, OURS},
    machine::{Machine, ProcessorTime, clock_p99_us},
    report::{json::Results, page},
    run::Runner,
    scenario::{Breadth, scenarios},
};
use crate::{failure::Failure, process};

/// What to measure, and against whom.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A look in two minutes: fewer scenarios, one round.
    #[arg(long, conflicts_with_all = ["full", "brief"])]
    quick: bool,
    /// What the documentation shows, in twenty minutes: shorter windows, and one round of what
    /// fills the broker first.
    #[arg(long, conflicts_with = "full")]
    brief: bool,
    /// Every combination of shape, QoS, payload and version: hours.
    #[arg(long)]
    full: bool,
    /// Only the scenarios whose name holds this.
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,
    /// Print the names of the scenarios and do nothing.
    #[arg(long)]
    list: bool,
    /// Seconds of each measured window [default: 2, 0.8 with --brief, 0.5 with --quick].
    #[arg(long)]
    seconds: Option<f64>,
    /// How often each broker runs each scenario [default: 5, or 1 with --quick].
    #[arg(long)]
    rounds: Option<u32>,
    /// Another broker, as NAME='COMMAND {port}'; may be given several times.
    #[arg(long, value_name = "NAME=COMMAND")]
    against: Vec<Contender>,
    /// Leave a broker out: surgemq, floor or mosquitto; may be given several times.
    #[arg(long, value_name = "NAME")]
    without: Vec<String>,
    /// Write docs/benchmarks.md and its plots from this run.
    #[arg(long)]
    write_docs: bool,
    /// Measure nothing; take an earlier run from this file.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// The cargo profile of the broker and the load.
    #[arg(long, default_value = "dist")]
    profile: String,
    /// Take the programs of the last build with this profile.
    #[arg(long)]
    no_build: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

/// The parts of a run that are processes of their own.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
enum Part {
    /// Make the load that SPEC describes.
    #[command(hide = true)]
    Load {
        /// The order, as JSON.
        spec: String,
    },
    /// Be the floor.
    #[command(hide = true)]
    Floor {
        /// The port on 127.0.0.1.
        port: u16,
    },
}

/// Runs what the options ask for.
///
/// # Errors
/// Where the build fails or a file cannot be written. A broker that fails a scenario is a row of
/// the table, not an error.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    match &options.part {
        Some(Part::Load { spec }) => load::run(spec).map_err(told),
        Some(Part::Floor { port }) => floor::run(*port).map_err(told),
        None if options.list => {
            list(options);
            Ok(())
        }
        None => {
            let (results, directory) = match &options.from {
                Some(path) => (Results::load(path)?, path.parent().unwrap_or(path).to_owned()),
                None => measure(options)?,
            };
            page::write_plots(&results, &directory)?;
            println!("{}", directory.join("bench-*.svg").display());
            if options.write_docs {
                page::write_docs(&results, &process::root())?;
            }
            Ok(())
        }
    }
}

impl Options {
    const fn breadth(&self) -> Breadth {
        match (self.quick, self.full) {
            (true, _) => Breadth::Quick,
            (_, true) => Breadth::Full,
            _ => Breadth::Standard,
        }
    }
}

fn list(options: &Options) {
    for scenario in scenarios(options.breadth(), options.only.as_deref()) {
        println!("{}", scenario.id);
    }
}

fn measure(options: &Options) -> Result<(Results, PathBuf), Failure> {
    let scenarios = scenarios(options.breadth(), options.only.as_deref());
    if scenarios.is_empty() {
        return Err(Failure::new("no scenario has such a name: see `cargo xtask bench --list`"));
    }
    let wants = |name: &str| !options.without.iter().any(|without| without == name);
    let artifacts = match options.no_build {
        true => artifacts::built(&options.profile, wants(OURS))?,
        false => artifacts::build(&options.profile, wants(OURS))?,
    };
    let mut contenders = Vec::new();
    contenders.extend(artifacts.broker.as_deref().map(Contender::ours));
    contenders.extend(artifacts.broker.as_deref().map(Contender::ours_kept).unwrap_or_default());
    contenders.push(Contender::floor(&artifacts.tools));
    contenders.extend(Contender::mosquitto());
    contenders.extend(options.against.clone());
    contenders.retain(|contender| wants(&contender.name));

    let (warm_up, seconds) = match (options.quick, options.brief) {
        (true, _) => (0.2, 0.5),
        (_, true) => (0.3, 0.8),
        _ => (0.5, 2.0),
    };
    let mut machine = Machine::this();
    machine.clock_p99_us = clock_p99_us();
    let before = ProcessorTime::now();
    let runner = Runner {
        directory: artifacts::directory(&artifacts.tools),
        tools: artifacts.tools,
        rounds: options.rounds.unwrap_or(if options.quick { 1 } else { 5 }),
        once_where_large: options.brief,
        warm_up,
        seconds: options.seconds.unwrap_or(seconds),
    };
    let rows = runner.run(&scenarios, &contenders);
    machine.stolen_percent = ProcessorTime::now().stolen_percent_since(before);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (rounds, seconds) = (runner.rounds, runner.seconds);
    let results = Results { time, machine, rounds, seconds, contenders, rows };
    println!("\n{}", results.save(&runner.directory)?.display());
    Ok((results, runner.directory))
}

/// An error of the standard library's kind as a failure of the task.
#[expect(clippy::needless_pass_by_value, reason = "it stands as a function in map_err")]
fn told(error: Box<dyn Error>) -> Failure {
    Failure::new(error.to_string())
}
