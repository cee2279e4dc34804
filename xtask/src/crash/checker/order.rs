//! Order: the first copies of a publisher's messages on a topic come as they were sent.

use std::collections::{HashMap, HashSet};

use super::{Case, Kind, Violation, delivery};
use crate::crash::message::Interest;

/// The messages whose first copy came behind that of a later one.
pub(super) fn check(case: &Case<'_>) -> Vec<Violation> {
    if case.interest == Interest::Shared {
        // What one member leaves, another gets later: a group has no order.
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let mut latest = HashMap::new();
    let mut violations = Vec::new();
    for copy in delivery::deliveries(case) {
        let message = copy.message;
        if !seen.insert(message) {
            continue;
        }
        let latest = latest.entry((message.publisher, message.topic)).or_insert(0);
        if message.number < *latest {
            let detail = format!("it came after number {latest}");
            violations.push(Violation::new(Kind::Order, case.client, detail).about(message));
        }
        *latest = message.number.max(*latest);
    }
    violations
}

#[cfg(test)]
mod tests {
    use crate::crash::checker::sketch::problems;

    #[test]
    fn a_message_that_overtakes_is_found() {
        let story = "s1 connected new, p sent 1, p sent 2, s1 got p2, s1 got p1";
        assert_eq!(problems(story), ["out of order: s1: p1 direct 1"]);
    }

    #[test]
    fn repetitions_have_no_order_with_what_came_between() {
        let story = "s1 connected new, p sent 1, p sent 2, s1 got p1, s1 got p2, killed, s1 lost,
                     s1 connected again, s1 got p1 dup, s1 got p2 dup";
        assert_eq!(problems(story), [""; 0]);
    }

    #[test]
    fn publishers_have_no_order_among_each_other() {
        let story = "s1 connected new, p sent 1, q sent 1, p sent 2, s1 got p1, s1 got p2,
                     s1 got q1";
        assert_eq!(problems(story), [""; 0]);
    }
}
