//! `cargo xtask instructions`: what a message costs in instructions, compared with what it cost.
//!
//! A clock says little on a machine that does other things as well; the number of instructions is
//! the same on every run. Callgrind counts them for the program `benches/instructions.rs`, once for
//! few rounds and once for more, so that starting the program does not count.

use std::{collections::BTreeMap, fs, path::PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::{
    failure::Failure,
    install,
    process::{self, cargo, output, program, root},
};

/// A path may become so much more expensive before it is a failure: a part in a hundred.
const TOLERANCE_PERCENT: f64 = 3.0;

/// The rounds of the two runs.
const ROUNDS: [u32; 2] = [10, 40];

/// Where the accepted figures are.
const FILE: &str = "benches/instructions.json";

/// What to do with the figures.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// Write the figures into benches/instructions.json: they are what later runs are compared with.
    #[arg(long)]
    accept: bool,
}

/// What was accepted.
#[derive(Debug, Serialize, Deserialize)]
struct Accepted {
    /// The compiler that made the program; another one makes other instructions.
    rustc: String,
    /// Instructions per message, by the name of the work.
    per_message: BTreeMap<String, f64>,
}

/// Counts, and compares or accepts.
///
/// # Errors
/// Something costs more than was accepted, or cannot be counted.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    install::apt_package("valgrind", &["valgrind"])?;
    let counted = Accepted {
        rustc: output(program("rustc").arg("--version"))?.trim().to_owned(),
        per_message: count()?,
    };
    let path = root().join(FILE);
    if options.accept {
        let text = serde_json::to_string_pretty(&counted);
        let text = text.map_err(|error| Failure::new(error.to_string()))?;
        return fs::write(path, text + "\n").map_err(unreachable_file);
    }
    let text = fs::read_to_string(path).map_err(unreachable_file)?;
    let accepted: Accepted = serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("{FILE} cannot be read: {error}")))?;
    let worse = compare(&accepted, &counted);
    if worse.is_empty() {
        return Ok(());
    }
    let another = match accepted.rustc == counted.rustc {
        true => "",
        false => ", as the compiler is another one than then",
    };
    Err(Failure::new(format!(
        "more instructions per message than accepted: {}; make it cheaper, or say why in the commit \
         and accept it with `cargo xtask instructions --accept`{another}",
        worse.join(", ")
    )))
}

fn count() -> Result<BTreeMap<String, f64>, Failure> {
    process::run(&mut cargo(&["build", "--release", "-p", "benches", "--bin", "instructions"]))?;
    let binary = process::target_directory()?.join("release/instructions");
    let mut figures = BTreeMap::new();
    for line in output(&mut program(&binary))?.lines() {
        let (messages, name) = line.split_once(' ').unwrap_or(("1", line));
        let messages: f64 = messages.parse().unwrap_or(1.0);
        let [few, many] = ROUNDS;
        let more = collect(&binary, name, many)? - collect(&binary, name, few)?;
        let per_message = more / (f64::from(many - few) * messages);
        figures.insert(name.to_owned(), (per_message * 10.0).round() / 10.0);
    }
    Ok(figures)
}

/// The instructions of one run of the program.
fn collect(binary: &PathBuf, name: &str, rounds: u32) -> Result<f64, Failure> {
    let mut command = program("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(binary).args([name, &rounds.to_string()]);
    let shown = process::show(&command);
    let said = command.output().map_err(|error| Failure::new(format!("`{shown}`: {error}")))?;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    collected(&said).ok_or_else(|| Failure::new(format!("`{shown}` counted nothing")))
}

/// The total in what callgrind prints at its end.
fn collected(said: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.contains("Collected :"))?;
    line.split_whitespace().next_back()?.parse().ok()
}

/// Prints every figure beside the accepted one, and names those that are worse.
fn compare(accepted: &Accepted, counted: &Accepted) -> Vec<String> {
    let mut worse = Vec::new();
    for (name, now) in &counted.per_message {
        let Some(then) = accepted.per_message.get(name) else {
            println!("{now:>9.1}  {name}: not accepted yet");
            worse.push(format!("{name} (new)"));
            continue;
        };
        let change = (now / then - 1.0) * 100.0;
        println!("{now:>9.1}  {name}: {change:+.1} %");
        if change > TOLERANCE_PERCENT {
            worse.push(format!("{name} ({change:+.1} %)"));
        }
    }
    worse
}

#[expect(clippy::needless_pass_by_value, reason = "it stands as a function in map_err")]
fn unreachable_file(error: std::io::Error) -> Failure {
    Failure::new(format!("{FILE}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(per_message: &[(&str, f64)]) -> Accepted {
        let per_message = per_message.iter().map(|(name, figure)| ((*name).to_owned(), *figure));
        Accepted { rustc: String::new(), per_message: per_message.collect() }
    }

    #[test]
    fn the_total_is_found_in_what_callgrind_says() {
        let said = "==7== Events    : Ir\n==7== Collected : 1234567\n==7==\n";
        assert_eq!(collected(said), Some(1_234_567.0));
        assert_eq!(collected("==7== no such program"), None);
    }

    #[test]
    fn only_what_costs_more_is_named() {
        let accepted = figures(&[("a", 100.0), ("b", 100.0), ("c", 100.0)]);
        let counted = figures(&[("a", 102.9), ("b", 50.0), ("c", 103.1), ("d", 1.0)]);
        assert_eq!(compare(&accepted, &counted), ["c (+3.1 %)", "d (new)"]);
    }
}
