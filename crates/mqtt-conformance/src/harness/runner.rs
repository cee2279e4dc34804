//! Runs the tests: many at a time, the slow ones first, the passive ones last.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use super::broker::{Fleet, Place, said};
use super::memory::{falls_below, settles};
use super::options::{Broker, Options};
use super::passive::Monitor;
use super::profile::Profile;
use super::report::{Report, Row};
use super::story::Story;
use super::verdict::{Done, Stop, Verdict};
use super::version::Version;
use crate::catalogue::{Case, Suite, cases, waiting};

/// So many brokers with the defaults run at a time; each has its data on the disk.
const DEFAULTS_THREADS: usize = 24;

/// What such a broker may hold after any row, in bytes: some rows leave 30 MB of retained messages.
const DEFAULTS_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Stands behind a row with the defaults that asks for options itself; the page lists them.
const WITH_OPTIONS: &str = "the row itself is about options";

/// Runs the tests that the options ask for.
///
/// # Errors
/// In one line: an unknown profile, a filter that fits no test, or a broker that does not start.
pub fn run(options: &Options) -> Result<Report, String> {
    check_profiles(options)?;
    let wanted = |id: &str| options.filter.as_ref().is_none_or(|filter| id.contains(filter));
    let mut chosen: Vec<Case> = cases().into_iter().filter(|case| wanted(case.test.id)).collect();
    let started = Instant::now();
    let mut rows: Vec<Row> = waiting()
        .into_iter()
        .filter(|(_, _, id, _)| wanted(id))
        .map(|(suite, version, id, reason)| Row {
            suite: suite.title(),
            version: version.text(),
            id,
            verdict: Verdict::NotRun,
            reason: reason.to_owned(),
            millis: 0,
        })
        .collect();
    if chosen.is_empty() && rows.is_empty() {
        return Err("no test has such an id".to_owned());
    }
    let fleet = Fleet::new(options).map_err(|error| format!("cannot write files: {error}"))?;
    let fleet = Arc::new(fleet);
    if !chosen.is_empty() {
        fleet.address(&Place { profile: Profile::Plain, owner: None })?;
    }
    chosen.sort_by_key(|case| !case.test.slow);
    let (passive, active): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|c| c.test.passive);
    let (abuse, polite): (Vec<_>, Vec<_>) =
        active.into_iter().partition(|case| case.test.profile == Profile::Abuse);
    let (wide, abuse): (Vec<_>, Vec<_>) =
        abuse.into_iter().partition(|case| case.test.wide && options.full);
    let monitor = Arc::new(Monitor::default());
    let defaults = cases_with_defaults(options, &polite, &abuse);
    for (group, threads) in [(polite, options.threads), (abuse, 12), (wide, 1), (passive, 8)] {
        rows.extend(run_group(&fleet, &monitor, &group, threads));
    }
    rows.extend(run_group(&fleet, &Arc::default(), &defaults, DEFAULTS_THREADS));
    blame(&monitor, &mut rows);
    rows.sort_by(|a, b| {
        (a.suite, natural(a.id), a.version).cmp(&(b.suite, natural(b.id), b.version))
    });
    Ok(Report { rows, elapsed: started.elapsed() })
}

/// The bad inputs once more, on a broker that is started without any option. It need not answer as the
/// row asks, for many rows are about options, but it has to be safe.
fn cases_with_defaults(options: &Options, polite: &[Case], abuse: &[Case]) -> Vec<Case> {
    if !matches!(options.broker, Broker::Ours(_)) {
        return Vec::new();
    }
    let bad = polite.iter().chain(abuse).filter(|case| case.suite == Suite::BadInputs);
    bad.map(|&case| Case { suite: Suite::Defaults, ..case }).collect()
}

fn check_profiles(options: &Options) -> Result<(), String> {
    let known: Vec<_> = Profile::ALL.iter().map(|profile| profile.name()).collect();
    match options.profiles.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        Some((name, _)) => Err(format!("no profile '{name}'; there are {}", known.join(", "))),
        None => Ok(()),
    }
}

fn run_group(
    fleet: &Arc<Fleet>,
    monitor: &Arc<Monitor>,
    group: &[Case],
    threads: usize,
) -> Vec<Row> {
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, group.len().max(1)) {
            scope.spawn(|| {
                while let Some(case) = group.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let row = run_case(fleet, monitor, case);
                    rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
                }
            });
        }
    });
    rows.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn run_case(fleet: &Arc<Fleet>, monitor: &Arc<Monitor>, case: &Case) -> Row {
    let started = Instant::now();
    let place = place(fleet, case);
    let has_options = Arc::new(AtomicBool::new(false));
    let result = fleet.address(&place).map_err(|reason| fleet.stop(reason)).and_then(|address| {
        let story = || Story {
            address,
            version: case.version,
            monitor: Arc::clone(monitor),
            profile: place.profile,
            has_options: Arc::clone(&has_options),
            log: fleet.log(&place),
            fleet: Arc::clone(fleet),
            process: fleet.process(&place),
            id: case.test.id,
            unique: unique(),
        };
        if case.suite == Suite::Defaults {
            return stays_safe(&story(), case);
        }
        let play = || {
            let story = story();
            (case.test.run)(&story)?;
            if case.suite == Suite::BadInputs { story.is_quick() } else { story.is_alive() }
        };
        let play_and_measure = || {
            play()?;
            match fleet.process(&place).filter(|_| place.owner.is_some()) {
                Some(process) => settles(process, started.elapsed(), play),
                None => Ok(()),
            }
        };
        catch_unwind(AssertUnwindSafe(play_and_measure))
            .unwrap_or_else(|_| Err(Stop::Fail("the test itself panicked".to_owned())))
    });
    let died = fleet.has_died(&place);
    let log = fleet.log(&place).map(|path| said(&path)).unwrap_or_default();
    if place.owner.is_some() {
        fleet.end(&place);
    }
    let (verdict, reason) = match result {
        _ if died => {
            (Verdict::Fail, "the broker ended while this test ran".to_owned() + &ends(&log))
        }
        // What a panic of one task does to others may not show in what this test looks at.
        _ if log.contains("panicked") => {
            (Verdict::Fail, "the broker panicked".to_owned() + &ends(&log))
        }
        Ok(()) if case.suite == Suite::Defaults && needs_options(case, &has_options) => {
            (Verdict::Pass, WITH_OPTIONS.to_owned())
        }
        Ok(()) => (Verdict::Pass, String::new()),
        Err(Stop::Fail(reason)) => (Verdict::Fail, reason + &ends(&log)),
        Err(Stop::NotSupported(reason)) => (Verdict::NotSupported, reason),
        Err(Stop::NotRun(reason)) => (Verdict::NotRun, reason),
    };
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (suite, version) = (case.suite.title(), case.version.text());
    Row { suite, version, id: case.test.id, verdict, reason, millis }
}

/// Does what the row says, whatever comes of it; then the broker serves others, and holds no more than
/// it may.
fn stays_safe(story: &Story, case: &Case) -> Done {
    let done = catch_unwind(AssertUnwindSafe(|| (case.test.run)(story)));
    if let Ok(Err(Stop::NotRun(reason))) = done {
        return Err(Stop::NotRun(reason));
    }
    story.is_quick()?;
    story.process.map_or(Ok(()), |process| falls_below(process, DEFAULTS_BYTES_MAX))
}

/// Whether the row itself asks for options.
fn needs_options(case: &Case, has_options: &AtomicBool) -> bool {
    let is_plain = matches!(case.test.profile, Profile::Plain | Profile::Abuse);
    !is_plain || has_options.load(Ordering::Relaxed)
}

/// The last lines of a broker's log, to stand behind a verdict.
fn ends(log: &str) -> String {
    let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.split_at(lines.len().saturating_sub(3)).1;
    if last.is_empty() {
        String::new()
    } else {
        format!("; the broker's log ends with: {}", last.join(" | "))
    }
}

/// A bad input gets a broker of its own, so that what it costs can be told.
fn place(fleet: &Fleet, case: &Case) -> Place {
    let (is_bad, is_default) = (case.suite == Suite::BadInputs, case.suite == Suite::Defaults);
    let alone = (is_bad || is_default) && !case.test.passive && fleet.starts_brokers();
    let owner = alone.then(|| format!("{}-{}", case.test.id, case.version.text()));
    let profile = if is_default { Profile::Defaults } else { case.test.profile };
    Place { profile, owner }
}

/// A name of letters and digits that no other test has, in this run or one soon before.
fn unique() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("c{:04x}n{count:03x}", (since.as_millis() >> 4) & 0xFFFF)
}

/// A passive violation fails the test of its statement, whatever that test found itself.
fn blame(monitor: &Monitor, rows: &mut [Row]) {
    for (version, id, reason) in monitor.violations() {
        let of = if version == Version::V31 { Version::V311 } else { version };
        let row = rows.iter_mut().find(|row| {
            let is_bad = [Suite::BadInputs.title(), Suite::Defaults.title()].contains(&row.suite);
            row.id == id && row.version == of.text() && !is_bad
        });
        if let Some(row) = row
            && row.verdict != Verdict::Fail
        {
            row.verdict = Verdict::Fail;
            row.reason = reason;
        }
    }
}

/// Numbers inside an id compare as numbers.
fn natural(id: &str) -> Vec<(u32, String)> {
    id.split(['.', '-']).map(|part| (part.parse().unwrap_or(0), part.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::connect::Connect;
    use crate::harness::packet::cut;
    use crate::harness::passive::Watch;

    /// A monitor that saw a CONNACK of 5.0 with a reserved flag set.
    fn alarmed() -> Monitor {
        let (monitor, mut watch) = (Monitor::default(), Watch::default());
        watch.connecting(&Connect::new(Version::V5, "c"));
        let packet = cut(&mut vec![0x20, 3, 2, 0, 0], Version::V5).unwrap().unwrap();
        watch.packet(&monitor, Version::V5, &packet, "another test");
        monitor
    }

    fn passed(version: Version) -> Row {
        let (suite, version) = (Suite::V5.title(), version.text());
        let (verdict, reason) = (Verdict::Pass, String::new());
        Row { suite, version, id: "MQTT-3.2.2-1", verdict, reason, millis: 0 }
    }

    #[test]
    fn what_any_test_saw_fails_the_statement_in_its_version_alone() {
        let mut rows = [passed(Version::V311), passed(Version::V5)];
        blame(&alarmed(), &mut rows);
        assert_eq!(rows.each_ref().map(|row| row.verdict), [Verdict::Pass, Verdict::Fail]);
        assert!(rows[1].reason.contains("in another test"), "{}", rows[1].reason);
    }

    #[test]
    fn ids_are_sorted_by_their_numbers() {
        let mut ids = ["MQTT-3.10.1-1", "MQTT-3.2.2-10", "MQTT-3.2.2-9"];
        ids.sort_by_key(|id| natural(id));
        assert_eq!(ids, ["MQTT-3.2.2-9", "MQTT-3.2.2-10", "MQTT-3.10.1-1"]);
    }
}
