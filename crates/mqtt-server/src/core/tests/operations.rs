//! Several clients, any packets, lost acknowledgements, cut wires and steps of the clock.
//!
//! After each operation the ledger balances, the queues are within their limits, and what the
//! clients got is what they may get: nothing that no subscription asked for or that nobody may
//! read, nothing of QoS 2 twice, everything in order. At the end all come back, and nothing of QoS 1
//! and 2 is missing that the ledger does not name.
//!
//! The operations come from proptest, or from the bytes of a fuzzer: [`run`].

mod model;
#[cfg(test)]
mod random;

use model::Model;
use mqtt_session::QueueFull::{DropNewest, DropOldest, Refuse};

const CLIENTS: usize = 3;
const TOPICS: [&str; 4] = ["a", "a/b", "c", "secret"];
/// The topic that all may publish to and subscribe to, and nobody may receive.
const SECRET: usize = 3;
const FILTERS: [(&str, &[usize]); 4] =
    [("a", &[0]), ("a/#", &[0, 1]), ("#", &[0, 1, 2, SECRET]), ("c", &[2])];
const MESSAGES_MAX: usize = 12;
/// So many messages are published in one write, and one more.
const ROUND_MAX: usize = 8;
/// Every payload of the model has this length, and nobody else's.
const PAYLOAD_LEN: usize = 100;
/// The most bytes that an intruder says at once: too few for a payload of the model.
const NOISE_MAX: usize = 60;

#[derive(Clone, Debug)]
enum Op {
    Connect {
        who: usize,
        v5: bool,
        clean: bool,
        expiry_secs: u32,
    },
    Subscribe {
        who: usize,
        filter: usize,
        qos: u8,
    },
    Unsubscribe {
        who: usize,
        filter: usize,
    },
    /// Publishes so many messages in one write, to this topic and those behind it in turn.
    Publish {
        who: usize,
        topic: usize,
        count: usize,
        qos: u8,
        retain: bool,
    },
    Reads {
        who: usize,
        reads: bool,
    },
    LoseAcks {
        who: usize,
    },
    Cut {
        who: usize,
    },
    Disconnect {
        who: usize,
    },
    Pass {
        millis: u64,
    },
    /// The broker dies, if it keeps what it has to in a store, before it has written what a client
    /// published last; another takes its place.
    Crash {
        who: usize,
        topic: usize,
        qos: u8,
    },
    /// Another client says something, right or wrong.
    Noise {
        v5: bool,
        bytes: Vec<u8>,
    },
}

/// Plays the operations that the bytes stand for, and all come back at the end.
///
/// # Panics
/// If an invariant is broken.
pub(crate) fn run(mut data: &[u8]) {
    let when_full = [DropNewest, DropOldest, Refuse][data.len() / 2 % 3];
    let mut model = Model::connected(data.len() % 2 == 1, when_full);
    while let Some(op) = Op::read(&mut data) {
        model.apply(&op);
    }
    model.finish();
}

impl Op {
    /// The operation that the next bytes stand for; any bytes stand for one.
    fn read(data: &mut &[u8]) -> Option<Self> {
        let [kind, first, second] = [byte(data)?, byte(data)?, byte(data)?];
        let who = usize::from(first) % CLIENTS;
        let [filter, topic] = [FILTERS.len(), TOPICS.len()].map(|len| usize::from(second) % len);
        let qos = (second >> 4) % 3;
        let flag = second & 0x80 > 0;
        Some(match kind % 16 {
            0 | 1 => {
                let expiry_secs = [0, 5, u32::MAX][usize::from(second >> 1) % 3];
                Self::Connect { who, v5: second & 1 > 0, clean: flag, expiry_secs }
            }
            2 | 3 => Self::Subscribe { who, filter, qos },
            4 => Self::Unsubscribe { who, filter },
            5 => Self::Reads { who, reads: flag },
            6 => Self::LoseAcks { who },
            7 => Self::Cut { who },
            8 => Self::Disconnect { who },
            9 => Self::Pass { millis: u64::from(second) * 100 },
            10 | 11 => {
                let (bytes, rest) = data.split_at(data.len().min(usize::from(second) % NOISE_MAX));
                *data = rest;
                Self::Noise { v5: first & 1 > 0, bytes: bytes.to_vec() }
            }
            12 if flag => Self::Crash { who, topic, qos },
            15 => {
                let count = 2 + usize::from(first >> 4) % ROUND_MAX;
                Self::Publish { who, topic, count, qos, retain: flag }
            }
            _ => Self::Publish { who, topic, count: 1, qos, retain: flag },
        })
    }
}

fn byte(data: &mut &[u8]) -> Option<u8> {
    let (first, rest) = data.split_first()?;
    *data = rest;
    Some(*first)
}
