//! Judges the histories of a run: what a broker that keeps its promises cannot have done.
//!
//! Acknowledged means that PUBACK or PUBREC has come and was a yes. A message is delivered when
//! PUBLISH comes; at QoS 2 a PUBLISH with an identifier that is not yet completed is a repetition
//! and no delivery, as every receiver has to take it.

mod connections;
mod delivery;
mod duplicates;
mod groups;
mod order;
mod published;
mod received;
mod retained;
mod session;
#[cfg(test)]
mod sketch;
mod violation;

pub(super) use self::violation::{Kind, Violation};

use mqtt_packet::QoS;

use self::{published::Publications, received::Received};
use super::{
    history::{Client, Event, History, Role, Run},
    message::Interest,
};

/// What the rules look at: one subscriber, and what all have in common.
struct Case<'a> {
    client: &'a Client,
    interest: Interest,
    /// The QoS that was asked for.
    qos: QoS,
    received: Received,
    published: &'a Publications,
    /// The outages, in order.
    outages: &'a [Outage],
}

/// From the moment when the broker was to be killed to that when it listened again, as stamps.
#[derive(Copy, Clone, Debug)]
struct Outage {
    from: u64,
    to: u64,
}

/// Everything in these histories that must not be, in no special order.
pub(super) fn check(run: &Run) -> Vec<Violation> {
    let published = Publications::of(run);
    let outages = outages(run);
    let cases = cases(run, &published, &outages);
    let mut violations: Vec<Violation> =
        run.clients.iter().flat_map(session::check).chain(retained::check(run)).collect();
    for case in &cases {
        violations.extend(received::check(case));
        violations.extend(delivery::check(case));
        violations.extend(duplicates::check(case));
        violations.extend(order::check(case));
    }
    violations.extend(groups::check(&cases));
    violations
}

/// The acknowledged messages that somebody who waits for them does not have.
pub(super) fn missing(run: &Run) -> Vec<Violation> {
    let published = Publications::of(run);
    let cases = cases(run, &published, &[]);
    cases.iter().flat_map(delivery::lost).chain(groups::lost(&cases)).collect()
}

fn cases<'a>(run: &'a Run, published: &'a Publications, outages: &'a [Outage]) -> Vec<Case<'a>> {
    run.clients.iter().filter_map(|history| case(history, published, outages)).collect()
}

fn case<'a>(
    history: &'a History,
    published: &'a Publications,
    outages: &'a [Outage],
) -> Option<Case<'a>> {
    let client = &history.client;
    let Role::Subscriber { interest, qos } = client.role else { return None };
    let received = Received::by(history);
    Some(Case { client, interest, qos, received, published, outages })
}

fn outages(run: &Run) -> Vec<Outage> {
    let mut outages: Vec<Outage> = Vec::new();
    for entry in &run.broker {
        match (&entry.event, outages.last_mut()) {
            (Event::Killed, _) => outages.push(Outage { from: entry.stamp, to: u64::MAX }),
            (Event::Started, Some(last)) => last.to = last.to.min(entry.stamp),
            _ => {}
        }
    }
    outages
}

impl Case<'_> {
    /// Whether the broker was killed between these stamps, or perhaps was.
    fn killed_between(&self, from: u64, to: u64) -> bool {
        let next = self.outages.partition_point(|outage| outage.to < from);
        self.outages.get(next).is_some_and(|outage| outage.from < to)
    }
}
