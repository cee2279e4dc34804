//! What a fresh machine lacks, and how to get it.

use crate::{
    failure::Failure,
    process::{cargo, is_installed, output, program, run, succeeds},
};

/// A cargo subcommand that some step needs, at the version known to work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CargoTool {
    /// The name of the package, which is also the name of its program.
    pub(crate) package: &'static str,
    /// The version to install where there is none.
    pub(crate) version: &'static str,
}

/// Installs a cargo subcommand unless some version of it is there.
pub(crate) fn cargo_tool(tool: CargoTool) -> Result<(), Failure> {
    let CargoTool { package, version } = tool;
    if is_installed(package) {
        return Ok(());
    }
    println!("{package} is missing: installing version {version}");
    // A debug build compiles in half the time, and nothing here depends on the tool's speed.
    run(&mut cargo(&["install", package, "--version", version, "--locked", "--debug"]))
}

/// Installs packages of the distribution unless `wanted` is already there.
pub(crate) fn apt_package(wanted: &str, packages: &[&str]) -> Result<(), Failure> {
    if is_installed(wanted) {
        return Ok(());
    }
    apt_install(packages)
}

/// Installs packages of a Debian-like distribution, as root or with sudo.
pub(crate) fn apt_install(packages: &[&str]) -> Result<(), Failure> {
    let list = packages.join(" ");
    if !is_installed("apt-get") {
        let why = "there is no apt-get here to install it with";
        return Err(Failure::new(format!("{list} is missing and {why}: install it by hand")));
    }
    let prefix = root_prefix(&list)?;
    run(program("env").args(&prefix).args(["apt-get", "update", "-qq"]))?;
    let install = ["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq"];
    run(program("env").args(&prefix).args(["env"]).args(install).args(packages))
}

/// What to put before a command so that it runs as root.
fn root_prefix(list: &str) -> Result<Vec<&'static str>, Failure> {
    if output(program("id").arg("-u"))?.trim() == "0" {
        return Ok(Vec::new());
    }
    if succeeds(program("sudo").args(["-n", "true"])) {
        return Ok(vec!["sudo", "-n"]);
    }
    let why = "this is neither root nor allowed to use sudo";
    Err(Failure::new(format!("{list} is missing and {why}: run `apt-get install {list}` as root")))
}
