//! The attacks, each in a thread of its own, round after round until the time is over.
//!
//! A broker that defends itself refuses and closes: an error ends a round, not the attack. An attack
//! that never got as far as its point counts no round, and is said: it proves nothing.

mod groups;
mod logins;
mod memory;
mod overlap;
mod queues;
mod readers;
mod retained;
mod sessions;
mod sockets;

use std::{
    io,
    net::Ipv4Addr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use crate::{
    peer::{Hello, Peer},
    verdict::Verdict,
};

/// Which attacks, on which broker.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The port of the broker
    #[arg(long)]
    port: u16,
    /// Only this attack; may be repeated
    #[arg(long)]
    only: Vec<String>,
}

/// One way to hurt a broker.
struct Attack {
    name: &'static str,
    round: fn(&Target) -> io::Result<()>,
    /// The pause between two rounds.
    pause: Duration,
    /// How many threads do it.
    threads: u8,
}

/// All of them. The pauses leave the attacks a part of one processor: what is judged is the broker.
const ALL: &[Attack] = &[
    attack("retained", retained::round, 200, 1),
    attack("overlap", overlap::round, 500, 1),
    attack("topics", overlap::many_topics, 500, 1),
    attack("groups", groups::round, 200, 1),
    attack("leave", groups::leave, 500, 1),
    attack("deaf", readers::deaf, 400, 1),
    attack("flood", readers::flood, 50, 1),
    attack("stuck", readers::stuck, 1_000, 1),
    attack("sockets", sockets::silent, 1_000, 1),
    attack("garbage", sockets::garbage, 20, 2),
    attack("halves", sockets::halves, 1_000, 1),
    attack("hoard", queues::hoard, 100, 1),
    attack("wills", memory::wills, 20, 1),
    attack("levels", memory::levels, 100, 1),
    attack("sessions", sessions::round, 10, 1),
    attack("logins", logins::wrong, 50, 8),
];

const fn attack(
    name: &'static str,
    round: fn(&Target) -> io::Result<()>,
    pause_millis: u64,
    threads: u8,
) -> Attack {
    Attack { name, round, pause: Duration::from_millis(pause_millis), threads }
}

/// The broker, as the attacks know it.
pub(crate) struct Target {
    port: u16,
    /// Distinguishes rounds, also of several threads.
    round: AtomicU64,
    /// How often an attack came to its point.
    hits: AtomicU64,
    is_over: &'static AtomicBool,
}

impl Target {
    /// A number that nobody else has.
    fn number(&self) -> u64 {
        self.round.fetch_add(1, Ordering::Relaxed)
    }

    /// The attack came to its point.
    fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// An address of the loopback that attacks.
    fn address(&self) -> Ipv4Addr {
        let number = self.round.load(Ordering::Relaxed);
        Ipv4Addr::new(127, 0, 0, u8::try_from(number % 8).unwrap_or(0) + 2)
    }

    fn connect(&self, hello: &Hello<'_>) -> io::Result<Peer> {
        Peer::connect(self.port, self.address(), hello).map(|(peer, _)| peer)
    }

    /// A client whose session ends with its connection.
    fn connect_clean(&self, name: &str) -> io::Result<Peer> {
        self.connect(&Hello::clean(&format!("evil-{name}-{}", self.number())))
    }

    /// Waits, but not beyond the end.
    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.is_over() && Instant::now() < until {
            thread::sleep(Duration::from_millis(10).min(time));
        }
    }
}

static IS_OVER: AtomicBool = AtomicBool::new(false);

/// Attacks until the standard input ends, and says how often each attack came to its point.
pub(crate) fn run(options: &Options) -> io::Result<Verdict> {
    let chosen = |attack: &&Attack| {
        options.only.is_empty() || options.only.iter().any(|name| name == attack.name)
    };
    let mut running = Vec::new();
    for attack in ALL.iter().filter(chosen) {
        let (round, hits) = (AtomicU64::new(0), AtomicU64::new(0));
        let target = Target { port: options.port, round, hits, is_over: &IS_OVER };
        let target: &'static Target = Box::leak(Box::new(target));
        for _ in 0..attack.threads {
            thread::spawn(move || {
                while !target.is_over() {
                    // It was refused, or cut: as it should be.
                    (attack.round)(target).ok();
                    target.pause(attack.pause);
                }
            });
        }
        running.push((attack.name, target));
    }
    // Nobody writes there: this waits for the end.
    io::copy(&mut io::stdin(), &mut io::sink())?;
    IS_OVER.store(true, Ordering::Relaxed);
    let mut verdict = Verdict::default();
    for (name, target) in running {
        let hits = target.hits.load(Ordering::Relaxed);
        verdict.note(hits > 0, &format!("the attack {name} came to its point"), hits);
    }
    Ok(verdict)
}
