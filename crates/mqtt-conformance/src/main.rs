//! `mqtt-conformance`: tests any MQTT broker by statement id.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Parser};

use mqtt_conformance::{Broker, Options, Report, compare, run};

/// Tests any MQTT broker by statement id, over raw sockets.
///
/// Ends with 0 if no statement is broken, 1 if one is, 2 if the suite could not run.
#[derive(Debug, Parser)]
#[command(group = ArgGroup::new("which").required(true).multiple(true))]
struct Arguments {
    /// A broker that runs already, HOST:PORT
    #[arg(long, group = "which")]
    broker: Option<String>,
    /// A command that starts a broker on a free port, e.g. 'mosquitto -p {port}'
    #[arg(long, group = "which")]
    command: Option<String>,
    /// The path of our surgemq, started with every configuration that the tests need
    #[arg(long, group = "which")]
    ours: Option<PathBuf>,
    /// The path of mosquitto, started with every configuration that it knows
    #[arg(long, group = "which")]
    mosquitto: Option<PathBuf>,
    /// NAME=COMMAND: how to start the broker for the tests that need this profile
    #[arg(long = "profile", value_name = "NAME=COMMAND")]
    profiles: Vec<String>,
    /// Play so many sequences of operations on --ours and on --mosquitto, and compare
    #[arg(long, value_name = "N", requires = "ours", requires = "mosquitto")]
    differential: Option<u64>,
    /// The first seed of --differential
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Only tests whose id contains this
    #[arg(long, value_name = "ID")]
    filter: Option<String>,
    /// How many tests run at the same time
    #[arg(long, default_value_t = 48)]
    threads: usize,
    /// Bad inputs at the sizes that the catalogue names, also where that takes minutes
    #[arg(long)]
    full: bool,
    /// Writes the JSON to this file as well
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Leave the passes out of the table
    #[arg(long)]
    quiet: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(count) = arguments.differential {
        return differential(&arguments, count);
    }
    let report = options(&arguments).and_then(|options| run(&options));
    match report.and_then(|report| keep(&arguments, report)) {
        Ok(report) => {
            let json = arguments.json;
            print!("{}", if json { report.json() } else { report.table(!arguments.quiet) });
            if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => {
            eprintln!("mqtt-conformance: {error}");
            ExitCode::from(2)
        }
    }
}

/// Ends with 1 if a difference has no verdict.
fn differential(arguments: &Arguments, count: u64) -> ExitCode {
    let (Some(ours), Some(theirs)) = (&arguments.ours, &arguments.mosquitto) else {
        return ExitCode::from(2);
    };
    let seeds = arguments.seed..arguments.seed.saturating_add(count);
    let found = compare(Broker::Ours(ours.clone()), Broker::Mosquitto(theirs.clone()), seeds);
    match found {
        Ok(found) => {
            print!("{}", found.table());
            eprint!("{}", found.unexplained());
            if found.is_explained() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => {
            eprintln!("mqtt-conformance: {error}");
            ExitCode::from(2)
        }
    }
}

/// Writes the report to the file that was named, if one was.
fn keep(arguments: &Arguments, report: Report) -> Result<Report, String> {
    if let Some(path) = &arguments.report {
        let failed = |error| format!("--report {}: {error}", path.display());
        std::fs::write(path, report.json()).map_err(failed)?;
    }
    Ok(report)
}

fn options(arguments: &Arguments) -> Result<Options, String> {
    let mut options = Options::new(broker(arguments)?);
    options.filter.clone_from(&arguments.filter);
    options.threads = arguments.threads;
    options.full = arguments.full;
    for profile in &arguments.profiles {
        let (name, command) = profile
            .split_once('=')
            .ok_or_else(|| format!("--profile {profile}: expected NAME=COMMAND"))?;
        options.profiles.push((name.to_owned(), command.to_owned()));
    }
    Ok(options)
}

fn broker(arguments: &Arguments) -> Result<Broker, String> {
    if let Some(address) = &arguments.broker {
        return resolve(address).map(Broker::Running);
    }
    let chosen = arguments.command.clone().map(Broker::Command);
    let chosen = chosen.or_else(|| arguments.ours.clone().map(Broker::Ours));
    let chosen = chosen.or_else(|| arguments.mosquitto.clone().map(Broker::Mosquitto));
    chosen.ok_or_else(|| "no broker was named".to_owned())
}

fn resolve(address: &str) -> Result<SocketAddr, String> {
    let mut found = address
        .to_socket_addrs()
        .map_err(|error| format!("--broker {address}: {error}; expected HOST:PORT"))?;
    found.next().ok_or_else(|| format!("--broker {address}: no such host"))
}
