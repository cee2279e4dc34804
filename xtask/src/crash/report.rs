//! What is told about a run.

use std::{collections::BTreeSet, fmt, fmt::Write};

use mqtt_packet::PacketType;

use super::{
    checker::{Kind, Violation},
    history::{Entry, Event, Role, Run},
};

/// How many violations of each kind are told with their histories.
const TOLD_OF_EACH_KIND: usize = 5;

/// A run in numbers.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) kills: usize,
    sent: usize,
    repeated: usize,
    acknowledged: usize,
    refused: usize,
    received: usize,
    marked: usize,
    resumed: usize,
}

impl Summary {
    /// The numbers of this run.
    pub(super) fn of(run: &Run) -> Self {
        let kills = run.broker.iter().filter(|entry| entry.event == Event::Killed).count();
        let mut summary = Self { kills, ..Self::default() };
        for event in run.clients.iter().flat_map(|history| &history.entries) {
            summary.count(&event.event);
        }
        summary
    }

    /// Adds another run.
    pub(super) fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.sent += other.sent;
        self.repeated += other.repeated;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.received += other.received;
        self.marked += other.marked;
        self.resumed += other.resumed;
    }

    fn count(&mut self, event: &Event) {
        match event {
            Event::Sent { dup: false, .. } => self.sent += 1,
            Event::Sent { dup: true, .. } => self.repeated += 1,
            Event::Acknowledged { step: PacketType::PubComp, .. } => {}
            Event::Acknowledged { .. } => self.acknowledged += 1,
            Event::Refused { .. } => self.refused += 1,
            Event::Received { dup, .. } => {
                self.received += 1;
                self.marked += usize::from(*dup);
            }
            Event::Connected { session_present: true } => self.resumed += 1,
            _ => {}
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, sent, repeated, acknowledged, refused, received, marked, resumed } = self;
        if *sent == 0 {
            // A part that judges without histories.
            return Ok(());
        }
        write!(
            formatter,
            "{kills} kills, {sent} messages sent (+{repeated} repeated), {acknowledged} \
             acknowledged, {refused} refused, {received} received, {marked} of them with DUP, \
             {resumed} sessions resumed; "
        )
    }
}

/// All violations, and of each kind some with the history of the message concerned.
pub(super) fn full(title: &str, violations: &[Violation], run: &Run) -> String {
    let mut text = format!("{title}\n{}\n\n", Summary::of(run));
    for violation in violations {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{violation}");
    }
    let kinds: BTreeSet<Kind> = violations.iter().map(|violation| violation.kind).collect();
    for kind in kinds {
        let of_kind = violations.iter().filter(|violation| violation.kind == kind);
        for violation in of_kind.take(TOLD_OF_EACH_KIND) {
            let _ = writeln!(text, "\n== {violation}\n{}", story(violation, run));
        }
    }
    text
}

/// What happened to the message everywhere, and around it to the broker and to whoever saw it.
fn story(violation: &Violation, run: &Run) -> String {
    let mut lines: Vec<(u64, String)> = Vec::new();
    let mut add = |name: &str, entry: &Entry| {
        lines.push((entry.stamp, format!("{name:12} {entry}")));
    };
    for entry in &run.broker {
        add("broker", entry);
    }
    for history in &run.clients {
        let client = &history.client;
        let is_witness = client.name == violation.client;
        let is_publisher = matches!(client.role, Role::Publisher { .. });
        let identifiers = identifiers(violation, &history.entries);
        for entry in &history.entries {
            let is_about =
                violation.message.is_some() && entry.event.message() == violation.message;
            let answers = matches!(&entry.event, Event::Answered { packet_id, .. }
                if is_witness && identifiers.contains(packet_id));
            let moves = is_witness && !is_publisher && is_about_connections(&entry.event);
            if is_about || answers || moves {
                add(&client.name, entry);
            }
        }
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line + "\n").collect()
}

/// The packet identifiers with which the message came.
fn identifiers(violation: &Violation, entries: &[Entry]) -> BTreeSet<u16> {
    let identifier = |entry: &Entry| match &entry.event {
        Event::Received { message, packet_id, .. } if Some(*message) == violation.message => {
            Some(*packet_id)
        }
        _ => None,
    };
    entries.iter().filter_map(identifier).collect()
}

fn is_about_connections(event: &Event) -> bool {
    matches!(
        event,
        Event::Connecting { .. }
            | Event::Connected { .. }
            | Event::TurnedAway { .. }
            | Event::Ended(_)
            | Event::Subscribing
            | Event::Subscribed
    )
}
