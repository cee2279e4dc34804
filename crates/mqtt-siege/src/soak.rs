//! Mixed traffic for a while, then quiet: what the broker has not given back.

use std::{
    fs, io,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use mqtt_packet::{PacketId, QoS, Version};

use crate::{
    broker::Recipe,
    peer::{Heard, Hello, PATIENCE, Peer},
    verdict::{Verdict, mib},
    watch::{Usage, disk_bytes},
};

/// What may be left of memory, descriptors and disk, above what there was at the start.
const SHARE_MAX: f64 = 1.2;

/// What is small enough not to be judged by its share: tables of the allocator and of the engine.
const FREE_BYTES: u64 = 16 << 20;

/// Which broker, and for how long.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The program `surgemq`
    #[arg(long, value_name = "FILE")]
    broker: PathBuf,
    /// How long the traffic goes on, in seconds
    #[arg(long, value_name = "N", default_value_t = 1800)]
    seconds: u64,
    /// How long it is quiet then, in seconds
    #[arg(long, value_name = "N", default_value_t = 90)]
    quiet: u64,
    /// Where the broker's files are; the directory is emptied
    #[arg(long, value_name = "DIR")]
    directory: PathBuf,
    /// One more argument for `surgemq serve`; may be repeated
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    argument: Vec<String>,
}

/// Counts what the clients did.
#[derive(Default)]
struct Done {
    published: AtomicU64,
    received: AtomicU64,
    connected: AtomicU64,
}

/// Runs the soak, and judges what is left.
pub(crate) fn run(options: &Options) -> io::Result<Verdict> {
    fs::remove_dir_all(&options.directory).ok();
    let recipe = Recipe {
        program: options.broker.clone(),
        directory: options.directory.clone(),
        descriptors: 10_000,
        arguments: options.argument.clone(),
    };
    recipe.prepare()?;
    let mut broker = recipe.start(&options.directory.join("log"))?;
    // Once around, so that what is made by the first use is not taken for what is left.
    play(broker.port, Duration::from_secs(5.min(options.seconds)));
    thread::sleep(Duration::from_secs(options.quiet.min(20)));
    let before = (Usage::of(broker.pid()), disk_bytes(&recipe.data()));
    say("before", before);
    let done = play(broker.port, Duration::from_secs(options.seconds));
    say("busy  ", (Usage::of(broker.pid()), disk_bytes(&recipe.data())));
    thread::sleep(Duration::from_secs(options.quiet));
    let after = (Usage::of(broker.pid()), disk_bytes(&recipe.data()));
    say("after ", after);
    let mut verdict = Verdict::default();
    verdict.note(broker.is_running(), "the broker runs", "after the soak");
    let is_back = |before: u64, after: u64| {
        after <= before + FREE_BYTES || after as f64 <= before as f64 * SHARE_MAX
    };
    let (memory, later) = (before.0.resident_bytes, after.0.resident_bytes);
    let seen = format!("{} -> {}", mib(memory), mib(later));
    verdict.note(is_back(memory, later), "memory comes back", seen);
    let seen = format!("{} -> {}", mib(before.1), mib(after.1));
    verdict.note(is_back(before.1, after.1), "the disk comes back", seen);
    let (open, left) = (before.0.descriptors, after.0.descriptors);
    verdict.note(left <= open + open / 5, "descriptors come back", format!("{open} -> {left}"));
    let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
    let counts = [load(&done.published), load(&done.received), load(&done.connected)];
    let [published, received, connected] = counts;
    verdict.note(
        counts.iter().all(|count| *count > 0),
        "there was traffic",
        format!("{published} published, {received} received, {connected} connections"),
    );
    let stopped = broker.terminate(Duration::from_secs(60));
    verdict.note(
        stopped.is_some_and(|time| time < Duration::from_secs(5)),
        "it stops within 5 s of SIGTERM",
        format!("{stopped:?}"),
    );
    verdict.close();
    Ok(verdict)
}

fn say(when: &str, (usage, disk): (Usage, u64)) {
    let Usage { resident_bytes, descriptors, threads } = usage;
    let (memory, disk) = (mib(resident_bytes), mib(disk));
    println!(
        "{when}: {memory} resident, {disk} on disk, {descriptors} descriptors, {threads} threads"
    );
}

/// Pairs at every QoS that this peer speaks, readers that come and go, retained messages that come
/// and go, and short connections.
fn play(port: u16, time: Duration) -> Arc<Done> {
    let (done, stop) = (Arc::<Done>::default(), Arc::<AtomicBool>::default());
    let mut threads = Vec::new();
    for nth in 0..4 {
        let (count, over) = (done.clone(), stop.clone());
        threads.push(thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                publish(port, nth, &count, &over).ok();
            }
        }));
        let (count, over) = (done.clone(), stop.clone());
        threads.push(thread::spawn(move || {
            // The last session is emptied before the quiet, and then ended.
            let mut visits = 0;
            while !over.load(Ordering::Relaxed) {
                visits += 1;
                receive(port, nth, visits, &count, &over).ok();
            }
            let id = format!("soak-reader-{nth}");
            Peer::connect(port, Ipv4Addr::LOCALHOST, &Hello::clean(&id)).ok();
        }));
    }
    let (count, over) = (done.clone(), stop.clone());
    threads.push(thread::spawn(move || {
        let mut number = 0_u64;
        while !over.load(Ordering::Relaxed) {
            number += 1;
            come_and_go(port, number, &count).ok();
            thread::sleep(Duration::from_millis(5));
        }
    }));
    thread::sleep(time);
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().ok();
    }
    done
}

fn publish(port: u16, nth: u64, done: &Done, stop: &AtomicBool) -> io::Result<()> {
    let id = format!("soak-writer-{nth}");
    let (mut peer, _) = Peer::connect(port, Ipv4Addr::LOCALHOST, &Hello::clean(&id))?;
    let mut number = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let payload = vec![5; [64, 1024, 20_000, 300_000].get(number % 97 % 4).map_or(64, |n| *n)];
        let topic = format!("evil/soak/{nth}/{}", number % 100);
        peer.publish(&topic, &payload, PacketId::new(1), number.is_multiple_of(50))?;
        peer.wait_for(PATIENCE, |heard| matches!(heard, Heard::Ack { .. }).then_some(()))?;
        done.published.fetch_add(1, Ordering::Relaxed);
        if number.is_multiple_of(1000) {
            // What is retained does not grow.
            for last in 0..100 {
                peer.publish(&format!("evil/soak/{nth}/{last}"), b"", None, true)?;
            }
        }
    }
    Ok(())
}

fn receive(port: u16, nth: u64, visit: u64, done: &Done, stop: &AtomicBool) -> io::Result<()> {
    let id = format!("soak-reader-{nth}");
    let (mut peer, present) = Peer::connect(port, Ipv4Addr::LOCALHOST, &Hello::lasting(&id))?;
    if !present {
        peer.subscribe(&[&format!("evil/soak/{nth}/#")], QoS::AtLeastOnce, None)?;
    }
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until && !stop.load(Ordering::Relaxed) {
        if let Some(Heard::Publish { packet_id, .. }) = peer.receive(Duration::from_millis(100))? {
            done.received.fetch_add(1, Ordering::Relaxed);
            if let Some(id) = packet_id {
                peer.puback(id)?;
            }
        }
    }
    drop(peer);
    if visit.is_multiple_of(2) {
        // Its messages wait for it meanwhile.
        thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

fn come_and_go(port: u16, number: u64, done: &Done) -> io::Result<()> {
    let id = format!("soak-guest-{number}");
    let version = if number.is_multiple_of(2) { Version::V5 } else { Version::V311 };
    let hello = Hello { version, ..Hello::clean(&id) };
    let (mut peer, _) = Peer::connect(port, Ipv4Addr::LOCALHOST, &hello)?;
    peer.subscribe(&["evil/soak/+/1", "evil/soak/0/#"], QoS::AtMostOnce, None)?;
    done.connected.fetch_add(1, Ordering::Relaxed);
    if number.is_multiple_of(3) {
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
