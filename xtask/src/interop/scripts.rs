//! The clients that tell their stories in programs of their own: how to install and run them.

use std::{fs, path::Path, process::Command, time::Duration};

use super::{
    broker::Broker,
    lines::{Lines, NoLine},
    tally::Tally,
    workplace::{Workplace, sources},
};
use crate::{
    failure::Failure,
    install::{apt_install, apt_package},
    process::{self, create_directory, program, succeeds},
};

/// A story gives up after some ten seconds on each step; this is for a program that hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// What of MQTT.js is copied to where it is installed: modules are looked up beside the script.
const MQTTJS_FILES: &[&str] = &["package.json", "package-lock.json", "mqttjs_stories.mjs"];

/// The lock file that the installed modules belong to.
const INSTALLED: &str = "installed-package-lock.json";

/// Lets a program tell its stories about the broker.
pub(super) fn tell(
    command: &mut Command,
    broker: &Broker,
    tally: &mut Tally,
) -> Result<(), Failure> {
    command.args([&broker.host, &broker.port.to_string()]);
    let shown = process::show(command);
    let failed = |why: String| Failure::new(format!("`{shown}`: {why}"));
    let mut lines = Lines::start(command).map_err(failed)?;
    loop {
        match lines.next(PATIENCE) {
            Ok(line) => tally.tell(&line),
            Err(NoLine::End) => return Ok(()),
            Err(NoLine::Late) => return Err(failed(format!("silent for {PATIENCE:?}"))),
        }
    }
}

/// Installs paho for Python into an environment of its own.
pub(super) fn install_paho(workplace: &Workplace) -> Result<(), Failure> {
    apt_package("python3", &["python3", "python3-venv"])?;
    let environment = workplace.file("venv");
    let pip = |arguments: &[&str]| {
        let mut command = program(environment.join("bin/python"));
        command.args(["-m", "pip"]).args(arguments);
        command
    };
    if !succeeds(&mut pip(&["--version"])) {
        let create = || {
            let mut command = program("python3");
            command.args(["-m", "venv", "--clear"]).arg(&environment);
            command
        };
        // Some distributions ship Python without the module that sets up environments.
        if !succeeds(&mut create()) {
            apt_install(&["python3-venv"])?;
            process::run(&mut create())?;
        }
    }
    let requirements = sources().join("requirements.txt");
    let quiet = ["install", "--quiet", "--disable-pip-version-check", "--requirement"];
    process::run(pip(&quiet).arg(requirements))
}

/// The stories of paho.
pub(super) fn paho(workplace: &Workplace) -> Command {
    let mut command = program(workplace.file("venv").join("bin/python"));
    command.arg(sources().join("paho_stories.py"));
    command
}

/// Installs MQTT.js into a directory of its own.
pub(super) fn install_mqttjs(workplace: &Workplace) -> Result<(), Failure> {
    apt_package("node", &["nodejs"])?;
    apt_package("npm", &["npm"])?;
    let directory = workplace.file("mqttjs");
    create_directory(&directory)?;
    for name in MQTTJS_FILES {
        copy(&sources().join(name), &directory.join(name))?;
    }
    let (wanted, installed) = (directory.join("package-lock.json"), directory.join(INSTALLED));
    let content = |path: &Path| fs::read(path).ok();
    if content(&installed).is_some() && content(&installed) == content(&wanted) {
        return Ok(());
    }
    let quiet = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
    process::run(program("npm").args(quiet).current_dir(&directory))?;
    copy(&wanted, &installed)
}

/// The stories of MQTT.js.
pub(super) fn mqttjs(workplace: &Workplace) -> Command {
    let mut command = program("node");
    command.arg(workplace.file("mqttjs").join("mqttjs_stories.mjs"));
    command
}

/// The stories of rumqttc, which are an example of this package.
pub(super) fn rumqttc(workplace: &Workplace) -> Command {
    program(workplace.binary("examples/rumqttc-stories"))
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::new(format!("{} could not be copied: {error}", from.display()));
    fs::copy(from, to).map(drop).map_err(failed)
}
