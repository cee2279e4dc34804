//! `cargo xtask ci`: every check, in order, up to the first that fails.

use std::{
    fs,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::{
    conformance, crash,
    failure::Failure,
    install::{self, CargoTool},
    instructions, interop,
    process::{self, cargo, create_directory, program, root, target_directory},
    test, tidy,
};

/// The licence, ban and source checker.
const CARGO_DENY: CargoTool = CargoTool { package: "cargo-deny", version: "0.20.2" };

/// The fuzzing driver.
const CARGO_FUZZ: CargoTool = CargoTool { package: "cargo-fuzz", version: "0.13.2" };

/// Where the known vulnerabilities are published.
const ADVISORY_DATABASE: &str = "https://github.com/rustsec/advisory-db";

/// How long a server on the internet may take before it counts as out of reach.
const NETWORK_PATIENCE: Duration = Duration::from_secs(20);

/// One check: its name and what it does.
struct Step {
    name: String,
    action: Box<dyn Fn() -> Result<(), Failure>>,
}

/// Runs every check; the last line printed says how many passed and how many failed.
pub(crate) fn run() -> ExitCode {
    let steps = steps();
    let passed = perform(&steps);
    let all_passed = passed == steps.len();
    println!("{}", closing_line(passed, usize::from(!all_passed)));
    if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The checks, in order: what a change breaks most often comes first.
fn steps() -> Vec<Step> {
    let mut steps = vec![
        step("cargo xtask test", test::run),
        step("cargo fmt", || process::run(&mut cargo(&["fmt", "--all", "--check"]))),
        step("cargo clippy", clippy),
        step("cargo doc", doc),
        step("cargo deny", deny),
        step("cargo xtask tidy", tidy::run),
        step("cargo xtask instructions", || instructions::run(&instructions::Options::default())),
        step("cargo xtask interop", || interop::run(&interop::Options::default())),
        step("cargo xtask conformance", || conformance::run(&conformance::Options::default())),
        step("cargo xtask crash", || crash::run(&crash::Options::default())),
    ];
    match fuzz_targets(&root().join("fuzz/fuzz_targets")) {
        Ok(targets) => steps.extend(targets.into_iter().map(fuzz_step)),
        Err(failure) => {
            let message = failure.to_string();
            steps.push(step("fuzz targets", move || Err(Failure::new(message.clone()))));
        }
    }
    steps
}

fn step(name: &str, action: impl Fn() -> Result<(), Failure> + 'static) -> Step {
    Step { name: name.to_owned(), action: Box::new(action) }
}

fn fuzz_step(target: String) -> Step {
    step(&format!("cargo fuzz run {target}"), move || fuzz(&target))
}

/// Runs the steps in order up to the first that fails, and returns how many passed.
fn perform(steps: &[Step]) -> usize {
    let total = steps.len();
    for (passed, step) in steps.iter().enumerate() {
        println!("== {} of {total}: {} ==", passed + 1, step.name);
        let start = Instant::now();
        let result = (step.action)();
        let seconds = start.elapsed().as_secs_f64();
        if let Err(failure) = result {
            println!("xtask: {failure}");
            let left = total - passed - 1;
            println!("== {} failed after {seconds:.1} s; not run: {left} ==", step.name);
            return passed;
        }
        println!("== {} passed in {seconds:.1} s ==\n", step.name);
    }
    total
}

fn closing_line(passed: usize, failed: usize) -> String {
    format!("{passed} passed, {failed} failed")
}

fn clippy() -> Result<(), Failure> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    process::run(&mut cargo(&arguments))
}

fn doc() -> Result<(), Failure> {
    let mut command = cargo(&["doc", "--workspace", "--no-deps"]);
    process::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

fn deny() -> Result<(), Failure> {
    install::cargo_tool(CARGO_DENY)?;
    let check = ["deny", "check", "--hide-inclusion-graph"];
    process::run(cargo(&check).args(["licenses", "bans", "sources"]))?;
    let mut reach = program("git");
    reach.args(["ls-remote", ADVISORY_DATABASE, "HEAD"]).env("GIT_TERMINAL_PROMPT", "0");
    if !process::succeeds_within(&mut reach, NETWORK_PATIENCE) {
        println!("advisories: not checked, because {ADVISORY_DATABASE} cannot be reached");
        return Ok(());
    }
    process::run(cargo(&check).arg("advisories"))
}

fn fuzz(target: &str) -> Result<(), Failure> {
    install::cargo_tool(CARGO_FUZZ)?;
    // What the fuzzer finds goes to the first corpus, so that a check leaves the tree clean.
    let found = target_directory()?.join("fuzz-found").join(target);
    create_directory(&found)?;
    let corpus = format!("fuzz/corpus/{target}");
    let mut command = cargo(&["fuzz", "run", target]);
    process::run(command.arg(found).args([&corpus, "--", "-max_total_time=10"]))
}

/// The names of the fuzz targets, in order: one file of this directory is one target.
fn fuzz_targets(directory: &Path) -> Result<Vec<String>, Failure> {
    let unreadable =
        |error| Failure::new(format!("fuzz targets: {}: {error}", directory.display()));
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use super::*;

    #[test]
    fn steps_after_a_failure_are_not_run() {
        let ran = Rc::new(Cell::new(0));
        let count = |result: bool| {
            let ran = Rc::clone(&ran);
            move || {
                ran.set(ran.get() + 1);
                if result { Ok(()) } else { Err(Failure::new("broken")) }
            }
        };
        let steps =
            [step("one", count(true)), step("two", count(false)), step("three", count(true))];
        assert_eq!((perform(&steps), ran.get()), (1, 2));
    }

    #[test]
    fn every_step_that_passes_is_counted() {
        assert_eq!(perform(&[step("one", || Ok(())), step("two", || Ok(()))]), 2);
    }

    #[test]
    fn the_closing_line_counts_steps() {
        assert_eq!(closing_line(9, 0), "9 passed, 0 failed");
    }

    #[test]
    fn a_missing_fuzz_directory_is_a_failure() {
        let failure = fuzz_targets(Path::new("no/such/directory")).unwrap_err();
        assert!(failure.to_string().starts_with("fuzz targets: no/such/directory"));
    }
}
