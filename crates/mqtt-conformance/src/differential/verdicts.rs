//! The differences that are known, each with a verdict.

use super::Difference;
use super::operation::{Operation, Sequence};
use super::stage::{Received, Seen};

/// What is thought of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) name: &'static str,
    /// Whether both are permitted, or who is wrong.
    pub(crate) judged: &'static str,
    pub(crate) why: &'static str,
    /// Whether the brokers are in different states from here on.
    pub(crate) diverges: bool,
}

const NO_SUBSCRIBERS: Verdict = Verdict {
    name: "A message without a subscriber is acknowledged with 0x10, or with 0x00",
    judged: "both are permitted",
    why: "0x10 may be sent in place of 0x00 (sections 3.4.2.1 and 3.5.2.1)",
    diverges: false,
};

const SHARED_RETAINED: Verdict = Verdict {
    name: "Retained messages for a new shared subscription",
    judged: "mosquitto is wrong",
    why: "none are sent to it (section 4.8.2)",
    diverges: false,
};

const LOWER_QOS: Verdict = Verdict {
    name: "The QoS of a message for overlapping subscriptions",
    judged: "mosquitto is wrong",
    why: "it is the highest that was granted [MQTT-3.3.4-2], [MQTT-3.3.5-1]",
    diverges: true,
};

const OLD_OPTIONS: Verdict = Verdict {
    name: "Retain As Published or No Local, once they are changed",
    judged: "mosquitto is wrong",
    why: "a subscription with the same filter replaces the old one with its options [MQTT-3.8.4-3]",
    diverges: false,
};

const TAKEOVER_WILL: Verdict = Verdict {
    name: "The will of a connection that is taken over",
    judged: "mosquitto is wrong",
    why: "the connection was closed without a DISCONNECT of the client [MQTT-3.1.2-8], and without a \
          delay the will is due at once",
    diverges: true,
};

/// The verdict on a difference, if it is one that is known.
pub(crate) fn verdict(sequence: &Sequence, difference: &Difference) -> Option<Verdict> {
    let (_, operation) = sequence.steps.get(difference.step)?;
    let Difference { ours, theirs, .. } = difference;
    let is_shared =
        matches!(operation, Operation::Subscribe { filter, .. } if filter.starts_with("$share"));
    if is_shared && ours.messages.is_empty() && theirs.messages.iter().all(|each| each.retain) {
        return Some(SHARED_RETAINED);
    }
    let mut wills = extra(ours, theirs).filter(|each| each.payload.starts_with('w')).peekable();
    if wills.peek().is_some() && wills.all(|will| was_taken_over(sequence, difference, will)) {
        return Some(TAKEOVER_WILL);
    }
    if without_10(ours) != without_10(theirs) {
        return None;
    }
    if same_but(ours, theirs, |_| {}) {
        return Some(NO_SUBSCRIBERS);
    }
    let subscriptions = subscriptions(sequence, difference);
    if changed(&subscriptions, 8) && same_but(ours, theirs, |each| each.retain = false) {
        return Some(OLD_OPTIONS);
    }
    let own = format!("p{}-", difference.client);
    let others = |seen: &Seen| {
        let messages = seen.messages.iter().filter(|each| !each.payload.starts_with(&own));
        Seen { messages: messages.cloned().collect(), ..seen.clone() }
    };
    if changed(&subscriptions, 4) && same_but(&others(ours), &others(theirs), |_| {}) {
        return Some(OLD_OPTIONS);
    }
    let raised =
        ours.messages.iter().zip(&theirs.messages).all(|(our, their)| our.qos >= their.qos);
    let overlap = subscriptions.len() > 1;
    let lowered = |each: &mut Received| (each.qos, each.retain) = (0, false);
    (raised && overlap && same_but(ours, theirs, lowered)).then_some(LOWER_QOS)
}

/// Whether the messages are the same once they are changed, whatever the number of their copies.
fn same_but(ours: &Seen, theirs: &Seen, change: impl Fn(&mut Received)) -> bool {
    let after = |seen: &Seen| {
        let mut messages = seen.messages.clone();
        for message in &mut messages {
            message.copies = 1;
            change(message);
        }
        messages
    };
    ours.ended == theirs.ended && after(ours) == after(theirs)
}

/// The filters and options that the client has asked for so far.
fn subscriptions(sequence: &Sequence, difference: &Difference) -> Vec<(&'static str, u8)> {
    let asked = |(client, operation): &(usize, Operation)| match operation {
        Operation::Subscribe { filter, options, .. } if *client == difference.client => {
            Some((*filter, *options))
        }
        _ => None,
    };
    sequence.steps.iter().take(difference.step + 1).filter_map(asked).collect()
}

/// Whether a filter was asked for with this option and without.
fn changed(subscriptions: &[(&'static str, u8)], option: u8) -> bool {
    subscriptions.iter().enumerate().any(|(at, (filter, options))| {
        let mut later = subscriptions.iter().skip(at + 1).filter(|(other, _)| other == filter);
        later.any(|(_, others)| (others ^ options) & option != 0)
    })
}

/// Whether the client that left this will has had a connection with one taken over.
fn was_taken_over(sequence: &Sequence, difference: &Difference, will: &Received) -> bool {
    let mut left = false;
    for (client, operation) in sequence.steps.iter().take(difference.step + 1) {
        match operation {
            _ if will.payload != format!("w{client}") => {}
            Operation::Connect { .. } if left => return true,
            Operation::Connect { will, .. } => left = will.is_some(),
            Operation::Disconnect { .. } | Operation::Break => left = false,
            _ => {}
        }
    }
    false
}

fn without_10(seen: &Seen) -> Vec<String> {
    seen.answers.iter().map(|answer| answer.replace(" 10", " 00")).collect()
}

/// Messages of ours that are not among theirs.
fn extra<'a>(ours: &'a Seen, theirs: &'a Seen) -> impl Iterator<Item = &'a Received> {
    ours.messages.iter().filter(|each| !theirs.messages.iter().any(|t| t.payload == each.payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(answers: &[&str]) -> Seen {
        Seen { answers: answers.iter().map(|each| (*each).to_owned()).collect(), ..Seen::default() }
    }

    fn judged(ours: Seen, theirs: Seen) -> Option<&'static str> {
        let sequence = Sequence::new(1, 10);
        let difference =
            Difference { seed: 1, step: 9, client: 0, ours, theirs, operations: Vec::new() };
        verdict(&sequence, &difference).map(|verdict| verdict.name)
    }

    #[test]
    fn what_is_not_known_has_no_verdict() {
        assert_eq!(judged(seen(&["PUBACK 10"]), seen(&["PUBACK 00"])), Some(NO_SUBSCRIBERS.name));
        assert_eq!(judged(seen(&["PUBACK 00"]), seen(&["PUBACK 87"])), None);
        assert_eq!(judged(seen(&["PUBACK 00"]), seen(&[])), None);
        let ended = Seen { ended: true, ..Seen::default() };
        assert_eq!(judged(ended, Seen::default()), None);
    }

    #[test]
    fn an_option_is_changed_by_the_same_filter_alone() {
        assert!(changed(&[("a", 9), ("b", 1), ("a", 1)], 8));
        assert!(changed(&[("a", 1), ("a", 9)], 8));
        assert!(!changed(&[("a", 9), ("b", 1), ("a", 10)], 8));
    }
}
