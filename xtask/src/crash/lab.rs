//! Where the parts work: the broker's command, its directories, and the list of what was found.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use super::{
    Options, Profile, broker,
    broker::Recipe,
    checker::{self, Violation},
    dice::Dice,
    history::Run,
    report::{self, Summary},
};
use crate::{
    failure::Failure,
    process::{self, cargo, create_directory, target_directory},
};

/// How many violations of each kind are printed; the file has all of them.
const SHOWN: usize = 3;

/// What all parts of one call have in common.
#[derive(Debug)]
pub(super) struct Lab {
    pub(super) dice: Dice,
    words: Vec<String>,
    /// Whether it is our broker, whose options and files are known.
    is_ours: bool,
    is_gentle: bool,
    directory: PathBuf,
    port: u16,
    started: Instant,
    /// Since the last sum.
    summary: Summary,
    violations: usize,
    runs: usize,
    all_kills: usize,
    all_violations: usize,
    /// How many files with violations were written.
    files: usize,
}

impl Lab {
    /// Builds our broker, unless another one is judged, and makes room for its data.
    pub(super) fn open(options: &Options) -> Result<Self, Failure> {
        let target = target_directory()?;
        let directory = target.join("crash");
        create_directory(&directory)?;
        let words = match &options.command {
            Some(command) => command.split_whitespace().map(str::to_owned).collect(),
            None => our_broker(&target, options.profile)?,
        };
        println!("crash: seed {}, broker: {}", options.seed, words.join(" "));
        Ok(Self {
            dice: Dice::new(options.seed),
            words,
            is_ours: options.command.is_none(),
            is_gentle: options.gently,
            directory,
            port: broker::free_port(options.seed)?,
            started: Instant::now(),
            summary: Summary::default(),
            violations: 0,
            runs: 0,
            all_kills: 0,
            all_violations: 0,
            files: 0,
        })
    }

    /// The broker with an empty directory of this name.
    pub(super) fn broker_in(&self, name: &str) -> Result<Recipe, Failure> {
        let directory = self.directory.join(name);
        remove_directory(&directory)?;
        create_directory(&directory)?;
        let log = self.directory.join(format!("{name}.log"));
        fs::remove_file(&log).ok();
        let (words, is_gentle, port) = (self.words.clone(), self.is_gentle, self.port);
        Ok(Recipe { words, is_gentle, port, directory, log })
    }

    /// The same with more options, which only our broker knows.
    pub(super) fn broker_with(&self, options: &[&str], name: &str) -> Result<Recipe, Failure> {
        let mut recipe = self.broker_in(name)?;
        if self.is_ours {
            recipe.words.extend(options.iter().map(|word| (*word).to_owned()));
        }
        Ok(recipe)
    }

    /// Whether the broker's files are known.
    pub(super) fn knows_files(&self) -> bool {
        self.is_ours
    }

    /// Judges a run and what was seen of the broker itself, and prints what is wrong.
    pub(super) fn judge(
        &mut self,
        recipe: &Recipe,
        title: &str,
        run: &Run,
        seen: Vec<Violation>,
    ) -> Result<(), Failure> {
        let mut violations = seen;
        violations.extend(checker::check(run));
        violations.extend(recipe.panic().map(Violation::of_broker));
        violations.sort_by_key(|violation| (violation.kind, violation.message));
        self.runs += 1;
        self.summary.add(&Summary::of(run));
        if violations.is_empty() {
            return Ok(());
        }
        self.violations += violations.len();
        println!("FAIL {title}: {}{} violations", Summary::of(run), violations.len());
        for of_kind in violations.chunk_by(|a, b| a.kind == b.kind) {
            show(of_kind);
        }
        let path = self.directory.join(format!("violations-{}.txt", self.files));
        self.files += 1;
        let text = report::full(title, &violations, run);
        fs::write(&path, text).map_err(|error| cannot(&path, &error))?;
        println!("       all of them, with their histories: {}", path.display());
        Ok(())
    }

    /// Prints what the runs since the last sum came to.
    pub(super) fn sum_up(&mut self, title: &str) {
        let summary = std::mem::take(&mut self.summary);
        let verdict = if self.violations == 0 { "ok  " } else { "FAIL" };
        let (runs, violations) = (self.runs, self.violations);
        println!("{verdict} {title}, {runs} runs: {summary}{violations} violations");
        self.all_kills += summary.kills;
        self.all_violations += violations;
        (self.runs, self.violations) = (0, 0);
    }

    /// Says what the whole came to.
    pub(super) fn close(self) -> Result<(), Failure> {
        let (kills, violations) = (self.all_kills, self.all_violations);
        let seconds = self.started.elapsed().as_secs();
        println!("crash: {kills} kills in {seconds} s, {violations} violations");
        if violations == 0 {
            return Ok(());
        }
        let what = format!("{violations} promises were broken; their histories stand in");
        Err(Failure::new(format!("{what} {}/violations-*.txt", self.directory.display())))
    }
}

/// Prints some violations of one kind.
fn show(of_kind: &[Violation]) {
    for violation in of_kind.iter().take(SHOWN) {
        println!("       {violation}");
    }
    if of_kind.len() > SHOWN {
        println!("       ... and {} more like these", of_kind.len() - SHOWN);
    }
}

/// The command that starts our broker.
fn our_broker(target: &Path, profile: Profile) -> Result<Vec<String>, Failure> {
    let mut build = cargo(&["build", "-p", "surgemq"]);
    let folder = match profile {
        Profile::Dev => "debug",
        Profile::Release => {
            build.arg("--release");
            "release"
        }
    };
    process::run(&mut build)?;
    let binary = target.join(folder).join("surgemq").display().to_string();
    let options = ["serve", "--listen", "tcp://127.0.0.1:{port}", "--data-dir", "{dir}"];
    let level = ["--durability", "disk"];
    let words = options.into_iter().chain(level).map(str::to_owned);
    Ok(std::iter::once(binary).chain(words).collect())
}

/// Removes a directory with everything in it, if it is there.
pub(super) fn remove_directory(path: &Path) -> Result<(), Failure> {
    if !path.exists() {
        return Ok(());
    }
    fs::remove_dir_all(path).map_err(|error| cannot(path, &error))
}

/// A failure with this file.
pub(super) fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
