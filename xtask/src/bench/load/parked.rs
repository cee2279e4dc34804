//! Sessions whose clients are away: what each costs in memory, and whether it is all there again.

use std::error::Error;
use std::io::{BufReader, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::load::handshake::{Connecting, Handshake, read_packet};
use crate::bench::load::sample::{Sample, as_f64, fill_cpu};
use crate::bench::load::wire::{self, DISCONNECT};
use crate::bench::procfs;
use crate::bench::spec::{LoadSpec, Measured};

/// Clients that are under way at the same time.
const AT_ONCE: usize = 100;

/// Messages for each session.
const MESSAGES: u32 = 10;

/// Bytes of payload.
const PAYLOAD: [u8; 64] = [0x2e; 64];

/// Messages on their way at the same time.
const WINDOW: u16 = 1000;

/// The broker has this long to settle before its memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// So many of the sessions are looked into after a restart.
const LOOKED_INTO: u32 = 200;

/// Leaves `sessions` sessions behind, then a subscription with each, then ten messages.
///
/// # Errors
/// Where the broker breaks a handshake or does not acknowledge.
pub(crate) fn run(spec: &LoadSpec, sessions: u32) -> Result<Measured, Box<dyn Error>> {
    let mut measured = Measured::default();
    let count = f64::from(sessions);
    let before = Sample::of_processes(spec);
    let began = Instant::now();
    let mut rss = procfs::rss_kib(&spec.pids);
    let mut grown = || {
        thread::sleep(SETTLE);
        let last = std::mem::replace(&mut rss, procfs::rss_kib(&spec.pids));
        (as_f64(rss) - as_f64(last)) * 1024.0 / count
    };
    visit_all(spec, sessions, |_, _| Ok(()))?;
    measured.in_per_s = count / began.elapsed().as_secs_f64();
    measured.figures.insert("bytes_per_parked".into(), grown());
    visit_all(spec, sessions, |index, client| client.subscribe(&[topic(index)], 1))?;
    measured.figures.insert("bytes_per_subscription".into(), grown());
    let began = Instant::now();
    publish(spec, sessions)?;
    let messages = count * f64::from(MESSAGES);
    measured.figures.insert("queued_per_s".into(), messages / began.elapsed().as_secs_f64());
    measured.figures.insert("bytes_per_ten_queued".into(), grown());
    let after = Sample::of_processes(spec);
    fill_cpu(&mut measured, &before, &after);
    measured.peak_rss_kib = procfs::peak_rss_kib(&spec.pids);
    Ok(measured)
}

/// Looks into some of the sessions: each has to be there with its ten messages, in order.
///
/// # Errors
/// Where the broker breaks a handshake, or has no such session.
pub(crate) fn look(spec: &LoadSpec, sessions: u32) -> Result<Measured, Box<dyn Error>> {
    let mut measured = Measured::default();
    let step = (sessions / LOOKED_INTO).max(1);
    for index in (0..sessions).step_by(usize::try_from(step)?) {
        let client = Handshake::connect_kept(spec.port, spec.version, &client_id(index))?;
        if !client.connack.session_present {
            return Err(format!("the session of {} is gone", client_id(index)).into());
        }
        let mut reader = BufReader::new(&client.stream);
        for number in 0..MESSAGES {
            measured.due += 1;
            let (first, body) = read_packet(&mut reader)?;
            let frame = wire::Frame { first, body: &body };
            let is_it = wire::read_publish(frame, spec.version).is_some_and(|publish| {
                publish.topic == topic(index).as_bytes()
                    && publish.payload.first_chunk() == Some(&number.to_be_bytes())
            });
            measured.corrupt += u64::from(!is_it);
        }
    }
    Ok(measured)
}

/// Connects each client, lets `visit` do something, and disconnects it.
fn visit_all(
    spec: &LoadSpec,
    sessions: u32,
    visit: impl Fn(u32, &Handshake) -> std::io::Result<()>,
) -> std::io::Result<()> {
    for first in (0..sessions).step_by(AT_ONCE) {
        let indices = (first..sessions).take(AT_ONCE);
        let connecting = indices
            .clone()
            .map(|index| Connecting::start(spec.port, spec.version, &client_id(index), true));
        let connecting = connecting.collect::<Result<Vec<_>, _>>()?;
        let mut leaving = Vec::with_capacity(AT_ONCE);
        for (index, client) in indices.zip(connecting) {
            let client = client.finish()?;
            visit(index, &client)?;
            (&client.stream).write_all(&DISCONNECT)?;
            leaving.push(client);
        }
        for client in leaving {
            // The broker closes, so that the client's port is free.
            while (&client.stream).read(&mut [0; 64])? != 0 {}
        }
    }
    Ok(())
}

/// Publishes the messages of all sessions, one round of topics after the other.
fn publish(spec: &LoadSpec, sessions: u32) -> std::io::Result<()> {
    let client = Handshake::connect(spec.port, spec.version, "parked-publisher")?;
    let mut stream = &client.stream;
    let mut answers = BufReader::with_capacity(64 * 1024, &client.stream);
    let window = WINDOW.min(client.connack.receive_maximum);
    for number in 0..MESSAGES {
        let mut payload = PAYLOAD;
        if let Some(start) = payload.first_chunk_mut() {
            *start = number.to_be_bytes();
        }
        let mut indices = 0..sessions;
        while !indices.is_empty() {
            let mut run = Vec::new();
            let mut sent = 0;
            for (index, id) in indices.by_ref().zip(1..=window) {
                run.extend(wire::publish(spec.version, &topic(index), 0x32, id, &payload));
                sent += 1;
                if id == window {
                    break;
                }
            }
            stream.write_all(&run)?;
            for _ in 0..sent {
                match read_packet(&mut answers)? {
                    (0x40, _) => {}
                    (first, _) => {
                        let what = format!("{first:#04x} came instead of a PUBACK");
                        return Err(std::io::Error::other(what));
                    }
                }
            }
        }
    }
    stream.write_all(&DISCONNECT)
}

fn client_id(index: u32) -> String {
    format!("parked-{index:06}")
}

fn topic(index: u32) -> String {
    format!("parked/{index:06}")
}
