//! Clients that connect and leave again, a few at a time.

use std::error::Error;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use crate::bench::load::handshake::{Connecting, Handshake};
use crate::bench::load::sample::{Sample, as_f64, fill_cpu};
use crate::bench::load::wire::DISCONNECT;
use crate::bench::procfs;
use crate::bench::spec::{LoadSpec, Measured};

/// Clients that are under way at the same time.
const AT_ONCE: u32 = 32;

/// Connects, disconnects and waits for the broker to close, for the seconds of the order.
///
/// The client waits for the broker's close, as every version demands one: the next connect then
/// finds the last one dealt with, and the client's port is free.
///
/// # Errors
/// Where the broker breaks a handshake or does not close.
pub(crate) fn run(spec: &LoadSpec) -> Result<Measured, Box<dyn Error>> {
    let warm_up = Instant::now() + Duration::from_secs_f64(spec.warm_up);
    while Instant::now() < warm_up {
        visit(spec)?;
    }
    let before = Sample::of_processes(spec);
    let end = before.at + Duration::from_secs_f64(spec.seconds);
    let mut visits = 0;
    while Instant::now() < end {
        visit(spec)?;
        visits += u64::from(AT_ONCE);
    }
    let after = Sample::of_processes(spec);
    let mut measured = Measured {
        in_per_s: as_f64(visits) / after.seconds_since(&before),
        cpu_us_per_message: after.broker_cpu_us_since(&before) / as_f64(visits.max(1)),
        peak_rss_kib: procfs::peak_rss_kib(&spec.pids),
        ..Measured::default()
    };
    fill_cpu(&mut measured, &before, &after);
    Ok(measured)
}

/// All connect, all are accepted, all leave, all are let go.
fn visit(spec: &LoadSpec) -> io::Result<()> {
    let connecting: Vec<Connecting> = (0..AT_ONCE)
        .map(|index| {
            Connecting::start(spec.port, spec.version, &format!("churn-{index:02}"), false)
        })
        .collect::<io::Result<_>>()?;
    let accepted: Vec<Handshake> =
        connecting.into_iter().map(Connecting::finish).collect::<io::Result<_>>()?;
    for handshake in &accepted {
        (&handshake.stream).write_all(&DISCONNECT)?;
    }
    accepted.iter().try_for_each(wait_for_close)
}

fn wait_for_close(handshake: &Handshake) -> io::Result<()> {
    match (&handshake.stream).read(&mut [0; 16]) {
        Ok(0) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::other("the broker answered DISCONNECT with a packet")),
    }
}
