//! Many retained messages, then subscriptions with a wildcard that ask for all and for a few.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::bench::load::handshake::{Handshake, read_packet};
use crate::bench::load::sample::{Sample, as_f64, fill_cpu};
use crate::bench::load::stamp::{STAMP_BYTES, Stamp};
use crate::bench::load::wire::{self, Frame};
use crate::bench::procfs;
use crate::bench::spec::{LoadSpec, Measured, Version};

/// Bytes of payload.
const PAYLOAD: usize = 64;

/// The receiver buffers this much.
const BUFFER_BYTES: usize = 256 * 1024;

/// Nothing has come for this long: nothing will.
const QUIET: Duration = Duration::from_secs(5);

/// Publishes `messages` retained messages and subscribes to all of them, then to ten.
///
/// # Errors
/// Where the broker breaks the handshake or closes.
pub(crate) fn run(spec: &LoadSpec, messages: u32) -> Result<Measured, Box<dyn Error>> {
    let empty = procfs::rss_kib(&spec.pids);
    let before = Sample::of_processes(spec);
    let publisher = store(spec, messages)?;
    let stored = Sample::of_processes(spec);
    let grown = procfs::rss_kib(&spec.pids).saturating_sub(empty) * 1024;

    let mut measured = Measured::default();
    let first = Sample::of_processes(spec);
    let mut seen = Seen::new(messages);
    let all = receive(spec, "retained-all", "retained/#", &mut seen)?;
    let last = Sample::of_processes(spec);
    let received = seen.count;
    seen.fill(&mut measured);

    let mut ten = Seen::new(messages);
    ten.due = messages.min(10);
    let narrow = receive(spec, "retained-ten", "retained/000000/+", &mut ten)?;
    ten.fill(&mut measured);
    drop(publisher);

    let count = f64::from(messages);
    measured.in_per_s = count / stored.seconds_since(&before);
    measured.out_per_s = f64::from(received) / all.as_secs_f64();
    measured.cpu_us_per_message = last.broker_cpu_us_since(&first) / f64::from(received.max(1));
    let figures = &mut measured.figures;
    figures.insert("store_cpu_us".into(), stored.broker_cpu_us_since(&before) / count);
    figures.insert("bytes_per_retained".into(), as_f64(grown) / count);
    figures.insert("all_ms".into(), all.as_secs_f64() * 1e3);
    figures.insert("ten_ms".into(), narrow.as_secs_f64() * 1e3);
    fill_cpu(&mut measured, &first, &last);
    measured.peak_rss_kib = procfs::peak_rss_kib(&spec.pids);
    Ok(measured)
}

/// Publishes every message at QoS 0, and waits until the broker has dealt with the last one.
fn store(spec: &LoadSpec, messages: u32) -> io::Result<Handshake> {
    let handshake = Handshake::connect(spec.port, spec.version, "retained-publisher")?;
    let mut stream = &handshake.stream;
    let mut run = Vec::with_capacity(BUFFER_BYTES);
    for index in 0..messages {
        let mut payload = [0x2e; PAYLOAD];
        Stamp { stream: index, sequence: 0, nanos: 0 }.write(&mut payload);
        run.extend(wire::publish(spec.version, &topic(index), 0x31, 0, &payload));
        if run.len() >= BUFFER_BYTES / 4 {
            stream.write_all(&run)?;
            run.clear();
        }
    }
    stream.write_all(&run)?;
    handshake.barrier()?;
    Ok(handshake)
}

/// Subscribes and reads until everything due has come, or nothing came for a while. Gives the time
/// from the SUBSCRIBE to the last message.
fn receive(spec: &LoadSpec, id: &str, filter: &str, seen: &mut Seen) -> io::Result<Duration> {
    let handshake = Handshake::connect(spec.port, spec.version, id)?;
    handshake.stream.set_read_timeout(Some(QUIET))?;
    let subscribe = wire::subscribe(spec.version, 1, &[filter.to_owned()], 0);
    let started = Instant::now();
    let mut took = Duration::ZERO;
    (&handshake.stream).write_all(&subscribe)?;
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, &handshake.stream);
    while seen.count < seen.due {
        match drain_buffer(&mut reader, spec.version, seen) {
            Ok(()) => took = started.elapsed(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    (&handshake.stream).write_all(&wire::DISCONNECT)?;
    Ok(took)
}

/// Handles the whole packets in the buffer, or one that does not fit into it by itself.
fn drain_buffer(
    reader: &mut BufReader<&TcpStream>,
    version: Version,
    seen: &mut Seen,
) -> io::Result<()> {
    let buffered = reader.fill_buf()?;
    if buffered.is_empty() {
        return Err(io::Error::other("the broker closed the connection"));
    }
    let mut rest = buffered;
    while let Ok(Some((frame, after))) = wire::split_frame(rest) {
        seen.arrived(frame, version);
        rest = after;
    }
    let used = buffered.len() - rest.len();
    if used > 0 {
        reader.consume(used);
        return Ok(());
    }
    let (first, body) = read_packet(reader)?;
    seen.arrived(Frame { first, body: &body }, version);
    Ok(())
}

/// Which retained messages came; they have no order among each other.
struct Seen {
    by_index: Vec<bool>,
    count: u32,
    due: u32,
    duplicated: u64,
    corrupt: u64,
}

impl Seen {
    fn new(messages: u32) -> Self {
        let by_index = (0..messages).map(|_| false).collect();
        Self { by_index, count: 0, due: messages, duplicated: 0, corrupt: 0 }
    }

    fn arrived(&mut self, frame: Frame<'_>, version: Version) {
        if frame.first >> 4 != 3 {
            return;
        }
        let payload = wire::read_publish(frame, version).map(|publish| publish.payload);
        let stamp = payload.filter(|payload| payload.len() == PAYLOAD).and_then(Stamp::read);
        let index = stamp.and_then(|stamp| usize::try_from(stamp.stream).ok());
        match index.and_then(|index| self.by_index.get_mut(index)) {
            Some(seen) if *seen => self.duplicated += 1,
            Some(seen) => {
                *seen = true;
                self.count += 1;
            }
            None => self.corrupt += 1,
        }
    }

    fn fill(&self, measured: &mut Measured) {
        measured.due += u64::from(self.due);
        measured.missing += u64::from(self.due.saturating_sub(self.count));
        measured.duplicated += self.duplicated;
        measured.corrupt += self.corrupt;
    }
}

/// Ten messages share their second level.
fn topic(index: u32) -> String {
    format!("retained/{:06}/{}", index / 10, index % 10)
}

const _: () = assert!(PAYLOAD >= STAMP_BYTES, "the stamp must fit");
