//! The same operations on two brokers: what their clients see is compared.

mod operation;
mod stage;
mod verdicts;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::harness::broker::{Fleet, Place};
use crate::harness::options::{Broker, Options};
use crate::harness::profile::Profile;
use crate::harness::verdict::Stop;

use self::operation::{CLIENTS, Operation, Sequence};
use self::stage::{Received, Seen, Transcript, play};
use self::verdicts::{Verdict, verdict};

/// Operations in a sequence.
const LENGTH: usize = 40;

/// A difference is one if it shows as often as this, one after another.
const ATTEMPTS: usize = 3;

/// The first step at which two brokers differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) seed: u64,
    pub(crate) step: usize,
    pub(crate) client: usize,
    /// What the client saw of ours, and of the other.
    pub(crate) ours: Seen,
    pub(crate) theirs: Seen,
    /// What was done and by whom, behind what the client itself had done.
    pub(crate) operations: Vec<String>,
}

/// What a comparison found.
#[derive(Debug)]
pub struct Comparison {
    sequences: usize,
    operations: usize,
    explained: BTreeMap<&'static str, (Verdict, usize)>,
    unexplained: Vec<Difference>,
}

/// Plays the sequences of these seeds on both brokers.
///
/// # Errors
/// In one line: a broker that does not start, or a sequence that got stuck.
pub fn compare(
    ours: Broker,
    theirs: Broker,
    seeds: std::ops::Range<u64>,
) -> Result<Comparison, String> {
    let [ours, theirs] = [ours, theirs].map(|broker| Fleet::new(&Options::new(broker)));
    let failed = |error| format!("cannot write files: {error}");
    let (ours, theirs) = (ours.map_err(failed)?, theirs.map_err(failed)?);
    let place = Place { profile: Profile::Plain, owner: None };
    let addresses = [ours.address(&place)?, theirs.address(&place)?];
    let mut found = Comparison {
        sequences: 0,
        operations: 0,
        explained: BTreeMap::new(),
        unexplained: Vec::new(),
    };
    for seed in seeds {
        let sequence = Sequence::new(seed, LENGTH);
        found.sequences += 1;
        found.operations += sequence.steps.len();
        found.judge(&sequence, differences(&sequence, addresses)?);
    }
    Ok(found)
}

/// The differences that show each time.
fn differences(
    sequence: &Sequence,
    addresses: [std::net::SocketAddr; 2],
) -> Result<Vec<Difference>, String> {
    let mut lasting: Option<Vec<Difference>> = None;
    for attempt in 0..ATTEMPTS {
        let run = format!("{attempt}x{:x}x", std::process::id());
        let [ours, theirs] = addresses.map(|address| play(sequence, address, &run));
        let (ours, theirs) = (
            ours.map_err(|stop| stuck(sequence, "ours", &stop))?,
            theirs.map_err(|stop| stuck(sequence, "the other", &stop))?,
        );
        let found = between(sequence, &ours, &theirs);
        let kept = match lasting {
            None => found,
            Some(before) => before.into_iter().filter(|each| found.contains(each)).collect(),
        };
        if kept.is_empty() {
            return Ok(kept);
        }
        lasting = Some(kept);
    }
    Ok(lasting.unwrap_or_default())
}

fn stuck(sequence: &Sequence, broker: &str, stop: &Stop) -> String {
    format!("seed {}: {broker}: {stop:?}", sequence.seed)
}

/// What differs, step by step.
fn between(sequence: &Sequence, ours: &Transcript, theirs: &Transcript) -> Vec<Difference> {
    let mut all = Vec::new();
    for (step, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        for client in 0..CLIENTS {
            let (Some(ours), Some(theirs)) = (ours.get(client), theirs.get(client)) else {
                continue;
            };
            if agree(ours, theirs) {
                continue;
            }
            all.push(Difference {
                seed: sequence.seed,
                step,
                client,
                ours: ours.clone(),
                theirs: theirs.clone(),
                operations: history(sequence, client, step),
            });
        }
    }
    all
}

/// What this client has done since it connected with a clean session, and what is done in this step.
fn history(sequence: &Sequence, client: usize, step: usize) -> Vec<String> {
    let told = |(actor, operation): &(usize, Operation)| {
        let version = sequence.versions.get(*actor).map_or("", |version| version.text());
        format!("client {actor} ({version}): {operation}")
    };
    let before = sequence.steps.get(..step).unwrap_or_default();
    let clean = |(actor, operation): &(usize, Operation)| {
        *actor == client && matches!(operation, Operation::Connect { clean: true, .. })
    };
    let from = before.iter().rposition(clean).unwrap_or(0);
    let own = before.iter().skip(from).filter(|(actor, _)| *actor == client);
    own.chain(sequence.steps.get(step)).map(told).collect()
}

/// Whether both saw the same, but for the number of copies. Ours sends one for all subscriptions
/// that are not shared, and the client has one that is.
fn agree(ours: &Seen, theirs: &Seen) -> bool {
    let alike = |message: &Received| Received { copies: 1, ..message.clone() };
    let messages = |seen: &Seen| seen.messages.iter().map(alike).collect::<Vec<_>>();
    ours.answers == theirs.answers
        && ours.ended == theirs.ended
        && messages(ours) == messages(theirs)
        && ours.messages.iter().all(|message| message.copies <= 2)
}

impl Comparison {
    /// Finds verdicts. After a difference that leaves the brokers in different states the rest of the
    /// sequence says nothing.
    fn judge(&mut self, sequence: &Sequence, differences: Vec<Difference>) {
        let mut end = usize::MAX;
        for difference in differences.into_iter() {
            if difference.step > end {
                return;
            }
            match verdict(sequence, &difference) {
                Some(verdict) => {
                    if verdict.diverges {
                        end = difference.step;
                    }
                    self.explained.entry(verdict.name).or_insert((verdict, 0)).1 += 1;
                }
                None => {
                    end = difference.step;
                    self.unexplained.push(difference);
                }
            }
        }
    }

    /// Whether every difference has a verdict.
    #[must_use]
    pub fn is_explained(&self) -> bool {
        self.unexplained.is_empty()
    }

    /// A table of the differences with their verdicts, in Markdown.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "{} sequences with {} operations were played on both brokers.\n\n\
             | difference | times | verdict | why |\n|---|---|---|---|\n",
            self.sequences, self.operations
        );
        for (verdict, count) in self.explained.values() {
            let Verdict { name, judged, why, .. } = verdict;
            let _ = writeln!(text, "| {name} | {count} | {judged} | {why} |");
        }
        text
    }

    /// What has no verdict, for people.
    #[must_use]
    pub fn unexplained(&self) -> String {
        let mut text = String::new();
        for each in &self.unexplained {
            let Difference { seed, step, client, ours, theirs, operations } = each;
            let _ = writeln!(text, "seed {seed} step {step}, seen by client {client}:");
            for operation in operations {
                let _ = writeln!(text, "  {operation}");
            }
            for (of, seen) in [("ours", ours), ("the other", theirs)] {
                let messages: Vec<_> = seen.messages.iter().map(Received::to_string).collect();
                let ended = if seen.ended { ", the end" } else { "" };
                let _ = writeln!(text, "    {of}: {:?} {messages:?}{ended}", seen.answers);
            }
        }
        text
    }
}
