//! One run: every scenario, in rounds, with the brokers taking turns.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    bench::{
        contender::{Contender, Running, quoted, with_all_descriptors},
        load::as_f64,
        procfs,
        report::{json::Row, table},
        scenario::Scenario,
        spec::{LoadSpec, Measured, Work},
    },
    failure::Failure,
    process,
};

/// A load that has not ended by then is ended.
const LOAD_MAX: Duration = Duration::from_secs(300);

/// A broker that was started again has this long to settle before its memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// How a run is made.
#[derive(Debug)]
pub(crate) struct Runner {
    /// The program that makes the load.
    pub(crate) tools: PathBuf,
    /// Where logs and configurations go.
    pub(crate) directory: PathBuf,
    pub(crate) rounds: u32,
    /// Scenarios that fill the broker first have one round only.
    pub(crate) once_where_large: bool,
    pub(crate) warm_up: f64,
    pub(crate) seconds: f64,
}

impl Runner {
    /// Measures everything, and prints each scenario when all its rounds are done.
    pub(crate) fn run(&self, scenarios: &[Scenario], contenders: &[Contender]) -> Vec<Row> {
        let progress = self.progress(scenarios, contenders);
        let mut rows = Vec::new();
        let mut kind = None;
        for group in scenarios.chunk_by(Scenario::takes_turns_with) {
            let measured = self.measure_group(group, contenders, &progress);
            for scenario in group {
                let of_it = measured.iter().filter(|row| row.scenario == scenario.id);
                let of_it: Vec<Row> = of_it.cloned().collect();
                progress.suspend(|| {
                    if kind != Some(scenario.kind) {
                        println!("\n{}", table::heading(scenario.kind));
                    }
                    println!("{}", table::block(scenario.kind, &scenario.id, &of_it));
                });
                kind = Some(scenario.kind);
                rows.extend(of_it);
            }
        }
        progress.finish_and_clear();
        rows
    }

    /// The rounds of scenarios that take turns, of one mostly. Every round begins with another
    /// broker, so that none always runs on a machine that the same other one has warmed up.
    fn measure_group(
        &self,
        group: &[Scenario],
        contenders: &[Contender],
        progress: &ProgressBar,
    ) -> Vec<Row> {
        let mut rows = Vec::new();
        for round in 0..self.rounds {
            let mut of_round = Vec::new();
            for scenario in group.iter().filter(|scenario| round < self.rounds_of(scenario)) {
                let able = contenders.iter().filter(|one| one.takes_part(scenario.work));
                let able: Vec<_> = able.collect();
                let first = usize::try_from(round).unwrap_or(0);
                for contender in able.iter().cycle().skip(first).take(able.len()) {
                    let name = &contender.name;
                    progress.set_message(format!("{} {name} {}", scenario.id, round + 1));
                    of_round.push(self.row(scenario, contender, round));
                    progress.inc(1);
                }
            }
            compare_with_first(group, &mut of_round);
            rows.extend(of_round);
        }
        rows
    }

    fn row(&self, scenario: &Scenario, contender: &Contender, round: u32) -> Row {
        let result = self.measure(scenario, contender);
        Row {
            scenario: scenario.id.clone(),
            kind: scenario.kind,
            contender: contender.name.clone(),
            round,
            measured: result.as_ref().ok().cloned(),
            failure: result.err().map(|failure| failure.to_string()),
        }
    }

    fn rounds_of(&self, scenario: &Scenario) -> u32 {
        if self.once_where_large && scenario.is_large() { 1 } else { self.rounds }
    }

    fn progress(&self, scenarios: &[Scenario], contenders: &[Contender]) -> ProgressBar {
        let count = |scenario: &Scenario| {
            let able = contenders.iter().filter(|contender| contender.takes_part(scenario.work));
            able.count() as u64 * u64::from(self.rounds_of(scenario))
        };
        let bar = ProgressBar::new(scenarios.iter().map(count).sum());
        let template = "{bar:30} {pos}/{len}, {eta} left  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        bar
    }

    /// A fresh broker, a fresh load, one measurement.
    fn measure(&self, scenario: &Scenario, contender: &Contender) -> Result<Measured, Failure> {
        let mut broker = contender.start(&self.directory)?;
        let empty_kib = procfs::rss_kib(&broker.pids());
        let spec = LoadSpec {
            port: broker.port,
            pids: broker.pids(),
            version: scenario.version,
            warm_up: self.warm_up,
            seconds: self.seconds,
            work: scenario.work,
        };
        let measured = load(&self.tools, &spec)?;
        match scenario.work {
            Work::Parked { sessions } => {
                self.start_again(measured, &mut broker, &spec, sessions, empty_kib)
            }
            _ => Ok(measured),
        }
    }

    /// Kills the broker, and measures how it gets on with the sessions that it had.
    fn start_again(
        &self,
        mut measured: Measured,
        broker: &mut Running,
        spec: &LoadSpec,
        sessions: u32,
        empty_kib: u64,
    ) -> Result<Measured, Failure> {
        let each = |bytes: u64| as_f64(bytes) / f64::from(sessions);
        let disk_bytes = each(broker.disk_bytes());
        let Some(took) = broker.start_again()? else { return Ok(measured) };
        thread::sleep(SETTLE);
        let grown = procfs::rss_kib(&broker.pids()).saturating_sub(empty_kib) * 1024;
        measured.figures.insert("disk_bytes_per_parked".into(), disk_bytes);
        measured.figures.insert("reopen_ms".into(), took.as_secs_f64() * 1e3);
        measured.figures.insert("bytes_per_reopened".into(), each(grown));
        let work = Work::Resumed { sessions };
        let looked = load(&self.tools, &LoadSpec { pids: broker.pids(), work, ..spec.clone() })?;
        measured.due += looked.due;
        measured.corrupt += looked.corrupt;
        Ok(measured)
    }
}

/// Writes beside each figure of a round what it is of the group's first scenario's: both were
/// measured within seconds, so the machine's moods are no part of it.
fn compare_with_first(group: &[Scenario], rows: &mut [Row]) {
    let Some(first) = group.first().filter(|_| group.len() > 1) else { return };
    let cost = |row: &Row| Some((row.contender.clone(), row.measured.as_ref()?.cpu_us_per_message));
    let firsts = rows.iter().filter(|row| row.scenario == first.id);
    let costs: BTreeMap<String, f64> = firsts.filter_map(cost).collect();
    for row in rows.iter_mut().filter(|row| row.scenario != first.id) {
        if let (Some(cost), Some(measured)) = (costs.get(&row.contender), &mut row.measured) {
            let times = measured.cpu_us_per_message / cost;
            measured.figures.insert("cpu_of_first".into(), times);
        }
    }
}

/// Lets a load process do the work and reads what it measured.
fn load(tools: &Path, spec: &LoadSpec) -> Result<Measured, Failure> {
    let failed = |why: String| Failure::new(format!("the load failed: {why}"));
    let order = serde_json::to_string(spec).map_err(|error| failed(error.to_string()))?;
    let mut child = with_all_descriptors(&format!("exec {} bench load \"$0\"", quoted(tools)))
        .arg(order)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let status = process::wait_within(&mut child, LOAD_MAX).map_err(|e| failed(e.to_string()))?;
    let said = read_all(child.stdout.take());
    let complained = read_all(child.stderr.take());
    match status {
        None => Err(failed(format!("not done after {} s", LOAD_MAX.as_secs()))),
        Some(status) if status.success() => {
            serde_json::from_str(&said).map_err(|error| failed(error.to_string()))
        }
        Some(_) => Err(failed(complained.lines().next_back().unwrap_or("no reason").to_owned())),
    }
}

fn read_all(stream: Option<impl Read>) -> String {
    let mut text = Vec::new();
    if let Some(mut stream) = stream {
        let _what_came_until_an_error = stream.read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scenario::{Breadth, scenarios};

    #[test]
    fn a_round_is_compared_with_its_own_first_scenario() {
        let all = scenarios(Breadth::Standard, Some("matching/plus"));
        assert_eq!(all.chunk_by(Scenario::takes_turns_with).count(), 1);
        let costs = [("a", [1.0, 1.2, 1.5]), ("b", [10.0, 40.0, 30.0])];
        let row = |scenario: &Scenario, contender: &str, cost| Row {
            scenario: scenario.id.clone(),
            kind: scenario.kind,
            contender: contender.into(),
            round: 0,
            measured: Some(Measured { cpu_us_per_message: cost, ..Measured::default() }),
            failure: None,
        };
        let mut rows: Vec<Row> = costs
            .iter()
            .flat_map(|(name, costs)| {
                all.iter().zip(costs).map(|(one, cost)| row(one, name, *cost))
            })
            .collect();
        compare_with_first(&all, &mut rows);
        let shown =
            rows.iter().map(|row| row.measured.as_ref()?.figures.get("cpu_of_first").copied());
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [None, Some(1.2), Some(1.5), None, Some(4.0), Some(3.0)]
        );
    }
}
