//! What came to one subscriber, and what of it is wrong by itself.

use std::collections::HashMap;

use mqtt_packet::{PacketType, QoS};

use super::{
    Case, Kind, Violation,
    connections::{self, Connection},
};
use crate::crash::{
    history::{Event, History},
    message::Message,
};

/// Everything that came to one subscriber.
pub(super) struct Received {
    /// When the first SUBACK came.
    pub(super) subscribed: Option<u64>,
    pub(super) connections: Vec<Connection>,
    /// In the order in which they came.
    pub(super) copies: Vec<Copy>,
    /// What was nobody's message: topic and payload.
    foreign: Vec<String>,
}

/// One PUBLISH that came.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub(super) stamp: u64,
    pub(super) message: Message,
    /// Which of the connections it came over.
    pub(super) connection: usize,
    pub(super) qos: QoS,
    pub(super) dup: bool,
    pub(super) is: Is,
    /// When PUBACK was written, at QoS 1.
    pub(super) answered: Option<u64>,
}

/// What a receiver takes a PUBLISH for.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) enum Is {
    Delivery,
    /// At QoS 2, the message that has this identifier already.
    Repetition,
    /// At QoS 2, another message than the one that has this identifier; the receiver takes it
    /// for a repetition of that one.
    Confusion,
}

/// The state of a receiver while its history is read.
#[derive(Default)]
struct Reader {
    /// Messages between PUBLISH and PUBCOMP, by their identifiers.
    held: HashMap<u16, Message>,
    /// Places in the list of copies, by identifier: what came on this connection at QoS 1.
    unanswered: HashMap<u16, usize>,
    connections: usize,
}

impl Received {
    /// What came to the subscriber with this history.
    pub(super) fn by(history: &History) -> Self {
        let mut all = Self {
            subscribed: None,
            connections: connections::of(history),
            copies: Vec::new(),
            foreign: Vec::new(),
        };
        let mut reader = Reader::default();
        for entry in &history.entries {
            all.read(&mut reader, entry.stamp, &entry.event);
        }
        all
    }

    /// The copies of each message.
    pub(super) fn by_message(&self) -> HashMap<Message, Vec<&Copy>> {
        let mut copies: HashMap<Message, Vec<&Copy>> = HashMap::new();
        for copy in &self.copies {
            copies.entry(copy.message).or_default().push(copy);
        }
        copies
    }

    fn read(&mut self, reader: &mut Reader, stamp: u64, event: &Event) {
        match event {
            Event::Connected { session_present } => {
                reader.connections += 1;
                reader.unanswered.clear();
                if !session_present {
                    reader.held.clear();
                }
            }
            Event::Subscribed => _ = self.subscribed.get_or_insert(stamp),
            Event::Received { message, qos, packet_id, dup, .. } => {
                let is = reader.take(*message, *qos, *packet_id);
                if *qos == QoS::AtLeastOnce {
                    reader.unanswered.insert(*packet_id, self.copies.len());
                }
                let connection = reader.connections.saturating_sub(1);
                let (message, qos, dup) = (*message, *qos, *dup);
                let answered = None;
                self.copies.push(Copy { stamp, message, connection, qos, dup, is, answered });
            }
            Event::Answered { packet_id, step: PacketType::PubAck } => {
                let place = reader.unanswered.remove(packet_id);
                if let Some(copy) = place.and_then(|place| self.copies.get_mut(place)) {
                    copy.answered = Some(stamp);
                }
            }
            Event::Answered { packet_id, step: PacketType::PubComp } => {
                reader.held.remove(packet_id);
            }
            Event::Foreign { topic, payload } => self.foreign.push(format!("{topic}: {payload}")),
            _ => {}
        }
    }
}

impl Reader {
    fn take(&mut self, message: Message, qos: QoS, packet_id: u16) -> Is {
        if qos != QoS::ExactlyOnce {
            return Is::Delivery;
        }
        match self.held.get(&packet_id) {
            None => {
                self.held.insert(packet_id, message);
                Is::Delivery
            }
            Some(held) if *held == message => Is::Repetition,
            Some(_) => Is::Confusion,
        }
    }
}

/// What is wrong with single copies.
pub(super) fn check(case: &Case<'_>) -> Vec<Violation> {
    let foreign = case.received.foreign.iter().map(|text| {
        Violation::new(Kind::Unknown, case.client, format!("nobody publishes this: {text}"))
    });
    foreign.chain(case.received.copies.iter().filter_map(|copy| check_copy(case, copy))).collect()
}

fn check_copy(case: &Case<'_>, copy: &Copy) -> Option<Violation> {
    let violation =
        |kind, detail: &str| Some(Violation::new(kind, case.client, detail).about(copy.message));
    let Some(publication) = case.published.find(copy.message) else {
        return violation(Kind::Unknown, "it was never sent");
    };
    if publication.first_sent > copy.stamp {
        return violation(Kind::Unknown, "it came before it was sent");
    }
    if !case.interest.covers(copy.message.topic) {
        return violation(Kind::Unknown, "no subscription asks for it");
    }
    let agreed = publication.qos.min(case.qos);
    if copy.qos != agreed {
        return violation(Kind::WrongQos, &format!("it came with {}, not {agreed}", copy.qos));
    }
    match copy.is {
        Is::Delivery => None,
        Is::Repetition if copy.dup => None,
        Is::Repetition => violation(Kind::Unmarked, "it was repeated before PUBCOMP without DUP"),
        Is::Confusion => {
            violation(Kind::Identifier, "its identifier belongs to a message before PUBCOMP")
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::crash::checker::sketch::problems;

    #[test]
    fn a_message_that_was_never_sent_is_found() {
        assert_eq!(problems("s2 connected new, s2 got q7"), ["unknown message: s2: p2 direct 7"]);
    }

    #[test]
    fn a_message_that_comes_before_it_is_sent_is_found() {
        let found = problems("s1 connected new, s1 got p1, p sent 1");
        assert_eq!(found, ["unknown message: s1: p1 direct 1"]);
    }

    #[test]
    fn a_payload_of_nobody_is_found() {
        assert_eq!(problems("s1 connected new, s1 garbage"), ["unknown message: s1"]);
    }

    #[test]
    fn a_message_with_a_lower_qos_is_found() {
        let found = problems("s2 connected new, q sent 1, s2 got q1 lower");
        assert_eq!(found, ["wrong QoS: s2: p2 direct 1"]);
    }

    #[test]
    fn a_repetition_before_pubcomp_is_no_delivery() {
        let story = "s2 connected new, s2 subscribed, q sent 1, q acked 1, s2 got q1 id 4, killed,
                     s2 lost, s2 connected again, s2 got q1 id 4 dup, s2 completed 4";
        assert_eq!(problems(story), [""; 0]);
    }

    #[test]
    fn a_repetition_before_pubcomp_needs_dup() {
        let story = "s2 connected new, q sent 1, s2 got q1 id 4, killed, s2 lost,
                     s2 connected again, s2 got q1 id 4";
        assert_eq!(problems(story), ["duplicate without DUP: s2: p2 direct 1"]);
    }

    #[test]
    fn an_identifier_in_use_is_not_given_to_another_message() {
        let story = "s2 connected new, q sent 1, q sent 2, s2 got q1 id 4, s2 got q2 id 4";
        assert_eq!(problems(story), ["packet identifier in use: s2: p2 direct 2"]);
    }
}
