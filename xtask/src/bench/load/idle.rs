//! Connections that do nothing: what each costs, and what comes back when they go.

use std::error::Error;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::load::handshake::Handshake;
use crate::bench::load::sample::{Sample, as_f64, fill_cpu};
use crate::bench::load::wire::DISCONNECT;
use crate::bench::procfs;
use crate::bench::spec::{LoadSpec, Measured};

/// Points of the curve of memory against connections.
const POINTS: u32 = 15;

/// The broker has this long to settle before its memory is read.
const SETTLE: Duration = Duration::from_millis(150);

/// The broker has this long to give memory back.
const GIVE_BACK: Duration = Duration::from_secs(3);

/// Opens `connections` connections with one subscription each, and closes them.
///
/// # Errors
/// Where the broker breaks a handshake.
pub(crate) fn run(spec: &LoadSpec, connections: u32) -> Result<Measured, Box<dyn Error>> {
    let mut measured = Measured::default();
    let empty = procfs::rss_kib(&spec.pids);
    let step = connections.div_ceil(POINTS).max(1);
    let mut open = Vec::new();
    measured.points.push((0.0, 0.0));
    let before = Sample::of_processes(spec);
    let mut connecting = Duration::ZERO;
    for index in 0..connections {
        let started = Instant::now();
        let handshake = Handshake::connect(spec.port, spec.version, &format!("idle-{index:05}"))?;
        handshake.subscribe(&[format!("idle/{index:05}")], 0)?;
        connecting += started.elapsed();
        open.push(handshake);
        if (index + 1) % step == 0 || index + 1 == connections {
            thread::sleep(SETTLE);
            let grown = procfs::rss_kib(&spec.pids).saturating_sub(empty);
            measured.points.push((f64::from(index + 1), as_f64(grown * 1024)));
        }
    }
    let after = Sample::of_processes(spec);
    fill_cpu(&mut measured, &before, &after);
    let full = measured.points.last().map_or(0.0, |(_, bytes)| *bytes);
    let quiet = quiet_cpu_share(spec);
    measured.in_per_s = f64::from(connections) / connecting.as_secs_f64();
    measured.cpu_us_per_message = after.broker_cpu_us_since(&before) / f64::from(connections);

    for handshake in open {
        (&handshake.stream).write_all(&DISCONNECT)?;
    }
    let left = lowest_rss(spec, full, empty);
    let figures = &mut measured.figures;
    figures.insert("bytes_per_connection".into(), full / f64::from(connections));
    figures.insert("given_back_percent".into(), (full - left) / full.max(1.0) * 100.0);
    figures.insert("idle_cpu_percent".into(), quiet * 100.0);
    measured.peak_rss_kib = procfs::peak_rss_kib(&spec.pids);
    Ok(measured)
}

/// How much of a core the broker takes while nothing happens.
fn quiet_cpu_share(spec: &LoadSpec) -> f64 {
    let before = Sample::of_processes(spec);
    thread::sleep(Duration::from_secs(1));
    let after = Sample::of_processes(spec);
    after.broker_cpu_us_since(&before) / 1e6 / after.seconds_since(&before)
}

/// The lowest growth that was seen after the disconnects, in bytes.
fn lowest_rss(spec: &LoadSpec, full: f64, empty: u64) -> f64 {
    let end = Instant::now() + GIVE_BACK;
    let mut lowest = full;
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(100));
        lowest = lowest.min(as_f64(procfs::rss_kib(&spec.pids).saturating_sub(empty) * 1024));
    }
    lowest
}
