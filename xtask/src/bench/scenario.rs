//! What is measured: every scenario by name, and which of them a run takes.

use serde::{Deserialize, Serialize};

use crate::bench::{
    procfs,
    spec::{FilterKind, Flow, Shape, Version, Work},
};

/// How many of the scenarios a run takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breadth {
    /// A look: two minutes.
    Quick,
    /// What the documentation shows.
    Standard,
    /// Every combination.
    Full,
}

/// What kind of figures a scenario gives, and so which table it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Throughput,
    Latency,
    Stuck,
    Fairness,
    Idle,
    Churn,
    Matching,
    Retained,
    Parked,
}

/// One scenario.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scenario {
    /// What `--only` looks into, and what the JSON calls it.
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) version: Version,
    pub(crate) work: Work,
}

impl Scenario {
    /// Whether both are measured in turn, round by round: what the second costs is compared with what
    /// the first does.
    pub(crate) fn takes_turns_with(&self, other: &Self) -> bool {
        match (self.work, other.work) {
            (Work::Matching { kind, .. }, Work::Matching { kind: other, .. }) => kind == other,
            _ => false,
        }
    }

    /// Whether most of the time goes into filling the broker, with connections, subscriptions or
    /// messages, and nothing is compared that depends on the machine's speed. Such figures differ
    /// little from round to round.
    pub(crate) const fn is_large(&self) -> bool {
        match self.work {
            Work::Idle { .. }
            | Work::Retained { .. }
            | Work::Parked { .. }
            | Work::Resumed { .. } => true,
            Work::Matching { .. } | Work::Flow(_) | Work::Churn => false,
        }
    }
}

/// Connections that are held idle, where the limit of descriptors allows it.
const IDLE_CONNECTIONS: u32 = 15_000;

/// Sessions whose clients are away.
const PARKED_SESSIONS: u32 = 100_000;

/// Descriptors that both sides need for other things.
const SPARE_DESCRIPTORS: u32 = 200;

/// Messages per second of the latency scenarios.
const LATENCY_RATE: u32 = 10_000;

/// Messages per second where the delay of messages is measured that have to be kept.
const KEPT_RATE: u32 = 25_000;

/// Topics of each publisher where it has more than one.
const TOPICS: u32 = 50;

const SHAPES: [Shape; 5] =
    [Shape::OneToOne, Shape::FanIn, Shape::FanOut, Shape::Mesh, Shape::Pairs];

/// The scenarios of a run whose id holds `only`.
pub(crate) fn scenarios(breadth: Breadth, only: Option<&str>) -> Vec<Scenario> {
    let mut all = throughput(breadth);
    all.extend(topics());
    all.extend(latency(breadth));
    all.extend(kept());
    all.extend(fairness());
    all.extend(idle(breadth));
    all.push(Scenario {
        id: "churn/3.1.1".into(),
        kind: Kind::Churn,
        version: Version::V311,
        work: Work::Churn,
    });
    all.extend(parked(breadth));
    all.extend(matching(breadth));
    all.extend(retained(breadth));
    all.retain(|scenario| only.is_none_or(|only| scenario.id.contains(only)));
    all
}

fn throughput(breadth: Breadth) -> Vec<Scenario> {
    let mut all = Vec::new();
    for version in [Version::V311, Version::V5] {
        for qos in 0..=2 {
            for payload in [64, 1024, 16 * 1024] {
                let shapes = SHAPES.into_iter();
                let wanted =
                    shapes.filter(|shape| is_wanted(breadth, *shape, version, qos, payload));
                all.extend(wanted.map(|shape| flow(version, plain(shape, qos, payload))));
            }
        }
    }
    all
}

/// The narrower runs leave out what another row already says.
fn is_wanted(breadth: Breadth, shape: Shape, version: Version, qos: u8, payload: usize) -> bool {
    match (breadth, version) {
        (Breadth::Full, _) => true,
        (Breadth::Standard, Version::V311) => qos == 0 || payload <= 1024,
        (Breadth::Standard, Version::V5) => {
            payload == 64 && (qos == 0 || qos == 1 && shape == Shape::Pairs)
        }
        (Breadth::Quick, Version::V311) => {
            payload == 64 && (qos == 0 || shape == Shape::Pairs)
                || payload == 1024 && qos == 0 && shape == Shape::FanOut
        }
        (Breadth::Quick, Version::V5) => false,
    }
}

/// Publishers whose messages go to fifty topics in turn, and all the same to one subscriber.
fn topics() -> Vec<Scenario> {
    let with = |shape, qos| Flow { topics: TOPICS, ..plain(shape, qos, 64) };
    [with(Shape::OneToOne, 0), with(Shape::Pairs, 0), with(Shape::Pairs, 1)]
        .map(|one| flow(Version::V311, one))
        .into()
}

fn latency(breadth: Breadth) -> Vec<Scenario> {
    let with_rate = |qos| Flow { rate: Some(LATENCY_RATE), ..plain(Shape::Pairs, qos, 64) };
    let mut all = vec![flow(Version::V311, with_rate(0)), flow(Version::V311, with_rate(1))];
    if breadth == Breadth::Full {
        all.push(flow(Version::V311, with_rate(2)));
        all.extend((0..=2).map(|qos| flow(Version::V5, with_rate(qos))));
    }
    all
}

/// Subscribers whose sessions outlive their connections: what a broker keeps on a disk, it has to
/// write for them.
fn kept() -> Vec<Scenario> {
    let with = |shape, qos, payload| Flow { kept: true, ..plain(shape, qos, payload) };
    let half = |rate| Flow { rate: Some(rate), ..with(Shape::Pairs, 1, 64) };
    [
        with(Shape::Pairs, 1, 64),
        with(Shape::Pairs, 1, 1024),
        with(Shape::Pairs, 2, 64),
        with(Shape::FanOut, 1, 64),
        half(KEPT_RATE),
    ]
    .map(|one| flow(Version::V311, one))
    .into()
}

fn fairness() -> Vec<Scenario> {
    vec![
        flow(Version::V311, Flow { stuck: true, ..plain(Shape::FanOut, 0, 1024) }),
        flow(Version::V311, Flow { ping: true, ..plain(Shape::OneToOne, 0, 64) }),
    ]
}

fn idle(breadth: Breadth) -> Vec<Scenario> {
    let affordable = procfs::descriptors_max().saturating_sub(SPARE_DESCRIPTORS);
    let wanted = if breadth == Breadth::Quick { 2_000 } else { IDLE_CONNECTIONS };
    let connections = wanted.min(affordable);
    vec![Scenario {
        id: format!("idle/{connections}/3.1.1"),
        kind: Kind::Idle,
        version: Version::V311,
        work: Work::Idle { connections },
    }]
}

/// A quick look leaves it out: it takes a minute by itself.
fn parked(breadth: Breadth) -> Option<Scenario> {
    (breadth != Breadth::Quick).then(|| Scenario {
        id: format!("parked/{PARKED_SESSIONS}"),
        kind: Kind::Parked,
        version: Version::V311,
        work: Work::Parked { sessions: PARKED_SESSIONS },
    })
}

fn matching(breadth: Breadth) -> Vec<Scenario> {
    let sizes: &[u32] = match breadth {
        Breadth::Quick => &[100_000],
        Breadth::Standard | Breadth::Full => &[1_000, 100_000, 1_000_000],
    };
    let kinds = [FilterKind::Exact, FilterKind::Plus, FilterKind::Hash];
    let pairs = kinds.into_iter().flat_map(|kind| sizes.iter().map(move |size| (kind, *size)));
    pairs
        .map(|(kind, subscriptions)| Scenario {
            id: format!("matching/{}/{subscriptions}", filter_name(kind)),
            kind: Kind::Matching,
            version: Version::V311,
            work: Work::Matching { subscriptions, kind },
        })
        .collect()
}

fn retained(breadth: Breadth) -> Vec<Scenario> {
    let sizes: &[u32] = match breadth {
        Breadth::Quick => &[100_000],
        Breadth::Standard | Breadth::Full => &[100_000, 1_000_000],
    };
    let sizes = sizes.iter();
    sizes
        .map(|messages| Scenario {
            id: format!("retained/{messages}"),
            kind: Kind::Retained,
            version: Version::V311,
            work: Work::Retained { messages: *messages },
        })
        .collect()
}

const fn plain(shape: Shape, qos: u8, payload: usize) -> Flow {
    Flow { shape, qos, payload, topics: 1, rate: None, stuck: false, ping: false, kept: false }
}

fn flow(version: Version, flow: Flow) -> Scenario {
    let (prefix, kind) = match flow {
        Flow { kept: true, rate: Some(_), .. } => ("kept/latency/", Kind::Latency),
        Flow { kept: true, .. } => ("kept/", Kind::Throughput),
        Flow { rate: Some(_), .. } => ("latency/", Kind::Latency),
        Flow { stuck: true, .. } => ("stuck/", Kind::Stuck),
        Flow { ping: true, .. } => ("ping/", Kind::Fairness),
        Flow { topics: TOPICS, .. } => ("topics/", Kind::Throughput),
        _ => ("", Kind::Throughput),
    };
    let (shape, size) = (shape_name(flow.shape), size_name(flow.payload));
    Scenario {
        id: format!("{prefix}{shape}/q{}/{size}/{}", flow.qos, version.name()),
        kind,
        version,
        work: Work::Flow(flow),
    }
}

const fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::OneToOne => "1:1",
        Shape::FanIn => "20:1",
        Shape::FanOut => "1:20",
        Shape::Mesh => "mesh",
        Shape::Pairs => "pairs",
    }
}

pub(crate) const fn filter_name(kind: FilterKind) -> &'static str {
    match kind {
        FilterKind::Exact => "exact",
        FilterKind::Plus => "plus",
        FilterKind::Hash => "hash",
    }
}

fn size_name(bytes: usize) -> String {
    if bytes < 1024 { format!("{bytes}B") } else { format!("{}K", bytes / 1024) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_id_is_given_once() {
        for breadth in [Breadth::Quick, Breadth::Standard, Breadth::Full] {
            let all = scenarios(breadth, None);
            let ids: BTreeSet<_> = all.iter().map(|scenario| &scenario.id).collect();
            assert_eq!(ids.len(), all.len());
        }
    }

    #[test]
    fn a_full_run_has_every_combination() {
        let full = throughput(Breadth::Full);
        assert_eq!(full.len(), 5 * 3 * 3 * 2);
        let standard = throughput(Breadth::Standard);
        assert!(standard.iter().all(|scenario| full.contains(scenario)));
    }

    #[test]
    fn only_looks_into_the_id() {
        let found = scenarios(Breadth::Standard, Some("mesh/q2/1K"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].id, "mesh/q2/1K/3.1.1");
    }
}
