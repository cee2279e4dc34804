//! Building what is measured, and what measures, both optimised.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;

use crate::{failure::Failure, process::cargo};

/// The programs of a run.
#[derive(Debug)]
pub(crate) struct Artifacts {
    /// This project's broker.
    pub(crate) broker: Option<PathBuf>,
    /// This very program, optimised: it makes the load and is the floor.
    pub(crate) tools: PathBuf,
}

/// Builds the broker, unless it is not wanted, and the tools.
///
/// # Errors
/// Where the build fails; cargo has then said why.
pub(crate) fn build(profile: &str, with_broker: bool) -> Result<Artifacts, Failure> {
    let mut arguments = vec!["build", "--profile", profile, "-p", "xtask"];
    if with_broker {
        arguments.extend(["-p", "surgemq"]);
    }
    arguments.push("--message-format=json-render-diagnostics");
    println!("building with profile {profile}");
    let output = cargo(&arguments)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::new(format!("cargo could not be started: {error}")))?;
    if !output.status.success() {
        return Err(Failure::new("the build failed: see above"));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let find = |name: &str| messages.lines().find_map(|line| executable(line, name));
    let tools = find("xtask").ok_or_else(|| Failure::new("cargo named no xtask program"))?;
    Ok(Artifacts { broker: find("surgemq"), tools })
}

/// What an earlier build with this profile left.
///
/// # Errors
/// Where there is none.
pub(crate) fn built(profile: &str, with_broker: bool) -> Result<Artifacts, Failure> {
    let this = env::current_exe().unwrap_or_default();
    let directory = this.ancestors().nth(2).unwrap_or(&this).join(profile);
    let find = |name: &str| {
        let path = directory.join(name);
        let missing = || format!("{} is missing: run without --no-build", path.display());
        if path.is_file() { Ok(path) } else { Err(Failure::new(missing())) }
    };
    let broker = if with_broker { Some(find("surgemq")?) } else { None };
    Ok(Artifacts { broker, tools: find("xtask")? })
}

/// Where results, logs and generated configurations go.
pub(crate) fn directory(tools: &Path) -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.or_else(|| tools.ancestors().nth(2).map(PathBuf::from));
    target.unwrap_or_else(|| "target".into()).join("bench")
}

fn executable(line: &str, name: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let target = message.pointer("/target/name")?.as_str()?;
    let path = message.get("executable")?.as_str()?;
    (target == name).then(|| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_taken_from_what_cargo_says() {
        let line = r#"{"reason":"compiler-artifact","target":{"name":"xtask"},"executable":"x/y"}"#;
        assert_eq!(executable(line, "xtask"), Some("x/y".into()));
        assert_eq!(executable(line, "surgemq"), None);
        assert_eq!(executable(r#"{"reason":"build-finished"}"#, "xtask"), None);
    }
}
