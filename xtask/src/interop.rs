//! `cargo xtask interop`: real clients tell their stories about the broker.
//!
//! Every client tells the same stories in every version that it speaks: round trips, retained
//! messages, wills, queues for those who are away, redelivery, wildcards, and for 5.0 shared
//! subscriptions and properties. A client that cannot be installed is a failure, and so is a
//! story that should have been told and was not.

mod broker;
mod catalogue;
mod lines;
mod mosquitto;
mod mosquitto_process;
mod scripts;
mod tally;
mod workplace;

use std::path::PathBuf;

use clap::Args;

use self::{broker::Broker, catalogue::Client, tally::Tally, workplace::Workplace};
use crate::{
    failure::Failure,
    process::{self, cargo},
};

/// Which broker is tested, and by whom.
#[derive(Args, Debug, Default)]
pub(crate) struct Options {
    /// Test the broker that already listens at this address instead of our own.
    #[arg(long, value_name = "HOST:PORT")]
    broker: Option<String>,
    /// Test the release build of our broker.
    #[arg(long, conflicts_with = "broker")]
    release: bool,
    /// Let only this client tell its stories.
    #[arg(long, value_enum)]
    client: Option<Client>,
}

/// Runs every story of every client, and fails if one of them did not go well.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let workplace = Workplace::open(options.release)?;
    build(options)?;
    let clients = options.client.map_or_else(|| Client::ALL.to_vec(), |client| vec![client]);
    for client in &clients {
        client.install(&workplace)?;
    }
    let is_ours = options.broker.is_none();
    let mut tally = Tally::new(catalogue::expected(&clients, is_ours));
    match &options.broker {
        Some(address) => tell_about_another(address, &clients, &workplace, &mut tally)?,
        None => tell_about_ours(&clients, &workplace, &mut tally)?,
    }
    tally.finish()
}

/// Builds our broker, where it is the one to test, and the client that is written in Rust.
fn build(options: &Options) -> Result<(), Failure> {
    let example = ["--example", "rumqttc-stories", "-p", "xtask"];
    let mut command = cargo(&["build"]);
    command.args(example);
    if options.broker.is_none() {
        command.args(["--bin", "surgemq", "-p", "surgemq"]);
    }
    if options.release {
        command.arg("--release");
    }
    process::run(&mut command)
}

fn tell_about_another(
    address: &str,
    clients: &[Client],
    workplace: &Workplace,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let broker = Broker::already_at(address)?;
    clients.iter().try_for_each(|client| client.tell(&broker, workplace, tally))
}

fn tell_about_ours(
    clients: &[Client],
    workplace: &Workplace,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let binary: PathBuf = workplace.binary("surgemq");
    let broker = Broker::start(&binary, &[], &workplace.file("broker.log"))?;
    clients.iter().try_for_each(|client| client.tell(&broker, workplace, tally))?;
    if clients.contains(&Client::Mosquitto) {
        mosquitto::tell_of_refused_payloads(&broker, workplace, tally)?;
        let raised = ["--max-packet-size", mosquitto::RAISED_LIMIT_BYTES];
        let patient = Broker::start(&binary, &raised, &workplace.file("patient-broker.log"))?;
        mosquitto::tell_of_large_payloads(&patient, workplace, tally)?;
        patient.stop()?;
    }
    broker.stop()
}
