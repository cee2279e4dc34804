//! Killed at system calls: before the first, the second, the third...
//!
//! strace counts for each thread by itself, so that the broker ends as soon as one of its threads
//! is about to make its Nth call.

use std::{
    fmt,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{
    broker::{Broker, NoBroker, Recipe},
    checker::Violation,
    history::Event,
    lab::Lab,
    load::{self, Load, Size},
    strace,
};
use crate::failure::Failure;

/// The calls that change something on the disk.
const DISK: &str = "write,pwrite64,pwritev,fsync,fdatasync,sync_file_range,rename,renameat,\
                    renameat2,unlink,unlinkat,truncate,ftruncate,fallocate,openat,mkdir,mkdirat";

/// The calls that tell somebody about it.
const NETWORK: &str = "writev,sendto,sendmsg";

/// How many calls are tried while the broker serves, and while it starts.
const SERVING_CALLS: u32 = 200;
const STARTING_CALLS: u32 = 100;

/// How long the Nth call may take to come; after that the broker is killed anyway.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many entries the clients write before a broker is killed that is to be killed once more
/// while it recovers.
const ENTRIES_BEFORE: usize = 500;

/// When the Nth call is counted.
#[derive(Copy, Clone)]
enum Moment {
    /// While it serves.
    Serving,
    /// From its very first start on.
    Birth,
    /// From a start with the data of a killed broker on.
    Recovery,
}

/// Kills the broker so often, each time with new data and at another call.
pub(super) fn run(lab: &mut Lab, kills: u32) -> Result<(), Failure> {
    if let Err(why) = strace::is_usable() {
        println!("skip killed at system calls: {why}");
        return Ok(());
    }
    for (moment, number) in plan(kills) {
        kill_at(lab, moment, number)?;
    }
    lab.sum_up("killed at system calls");
    Ok(())
}

/// Half of the kills while the broker serves, and a quarter each at its other moments, spread
/// evenly over the calls.
fn plan(kills: u32) -> Vec<(Moment, u32)> {
    let spread = |moment: Moment, count: u32, calls: u32| {
        (0..count).map(move |kill| (moment, 1 + kill * calls / count.max(1)))
    };
    let quarter = kills / 4;
    let serving = spread(Moment::Serving, kills - 2 * quarter, SERVING_CALLS);
    let birth = spread(Moment::Birth, quarter, STARTING_CALLS);
    serving.chain(birth).chain(spread(Moment::Recovery, quarter, STARTING_CALLS)).collect()
}

fn kill_at(lab: &mut Lab, moment: Moment, number: u32) -> Result<(), Failure> {
    let recipe = lab.broker_in("boundaries")?;
    let load = Load::start(recipe.port, Size::Small, &lab.dice.of(u64::from(number)));
    // Every other time an answer may be the last call: then it is written, and not sent.
    let with_network = !number.is_multiple_of(2);
    let calls = if with_network { format!("{DISK},{NETWORK}") } else { DISK.to_owned() };
    let injection = format!("inject={calls}:signal=SIGKILL:when={number}");
    let survived = survive(&recipe, &load, moment, &injection);
    let seen = survived.err().map(|no_broker| Violation::of_broker(no_broker.to_string()));
    let run = load.end();
    let calls = if with_network { "disk and network" } else { "disk" };
    let title = format!("killed at call {number} to {calls}, {moment}");
    lab.judge(&recipe, &title, &run, seen.into_iter().collect())?;
    Ok(())
}

/// Kills the broker once, and lets it serve until everything is where it belongs.
fn survive(recipe: &Recipe, load: &Load, moment: Moment, injection: &str) -> Result<(), NoBroker> {
    match moment {
        Moment::Serving => while_it_serves(recipe, load, injection)?,
        Moment::Birth => while_it_starts(recipe, load, injection)?,
        Moment::Recovery => while_it_recovers(recipe, load, injection)?,
    }
    let _broker = recipe.start()?;
    load.record(Event::Started);
    load.read_retained();
    load.settle();
    Ok(())
}

fn while_it_serves(recipe: &Recipe, load: &Load, injection: &str) -> Result<(), NoBroker> {
    let mut broker = recipe.start()?;
    load.record(Event::Started);
    load.warm_up(&mut broker);
    // The moment of death is not known, but it comes after this one.
    load.record(Event::Killed);
    let tracer = attach(&broker, injection);
    load::wait_until(PATIENCE, || broker.has_ended());
    broker.kill();
    if let Ok(mut tracer) = tracer {
        // It ends with the broker.
        tracer.wait().ok();
    }
    Ok(())
}

fn while_it_starts(recipe: &Recipe, load: &Load, injection: &str) -> Result<(), NoBroker> {
    load.record(Event::Killed);
    match recipe.start_under(&strace::wrapper(injection)) {
        Ok(mut broker) => {
            load::wait_until(PATIENCE, || broker.has_ended());
            broker.kill();
            Ok(())
        }
        Err(NoBroker::Killed) => Ok(()),
        Err(other) => Err(other),
    }
}

fn while_it_recovers(recipe: &Recipe, load: &Load, injection: &str) -> Result<(), NoBroker> {
    let mut broker = recipe.start()?;
    load.record(Event::Started);
    load.warm_up(&mut broker);
    load.play(ENTRIES_BEFORE, PATIENCE);
    load.record(Event::Killed);
    broker.kill();
    while_it_starts(recipe, load, injection)
}

fn attach(broker: &Broker, injection: &str) -> std::io::Result<Child> {
    let words = strace::wrapper(injection);
    let (program, arguments) = words.split_first().ok_or(std::io::ErrorKind::NotFound)?;
    let mut command = Command::new(program);
    command.args(arguments).args(["-p", &broker.pid().to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Serving => "while it served",
            Self::Birth => "when it first started",
            Self::Recovery => "when it recovered",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_kills_try_every_call() {
        let plan = plan(400);
        let serving = plan.iter().filter(|(moment, _)| matches!(moment, Moment::Serving));
        assert!(serving.map(|(_, number)| *number).eq(1..=200));
        assert_eq!(plan.len(), 400);
    }

    #[test]
    fn few_kills_are_spread() {
        let numbers: Vec<u32> = plan(8).into_iter().map(|(_, number)| number).collect();
        assert_eq!(numbers, [1, 51, 101, 151, 1, 51, 1, 51]);
    }
}
