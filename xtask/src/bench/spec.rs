//! What the driver asks of a load process, and what it hears back: one line of JSON each way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The protocol version that every client of a run speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Version {
    V311,
    V5,
}

impl Version {
    /// The version as the standard's title writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::V311 => "3.1.1",
            Self::V5 => "5.0",
        }
    }
}

/// Who publishes to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Shape {
    /// One publisher, one subscriber.
    OneToOne,
    /// Twenty publishers, one subscriber, one topic.
    FanIn,
    /// One publisher, twenty subscribers, one topic.
    FanOut,
    /// Twenty clients that all publish to one topic and subscribe to it.
    Mesh,
    /// Twenty publishers with a topic and a subscriber each.
    Pairs,
}

/// The kind of filter that the matching runs subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FilterKind {
    /// No wildcard: one topic per filter.
    Exact,
    /// One `+` in the middle.
    Plus,
    /// A `#` at the end.
    Hash,
}

/// A stream of publishes through the broker.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Flow {
    pub(crate) shape: Shape,
    pub(crate) qos: u8,
    /// Bytes of payload per message; the first twenty are the stamp.
    pub(crate) payload: usize,
    /// Topics of each publisher, which take turns.
    pub(crate) topics: u32,
    /// Messages per second over all publishers; flat out where there is none.
    pub(crate) rate: Option<u32>,
    /// One subscriber never reads.
    pub(crate) stuck: bool,
    /// One more client sends pings and times the answers.
    pub(crate) ping: bool,
    /// The sessions of the subscribers outlive their connections, so that what they wait for has to
    /// be kept.
    pub(crate) kept: bool,
}

/// What one load process does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Work {
    Flow(Flow),
    Idle {
        connections: u32,
    },
    Churn,
    /// Sessions whose clients are away, with a subscription and ten messages each.
    Parked {
        sessions: u32,
    },
    /// A look into the sessions of `Parked`, after a restart.
    Resumed {
        sessions: u32,
    },
    Matching {
        subscriptions: u32,
        kind: FilterKind,
    },
    Retained {
        messages: u32,
    },
}

/// One order to a load process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LoadSpec {
    /// The broker listens here, on 127.0.0.1.
    pub(crate) port: u16,
    /// The broker's processes, whose CPU time and memory are read.
    pub(crate) pids: Vec<u32>,
    pub(crate) version: Version,
    /// Seconds before the measured window.
    pub(crate) warm_up: f64,
    /// Seconds of the measured window.
    pub(crate) seconds: f64,
    pub(crate) work: Work,
}

/// The percentiles of one latency histogram, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
    /// Pairs of percentile and microseconds, for the curve.
    pub(crate) curve: Vec<(f64, f64)>,
}

/// What a load process measured. Fields that a scenario does not have stay at zero or empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Messages per second handed to the broker, within the window.
    pub(crate) in_per_s: f64,
    /// Messages per second that arrived, within the window.
    pub(crate) out_per_s: f64,
    /// Broker CPU per message in or out, in microseconds, from the window's start to the end of
    /// the drain.
    pub(crate) cpu_us_per_message: f64,
    /// The broker's `VmHWM`, in KiB.
    pub(crate) peak_rss_kib: u64,
    /// CPU of the load process within the window, 1.0 being one core.
    pub(crate) load_cpu: f64,
    /// CPU of the broker within the window, 1.0 being one core.
    pub(crate) broker_cpu: f64,
    /// Deliveries that were due over the whole run, warm-up and drain included.
    pub(crate) due: u64,
    /// Deliveries that never came.
    pub(crate) missing: u64,
    /// Deliveries that were still under way when the time for the drain was over.
    pub(crate) undrained: u64,
    /// Deliveries that came twice.
    pub(crate) duplicated: u64,
    /// Deliveries that came after a later one of the same publisher.
    pub(crate) disordered: u64,
    /// Frames with a foreign or damaged stamp, a wrong length, or an acknowledgement out of turn.
    pub(crate) corrupt: u64,
    /// Latency of messages or of pings.
    pub(crate) latency: Option<Latency>,
    /// What only this scenario measures, by name.
    pub(crate) figures: BTreeMap<String, f64>,
    /// Points of a curve that only this scenario draws: connections and bytes, say.
    pub(crate) points: Vec<(f64, f64)>,
    /// What a reader of the row must know: a client that the broker threw out, say.
    pub(crate) notes: Vec<String>,
}
