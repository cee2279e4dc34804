//! `cargo xtask conformance`: the black-box suite by statement id, run on our broker, and the page
//! that tells what it found.

mod differential;
mod page;
mod previous;
mod sources;
mod tables;
mod verdicts;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use clap::Args;

use self::{
    page::{Column, FULL_LINE, Page},
    previous::Previous,
    sources::Sources,
    verdicts::Verdicts,
};
use crate::{
    bench::machine::Machine,
    failure::Failure,
    process::{self, cargo, output, program, root, target_directory},
};

/// Where the page is.
const PAGE: &str = "docs/conformance.md";

/// What of the suite runs, and on which build.
#[derive(Args, Debug, Default)]
pub(crate) struct Options {
    /// Test the release build of our broker.
    #[arg(long)]
    release: bool,
    /// Only tests whose statement id contains this; the page is not looked at.
    #[arg(long, value_name = "ID")]
    filter: Option<String>,
    /// Bad inputs at the sizes that the catalogue names, also where that takes minutes.
    #[arg(long)]
    full: bool,
    /// Instead of the suite: play so many sequences of operations on ours and on the installed
    /// mosquitto, and fail at a difference that has no verdict.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "100")]
    differential: Option<u64>,
    /// Print the passes as well.
    #[arg(long)]
    all: bool,
    /// Write docs/conformance.md, with a run on the installed mosquitto beside ours.
    #[arg(long, conflicts_with = "filter")]
    write_docs: bool,
    /// With --write-docs: leave mosquitto's verdicts as they are; its run takes minutes.
    #[arg(long, requires = "write_docs")]
    keep_mosquitto: bool,
}

/// Builds the suite and our broker, runs the one on the other, and fails if a statement is broken
/// or if the page does not say what was found.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let built = build(options)?;
    let ours = built.join("surgemq");
    let suite = built.join("mqtt-conformance");
    if let Some(count) = options.differential {
        return differential::run(&suite, &ours, count, options.write_docs);
    }
    let report = built.join("conformance-ours.json");
    let mut command = program(&suite);
    command.arg("--ours").arg(&ours).arg("--report").arg(&report).args(arguments(options));
    let began = Instant::now();
    process::run(&mut command)?;
    if options.filter.is_some() {
        return Ok(());
    }
    let seconds = began.elapsed().as_secs();
    let broker = output(program(&ours).arg("--version"))?.trim().to_owned();
    let ours = Column { broker, verdicts: read_verdicts(&report)? };
    let path = root().join(PAGE);
    let previous = Previous::read(&path)?;
    let sources = Sources::read(&root())?;
    if options.write_docs {
        let theirs = match options.keep_mosquitto {
            true => previous.mosquitto(&ours.verdicts),
            false => mosquitto(&suite, &built, &previous, &ours.verdicts)?,
        };
        let full = match options.full && options.release {
            true => full_line(&ours.verdicts, seconds),
            false => previous.full_line(),
        };
        let page = Page { ours, theirs, sources, full, previous: Previous::default() }.render()?;
        fs::write(&path, page).map_err(|error| Failure::new(format!("{PAGE}: {error}")))?;
        println!("conformance: {PAGE} is written");
        return Ok(());
    }
    let theirs = previous.mosquitto(&ours.verdicts);
    let full = previous.full_line();
    let page = Page { ours, theirs, sources, full, previous: previous.clone() }.render()?;
    compare(previous.text(), &page)
}

/// What a run at the catalogue's sizes found, on which machine.
fn full_line(verdicts: &Verdicts, seconds: u64) -> String {
    let suite = "bad inputs";
    let [pass, fail, not_run] = ["pass", "fail", "not run"].map(|kind| verdicts.count(suite, kind));
    let Machine { processor, cores, memory_gib, .. } = Machine::this();
    format!(
        "{FULL_LINE}{pass} pass, {fail} fail, {not_run} not run; the whole suite took {seconds} s on \
         {cores} cores ({processor}) with {memory_gib} GiB, both sides on them"
    )
}

fn build(options: &Options) -> Result<PathBuf, Failure> {
    let mut build = cargo(&["build", "-p", "mqtt-conformance", "-p", "surgemq"]);
    if options.release {
        build.arg("--release");
    }
    process::run(&mut build)?;
    let profile = if options.release { "release" } else { "debug" };
    Ok(target_directory()?.join(profile))
}

/// The suite's own arguments.
fn arguments(options: &Options) -> Vec<String> {
    let mut arguments = Vec::new();
    if !options.all {
        arguments.push("--quiet".to_owned());
    }
    if options.full {
        arguments.push("--full".to_owned());
    }
    if let Some(filter) = &options.filter {
        arguments.extend(["--filter".to_owned(), filter.clone()]);
    }
    arguments
}

fn read_verdicts(report: &Path) -> Result<Verdicts, Failure> {
    let failed = |error| Failure::new(format!("{}: {error}", report.display()));
    Verdicts::parse(&fs::read_to_string(report).map_err(failed)?)
}

/// The same suite on mosquitto; where it is not installed, what the page knew before.
fn mosquitto(
    suite: &Path,
    built: &Path,
    previous: &Previous,
    ours: &Verdicts,
) -> Result<Column, Failure> {
    let Some(path) = installed_mosquitto() else {
        println!("conformance: mosquitto is not installed; its verdicts stay as they were");
        return Ok(previous.mosquitto(ours));
    };
    let report = built.join("conformance-mosquitto.json");
    let mut command = program(suite);
    command.arg("--mosquitto").arg(&path).arg("--report").arg(&report).arg("--quiet");
    println!("$ {}", process::show(&command));
    // It breaks some statements, which is no reason to stop.
    let status = command.output().map_err(|error| Failure::new(format!("the suite: {error}")))?;
    if !matches!(status.status.code(), Some(0 | 1)) {
        return Err(Failure::new("the suite could not run on mosquitto"));
    }
    Ok(Column { broker: mosquitto_version(&path), verdicts: read_verdicts(&report)? })
}

fn installed_mosquitto() -> Option<PathBuf> {
    let places = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"];
    places.into_iter().map(PathBuf::from).find(|path| path.is_file())
}

/// The first line of its help, `mosquitto version 2.0.11`, without the word in the middle.
fn mosquitto_version(path: &Path) -> String {
    let help = Command::new(path).arg("-h").output().map(|output| output.stdout);
    let help = String::from_utf8_lossy(&help.unwrap_or_default()).into_owned();
    help.lines().next().unwrap_or("mosquitto").replace(" version", "")
}

/// Fails with the first line that differs.
fn compare(old: &str, new: &str) -> Result<(), Failure> {
    if old == new {
        println!("conformance: {PAGE} says the same");
        return Ok(());
    }
    let differs = new.lines().zip(old.lines().chain([""].into_iter().cycle()));
    let line = differs.into_iter().find(|(new, old)| new != old).map_or("", |(new, _)| new);
    Err(Failure::new(format!(
        "{PAGE} is out of date; run `cargo xtask conformance --write-docs`. It lacks: {line}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_a_pass_is_printed_unless_all_is_wanted() {
        assert_eq!(arguments(&Options::default()), ["--quiet"]);
        let all = Options { all: true, filter: Some("3.1".to_owned()), ..Options::default() };
        assert_eq!(arguments(&all), ["--filter", "3.1"]);
        let full = Options { full: true, ..Options::default() };
        assert_eq!(arguments(&full), ["--quiet", "--full"]);
    }

    #[test]
    fn a_page_that_differs_fails_with_the_line_that_it_lacks() {
        assert!(compare("a\nb\n", "a\nb\n").is_ok());
        let failure = compare("a\nb\n", "a\nc\n").unwrap_err();
        assert!(failure.to_string().ends_with("It lacks: c"), "{failure}");
        assert!(compare("", "a\n").unwrap_err().to_string().ends_with("It lacks: a"));
    }
}
