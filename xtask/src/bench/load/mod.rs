//! The load: a process of its own, so that its CPU time is not the broker's and the broker's
//! crates are nowhere in it.

mod alarm;
mod churn;
mod client;
mod engine;
mod flow;
mod handshake;
mod idle;
mod latency;
mod ledger;
mod matching;
mod parked;
mod publisher;
mod retained;
mod sample;
mod stamp;
mod subscriber;
mod throttle;
mod wire;

use std::error::Error;

use crate::bench::spec::{LoadSpec, Measured, Work};

pub(crate) use self::sample::as_f64;
pub(crate) use self::wire::{Frame, packet, split_frame, split_string};

/// Does one piece of work and prints what it measured as one line of JSON.
///
/// # Errors
/// Where the order cannot be read, or the broker cannot be reached.
pub(crate) fn run(spec: &str) -> Result<(), Box<dyn Error>> {
    let spec: LoadSpec = serde_json::from_str(spec)?;
    println!("{}", serde_json::to_string(&work(&spec)?)?);
    Ok(())
}

fn work(spec: &LoadSpec) -> Result<Measured, Box<dyn Error>> {
    match spec.work {
        Work::Flow(flow) => flow::run(spec, flow),
        Work::Idle { connections } => idle::run(spec, connections),
        Work::Churn => churn::run(spec),
        Work::Matching { subscriptions, kind } => matching::run(spec, subscriptions, kind),
        Work::Parked { sessions } => parked::run(spec, sessions),
        Work::Resumed { sessions } => parked::look(spec, sessions),
        Work::Retained { messages } => retained::run(spec, messages),
    }
}
