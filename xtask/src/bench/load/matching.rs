//! Publishes to many different topics, among many subscriptions of which each topic matches one.

use std::error::Error;
use std::time::{Duration, Instant};

use crate::bench::load::client::Client;
use crate::bench::load::engine::Engine;
use crate::bench::load::flow::{DRAIN_MAX, DRAIN_QUIET, has_all};
use crate::bench::load::handshake::Handshake;
use crate::bench::load::publisher::{Pace, Plan, Publisher};
use crate::bench::load::sample::{Sample, as_f64, fill_account, fill_rates};
use crate::bench::load::subscriber::Subscriber;
use crate::bench::procfs;
use crate::bench::spec::{FilterKind, LoadSpec, Measured};

/// The subscriptions are spread over this many clients.
const CLIENTS: u32 = 100;

/// Different topics that are published to in turn: more than any cache of recent topics holds.
const TOPICS_MAX: u32 = 20_000;

/// Bytes of payload.
const PAYLOAD: usize = 64;

/// Subscribes, then publishes flat out at QoS 0.
///
/// # Errors
/// Where the broker breaks the handshake or refuses a subscription.
pub(crate) fn run(
    spec: &LoadSpec,
    subscriptions: u32,
    kind: FilterKind,
) -> Result<Measured, Box<dyn Error>> {
    let empty = procfs::rss_kib(&spec.pids);
    let started = Instant::now();
    let mut clients = subscribe(spec, subscriptions, kind)?;
    let subscribing = started.elapsed();
    let grown = procfs::rss_kib(&spec.pids).saturating_sub(empty) * 1024;
    clients.push(publisher(spec, subscriptions)?);

    let mut engine = Engine::new(clients, Instant::now())?;
    engine.run_until(Instant::now() + Duration::from_secs_f64(spec.warm_up))?;
    let before = Sample::take(&engine, spec);
    engine.run_until(before.at + Duration::from_secs_f64(spec.seconds))?;
    let middle = Sample::take(&engine, spec);
    let is_flowing = engine.drain(DRAIN_MAX, DRAIN_QUIET, has_all)?;
    let after = Sample::take(&engine, spec);

    let mut measured = Measured::default();
    fill_rates(&mut measured, &before, &middle, &after);
    fill_account(&mut measured, &engine, spec, is_flowing);
    let count = f64::from(subscriptions);
    measured.figures.insert("subscribes_per_s".into(), count / subscribing.as_secs_f64());
    measured.figures.insert("bytes_per_subscription".into(), as_f64(grown) / count);
    Ok(measured)
}

fn subscribe(
    spec: &LoadSpec,
    subscriptions: u32,
    kind: FilterKind,
) -> std::io::Result<Vec<Client>> {
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let filters: Vec<String> = (client..subscriptions)
            .step_by(usize::try_from(CLIENTS).unwrap_or(1))
            .map(|index| filter(index, kind))
            .collect();
        let id = format!("match-{client:03}");
        let handshake = Handshake::connect(spec.port, spec.version, &id)?;
        handshake.subscribe(&filters, 0)?;
        let mut client_state = Client::new(handshake, spec.version)?;
        client_state.subscriber = Some(Subscriber::new(client, 1, PAYLOAD));
        clients.push(client_state);
    }
    Ok(clients)
}

fn publisher(spec: &LoadSpec, subscriptions: u32) -> std::io::Result<Client> {
    let handshake = Handshake::connect(spec.port, spec.version, "match-publisher")?;
    let mut client = Client::new(handshake, spec.version)?;
    client.publisher = Some(Publisher::new(&Plan {
        version: spec.version,
        qos: 0,
        payload: PAYLOAD,
        topics: chosen(subscriptions).map(|index| (topic(index), index % CLIENTS)).collect(),
        pace: Pace::FlatOut,
        window: 0,
    }));
    Ok(client)
}

/// Scatters the published topics over all subscriptions. The step is odd and a prime, so that it
/// meets every number before it meets one twice.
fn chosen(subscriptions: u32) -> impl Iterator<Item = u32> {
    const STEP: u64 = 7_368_787;
    let count = u64::from(subscriptions.max(1));
    (0..u64::from(subscriptions.min(TOPICS_MAX)))
        .filter_map(move |index| u32::try_from(index * STEP % count).ok())
}

fn topic(index: u32) -> String {
    format!("site/{:03}/device/{index:07}/state", index % 1000)
}

fn filter(index: u32, kind: FilterKind) -> String {
    match kind {
        FilterKind::Exact => topic(index),
        FilterKind::Plus => format!("site/+/device/{index:07}/state"),
        FilterKind::Hash => format!("site/{:03}/device/{index:07}/#", index % 1000),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_topic_is_chosen_twice() {
        for subscriptions in [1, 1000, 100_000, 1_000_000] {
            let all: Vec<_> = chosen(subscriptions).collect();
            let different: BTreeSet<_> = all.iter().collect();
            assert_eq!(all.len(), different.len());
            assert!(all.iter().all(|index| *index < subscriptions));
        }
    }
}
