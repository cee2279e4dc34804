//! `cargo xtask siege`: every attack at once beside a client that is well; `--soak`: mixed traffic,
//! then quiet.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;

use crate::{
    failure::Failure,
    process::{self, cargo, create_directory, program, target_directory},
};

/// How the broker is besieged.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How long, in seconds [default: 300, with --soak 1800]
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Instead of the attacks: mixed traffic, then quiet, and what is not given back
    #[arg(long)]
    soak: bool,
    /// The memory limit of the broker, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    memory: u64,
    /// The size of the disk that the broker's queues fill, in MiB; 0 for no disk of its own, which
    /// needs no root
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    disk: u64,
    /// Only this attack; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Attack this program instead of the release build
    #[arg(long, value_name = "FILE")]
    broker: Option<PathBuf>,
    /// One more argument for `surgemq serve`; may be repeated
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    argument: Vec<String>,
}

/// Builds both programs, and runs the siege or the soak.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    process::run(&mut cargo(&["build", "--release", "-p", "surgemq", "-p", "mqtt-siege"]))?;
    let target = target_directory()?;
    let built = target.join("release");
    let directory = target.join("siege");
    create_directory(&directory)?;
    let broker = options.broker.clone().unwrap_or_else(|| built.join("surgemq"));
    let mut command = program(built.join("mqtt-siege"));
    command.arg(if options.soak { "soak" } else { "siege" });
    command.arg("--broker").arg(broker).arg("--directory").arg(&directory);
    if let Some(seconds) = options.seconds {
        command.args(["--seconds", &seconds.to_string()]);
    }
    command.args(options.argument.iter().flat_map(|argument| ["--argument", argument]));
    if options.soak {
        return process::run(&mut command);
    }
    let limit = format!("--memory-limit={}M", options.memory);
    command.args(["--memory", &options.memory.to_string(), "--argument", &limit]);
    command.args(options.only.iter().flat_map(|name| ["--only", name]));
    let _disk = match options.disk {
        0 => None,
        mib => Some(Disk::mount(&directory, mib)?),
    };
    process::run(&mut command)
}

/// A small disk in memory, which is gone when this is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, mib: u64) -> Result<Self, Failure> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]).arg(at);
        process::output(&mut mount).map_err(|failure| {
            Failure::new(format!("{failure}; a disk of its own needs root, or give --disk 0"))
        })?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        process::succeeds(Command::new("umount").arg("-l").arg(&self.0));
    }
}
