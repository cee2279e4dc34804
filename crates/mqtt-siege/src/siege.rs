//! All attacks at once, for a while; then SIGTERM in the middle of them, and a restart.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use crate::{
    broker::Recipe,
    control::{self, Control, Noticed},
    verdict::{Verdict, mib, millis},
    watch::Watch,
};

/// What a delivery or a ping may take, for 99 of 100.
const P99_MAX: Duration = Duration::from_millis(100);

/// What a right login may take at the longest.
const LOGIN_MAX: Duration = Duration::from_secs(1);

/// How long the broker may take to stop.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Messages that wait for the control client's session while the broker is started anew.
const LEFT: u64 = 200;

/// Which broker, and for how long.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The program `surgemq`
    #[arg(long, value_name = "FILE")]
    broker: PathBuf,
    /// How long the attacks go on, in seconds
    #[arg(long, value_name = "N", default_value_t = 300)]
    seconds: u64,
    /// Where the broker's files are; the directory is emptied. On a small file system its queues
    /// fill the disk
    #[arg(long, value_name = "DIR")]
    directory: PathBuf,
    /// Descriptors that the broker may have
    #[arg(long, value_name = "N", default_value_t = 2000)]
    descriptors: u32,
    /// What the broker's process may have, in MiB; pass --argument=--memory-limit=... with it
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    memory: u64,
    /// One more argument for `surgemq serve`; may be repeated
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    argument: Vec<String>,
    /// Only this attack; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

/// Runs the siege, and judges what was seen.
pub(crate) fn run(options: &Options) -> io::Result<Verdict> {
    empty(&options.directory)?;
    let recipe = Recipe {
        program: options.broker.clone(),
        directory: options.directory.clone(),
        descriptors: options.descriptors,
        arguments: options.argument.clone(),
    };
    recipe.prepare()?;
    let mut broker = recipe.start(&options.directory.join("log"))?;
    let watch = Watch::over(broker.pid());
    let control = Control::start(broker.port)?;
    let mut attackers = attackers(broker.port, options)?;
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let half = end - Duration::from_secs(options.seconds) / 2;
    while Instant::now() < end && broker.is_running() {
        thread::sleep(Duration::from_millis(100));
        if Instant::now() > half {
            broker.break_log();
        }
    }
    let mut verdict = Verdict::default();
    verdict.note(broker.is_running(), "the broker runs", "at the end of the attacks");
    let noticed = control.stop();
    judge(&noticed, &mut verdict);
    let left = control::leave_messages(broker.port, LEFT).unwrap_or_default();
    verdict.note(
        left.len() as u64 == LEFT,
        "messages for a session that is away are taken",
        format!("{} of {LEFT}", left.len()),
    );
    let stopped = broker.terminate(Duration::from_secs(60));
    verdict.note(
        stopped.is_some_and(|time| time < STOP_MAX),
        "it stops within 5 s of SIGTERM",
        stopped.map_or_else(|| "it had to be killed".to_owned(), millis),
    );
    let peak = watch.peak_bytes();
    verdict.note(
        peak < options.memory << 20,
        "its memory stays below its limit",
        format!("{} of {} MiB", mib(peak), options.memory),
    );
    let came_to_its_point = attackers.stop()?;
    verdict.note(came_to_its_point, "every attack came to its point", "as the attacks say");
    let mut broker = recipe.start(&options.directory.join("log-after"))?;
    let (present, found) = control::find_messages(broker.port, left.len())?;
    verdict.note(
        present && found.is_superset(&left),
        "after a restart everything acknowledged is there",
        format!("{} of {} messages, session present: {present}", found.len(), left.len()),
    );
    broker.terminate(STOP_MAX);
    verdict.close();
    Ok(verdict)
}

fn empty(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}

/// The process of the attacks. It ends when its input does, so also when this program dies.
struct Attackers(Child);

impl Attackers {
    /// Ends the attacks; returns whether each of them came to its point.
    fn stop(&mut self) -> io::Result<bool> {
        drop(self.0.stdin.take());
        Ok(self.0.wait()?.success())
    }
}

/// Starts the attacks, in a process that gives way to the broker and to the control client.
fn attackers(port: u16, options: &Options) -> io::Result<Attackers> {
    let mut command = Command::new("nice");
    command.args(["-n", "5"]).arg(env::current_exe()?).arg("attack");
    command.args(["--port", &port.to_string()]);
    command.args(options.only.iter().flat_map(|name| ["--only", name]));
    command.stdin(Stdio::piped()).spawn().map(Attackers)
}

fn judge(noticed: &Noticed, verdict: &mut Verdict) {
    let [qos_0, qos_1] = &noticed.deliveries;
    let times = [("QoS 0", qos_0), ("QoS 1", qos_1), ("pings", &noticed.pings)];
    for (name, times) in times {
        let (count, p99, longest) = times.summary();
        let seen = format!("{count}, p99 {}, longest {}", millis(p99), millis(longest));
        verdict.note(count > 0 && p99 < P99_MAX, &format!("{name}: p99 below 100 ms"), seen);
    }
    let (count, _, longest) = noticed.logins.summary();
    let load =
        |number: &std::sync::atomic::AtomicU64| number.load(std::sync::atomic::Ordering::Relaxed);
    let failed = load(&noticed.failed_logins);
    verdict.note(
        count > 0 && failed == 0 && longest < LOGIN_MAX,
        "a right login takes less than 1 s",
        format!("{count}, {failed} failed, longest {}", millis(longest)),
    );
    let cut = load(&noticed.cut);
    verdict.note(cut == 0, "the control client is not cut", format!("{cut} times"));
    let [lost_0, lost_1] = noticed.missing();
    verdict.note(
        lost_0 + lost_1 == 0,
        "nothing is lost",
        format!("{lost_0} at QoS 0, {lost_1} at QoS 1; {} were refused", load(&noticed.refused)),
    );
}
