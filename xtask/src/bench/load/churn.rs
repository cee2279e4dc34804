//! Clients that connect and leave again, one after the other on a few threads' worth of sockets.

use std::error::Error;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use crate::bench::load::handshake::Handshake;
use crate::bench::load::latency;
use crate::bench::load::sample::{Sample, as_f64, fill_cpu};
use crate::bench::load::{engine::nanos, wire::DISCONNECT};
use crate::bench::procfs;
use crate::bench::spec::{LoadSpec, Measured};

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
    let mut histogram = latency::histogram();
    let before = Sample::of_processes(spec);
    let end = before.at + Duration::from_secs_f64(spec.seconds);
    let mut visits = 0;
    while Instant::now() < end {
        let started = Instant::now();
        visit(spec)?;
        histogram.saturating_record(nanos(started.elapsed()));
        visits += 1;
    }
    let after = Sample::of_processes(spec);
    let mut measured = Measured {
        in_per_s: as_f64(visits) / after.seconds_since(&before),
        cpu_us_per_message: after.broker_cpu_us_since(&before) / as_f64(visits.max(1)),
        peak_rss_kib: procfs::peak_rss_kib(&spec.pids),
        latency: Some(latency::summary(&histogram)),
        due: visits,
        ..Measured::default()
    };
    fill_cpu(&mut measured, &before, &after);
    Ok(measured)
}

fn visit(spec: &LoadSpec) -> io::Result<()> {
    let handshake = Handshake::connect(spec.port, spec.version, "churn")?;
    let mut stream = &handshake.stream;
    stream.write_all(&DISCONNECT)?;
    match stream.read(&mut [0; 16]) {
        Ok(0) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::other("the broker answered DISCONNECT with a packet")),
    }
}
