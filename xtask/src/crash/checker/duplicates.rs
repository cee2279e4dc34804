//! Duplicates at QoS 1: only where they are allowed, and marked.

use super::{
    Case, Kind, Violation, connections::Connection, published::Publication, received::Copy,
};
use crate::crash::{history::End, message::Interest};
use mqtt_packet::QoS;

/// The duplicates that must not be.
pub(super) fn check(case: &Case<'_>) -> Vec<Violation> {
    let mut violations = marked_at_first(case);
    for (message, copies) in case.received.by_message() {
        let copies: Vec<&Copy> =
            copies.into_iter().filter(|copy| copy.qos == QoS::AtLeastOnce).collect();
        let Some(publication) = case.published.find(message) else { continue };
        let faults = [unmarked(case, publication, &copies), needless(case, publication, &copies)];
        violations.extend(faults.into_iter().flatten().map(|fault| fault.about(message)));
    }
    violations
}

/// DUP says that the session has sent this before: there has to be one.
fn marked_at_first(case: &Case<'_>) -> Vec<Violation> {
    let resumed = |copy: &Copy| connection(case, copy).is_some_and(|connection| connection.resumed);
    let wrong = case.received.copies.iter().filter(|copy| copy.dup && !resumed(copy));
    let violation = |copy: &Copy| {
        Violation::new(Kind::MarkedAtFirst, case.client, "DUP, but the session is new")
            .about(copy.message)
    };
    wrong.map(violation).collect()
}

/// More copies than the publisher sent need DUP, and another connection [MQTT-3.3.1-1].
fn unmarked(case: &Case<'_>, publication: &Publication, copies: &[&Copy]) -> Option<Violation> {
    let allowed = publication.copies_max();
    let unmarked = copies.iter().filter(|copy| !copy.dup).count();
    let violation = |detail| Some(Violation::new(Kind::Unmarked, case.client, detail));
    if unmarked > allowed {
        return violation(format!("{unmarked} copies without DUP, sent {allowed} times"));
    }
    let most = copies.chunk_by(|a, b| a.connection == b.connection).map(<[_]>::len).max();
    match most {
        Some(most) if most > allowed => {
            violation(format!("{most} copies on one connection, sent {allowed} times"))
        }
        _ => None,
    }
}

/// A copy after PUBACK is excusable only if the broker cannot have known of it.
fn needless(case: &Case<'_>, publication: &Publication, copies: &[&Copy]) -> Option<Violation> {
    if publication.copies_max() > 1 || case.interest == Interest::Shared {
        // Copies of a message that was sent twice cannot be told from each other.
        return None;
    }
    copies.iter().zip(copies.iter().skip(1)).find_map(|(earlier, later)| {
        let why = knew(case, earlier, later)?;
        Some(Violation::new(Kind::Needless, case.client, why))
    })
}

/// Why the broker knew that `earlier` was acknowledged when it sent `later`.
fn knew(case: &Case<'_>, earlier: &Copy, later: &Copy) -> Option<&'static str> {
    let answered = earlier.answered?;
    let ended = connection(case, earlier)?.end;
    if ended == Some(End::Disconnected) && !case.killed_between(answered, later.stamp) {
        return Some("PUBACK and DISCONNECT had been written, and nothing was killed");
    }
    // A broker that came back and went on to new messages had the acknowledgement on disk.
    let between = earlier.connection + 1..later.connection;
    let moved_on = |connection: &Connection| {
        connection.moved_on && case.killed_between(answered, connection.began)
    };
    let honoured = case.received.connections.get(between)?.iter().any(moved_on);
    honoured.then_some("after a restart it went on without it, and then it came again")
}

fn connection<'a>(case: &'a Case<'_>, copy: &Copy) -> Option<&'a Connection> {
    case.received.connections.get(copy.connection)
}

#[cfg(test)]
mod tests {
    use crate::crash::checker::sketch::problems;

    #[test]
    fn a_marked_duplicate_after_a_kill_is_fine() {
        let story = "s1 connected new, s1 subscribed, p sent 1, p acked 1, s1 got p1 id 1,
                     s1 acked 1, killed, s1 lost, s1 connected again, s1 got p1 id 1 dup";
        assert_eq!(problems(story), [""; 0]);
    }

    #[test]
    fn a_duplicate_without_dup_is_found() {
        let story = "s1 connected new, p sent 1, s1 got p1 id 1, killed, s1 lost,
                     s1 connected again, s1 got p1 id 1";
        assert_eq!(problems(story), ["duplicate without DUP: s1: p1 direct 1"]);
    }

    #[test]
    fn a_publisher_that_repeats_makes_an_unmarked_duplicate() {
        let story = "s1 connected new, p sent 1, s1 got p1 id 1, killed, s1 lost,
                     s1 connected again, p sent 1, s1 got p1 id 2";
        assert_eq!(problems(story), [""; 0]);
    }

    #[test]
    fn a_publisher_at_qos_2_does_not() {
        let story = "s1 connected new, q sent 1, s1 got q1 id 1, killed, s1 lost,
                     s1 connected again, q sent 1, s1 got q1 id 2";
        assert_eq!(problems(story), ["duplicate without DUP: s1: p2 direct 1"]);
    }

    #[test]
    fn a_duplicate_on_the_same_connection_is_found() {
        let story = "s1 connected new, s1 lost, s1 connected again, p sent 1, s1 got p1 id 1,
                     s1 got p1 id 2 dup";
        assert_eq!(problems(story), ["duplicate without DUP: s1: p1 direct 1"]);
    }

    #[test]
    fn dup_in_a_new_session_is_found() {
        let story = "s1 connected new, p sent 1, s1 got p1 id 1 dup";
        assert_eq!(problems(story), ["DUP without a resumed session: s1: p1 direct 1"]);
    }

    #[test]
    fn a_duplicate_after_puback_and_disconnect_is_found() {
        let story = "s1 connected new, p sent 1, s1 got p1 id 1, s1 acked 1, s1 left,
                     s1 connected again, s1 got p1 id 1 dup";
        assert_eq!(problems(story), ["acknowledged delivery repeated: s1: p1 direct 1"]);
    }

    #[test]
    fn a_kill_excuses_it() {
        let story = "s1 connected new, p sent 1, s1 got p1 id 1, s1 acked 1, s1 left, killed,
                     s1 connected again, s1 got p1 id 1 dup";
        assert_eq!(problems(story), [""; 0]);
    }

    #[test]
    fn an_acknowledgement_that_outlived_a_kill_is_not_forgotten_by_the_next() {
        let story = "s1 connected new, p sent 1, s1 got p1 id 1, s1 acked 1, killed, s1 lost,
                     s1 connected again, p sent 2, s1 got p2 id 2, killed, s1 lost,
                     s1 connected again, s1 got p1 id 1 dup";
        assert_eq!(problems(story), ["acknowledged delivery repeated: s1: p1 direct 1"]);
    }
}
