//! A shared subscription: each message goes to one member.

use std::collections::{HashMap, HashSet};

use mqtt_packet::QoS;

use super::{Case, Kind, Violation, delivery, published::Publication};
use crate::crash::message::{Interest, Message};

/// What the members of the group got too often.
pub(super) fn check(cases: &[Case<'_>]) -> Vec<Violation> {
    let mut violations = lost(cases);
    let members: Vec<&Case<'_>> = members(cases).collect();
    let mut counts: HashMap<Message, usize> = HashMap::new();
    for case in &members {
        for copy in delivery::deliveries(case) {
            let is_marked = copy.qos == QoS::AtLeastOnce && copy.dup;
            *counts.entry(copy.message).or_default() += usize::from(!is_marked);
        }
    }
    let Some(first) = members.first() else { return violations };
    for (message, count) in counts {
        let allowed = first.published.find(message).map_or(1, Publication::copies_max);
        if count > allowed {
            let detail = format!("{count} deliveries in the group, sent {allowed} times");
            violations.push(Violation::new(Kind::Twice, first.client, detail).about(message));
        }
    }
    violations
}

/// The acknowledged messages that no member has, though all were subscribed when they were sent.
pub(super) fn lost(cases: &[Case<'_>]) -> Vec<Violation> {
    let members: Vec<&Case<'_>> = members(cases).collect();
    let all = members.iter().flat_map(|case| delivery::deliveries(case));
    let delivered: HashSet<Message> = all.map(|copy| copy.message).collect();
    let last_to_join =
        members.iter().max_by_key(|case| case.received.subscribed.unwrap_or(u64::MAX));
    let Some(case) = last_to_join else { return Vec::new() };
    let lost = delivery::owed(case).filter(|message| !delivered.contains(message));
    lost.map(|message| delivery::loss(case.client, message)).collect()
}

fn members<'a, 'b>(cases: &'a [Case<'b>]) -> impl Iterator<Item = &'a Case<'b>> {
    cases.iter().filter(|case| case.interest == Interest::Shared)
}

#[cfg(test)]
mod tests {
    use crate::crash::checker::sketch::problems;

    const JOINED: &str = "g1 connected new, g1 subscribed, g2 connected new, g2 subscribed";

    #[test]
    fn one_member_is_enough() {
        let story = format!("{JOINED}, q sent shared1, q acked shared1, g2 got qshared1 id 1");
        assert_eq!(problems(&story), [""; 0]);
    }

    #[test]
    fn a_message_that_no_member_has_is_lost() {
        let story = format!("{JOINED}, q sent shared1, q acked shared1");
        assert_eq!(problems(&story), ["acknowledged message lost: g2: p2 shared 1"]);
    }

    #[test]
    fn two_members_are_one_too_many() {
        let story = format!("{JOINED}, q sent shared1, g1 got qshared1 id 1, g2 got qshared1 id 1");
        assert_eq!(problems(&story), ["QoS 2 message delivered twice: g1: p2 shared 1"]);
    }
}
