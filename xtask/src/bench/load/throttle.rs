//! What keeps flat-out publishers at QoS 0 from running away.
//!
//! Nothing confirms a QoS 0 publish, so a publisher that is faster than the broker fills the
//! socket buffers of both sides, with a slow broker many seconds of work; rates would then count
//! what the kernel took, not what the broker did. So a publisher may be ahead of its slowest
//! receiver by what the broker has lately delivered in a tenth of a second, within bounds. That
//! is always many times what a broker reads at once, and never more than it can soon work off.

use std::time::{Duration, Instant};

use crate::bench::load::client::Client;
use crate::bench::load::publisher::Publisher;
use crate::bench::load::sample::as_f64;

/// Bytes that all publishers together may be ahead at most.
const AHEAD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes that every publisher may be ahead at least.
const AHEAD_BYTES_MIN: usize = 8 * 1024;

/// A publisher may be ahead by what was delivered of it in this time.
const AHEAD_SECONDS: f64 = 0.1;

/// The pace is taken anew after this long.
const PACE_INTERVAL: Duration = Duration::from_millis(20);

/// A publisher whose receivers have not advanced for this long goes on as if they had: what it
/// waits for was lost.
const PATIENCE: Duration = Duration::from_millis(250);

/// The limits of all unconfirmed publishers.
#[derive(Debug)]
pub(crate) struct Throttle {
    routes: Vec<Route>,
}

/// One publisher and who receives its streams.
#[derive(Debug)]
struct Route {
    publisher: usize,
    /// Each stream with the clients that receive it.
    streams: Vec<(u32, Vec<usize>)>,
    ahead: u64,
    ahead_bounds: (u64, u64),
    /// Messages per second that were delivered lately.
    pace: f64,
    /// When the pace was last taken, and what had been confirmed then.
    mark: (Instant, u64),
    confirmed: u64,
    /// Messages that were given up.
    forgiven: u64,
    since: Instant,
}

impl Throttle {
    /// Finds out who receives what.
    pub(crate) fn new(clients: &[Client]) -> Self {
        let is_unconfirmed = |publisher: &&Publisher| publisher.is_unconfirmed();
        let publishers: Vec<(usize, &Publisher)> = clients
            .iter()
            .enumerate()
            .filter_map(|(index, client)| {
                Some((index, client.publisher.as_ref().filter(is_unconfirmed)?))
            })
            .collect();
        let share = AHEAD_BYTES_MAX / publishers.len().max(1);
        let route = |(index, publisher)| Route::new(clients, index, publisher, share);
        Self { routes: publishers.into_iter().map(route).collect() }
    }

    /// Renews the allowances of those publishers who have used theirs up by half.
    pub(crate) fn renew(&mut self, clients: &mut [Client]) {
        for route in &mut self.routes {
            let publisher = clients.get(route.publisher).and_then(|it| it.publisher.as_ref());
            let Some(sent) = publisher.map(|publisher| publisher.sent) else { continue };
            if sent < route.confirmed + route.forgiven + route.ahead / 2 {
                continue;
            }
            let confirmed = route.confirmed_by(clients);
            if confirmed > route.confirmed {
                route.confirmed = confirmed;
                route.since = Instant::now();
            } else if route.since.elapsed() > PATIENCE {
                route.forgiven = sent.saturating_sub(confirmed);
                route.since = Instant::now();
            }
            route.take_pace();
            route.allow(clients);
        }
    }
}

impl Route {
    fn new(clients: &[Client], index: usize, publisher: &Publisher, share: usize) -> Self {
        let messages =
            |bytes: usize| u64::try_from(bytes / publisher.packet_bytes()).unwrap_or(1).max(1);
        let streams = publisher.sequences();
        Self {
            publisher: index,
            streams: streams.map(|(stream, _)| (stream, receivers(clients, stream))).collect(),
            ahead: messages(AHEAD_BYTES_MIN),
            ahead_bounds: (messages(AHEAD_BYTES_MIN), messages(share)),
            pace: 0.0,
            mark: (Instant::now(), 0),
            confirmed: 0,
            forgiven: 0,
            since: Instant::now(),
        }
    }

    /// The pace falls slowly, because a broker that was off the processor for a moment has not
    /// become slow.
    #[expect(clippy::cast_possible_truncation, reason = "it is kept within bounds")]
    #[expect(clippy::cast_sign_loss, reason = "a pace is not negative")]
    fn take_pace(&mut self) {
        let (at, confirmed) = self.mark;
        if at.elapsed() < PACE_INTERVAL {
            return;
        }
        let pace = as_f64(self.confirmed - confirmed) / at.elapsed().as_secs_f64();
        self.pace = pace.max(self.pace * 0.8);
        self.mark = (Instant::now(), self.confirmed);
        let (min, max) = self.ahead_bounds;
        self.ahead = ((self.pace * AHEAD_SECONDS) as u64).clamp(min, max);
    }

    fn confirmed_by(&self, clients: &[Client]) -> u64 {
        let progress = |stream: u32, index: &usize| {
            let client = clients.get(*index).filter(|client| client.closed.is_none())?;
            client.subscriber.as_ref()?.progress(stream)
        };
        self.streams
            .iter()
            .filter_map(|(stream, receivers)| {
                receivers.iter().filter_map(|index| progress(*stream, index)).min()
            })
            .sum()
    }

    fn allow(&self, clients: &mut [Client]) {
        let client = clients.get_mut(self.publisher);
        if let Some(publisher) = client.and_then(|client| client.publisher.as_mut()) {
            publisher.allowance = self.confirmed + self.forgiven + self.ahead;
        }
    }
}

/// The clients that receive a stream and read what they receive.
fn receivers(clients: &[Client], stream: u32) -> Vec<usize> {
    let receives = |client: &Client| {
        !client.stuck && client.subscriber.as_ref().is_some_and(|it| it.progress(stream).is_some())
    };
    let clients = clients.iter().enumerate();
    clients.filter(|(_, client)| receives(client)).map(|(index, _)| index).collect()
}
