//! What clients do: sequences of operations, made from a seed.

use std::fmt;

use crate::harness::version::Version;

/// How many clients there are. The first two are those that publish most.
pub(crate) const CLIENTS: usize = 4;

/// One operation of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// CONNECT; a connection that the client has is taken over.
    Connect {
        clean: bool,
        lasting: bool,
        will: Option<Message>,
    },
    /// DISCONNECT, in 5.0 perhaps with the code that has the will published.
    Disconnect {
        with_will: bool,
    },
    /// The connection breaks.
    Break,
    Subscribe {
        filter: &'static str,
        options: u8,
        identifier: Option<u32>,
    },
    Unsubscribe {
        filter: &'static str,
    },
    Publish(Message),
    /// Both publishers send some messages, none of them waiting for the other.
    Both {
        qos: u8,
        count: u8,
    },
    /// From now on the client acknowledges nothing that it receives, until it connects again.
    Hold,
}

/// A message or a will; its payload is made where it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: &'static str,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    /// Removes what is retained.
    pub(crate) empty: bool,
}

/// A sequence of operations.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    pub(crate) seed: u64,
    pub(crate) versions: [Version; CLIENTS],
    /// The client and what it does.
    pub(crate) steps: Vec<(usize, Operation)>,
}

const TOPICS: &[&str] = &["a", "a/b", "a/c", "b/b", "c"];
const FILTERS: &[&str] =
    &["a", "a/b", "a/+", "+/b", "a/#", "#", "+", "b/b", "c", "$share/one/a/#", "a/b/#", "+/+"];

impl Sequence {
    /// The sequence that this seed makes, always the same.
    pub(crate) fn new(seed: u64, length: usize) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let versions =
            std::array::from_fn(|_| if dice.below(2) == 0 { Version::V311 } else { Version::V5 });
        let mut steps: Vec<_> = (0..CLIENTS).map(|client| (client, connect(&mut dice))).collect();
        while steps.len() < length {
            let client = dice.below(CLIENTS);
            let operation = operation(&mut dice);
            // What is held back by two clients at once has no order that could be compared.
            steps.push((client, operation));
        }
        Self { seed, versions, steps }
    }
}

fn operation(dice: &mut Dice) -> Operation {
    match dice.below(20) {
        0 | 1 => connect(dice),
        2 => Operation::Disconnect { with_will: dice.below(3) == 0 },
        3 => Operation::Break,
        4..=8 => Operation::Subscribe {
            filter: dice.choose(FILTERS),
            options: options(dice),
            identifier: (dice.below(3) == 0)
                .then(|| u32::try_from(dice.below(200)).unwrap_or(0) + 1),
        },
        9 => Operation::Unsubscribe { filter: dice.choose(FILTERS) },
        10..=12 => Operation::Both { qos: qos(dice), count: 3 },
        13 => Operation::Hold,
        _ => Operation::Publish(message(dice)),
    }
}

fn connect(dice: &mut Dice) -> Operation {
    Operation::Connect {
        clean: dice.below(2) == 0,
        lasting: dice.below(3) > 0,
        will: (dice.below(3) == 0).then(|| message(dice)),
    }
}

fn message(dice: &mut Dice) -> Message {
    let (topic, qos, retain) = (dice.choose(TOPICS), qos(dice), dice.below(3) == 0);
    Message { topic, qos, retain, empty: retain && dice.below(4) == 0 }
}

/// QoS, No Local, Retain As Published and Retain Handling, as in the options of 5.0.
fn options(dice: &mut Dice) -> u8 {
    let flags = [4, 8].into_iter().filter(|_| dice.below(4) == 0).fold(0, |all, flag| all | flag);
    let handling = [0, 0, 0, 1, 2].get(dice.below(5)).copied().unwrap_or(0_u8);
    qos(dice) | flags | handling << 4
}

fn qos(dice: &mut Dice) -> u8 {
    u8::try_from(dice.below(3)).unwrap_or(0)
}

/// Numbers that look random: xorshift64*.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap_or(0) % bound.max(1)
    }

    fn choose(&mut self, from: &[&'static str]) -> &'static str {
        from.get(self.below(from.len())).copied().unwrap_or("a")
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { clean, lasting, will } => {
                write!(f, "CONNECT clean={clean} lasting={lasting}")?;
                will.as_ref().map_or(Ok(()), |will| write!(f, " will: {will}"))
            }
            Self::Disconnect { with_will: true } => f.write_str("DISCONNECT 04"),
            Self::Disconnect { .. } => f.write_str("DISCONNECT"),
            Self::Break => f.write_str("breaks the connection"),
            Self::Subscribe { filter, options, identifier } => {
                write!(f, "SUBSCRIBE {filter} options={options:02X} identifier={identifier:?}")
            }
            Self::Unsubscribe { filter } => write!(f, "UNSUBSCRIBE {filter}"),
            Self::Publish(message) => write!(f, "PUBLISH {message}"),
            Self::Both { qos, count } => {
                write!(f, "two senders, {count} messages each at QoS {qos}")
            }
            Self::Hold => f.write_str("acknowledges nothing from now on"),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let retain = if self.retain { " retained" } else { "" };
        let empty = if self.empty { " empty" } else { "" };
        write!(f, "{} QoS {}{retain}{empty}", self.topic, self.qos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_sequence() {
        let steps = |seed| Sequence::new(seed, 30).steps;
        assert_eq!(steps(7), steps(7));
        assert_ne!(steps(7), steps(8));
        assert!(steps(7).iter().take(CLIENTS).all(|(_, o)| matches!(o, Operation::Connect { .. })));
    }
}
