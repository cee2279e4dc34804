//! Killed at system calls: before the first, the second, the third...
//!
//! strace counts each call of each thread by itself: the broker ends as soon as one of its threads is
//! about to make its Nth call of that name. So a boundary is a name and a number. The thread that
//! writes the journal makes `write` and `fdatasync` in turn, and each of them is tried.

use std::{
    collections::BTreeMap,
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

/// Names of calls, with how many of each are tried.
type Calls = &'static [(&'static str, u32)];

/// While it serves: what goes to the journal, to the disk, and to the clients.
const SERVING: Calls = &[("write", 90), ("fdatasync", 80), ("sendto", 30)];

/// What nobody calls but who makes files, for tables.
const FLUSHING: Calls = &[("openat", 12), ("fsync", 12), ("renameat", 8), ("unlink", 8)];

/// About as many of each as a start makes, the first one and one with data.
const BIRTH: Calls = &[
    ("openat", 351),
    ("write", 312),
    ("fsync", 158),
    ("mkdir", 32),
    ("renameat", 21),
    ("unlink", 21),
    ("ftruncate", 3),
    ("rename", 2),
];
const RECOVERY: Calls =
    &[("openat", 173), ("write", 10), ("mkdir", 2), ("fsync", 2), ("ftruncate", 1)];

/// The options of a broker that soon writes tables.
const SMALL_MEMTABLE: [&str; 2] = ["--store-memtable", "16384"];

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

/// A call before which the broker is killed.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
struct Boundary {
    moment: Moment,
    call: &'static str,
    /// The how manieth of that name it is in its thread, from 1.
    number: u32,
}

/// Kills the broker so often, each time with new data and at another call.
pub(super) fn run(lab: &mut Lab, kills: u32) -> Result<(), Failure> {
    if let Err(why) = strace::is_usable() {
        println!("skip killed at system calls: {why}");
        return Ok(());
    }
    let mut visited = Visited::default();
    for boundary in plan(kills) {
        let came = kill_at(lab, boundary)?;
        visited.note(boundary, came);
    }
    print!("{visited}");
    lab.sum_up("killed at system calls");
    Ok(())
}

/// Half of the kills while the broker serves, a tenth while it writes tables, and a fifth each at its
/// other moments, spread evenly over the calls.
fn plan(kills: u32) -> Vec<Boundary> {
    let (flushing, starting) = (kills / 10, kills / 5);
    let serving = kills - flushing - 2 * starting;
    let mut plan = spread(Moment::Serving, serving);
    plan.extend(spread(Moment::Flushing, flushing));
    plan.extend(spread(Moment::Birth, starting));
    plan.extend(spread(Moment::Recovery, starting));
    plan
}

/// So many of the boundaries of a moment.
fn spread(moment: Moment, count: u32) -> Vec<Boundary> {
    let calls = moment.calls().iter();
    let all: Vec<Boundary> = calls
        .flat_map(|(call, most)| (1..=*most).map(move |number| Boundary { moment, call, number }))
        .collect();
    let place = |kill: u32| all.len() * kill as usize / count.max(1) as usize;
    (0..count).filter_map(|kill| all.get(place(kill)).copied()).collect()
}

/// At which calls the broker really died.
#[derive(Debug, Default)]
struct Visited(BTreeMap<Moment, BTreeMap<&'static str, Tries>>);

/// How often it was to die at calls of a name, and which of them did not come.
#[derive(Debug, Default)]
struct Tries {
    kills: usize,
    missing: Vec<String>,
}

impl Visited {
    fn note(&mut self, boundary: Boundary, came: bool) {
        let tries = self.0.entry(boundary.moment).or_default().entry(boundary.call).or_default();
        tries.kills += 1;
        tries.missing.extend((!came).then(|| boundary.number.to_string()));
    }
}

impl fmt::Display for Visited {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (moment, calls) in &self.0 {
            let calls: Vec<String> =
                calls.iter().map(|(call, tries)| format!("{tries} at {call}")).collect();
            writeln!(formatter, "     {moment}: {}", calls.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Tries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, missing } = self;
        write!(formatter, "{} of {kills}", kills.saturating_sub(missing.len()))?;
        if missing.is_empty() {
            return Ok(());
        }
        write!(formatter, " (not number {})", missing.join(", "))
    }
}

/// Kills the broker at a call; answers whether the call came.
fn kill_at(lab: &mut Lab, boundary: Boundary) -> Result<bool, Failure> {
    let Boundary { moment, call, number } = boundary;
    let options: &[&str] = if moment == Moment::Flushing { &SMALL_MEMTABLE } else { &[] };
    let recipe = lab.broker_with(options, "boundaries")?;
    let log = recipe.log.with_extension("strace");
    fs::remove_file(&log).ok();
    let which = moment.calls().iter().zip(0..).find(|(known, _)| known.0 == call);
    let seed = u64::from(number) + which.map_or(0, |(_, place)| place << 32);
    let load = Load::start(recipe.port, Size::Small, &lab.dice.of(seed));
    let injection = format!("inject={call}:signal=SIGKILL:when={number}");
    let survived = survive(&recipe, &load, moment, &strace::wrapper(&injection, &log));
    let seen = survived.err().map(|no_broker| Violation::of_broker(no_broker.to_string()));
    let run = load.end();
    let title = format!("killed at {call} number {number} {moment}");
    lab.judge(&recipe, &title, &run, seen.into_iter().collect())?;
    Ok(strace::has_thread_with(number, &fs::read_to_string(log).unwrap_or_default()))
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

impl Moment {
    const fn calls(self) -> Calls {
        match self {
            Self::Serving => SERVING,
            Self::Flushing => FLUSHING,
            Self::Birth => BIRTH,
            Self::Recovery => RECOVERY,
        }
    }
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
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn many_kills_try_every_call() {
        let plan = plan(400);
        let of = |moment| plan.iter().filter(move |kill| kill.moment == moment);
        let calls: BTreeSet<_> = of(Moment::Serving).map(|kill| (kill.call, kill.number)).collect();
        assert_eq!(calls.len(), 200, "all of them differ");
        assert_eq!(of(Moment::Flushing).count(), 40);
        assert_eq!(plan.len(), 400);
    }

    #[test]
    fn few_kills_are_spread() {
        let boundaries = spread(Moment::Serving, 5);
        let calls: Vec<_> = boundaries.iter().map(|kill| (kill.call, kill.number)).collect();
        let expected =
            [("write", 1), ("write", 41), ("write", 81), ("fdatasync", 31), ("fdatasync", 71)];
        assert_eq!(calls, expected);
    }

    #[test]
    fn the_calls_that_came_are_told() {
        let mut visited = Visited::default();
        for (number, came) in [(1, true), (2, false)] {
            visited.note(Boundary { moment: Moment::Serving, call: "write", number }, came);
        }
        assert_eq!(visited.to_string(), "     while it served: 1 of 2 (not number 2) at write\n");
    }
}
