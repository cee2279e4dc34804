//! No acknowledged message is lost, and none of QoS 2 is delivered twice.

use std::collections::HashSet;

use mqtt_packet::QoS;

use super::{
    Case, Kind, Violation,
    received::{Copy, Is},
};
use crate::crash::{
    history::{Client, Role},
    message::{Interest, Message},
};

/// What was lost, and what came twice at QoS 2.
pub(super) fn check(case: &Case<'_>) -> Vec<Violation> {
    let mut violations = lost(case);
    let mut delivered = HashSet::new();
    let twice = deliveries(case).filter(|copy| copy.qos == QoS::ExactlyOnce);
    violations.extend(twice.filter(|copy| !delivered.insert(copy.message)).map(|copy| {
        Violation::new(Kind::Twice, case.client, "delivered before, and completed")
            .about(copy.message)
    }));
    violations
}

/// The acknowledged messages that did not come to this subscriber, though they were sent after
/// its subscription was granted. For members of a group, see [`super::groups`].
pub(super) fn lost(case: &Case<'_>) -> Vec<Violation> {
    if case.interest == Interest::Shared {
        return Vec::new();
    }
    let delivered: HashSet<Message> = deliveries(case).map(|copy| copy.message).collect();
    let lost = owed(case).filter(|message| !delivered.contains(message));
    lost.map(|message| loss(case.client, message)).collect()
}

/// What has to come to this subscriber, by the time when its subscription was granted.
pub(super) fn owed<'a>(case: &'a Case<'_>) -> impl Iterator<Item = Message> + use<'a> {
    let since = case.received.subscribed.unwrap_or(u64::MAX);
    let covered = case.published.acknowledged().filter(move |(message, publication)| {
        publication.first_sent > since && case.interest.covers(message.topic)
    });
    covered.map(|(message, _)| message)
}

/// What a receiver takes for messages, not for repetitions.
pub(super) fn deliveries<'a>(case: &'a Case<'_>) -> impl Iterator<Item = &'a Copy> + use<'a> {
    case.received.copies.iter().filter(|copy| copy.is == Is::Delivery)
}

pub(super) fn loss(client: &Client, message: Message) -> Violation {
    let who = match client.role {
        Role::Subscriber { interest: Interest::Shared, .. } => "no member of the group has it",
        _ => "acknowledged to its publisher, and did not come",
    };
    Violation::new(Kind::Lost, client, who).about(message)
}

#[cfg(test)]
mod tests {
    use crate::crash::checker::sketch::problems;

    #[test]
    fn a_message_that_is_delivered_once_is_fine() {
        let story = "s1 connected new, s1 subscribed, s2 connected new, s2 subscribed,
                     p sent 1, p acked 1, q sent 1, q acked 1,
                     s1 got p1, s1 got q1, s2 got p1, s2 got q1 id 3, s2 completed 3";
        assert_eq!(problems(story), [""; 0]);
    }

    #[test]
    fn an_acknowledged_message_that_does_not_come_is_lost() {
        let story = "s1 connected new, s1 subscribed, p sent 1, p acked 1, killed, s1 lost";
        assert_eq!(problems(story), ["acknowledged message lost: s1: p1 direct 1"]);
    }

    #[test]
    fn a_message_that_nobody_acknowledged_may_be_lost() {
        let story = "s1 connected new, s1 subscribed, p sent 1, q sent 1, q refused 1, killed";
        assert_eq!(problems(story), [""; 0]);
    }

    #[test]
    fn a_message_from_before_the_subscription_is_not_owed() {
        let story = "s1 connected new, p sent 1, s1 subscribed, p acked 1";
        assert_eq!(problems(story), [""; 0]);
    }

    #[test]
    fn a_qos_2_message_that_is_delivered_after_pubcomp_came_twice() {
        let story = "s2 connected new, s2 subscribed, q sent 1, q acked 1, s2 got q1 id 3,
                     s2 completed 3, killed, s2 lost, s2 connected again, s2 got q1 id 3 dup";
        assert_eq!(problems(story), ["QoS 2 message delivered twice: s2: p2 direct 1"]);
    }

    #[test]
    fn another_identifier_makes_it_twice_as_well() {
        let story = "s2 connected new, q sent 1, s2 got q1 id 3, s2 got q1 id 4";
        assert_eq!(problems(story), ["QoS 2 message delivered twice: s2: p2 direct 1"]);
    }

    #[test]
    fn a_confused_identifier_is_a_loss() {
        let story = "s2 connected new, s2 subscribed, q sent 1, q sent 2, q acked 1, q acked 2,
                     s2 got q1 id 4, s2 got q2 id 4";
        let found = problems(story);
        assert!(found.contains(&"acknowledged message lost: s2: p2 direct 2".into()), "{found:?}");
    }
}
