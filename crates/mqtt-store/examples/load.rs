//! What the store costs: groups of messages, queues under constant load, and the start with many
//! sessions. `cargo run --release -p mqtt-store --example load -- DIR WHAT`, where WHAT is `groups`,
//! `one RUNS RUN BYTES`, `steady`, `start` or `idle`.

#![allow(clippy::unwrap_used, reason = "a measurement that fails may fail loudly")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bytes::Bytes;
use mqtt_packet::QoS;
use mqtt_session::{
    Change, FinishedEntry, Level, Progress, QueuePlace, SessionNumber, SessionStore, Stored,
    StoredMessage, StoredSession, Wire,
};
use mqtt_store::{Store, StoreOptions};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut arguments = env::args().skip(1);
    let dir = PathBuf::from(arguments.next().expect("a directory, which is emptied first"));
    match arguments.next().as_deref() {
        Some("steady") => steady(&dir),
        Some("start") => start(&dir),
        Some("idle") => idle(&dir),
        Some("one") => {
            let mut number = || arguments.next().and_then(|text| text.parse().ok()).unwrap();
            groups(
                &dir,
                Level::Os,
                number(),
                u32::try_from(number()).unwrap(),
                usize::try_from(number()).unwrap(),
            );
        }
        _ => {
            for level in [Level::Disk, Level::Os] {
                for (run, len) in [(1, 64), (1, 1024), (20, 64), (20, 1024)] {
                    groups(&dir, level, 200, run, len);
                }
            }
        }
    }
}

/// What a process has used up.
struct Used {
    begin: Instant,
    cpu: Duration,
    written: u64,
}

impl Used {
    fn now() -> Self {
        Self { begin: Instant::now(), cpu: cpu(), written: written() }
    }
}

fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
    // User and system time, in hundredths of a second.
    let ticks = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

fn proc_number(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn written() -> u64 {
    proc_number("/proc/self/io", "write_bytes:")
}

fn memory_mib() -> u64 {
    proc_number("/proc/self/status", "VmRSS:") / 1024
}

/// What the files of a directory take on the disk, in MiB.
fn disk_mib(dir: &Path) -> u64 {
    fn bytes(dir: &Path) -> u64 {
        use std::os::unix::fs::MetadataExt;
        let files = fs::read_dir(dir).into_iter().flatten().flatten();
        files
            .filter_map(|file| Some((file.path(), file.metadata().ok()?)))
            .map(|(path, meta)| if meta.is_dir() { bytes(&path) } else { meta.blocks() * 512 })
            .sum()
    }
    bytes(dir) / (1024 * 1024)
}

fn message(run: u32, len: usize) -> StoredMessage {
    StoredMessage {
        frames: Bytes::from(vec![b'x'; len * run as usize]),
        wire: Wire::V5,
        qos: QoS::AtLeastOnce,
        retain: false,
        count: run,
        largest: 64,
        expires_at_millis: None,
    }
}

fn enqueue(session: u64, seq: u64, message: &StoredMessage) -> Change {
    let place = QueuePlace {
        session: SessionNumber(session),
        seq,
        granted: QoS::AtLeastOnce,
        retain: false,
        identifiers: None,
    };
    Change::Enqueue { message: message.clone(), shared: None, places: vec![place] }
}

fn finish(session: u64, seqs: &[u64], head: u64) -> Change {
    Change::Progress {
        session: SessionNumber(session),
        progress: Progress { head, sent: head, settled: Vec::new() },
        finished: seqs.iter().map(|seq| FinishedEntry { seq: *seq, shared: None }).collect(),
    }
}

fn sessions(count: u64) -> Vec<Change> {
    let session = |number| StoredSession {
        number: SessionNumber(number),
        client_id: format!("client-{number}").into(),
        user_name: None,
        expiry_secs: 3600,
        parked_at_millis: None,
        will: None,
    };
    (1..=count).map(|number| Change::Session(session(number))).collect()
}

/// Twenty sessions whose queues stay short: what a group brings, the next but three finishes.
struct Pairs {
    next_seq: u64,
    waiting: std::collections::VecDeque<Vec<u64>>,
}

impl Pairs {
    const SESSIONS: u64 = 20;

    fn group(&mut self, runs: u64, message: &StoredMessage) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut seqs = Vec::new();
        for _ in 0..runs.div_ceil(Self::SESSIONS) {
            seqs.push(self.next_seq);
            for session in 1..=Self::SESSIONS {
                changes.push(enqueue(session, self.next_seq, message));
            }
            self.next_seq += u64::from(message.count);
        }
        self.waiting.push_back(seqs);
        if self.waiting.len() > 4 {
            let done = self.waiting.pop_front().unwrap();
            let head = done.last().unwrap() + 1;
            changes.extend((1..=Self::SESSIONS).map(|session| finish(session, &done, head)));
        }
        changes
    }
}

fn groups(dir: &Path, level: Level, runs: u64, run: u32, len: usize) {
    const TIME: Duration = Duration::from_secs(6);
    let _ = fs::remove_dir_all(dir);
    let store = Store::open(dir, StoreOptions::default()).unwrap();
    store.commit(&sessions(Pairs::SESSIONS), Level::Disk).unwrap();
    let message = message(run, len);
    let mut pairs = Pairs { next_seq: 1, waiting: std::collections::VecDeque::new() };
    let used = Used::now();
    let (mut count, mut times) = (0, Vec::new());
    while used.begin.elapsed() < TIME {
        let group = pairs.group(runs, &message);
        let before = Instant::now();
        store.commit(&group, level).unwrap();
        times.push(before.elapsed());
        count += 1;
    }
    times.sort_unstable();
    let percentile = |percent: usize| times.get(times.len() * percent / 100).unwrap().as_millis();
    let took = used.begin.elapsed().as_secs_f64();
    let messages = (count * runs * u64::from(run)) as f64;
    let payload = messages * len as f64;
    println!(
        "{level:?} runs of {run} x {len} B: {:.0} msg/s, {:.0} groups/s, {:.2} us CPU/msg, \
         {:.1} x written, groups p50 {} ms p99 {} ms, {} MiB on disk, {} MiB memory",
        messages / took,
        count as f64 / took,
        (cpu() - used.cpu).as_secs_f64() * 1e6 / messages,
        (written() - used.written) as f64 / payload,
        percentile(50),
        percentile(99),
        disk_mib(dir),
        memory_mib(),
    );
}

fn idle(dir: &Path) {
    let before = memory_mib();
    let begin = Instant::now();
    let store = Store::open(dir, StoreOptions::default()).unwrap();
    let took = begin.elapsed().as_secs_f64();
    println!(
        "opened in {took:.2} s: {before} -> {} MiB memory, {:?}",
        memory_mib(),
        store.report()
    );
}

fn steady(dir: &Path) {
    const MESSAGES: u64 = 5_000_000;
    let _ = fs::remove_dir_all(dir);
    let store = Store::open(dir, StoreOptions::default()).unwrap();
    store.commit(&sessions(Pairs::SESSIONS), Level::Disk).unwrap();
    let message = message(20, 64);
    let mut pairs = Pairs { next_seq: 1, waiting: std::collections::VecDeque::new() };
    let used = Used::now();
    let mut largest = 0;
    for group in 0..MESSAGES / (20 * 200) {
        store.commit(&pairs.group(200, &message), Level::Os).unwrap();
        if group % 50 == 0 {
            largest = largest.max(disk_mib(dir));
        }
    }
    println!(
        "{MESSAGES} messages in runs of 20: {:.1} s, {:.1} s CPU, {} MiB written, at most {largest} \
         MiB on disk, {} at the end",
        used.begin.elapsed().as_secs_f64(),
        (cpu() - used.cpu).as_secs_f64(),
        (written() - used.written) / (1024 * 1024),
        disk_mib(dir),
    );
    drop(store);
    let begin = Instant::now();
    let store = Store::open(dir, StoreOptions::default()).unwrap();
    println!(
        "opened again in {:.2} s, {} MiB on disk",
        begin.elapsed().as_secs_f64(),
        disk_mib(dir)
    );
    drop(store);
}

fn start(dir: &Path) {
    const SESSIONS: u64 = 100_000;
    let _ = fs::remove_dir_all(dir);
    let store = Store::open(dir, StoreOptions::default()).unwrap();
    for group in sessions(SESSIONS).chunks(1000) {
        store.commit(group, Level::Os).unwrap();
    }
    let message = message(1, 64);
    for seq in 1..=10 {
        for first in (1..=SESSIONS).step_by(1000) {
            let group: Vec<_> =
                (first..first + 1000).map(|session| enqueue(session, seq, &message)).collect();
            store.commit(&group, Level::Os).unwrap();
        }
    }
    println!("{} MiB on disk, {} MiB memory", disk_mib(dir), memory_mib());
    drop(store);
    for _ in 0..2 {
        let before = memory_mib();
        let begin = Instant::now();
        let store = Store::open(dir, StoreOptions::default()).unwrap();
        let opened = begin.elapsed();
        let mut count = 0_u64;
        store
            .load(&mut |stored| count += u64::from(matches!(stored, Stored::Queued { .. })))
            .unwrap();
        println!(
            "opened in {:.2} s, {count} entries loaded in {:.2} s, {before} -> {} MiB memory",
            opened.as_secs_f64(),
            (begin.elapsed() - opened).as_secs_f64(),
            memory_mib(),
        );
        let begin = Instant::now();
        store.commit(&[finish(1, &[1], 2)], Level::Disk).unwrap();
        println!("first group: {:.2} s", begin.elapsed().as_secs_f64());
    }
}
