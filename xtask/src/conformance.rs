//! `cargo xtask conformance`: the black-box suite by statement id, run on our broker.

use clap::Args;

use crate::{
    failure::Failure,
    process::{self, cargo, program, target_directory},
};

/// What of the suite runs, and on which build.
#[derive(Args, Debug, Default)]
pub(crate) struct Options {
    /// Test the release build of our broker.
    #[arg(long)]
    release: bool,
    /// Only tests whose statement id contains this.
    #[arg(long, value_name = "ID")]
    filter: Option<String>,
    /// Print the passes as well.
    #[arg(long)]
    all: bool,
}

/// Builds the suite and our broker, runs the one on the other, and fails if a statement is broken.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let mut build = cargo(&["build", "-p", "mqtt-conformance", "-p", "surgemq"]);
    if options.release {
        build.arg("--release");
    }
    process::run(&mut build)?;
    let profile = if options.release { "release" } else { "debug" };
    let built = target_directory()?.join(profile);
    let mut suite = program(built.join("mqtt-conformance"));
    suite.arg("--ours").arg(built.join("surgemq")).args(arguments(options));
    process::run(&mut suite)
}

/// The suite's own arguments.
fn arguments(options: &Options) -> Vec<String> {
    let mut arguments = Vec::new();
    if !options.all {
        arguments.push("--quiet".to_owned());
    }
    if let Some(filter) = &options.filter {
        arguments.extend(["--filter".to_owned(), filter.clone()]);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_a_pass_is_printed_unless_all_is_wanted() {
        assert_eq!(arguments(&Options::default()), ["--quiet"]);
        let all = Options { all: true, filter: Some("3.1".to_owned()), ..Options::default() };
        assert_eq!(arguments(&all), ["--filter", "3.1"]);
    }
}
