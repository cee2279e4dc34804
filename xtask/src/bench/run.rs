//! One run: every scenario, in rounds, with the brokers taking turns.

use std::{
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
        for scenario in scenarios {
            let able: Vec<_> =
                contenders.iter().filter(|contender| contender.takes_part(scenario.work)).collect();
            let measured = self.measure_scenario(scenario, &able, &progress);
            progress.suspend(|| {
                if kind != Some(scenario.kind) {
                    println!("\n{}", table::heading(scenario.kind));
                }
                println!("{}", table::block(scenario.kind, &scenario.id, &measured));
            });
            kind = Some(scenario.kind);
            rows.extend(measured);
        }
        progress.finish_and_clear();
        rows
    }

    /// The rounds of one scenario. Every round begins with another broker, so that none always
    /// runs on a machine that the same other one has warmed up.
    fn measure_scenario(
        &self,
        scenario: &Scenario,
        contenders: &[&Contender],
        progress: &ProgressBar,
    ) -> Vec<Row> {
        let mut rows = Vec::new();
        for round in 0..self.rounds_of(scenario) {
            let first = usize::try_from(round).unwrap_or(0);
            for contender in contenders.iter().cycle().skip(first).take(contenders.len()) {
                progress.set_message(format!("{} {} {}", scenario.id, contender.name, round + 1));
                let result = self.measure(scenario, contender);
                rows.push(Row {
                    scenario: scenario.id.clone(),
                    kind: scenario.kind,
                    contender: contender.name.clone(),
                    round,
                    measured: result.as_ref().ok().cloned(),
                    failure: result.err().map(|failure| failure.to_string()),
                });
                progress.inc(1);
            }
        }
        rows
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
