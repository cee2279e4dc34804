//! A retained message is never older than the last acknowledged one.

use std::collections::HashMap;

use super::{Kind, Violation};
use crate::crash::{
    history::{Event, History, Role, Run},
    message::{Message, Topic},
};

/// Acknowledged retained messages, with the stamp of the acknowledgement, in its order.
type Acknowledged = HashMap<Topic, Vec<(u64, Message)>>;

/// What readers found that is too old, or did not find.
pub(super) fn check(run: &Run) -> Vec<Violation> {
    let acknowledged = acknowledged(run);
    let readers = run.clients.iter().filter(|history| history.client.role == Role::Reader);
    readers.flat_map(|reader| check_reader(reader, &acknowledged)).collect()
}

fn acknowledged(run: &Run) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    for entry in run.clients.iter().flat_map(|history| &history.entries) {
        let Event::Acknowledged { message, .. } = entry.event else { continue };
        if matches!(message.topic, Topic::Retained(_)) {
            acknowledged.entry(message.topic).or_default().push((entry.stamp, message));
        }
    }
    acknowledged
}

fn check_reader(reader: &History, acknowledged: &Acknowledged) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut asked_at = 0;
    let mut found: HashMap<Topic, Message> = HashMap::new();
    for entry in &reader.entries {
        match entry.event {
            Event::Subscribing => {
                asked_at = entry.stamp;
                found.clear();
            }
            Event::Received { message, retain: true, .. } => {
                found.insert(message.topic, message);
                violations.extend(too_old(reader, acknowledged, asked_at, message));
            }
            Event::ReadAll => {
                violations.extend(not_there(reader, acknowledged, asked_at, &found));
            }
            _ => {}
        }
    }
    violations
}

fn too_old(
    reader: &History,
    acknowledged: &Acknowledged,
    asked_at: u64,
    message: Message,
) -> Option<Violation> {
    let last = last_before(acknowledged.get(&message.topic)?, asked_at)?;
    (message.number < last.number).then(|| {
        let detail = format!("number {} was acknowledged before {asked_at}", last.number);
        Violation::new(Kind::Retained, &reader.client, detail).about(message)
    })
}

fn not_there(
    reader: &History,
    acknowledged: &Acknowledged,
    asked_at: u64,
    found: &HashMap<Topic, Message>,
) -> Vec<Violation> {
    let absent = acknowledged.iter().filter(|(topic, _)| !found.contains_key(topic));
    let lasts = absent.filter_map(|(_, messages)| last_before(messages, asked_at));
    let violation = |last: Message| {
        let detail = format!("acknowledged before {asked_at}, and nothing is retained");
        Violation::new(Kind::Retained, &reader.client, detail).about(last)
    };
    lasts.map(violation).collect()
}

/// The newest of the messages that were acknowledged before this stamp.
fn last_before(messages: &[(u64, Message)], stamp: u64) -> Option<Message> {
    let before = messages.iter().filter(|(acknowledged, _)| *acknowledged < stamp);
    before.map(|(_, message)| *message).max_by_key(|message| message.number)
}

#[cfg(test)]
mod tests {
    use crate::crash::checker::sketch::problems;

    const PUBLISHED: &str = "p sent kept1, p acked kept1, p sent kept2, p acked kept2, killed,
                             r connected new, r asks";

    #[test]
    fn the_last_acknowledged_message_is_fine() {
        assert_eq!(problems(&format!("{PUBLISHED}, r finds pkept2, r read")), [""; 0]);
    }

    #[test]
    fn an_older_message_is_found() {
        let found = problems(&format!("{PUBLISHED}, r finds pkept1, r read"));
        assert_eq!(found, ["retained message too old: r: p1 retained0 1"]);
    }

    #[test]
    fn a_newer_message_without_acknowledgement_is_fine() {
        let story = "p sent kept1, p acked kept1, p sent kept2, killed, r connected new, r asks,
                     r finds pkept2, r read";
        assert_eq!(problems(story), [""; 0]);
    }

    #[test]
    fn a_retained_message_that_is_not_there_is_found() {
        let found = problems(&format!("{PUBLISHED}, r read"));
        assert_eq!(found, ["retained message too old: r: p1 retained0 2"]);
    }

    #[test]
    fn a_reader_that_was_interrupted_has_not_missed_anything() {
        assert_eq!(problems(&format!("{PUBLISHED}, killed, r lost")), [""; 0]);
    }
}
