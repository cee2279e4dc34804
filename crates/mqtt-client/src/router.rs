//! Which streams a message goes to, and when it is acknowledged.

use std::{collections::VecDeque, sync::Arc};

use mqtt_packet::{QoS, ReasonCode};
use mqtt_session::{ClientEndpoint, Run, Time};
use mqtt_topics::{SubscriptionFilter, TopicNameRef};

use crate::{
    message::Message,
    queue::{Place, Queue},
    shared::Shared,
};

/// How long reading stops for a stream that is full, in milliseconds. Then the stream loses
/// messages of QoS 0 until its reader has caught up: a reader that itself waits for the server
/// must not wait for ever.
const STALL_MILLIS: u64 = 2_000;

/// The streams of a connection, and what they hold up.
#[derive(Debug)]
pub(crate) struct Router {
    shared: Arc<Shared>,
    routes: Vec<Route>,
    /// Messages that are not acknowledged yet, in the order in which they came: the order of the
    /// acknowledgements [MQTT-4.6.0-2], [MQTT-4.6.0-3].
    withheld: VecDeque<Withheld>,
    withheld_messages: u64,
    /// Messages of QoS 0 for a stream that is full: nothing is read until they have found a place.
    stalled: Option<(Run, Time)>,
}

#[derive(Debug)]
struct Route {
    queue: Arc<Queue>,
    filters: Vec<String>,
    /// Subscription identifiers that messages for the filters may carry.
    identifiers: Vec<u32>,
    /// Reading stopped for this stream in vain.
    slow: bool,
}

#[derive(Debug)]
struct Withheld {
    run: Run,
    places: Vec<Place>,
}

impl Router {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            routes: Vec::new(),
            withheld: VecDeque::new(),
            withheld_messages: 0,
            stalled: None,
        }
    }

    /// Hands messages to their streams. Not to be called while the router is stalled.
    pub(crate) fn deliver(&mut self, run: Run, endpoint: &mut ClientEndpoint, now: Time) {
        if run.qos() == QoS::AtMostOnce && self.stalls(&run) {
            self.stalled = Some((run, now.after_millis(STALL_MILLIS)));
            return;
        }
        if run.qos() == QoS::AtMostOnce {
            self.push(&run);
            return;
        }
        if run.count() == 1 || self.has_room(&run) {
            self.withhold(run);
        } else {
            // The streams have room for some of them: each is acknowledged for itself.
            for frame in run.frames() {
                self.withhold(run.single(&frame));
            }
        }
        self.release(endpoint, now);
    }

    /// Whether every stream that wants the messages has room for all of them.
    fn has_room(&self, run: &Run) -> bool {
        let wanted = Wanted::new(run);
        let (messages, bytes) = (run.count() as usize, run.len());
        let mut streams = self.routes.iter().filter(|route| route.wants(&wanted)).peekable();
        match streams.peek() {
            Some(_) => streams.all(|route| route.queue.has_room(messages, bytes)),
            None => self.shared.unmatched.has_room(messages, bytes),
        }
    }

    fn withhold(&mut self, run: Run) {
        let places = self.push(&run);
        self.withheld_messages += u64::from(run.count());
        self.withheld.push_back(Withheld { run, places });
    }

    /// Whether a stream that wants the messages is full and has not been for long.
    fn stalls(&mut self, run: &Run) -> bool {
        let wanted = Wanted::new(run);
        self.routes.iter_mut().filter(|route| route.wants(&wanted)).any(|route| {
            let full = route.queue.is_full();
            route.slow &= full;
            full && !route.slow
        })
    }

    /// Puts messages into every stream that wants them; answers where they stand.
    fn push(&mut self, run: &Run) -> Vec<Place> {
        let wanted = Wanted::new(run);
        let messages = || run.frames().map(|frame| Message::new(run, &frame));
        let (mut places, mut any) = (Vec::new(), false);
        self.routes.retain(|route| !route.queue.is_abandoned());
        for route in self.routes.iter().filter(|route| route.wants(&wanted)) {
            any = true;
            if run.qos() == QoS::AtMostOnce && route.slow {
                self.shared.count_slow(u64::from(run.count()));
            } else {
                places.push(route.queue.push(messages()));
            }
        }
        if !any {
            places.extend(self.shared.unmatched.push(run.count(), messages()));
        }
        places
    }

    /// Acknowledges what has found its place, in order.
    pub(crate) fn release(&mut self, endpoint: &mut ClientEndpoint, now: Time) {
        while let Some(first) = self.withheld.front()
            && first.places.iter().all(Place::has_room)
        {
            endpoint.acknowledge(&first.run, ReasonCode::SUCCESS, now);
            self.withheld_messages -= u64::from(first.run.count());
            self.withheld.pop_front();
        }
    }

    /// Tries again what was stalled; true if the input may be read on.
    pub(crate) fn retry(&mut self, now: Time) -> bool {
        let Some((run, deadline)) = self.stalled.take() else { return true };
        if self.stalls(&run) {
            if now < deadline {
                self.stalled = Some((run, deadline));
                return false;
            }
            let wanted = Wanted::new(&run);
            for route in self.routes.iter_mut().filter(|route| route.wants(&wanted)) {
                route.slow = route.queue.is_full();
            }
            tracing::warn!(topic = run.topic(), "a stream is not read: it loses QoS 0 messages");
        }
        self.push(&run);
        true
    }

    /// Whether a reader has made room for something that waits here.
    pub(crate) fn is_unblocked(&self) -> bool {
        let room = |run: &Run| {
            let wanted = Wanted::new(run);
            !self.routes.iter().any(|route| route.wants(&wanted) && route.queue.is_full())
        };
        self.stalled.as_ref().is_some_and(|(run, _)| room(run))
            || self.withheld.front().is_some_and(|first| first.places.iter().all(Place::has_room))
    }

    /// When a stall ends at the latest.
    pub(crate) fn stall_ends(&self) -> Option<Time> {
        self.stalled.as_ref().map(|(_, deadline)| *deadline)
    }

    /// Whether nothing should be read: a stream is full.
    pub(crate) const fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// How many messages wait for a reader before they are acknowledged.
    pub(crate) const fn withheld(&self) -> u64 {
        self.withheld_messages
    }

    /// Whether any stream has a reader.
    pub(crate) fn has_readers(&self) -> bool {
        self.shared.unmatched.has_reader()
            || self.routes.iter().any(|route| !route.queue.is_abandoned())
    }

    /// A SUBSCRIBE goes out: messages may come before its SUBACK. Those that came already, for a
    /// session of before, are handed to the new stream.
    pub(crate) fn add(&mut self, queue: Arc<Queue>, filters: Vec<String>, identifier: Option<u32>) {
        for route in &mut self.routes {
            // The server replaces a subscription with the same filter: from here on its messages
            // carry the new identifier, for both streams.
            if route.filters.iter().any(|filter| filters.contains(filter)) {
                route.identifiers.extend(identifier);
            }
        }
        let identifiers = identifier.into_iter().collect();
        let route = Route { queue, filters, identifiers, slow: false };
        let held = self.shared.unmatched.claim(|message| route.matches(message.topic()));
        route.queue.push(held.into_iter());
        self.routes.push(route);
    }

    /// A stream is not wanted by the server, or was refused.
    pub(crate) fn remove(&mut self, queue: &Arc<Queue>) {
        self.routes.retain(|route| !Arc::ptr_eq(&route.queue, queue));
        queue.end();
    }

    /// Subscriptions were ended: a stream that is left without filters ends.
    pub(crate) fn remove_filters(&mut self, filters: &[String]) {
        self.routes.retain_mut(|route| {
            route.filters.retain(|filter| !filters.contains(filter));
            if route.filters.is_empty() {
                route.queue.end();
            }
            !route.filters.is_empty()
        });
    }

    /// The connection is over.
    pub(crate) fn end(&mut self) {
        if let Some((run, _)) = self.stalled.take() {
            self.push(&run);
        }
        for route in self.routes.drain(..) {
            route.queue.end();
        }
        self.shared.unmatched.end();
    }
}

/// What decides where messages go.
struct Wanted<'a> {
    topic: &'a str,
    identifiers: Vec<u32>,
}

impl<'a> Wanted<'a> {
    fn new(run: &'a Run) -> Self {
        let identifiers = run.properties().subscription_identifiers.iter().collect();
        Self { topic: run.topic(), identifiers }
    }
}

impl Route {
    /// Messages that carry identifiers go to the subscriptions of these identifiers; others to
    /// every stream with a filter that matches.
    fn wants(&self, wanted: &Wanted<'_>) -> bool {
        let identified = wanted.identifiers.is_empty()
            || self.identifiers.is_empty()
            || self.identifiers.iter().any(|identifier| wanted.identifiers.contains(identifier));
        identified && self.matches(wanted.topic)
    }

    fn matches(&self, topic: &str) -> bool {
        let Ok(topic) = TopicNameRef::with_limit(topic, usize::MAX) else { return false };
        self.filters.iter().any(|filter| {
            SubscriptionFilter::parse_with_limit(filter, usize::MAX)
                .is_ok_and(|subscription| subscription.filter.matches(topic))
        })
    }
}
