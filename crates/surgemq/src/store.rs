//! `surgemq store`: looks at a data directory that no broker has open.

mod export;

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    process::ExitCode,
};

use mqtt_store::{OpenError, StoreOptions, Survey};

use self::export::Exporter;
use crate::{
    cli::{self, StoreArgs, StoreTask},
    failure::Failure,
    private_files,
};

/// Checks, exports or salvages.
///
/// # Errors
/// The directory is in use, holds no store, or cannot be read; the output cannot be written.
pub(crate) fn run(arguments: &StoreArgs) -> Result<ExitCode, Failure> {
    private_files::set();
    match &arguments.task {
        StoreTask::Check { dir } => check(dir),
        StoreTask::Export { dir, output } => export(dir, output.as_deref()),
        StoreTask::Salvage { dir, to } => salvage(dir, to),
    }
}

fn check(dir: &Path) -> Result<ExitCode, Failure> {
    let survey = mqtt_store::check(dir).map_err(|error| failure(&error))?;
    let mut out = BufWriter::new(io::stdout().lock());
    for finding in &survey.findings {
        writeln!(out, "{finding}").map_err(|error| unwritten(&error))?;
    }
    out.flush().map_err(|error| unwritten(&error))?;
    cli::tell(&format_args!("{}: {}", dir.display(), summary(&survey)));
    Ok(exit_code(&survey))
}

fn export(dir: &Path, output: Option<&Path>) -> Result<ExitCode, Failure> {
    let out: Box<dyn Write> = match output {
        None => Box::new(io::stdout().lock()),
        Some(path) => Box::new(File::create_new(path).map_err(|error| {
            Failure::new(format!("cannot make the file {}: {error}", path.display()))
        })?),
    };
    let mut exporter = Exporter::new(BufWriter::new(out));
    let survey = mqtt_store::export(dir, &mut |exported| exporter.write(exported));
    let survey = survey.map_err(|error| failure(&error))?;
    exporter.finish().map_err(|error| unwritten(&error))?;
    tell_findings(&survey);
    Ok(exit_code(&survey))
}

fn salvage(dir: &Path, to: &Path) -> Result<ExitCode, Failure> {
    let survey = mqtt_store::salvage(dir, to, &StoreOptions::default());
    let survey = survey.map_err(|error| failure(&error))?;
    tell_findings(&survey);
    cli::tell(&format_args!("{}: {}", to.display(), summary(&survey)));
    Ok(ExitCode::SUCCESS)
}

fn tell_findings(survey: &Survey) {
    survey.findings.iter().for_each(|finding| cli::tell(finding));
}

fn summary(survey: &Survey) -> String {
    let state = match survey.findings.len() {
        0 => "nothing is damaged".to_owned(),
        count => {
            format!("{count} findings, {} messages are known to be lost", survey.messages_lost)
        }
    };
    format!(
        "{} sessions with {} subscriptions and {} messages, {} retained messages; {state}",
        survey.sessions, survey.subscriptions, survey.messages, survey.retained
    )
}

fn exit_code(survey: &Survey) -> ExitCode {
    if survey.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn failure(error: &OpenError) -> Failure {
    Failure::new(error.to_string())
}

fn unwritten(error: &io::Error) -> Failure {
    Failure::new(format!("cannot write the output: {error}"))
}
