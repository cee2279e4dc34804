//! Killed at system calls: before the first, the second, the third...
//!
//! strace counts for each thread by itself, so that the broker ends as soon as one of its threads
//! is about to make its Nth call.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
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

/// What nobody calls but who makes files, for tables and journals.
const FILES: &str = "fsync,rename,renameat,renameat2,unlink,unlinkat,truncate,ftruncate,fallocate,\
                     openat,mkdir,mkdirat";

/// How many calls are tried while the broker serves, while it starts, and while it writes tables.
const SERVING_CALLS: u32 = 200;
const STARTING_CALLS: u32 = 100;
const FLUSHING_CALLS: u32 = 40;

/// How much the broker collects in memory where tables are wanted, in bytes.
const SMALL_MEMTABLE_BYTES: u32 = 16 << 10;

/// How long the Nth call may take to come; after that the broker is killed anyway.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many entries the clients write before a broker is killed that is to be killed once more
/// while it recovers.
const ENTRIES_BEFORE: usize = 500;

/// When the Nth call is counted.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Debug)]
enum Moment {
    /// While it serves.
    Serving,
    /// While it writes and merges tables.
    Flushing,
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
    let mut visited = Visited::default();
    for (moment, number) in plan(kills) {
        let call = kill_at(lab, moment, number)?;
        visited.note(moment, number, call);
    }
    print!("{visited}");
    lab.sum_up("killed at system calls");
    Ok(())
}

/// Half of the kills while the broker serves, a tenth while it writes tables, and a fifth each at its
/// other moments, spread evenly over the calls.
fn plan(kills: u32) -> Vec<(Moment, u32)> {
    let spread = |moment: Moment, count: u32, calls: u32| {
        (0..count).map(move |kill| (moment, 1 + kill * calls / count.max(1)))
    };
    let (flushing, starting) = (kills / 10, kills / 5);
    let serving = kills - flushing - 2 * starting;
    let serving = spread(Moment::Serving, serving, SERVING_CALLS);
    let flushing = spread(Moment::Flushing, flushing, FLUSHING_CALLS);
    let birth = spread(Moment::Birth, starting, STARTING_CALLS);
    let recovery = spread(Moment::Recovery, starting, STARTING_CALLS);
    serving.chain(flushing).chain(birth).chain(recovery).collect()
}

/// At which calls the broker really died.
#[derive(Debug, Default)]
struct Visited(BTreeMap<Moment, Calls>);

#[derive(Debug, Default)]
struct Calls {
    kills: usize,
    /// The different numbers of the calls that came.
    numbers: BTreeSet<u32>,
    names: BTreeMap<String, usize>,
}

impl Visited {
    /// A kill at the call of this number, and the name of the call, if it came.
    fn note(&mut self, moment: Moment, number: u32, call: Option<String>) {
        let calls = self.0.entry(moment).or_default();
        calls.kills += 1;
        if let Some(name) = call {
            calls.numbers.insert(number);
            *calls.names.entry(name).or_default() += 1;
        }
    }
}

impl fmt::Display for Visited {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (moment, Calls { kills, numbers, names }) in &self.0 {
            let came: usize = names.values().sum();
            write!(formatter, "     {moment}: {came} of {kills} calls came, ")?;
            write!(formatter, "{} different numbers", numbers.len())?;
            for (name, times) in names {
                write!(formatter, ", {times} {name}")?;
            }
            writeln!(formatter)?;
        }
        Ok(())
    }
}

/// Kills the broker at a call; answers which it was, if it came.
fn kill_at(lab: &mut Lab, moment: Moment, number: u32) -> Result<Option<String>, Failure> {
    let recipe = match moment {
        Moment::Flushing => lab.flushing_broker_in("boundaries", SMALL_MEMTABLE_BYTES)?,
        _ => lab.broker_in("boundaries")?,
    };
    let log = recipe.log.with_extension("strace");
    fs::remove_file(&log).ok();
    let load = Load::start(recipe.port, Size::Small, &lab.dice.of(u64::from(number)));
    // Every other time an answer may be the last call: then it is written, and not sent.
    let (calls, kind) = match moment {
        Moment::Flushing => (FILES.to_owned(), "files"),
        _ if number.is_multiple_of(2) => (DISK.to_owned(), "disk"),
        _ => (format!("{DISK},{NETWORK}"), "disk and network"),
    };
    let injection = format!("inject={calls}:signal=SIGKILL:when={number}");
    let survived = survive(&recipe, &load, moment, &strace::wrapper(&injection, &log));
    let seen = survived.err().map(|no_broker| Violation::of_broker(no_broker.to_string()));
    let run = load.end();
    let title = format!("killed at call {number} to {kind}, {moment}");
    lab.judge(&recipe, &title, &run, seen.into_iter().collect())?;
    Ok(strace::nth_call(&fs::read_to_string(log).unwrap_or_default(), number))
}

/// Kills the broker once, and lets it serve until everything is where it belongs.
fn survive(
    recipe: &Recipe,
    load: &Load,
    moment: Moment,
    tracer: &[String],
) -> Result<(), NoBroker> {
    match moment {
        Moment::Serving | Moment::Flushing => while_it_serves(recipe, load, tracer)?,
        Moment::Birth => while_it_starts(recipe, load, tracer)?,
        Moment::Recovery => while_it_recovers(recipe, load, tracer)?,
    }
    let _broker = recipe.start()?;
    load.record(Event::Started);
    load.read_retained();
    load.settle();
    Ok(())
}

fn while_it_serves(recipe: &Recipe, load: &Load, tracer: &[String]) -> Result<(), NoBroker> {
    let mut broker = recipe.start()?;
    load.record(Event::Started);
    load.warm_up(&mut broker);
    // The moment of death is not known, but it comes after this one.
    load.record(Event::Killed);
    let attached = attach(&broker, tracer);
    load::wait_until(PATIENCE, || broker.has_ended());
    broker.kill();
    if let Ok(mut attached) = attached {
        // It ends with the broker.
        attached.wait().ok();
    }
    Ok(())
}

fn while_it_starts(recipe: &Recipe, load: &Load, tracer: &[String]) -> Result<(), NoBroker> {
    load.record(Event::Killed);
    match recipe.start_under(tracer) {
        Ok(mut broker) => {
            load::wait_until(PATIENCE, || broker.has_ended());
            broker.kill();
            Ok(())
        }
        Err(NoBroker::Killed) => Ok(()),
        Err(other) => Err(other),
    }
}

fn while_it_recovers(recipe: &Recipe, load: &Load, tracer: &[String]) -> Result<(), NoBroker> {
    let mut broker = recipe.start()?;
    load.record(Event::Started);
    load.warm_up(&mut broker);
    load.play(ENTRIES_BEFORE, PATIENCE);
    load.record(Event::Killed);
    broker.kill();
    while_it_starts(recipe, load, tracer)
}

fn attach(broker: &Broker, tracer: &[String]) -> std::io::Result<Child> {
    let (program, arguments) = tracer.split_first().ok_or(std::io::ErrorKind::NotFound)?;
    let mut command = Command::new(program);
    command.args(arguments).args(["-p", &broker.pid().to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Serving => "while it served",
            Self::Flushing => "while it wrote tables",
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
        let of = |moment| plan.iter().filter(move |kill| kill.0 == moment).map(|kill| kill.1);
        assert!(of(Moment::Serving).eq(1..=200));
        assert!(of(Moment::Flushing).eq(1..=40));
        assert_eq!(plan.len(), 400);
    }

    #[test]
    fn few_kills_are_spread() {
        let numbers: Vec<u32> = plan(10).into_iter().map(|(_, number)| number).collect();
        assert_eq!(numbers, [1, 41, 81, 121, 161, 1, 1, 51, 1, 51]);
    }

    #[test]
    fn the_calls_that_came_are_told() {
        let mut visited = Visited::default();
        visited.note(Moment::Serving, 1, Some("write".to_owned()));
        visited.note(Moment::Serving, 1, Some("fsync".to_owned()));
        visited.note(Moment::Serving, 2, None);
        let expected = "2 of 3 calls came, 1 different numbers, 1 fsync, 1 write\n";
        assert_eq!(visited.to_string(), format!("     while it served: {expected}"));
    }
}
