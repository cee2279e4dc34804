//! The disk reports that it could not write: every fsync fails from a moment on.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use super::{
    aftermath::Told,
    broker::{Broker, NoBroker, Recipe},
    checker::Violation,
    history::Event,
    lab::Lab,
    load::{self, Load, Size},
    strace,
};
use crate::{failure::Failure, process};

/// What fails, and how.
const INJECTION: &str = "inject=fsync,fdatasync,sync_file_range:error=EIO:when=1+";

/// How long the first failing call may take to come: a broker that writes before it acknowledges
/// makes one at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long acknowledgements may still come that were on their way before the first failure.
const GRACE: Duration = Duration::from_millis(1_500);

/// How long it is watched what the broker does then, with the failures and after they are over.
const WATCHED: Duration = Duration::from_millis(700);

/// How much the clients write before.
const ENTRIES_BEFORE: usize = 500;

/// Lets every fsync fail while clients publish, so many times, each time with new data.
pub(super) fn run(lab: &mut Lab, times: u64) -> Result<(), Failure> {
    if let Err(why) = strace::is_usable() {
        println!("skip fsync errors: {why}");
        return Ok(());
    }
    for time in 0..times {
        let recipe = lab.broker_in("fsync")?;
        let load = Load::start(recipe.port, Size::Full, &lab.dice.of(time));
        let failed = fail(&recipe, &load);
        let mut seen = match failed {
            Ok(seen) => seen,
            Err(no_broker) => vec![Violation::of_broker(no_broker.to_string())],
        };
        let broken = load.moments();
        let run = load.end();
        if let [from, to] = broken[..] {
            let told = Told::between(&run, from, to);
            seen.extend(told.not_refused_while("every fsync failed"));
            seen.extend(told.accepted_while("no fsync could be trusted"));
        }
        lab.judge(&recipe, "fsync errors", &run, seen)?;
    }
    lab.sum_up("fsync errors");
    Ok(())
}

/// Marks the moments between which nothing can be acknowledged, and returns what is wrong with
/// what the broker does meanwhile.
fn fail(recipe: &Recipe, load: &Load) -> Result<Vec<Violation>, NoBroker> {
    let mut broker = recipe.start()?;
    load.record(Event::Started);
    load.warm_up(&mut broker);
    load.play(ENTRIES_BEFORE, PATIENCE);
    let log = recipe.log.with_extension("strace");
    let mut seen = Vec::new();
    match attach(&broker, &log) {
        Ok(tracer) => seen.extend(watch(recipe, load, tracer, &log)),
        Err(error) => return Err(NoBroker::Ended(format!("strace cannot be started: {error}"))),
    }
    load.record(Event::Killed);
    broker.kill();
    let _broker = recipe.start()?;
    load.record(Event::Started);
    load.read_retained();
    load.settle();
    Ok(seen)
}

fn watch(recipe: &Recipe, load: &Load, mut tracer: Child, log: &Path) -> Vec<Violation> {
    let has_failed = || fs::read_to_string(log).is_ok_and(|text| text.contains("(INJECTED)"));
    let mut seen = Vec::new();
    if !load::wait_until(PATIENCE, has_failed) {
        seen.push(Violation::of_broker(format!("no fsync within {PATIENCE:?} of publishing")));
    }
    thread::sleep(GRACE);
    load.record(Event::Moment);
    thread::sleep(WATCHED);
    seen.extend(load.live().err().map(Violation::of_broker));
    // strace lets go of the broker: fsync works again, but what failed once is not to be trusted.
    process::succeeds(Command::new("kill").args(["-TERM", &tracer.id().to_string()]));
    process::wait_within(&mut tracer, PATIENCE).ok();
    thread::sleep(WATCHED);
    load.record(Event::Moment);
    if recipe.printed().trim().is_empty() {
        seen.push(Violation::of_broker("not a word about failing fsyncs in its log"));
    }
    seen
}

fn attach(broker: &Broker, log: &Path) -> std::io::Result<Child> {
    fs::remove_file(log).ok();
    let mut command = Command::new("strace");
    let output = log.display().to_string();
    command.args(["-f", "-qq", "-o", &output, "-e", "trace=fsync,fdatasync,sync_file_range"]);
    command.args(["-e", INJECTION, "-p", &broker.pid().to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}
