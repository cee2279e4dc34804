//! `cargo xtask crash`: what the broker has acknowledged is safe, whatever ends it.
//!
//! Publishers and subscribers write down what happens to them while the broker under them is
//! killed, at random moments and at chosen system calls, loses its disk, or finds the end of its
//! files torn. They come back as correct clients do. In the end one checker reads all histories.
//!
//! The names of the files: [`message`] is what is published, [`history`] what is written down,
//! [`publisher`], [`subscriber`] and [`reader`] are the clients and [`load`] is all of them
//! together, [`broker`] is the process, [`checker`] judges; then one file for each way to fail.

mod aftermath;
mod boundaries;
mod broker;
mod checker;
mod deadlines;
mod dice;
mod full_disk;
mod history;
mod kills;
mod lab;
mod live;
mod load;
mod message;
mod own_queues;
mod publisher;
mod reader;
mod report;
mod seat;
mod session_reader;
mod strace;
mod subscriber;
mod sync_errors;
mod tables;
mod torn_tail;
mod watchdog;
mod wire;

use clap::{Args, ValueEnum};

use self::{lab::Lab, torn_tail::Cuts};
use crate::failure::Failure;

/// If there are both, at most so many of the kills are at system calls: each that is tried.
const KILLS_AT_CALLS: u32 = 400;

/// What is done to which broker.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How often the broker is killed, over all parts.
    #[arg(long, value_name = "N", default_value_t = 100)]
    kills: u32,
    /// The seed of everything random; the same seed does the same again, as far as the machine
    /// allows.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// The profile with which our broker is built.
    #[arg(long, value_enum, default_value_t = Profile::Dev)]
    profile: Profile,
    /// Cut the newest file at every byte of its last 2 KiB, and not at some of them: takes a quarter
    /// of an hour.
    #[arg(long)]
    full: bool,
    /// Do only this part; may be repeated.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Judge another broker: a command, split at spaces, that runs it in the foreground on
    /// 127.0.0.1, port {port}, with its data in the directory {dir}.
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
    /// End the broker with SIGTERM instead of SIGKILL: a broker that keeps its promises only if it
    /// may say goodbye passes then, and not otherwise.
    #[arg(long)]
    gently: bool,
}

/// How our broker is built.
#[derive(Copy, Clone, Eq, PartialEq, Debug, ValueEnum)]
enum Profile {
    Dev,
    Release,
}

/// One way to fail.
#[derive(Copy, Clone, Eq, PartialEq, Debug, ValueEnum)]
enum Part {
    /// Killed at random moments.
    Random,
    /// Killed at one system call after the other.
    Syscalls,
    /// Every fsync fails.
    Fsync,
    /// The disk is full.
    Enospc,
    /// The broker's own queues fill the disk, and are drained.
    Queues,
    /// The end of the newest file is cut or damaged.
    Tail,
    /// Deadlines pass while the broker is away.
    Deadlines,
}

impl Part {
    const ALL: [Self; 7] = [
        Self::Random,
        Self::Syscalls,
        Self::Fsync,
        Self::Enospc,
        Self::Queues,
        Self::Tail,
        Self::Deadlines,
    ];
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kills: 100,
            seed: 1,
            profile: Profile::Dev,
            full: false,
            only: Vec::new(),
            command: None,
            gently: false,
        }
    }
}

impl Options {
    fn asks_for(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// How many kills are at random moments, and how many at system calls.
    fn shares(&self) -> (u32, u32) {
        if !self.asks_for(Part::Random) {
            return (0, self.kills);
        }
        if !self.asks_for(Part::Syscalls) {
            return (self.kills, 0);
        }
        let at_calls = (self.kills / 2).min(KILLS_AT_CALLS);
        (self.kills - at_calls, at_calls)
    }

    /// Where the newest file is damaged.
    fn cuts(&self) -> Cuts {
        if self.full { Cuts::Every } else { Cuts::Some(u64::from(self.kills) * 2 / 5) }
    }
}

/// Does every part, and fails if a promise was broken in one of them.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let mut lab = Lab::open(options)?;
    let (at_random, at_calls) = options.shares();
    for part in Part::ALL {
        if options.asks_for(part) {
            match part {
                Part::Random => kills::run(&mut lab, at_random)?,
                Part::Syscalls => boundaries::run(&mut lab, at_calls)?,
                Part::Fsync => sync_errors::run(&mut lab, 1 + u64::from(options.kills / 100))?,
                Part::Enospc => full_disk::run(&mut lab)?,
                Part::Queues => own_queues::run(&mut lab)?,
                Part::Tail => torn_tail::run(&mut lab, options.cuts())?,
                Part::Deadlines => deadlines::run(&mut lab)?,
            }
        }
    }
    lab.close()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(kills: u32, only: &[Part]) -> (u32, u32) {
        Options { kills, only: only.to_vec(), ..Options::default() }.shares()
    }

    #[test]
    fn the_parts_that_kill_share_the_kills() {
        assert_eq!(shares(100, &[]), (50, 50));
        assert_eq!(shares(1000, &[]), (600, 400));
        assert_eq!(shares(100, &[Part::Random]), (100, 0));
        assert_eq!(shares(100, &[Part::Syscalls]), (0, 100));
    }
}
