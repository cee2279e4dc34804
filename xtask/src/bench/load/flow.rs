//! Streams of publishes: flat out or by the clock, in five shapes.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use crate::bench::load::client::Client;
use crate::bench::load::engine::{Engine, nanos};
use crate::bench::load::handshake::Handshake;
use crate::bench::load::latency::{self, Pinger};
use crate::bench::load::publisher::{Pace, Plan, Publisher};
use crate::bench::load::sample::{Sample, fill_account, fill_rates};
use crate::bench::load::subscriber::{Delays, Subscriber};
use crate::bench::spec::{Flow, LoadSpec, Measured, Shape};

/// Clients on the wide side of a shape.
const WIDE: u32 = 20;

/// Unacknowledged publishes per publisher at QoS 1 and 2, flat out.
const WINDOW: u16 = 100;

/// The drain ends after this long in any case, and after [`DRAIN_QUIET`] without a message.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(20);

/// Nothing has come for this long: nothing will.
pub(crate) const DRAIN_QUIET: Duration = Duration::from_secs(2);

/// Time between the last handshake and the first message that is due by the clock.
const HEAD_START: Duration = Duration::from_millis(20);

/// After so many seconds a broker should have given up waiting for a stuck subscriber.
const PATIENCE_SECS: f64 = 3.0;

/// One client of a shape: the topic and stream that it publishes, the topic and streams that it
/// receives.
struct Part {
    publishes: Option<(String, u32)>,
    receives: Option<(String, u32, u32)>,
}

/// Runs one flow.
///
/// # Errors
/// Where the broker cannot be reached or breaks the handshake.
pub(crate) fn run(spec: &LoadSpec, flow: Flow) -> Result<Measured, Box<dyn Error>> {
    let pinger = if flow.ping { Some(Pinger::connect(spec)?) } else { None };
    let mut clients = connect(spec, flow)?;
    let epoch = Instant::now();
    // The rate is that of a broker that has given the stuck subscriber up. The longest stall is
    // counted from the first message on.
    let warm_up = if flow.stuck { PATIENCE_SECS } else { spec.warm_up };
    let window_from = HEAD_START + Duration::from_secs_f64(warm_up);
    attach_publishers(&mut clients, spec, flow);
    if flow.rate.is_some() {
        attach_delays(&mut clients, nanos(window_from));
    }
    let mut engine = Engine::new(clients.into_iter().map(|(client, _)| client).collect(), epoch)?;

    engine.run_until(epoch + window_from)?;
    let pinging = pinger.map(Pinger::start);
    let before = Sample::take(&engine, spec);
    engine.run_until(before.at + Duration::from_secs_f64(spec.seconds))?;
    let middle = Sample::take(&engine, spec);
    let pings = pinging.map(latency::Pinging::stop).transpose()?;
    let is_flowing = engine.drain(DRAIN_MAX, DRAIN_QUIET, has_all)?;
    let after = Sample::take(&engine, spec);

    let mut measured = Measured { latency: pings, ..Measured::default() };
    if flow.rate.is_some() {
        measured.latency = delays(&engine);
        let late = engine.publishers().map(|publisher| publisher.lateness_max).max();
        let late = Duration::from_nanos(late.unwrap_or(0)).as_secs_f64() * 1e6;
        measured.figures.insert("load_late_max_us".into(), late);
    }
    let stall = engine.stall_max.as_secs_f64() * 1e3;
    measured.figures.insert("stall_max_ms".into(), stall);
    fill_rates(&mut measured, &before, &middle, &after);
    fill_account(&mut measured, &engine, spec, is_flowing);
    Ok(measured)
}

/// Whether every subscriber that reads has what it is due.
pub(crate) fn has_all(engine: &Engine) -> bool {
    let subscribers = engine.clients.iter().filter(|client| !client.stuck);
    let mut subscribers = subscribers.filter_map(|client| client.subscriber.as_ref());
    let sent = sent_by_stream(engine);
    subscribers.all(|subscriber| {
        let due = subscriber.ledgers().map(|(stream, _)| sent_of(&sent, stream));
        subscriber.received >= due.sum()
    })
}

/// How many messages each stream sent, by stream number.
pub(crate) fn sent_by_stream(engine: &Engine) -> Vec<(u32, u64)> {
    let mut sent: Vec<_> = engine.publishers().flat_map(Publisher::sequences).collect();
    sent.sort_unstable();
    sent
}

/// Looks one stream up in what [`sent_by_stream`] gave.
pub(crate) fn sent_of(sent: &[(u32, u64)], stream: u32) -> u64 {
    let found = sent.binary_search_by_key(&stream, |(stream, _)| *stream).ok();
    found.and_then(|index| sent.get(index)).map_or(0, |(_, count)| *count)
}

fn connect(spec: &LoadSpec, flow: Flow) -> io::Result<Vec<(Client, Part)>> {
    let mut clients = Vec::new();
    for (index, part) in parts(flow.shape).into_iter().enumerate() {
        let id = format!("bench-{index:02}");
        let connect = match flow.kept && part.receives.is_some() {
            true => Handshake::connect_kept,
            false => Handshake::connect,
        };
        let handshake = connect(spec.port, spec.version, &id)?;
        if let Some((topic, _, _)) = &part.receives {
            handshake.subscribe(&[filter(topic, flow.topics)], flow.qos)?;
        }
        let mut client = Client::new(handshake, spec.version)?;
        client.subscriber = part.receives.as_ref().map(|(_, first, count)| {
            Subscriber::new(*first, usize::try_from(*count).unwrap_or(0), flow.payload)
        });
        clients.push((client, part));
    }
    if flow.stuck
        && let Some((client, _)) = clients.iter_mut().rfind(|(_, part)| part.receives.is_some())
    {
        client.stuck = true;
    }
    Ok(clients)
}

/// Subscribers first, so that the subscriptions stand before anything is published.
fn parts(shape: Shape) -> Vec<Part> {
    let shared = || "bench/shared".to_owned();
    let own = |index: u32| format!("bench/{index:02}");
    let receive =
        |topic, first, count| Part { publishes: None, receives: Some((topic, first, count)) };
    let publish = |topic, stream| Part { publishes: Some((topic, stream)), receives: None };
    let wide = 0..WIDE;
    match shape {
        Shape::OneToOne => vec![receive(shared(), 0, 1), publish(shared(), 0)],
        Shape::FanIn => std::iter::once(receive(shared(), 0, WIDE))
            .chain(wide.map(|index| publish(shared(), index)))
            .collect(),
        Shape::FanOut => wide
            .map(|_| receive(shared(), 0, 1))
            .chain(std::iter::once(publish(shared(), 0)))
            .collect(),
        Shape::Mesh => wide
            .map(|index| Part {
                publishes: Some((shared(), index)),
                receives: Some((shared(), 0, WIDE)),
            })
            .collect(),
        Shape::Pairs => wide
            .clone()
            .map(|index| receive(own(index), index, 1))
            .chain(wide.map(|index| publish(own(index), index)))
            .collect(),
    }
}

fn attach_publishers(clients: &mut [(Client, Part)], spec: &LoadSpec, flow: Flow) {
    let count = clients.iter().filter(|(_, part)| part.publishes.is_some()).count();
    let mut turn = 0;
    for (client, part) in clients {
        let Some(topic) = part.publishes.clone() else { continue };
        let pace = flow.rate.map_or(Pace::FlatOut, |rate| scheduled(rate, count, turn));
        let window = if flow.rate.is_some() { u16::MAX } else { WINDOW };
        turn += 1;
        client.publisher = Some(Publisher::new(&Plan {
            version: spec.version,
            qos: flow.qos,
            payload: flow.payload,
            topics: topics(&topic, flow.topics),
            pace,
            window: window.min(client.receive_maximum),
        }));
    }
}

/// The topics that stand for one of the shape, all in one stream.
fn topics((topic, stream): &(String, u32), count: u32) -> Vec<(String, u32)> {
    match count {
        0 | 1 => vec![(topic.clone(), *stream)],
        _ => (0..count).map(|number| (format!("{topic}/{number:02}"), *stream)).collect(),
    }
}

/// What a subscriber to all of [`topics`] asks for.
fn filter(topic: &str, count: u32) -> String {
    if count > 1 { format!("{topic}/+") } else { topic.to_owned() }
}

/// The publishers take turns, so that the messages of all together are spaced evenly.
fn scheduled(rate: u32, publishers: usize, turn: u64) -> Pace {
    let spacing = 1_000_000_000 / u64::from(rate.max(1));
    let publishers = u64::try_from(publishers).unwrap_or(1);
    Pace::Scheduled { start: nanos(HEAD_START) + turn * spacing, interval: spacing * publishers }
}

fn attach_delays(clients: &mut [(Client, Part)], from: u64) {
    for subscriber in clients.iter_mut().filter_map(|(client, _)| client.subscriber.as_mut()) {
        subscriber.delays = Some(Delays { from, histogram: latency::histogram() });
    }
}

fn delays(engine: &Engine) -> Option<crate::bench::spec::Latency> {
    let subscribers = engine.clients.iter().filter_map(|client| client.subscriber.as_ref());
    let mut all = latency::histogram();
    for delays in subscribers.filter_map(|subscriber| subscriber.delays.as_ref()) {
        all.add(&delays.histogram).ok()?;
    }
    Some(latency::summary(&all))
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, net::TcpStream, thread};

    use super::*;
    use crate::bench::floor;
    use crate::bench::spec::{Version, Work};

    /// A flow of a twentieth of a second through a floor on a thread of this process.
    fn through_the_floor(version: Version, flow: Flow) -> Measured {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        thread::spawn(move || floor::run(port).unwrap());
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            thread::yield_now();
        }
        let (pids, work) = (vec![std::process::id()], Work::Flow(flow));
        run(&LoadSpec { port, pids, version, warm_up: 0.01, seconds: 0.05, work }, flow).unwrap()
    }

    fn flow(shape: Shape) -> Flow {
        Flow {
            shape,
            qos: 0,
            payload: 64,
            topics: 1,
            rate: None,
            stuck: false,
            ping: false,
            kept: false,
        }
    }

    fn assert_complete(measured: &Measured) {
        assert!(measured.due > 0 && measured.undrained == 0, "{measured:?}");
        let faults = [measured.missing, measured.duplicated, measured.disordered, measured.corrupt];
        assert_eq!(faults, [0; 4], "{measured:?}");
        assert!(measured.notes.is_empty(), "{measured:?}");
    }

    #[test]
    fn every_shape_goes_through_the_floor_without_a_fault() {
        for shape in [Shape::OneToOne, Shape::FanIn, Shape::FanOut, Shape::Mesh, Shape::Pairs] {
            assert_complete(&through_the_floor(Version::V311, flow(shape)));
            assert_complete(&through_the_floor(Version::V5, flow(shape)));
        }
    }

    #[test]
    fn a_flow_by_the_clock_measures_delays() {
        let by_the_clock = Flow { rate: Some(2_000), ..flow(Shape::Pairs) };
        let measured = through_the_floor(Version::V311, by_the_clock);
        assert_complete(&measured);
        assert!(measured.figures.contains_key("load_late_max_us"));
        assert!(measured.latency.is_some_and(|latency| latency.p50 > 0.0));
    }

    #[test]
    fn a_stuck_subscriber_does_not_stop_the_others() {
        let with_one_stuck = Flow { stuck: true, ..flow(Shape::FanOut) };
        assert_complete(&through_the_floor(Version::V311, with_one_stuck));
    }

    #[test]
    fn pings_are_answered_beside_a_flow() {
        let with_pings = Flow { ping: true, ..flow(Shape::OneToOne) };
        let measured = through_the_floor(Version::V311, with_pings);
        assert!(measured.latency.is_some_and(|latency| latency.max > 0.0));
    }

    #[test]
    fn a_payload_of_another_length_is_corrupt() {
        let mut subscriber = Subscriber::new(0, 1, 100);
        let payload = [0; 64];
        let publish = crate::bench::load::wire::Publish {
            topic: b"t",
            qos: 0,
            packet_id: 0,
            payload: &payload,
        };
        subscriber.arrived(publish, 0);
        assert_eq!((subscriber.corrupt, subscriber.progress(0)), (1, Some(0)));
    }
}
