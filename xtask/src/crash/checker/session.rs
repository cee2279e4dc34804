//! Session Present tells the truth [MQTT-3.2.2-2] [MQTT-3.2.2-3].

use super::{Kind, Violation};
use crate::crash::history::{Event, History, Role};

/// What a client knows about its session at the broker.
#[derive(Copy, Clone, Eq, PartialEq)]
enum Session {
    /// Nobody has asked for one.
    None,
    /// Asked for, and the answer did not come.
    Perhaps,
    /// Its creation was acknowledged.
    Exists,
}

/// The CONNACKs with an untrue Session Present.
pub(super) fn check(history: &History) -> Vec<Violation> {
    let is_kept = history.client.role != Role::Reader;
    let mut session = Session::None;
    let mut truth = None;
    let mut violations = Vec::new();
    for entry in &history.entries {
        match entry.event {
            Event::Connecting { clean_start } => {
                truth = expected(session, clean_start);
                if is_kept && session == Session::None {
                    session = Session::Perhaps;
                }
            }
            Event::Connected { session_present } => {
                if truth.is_some_and(|truth| truth != session_present) {
                    violations.push(untrue(history, entry.stamp, session_present));
                }
                if is_kept {
                    session = Session::Exists;
                }
            }
            _ => {}
        }
    }
    violations
}

/// What CONNACK has to say; `None` if both can be true.
fn expected(session: Session, cleans: bool) -> Option<bool> {
    match session {
        Session::None => Some(false),
        Session::Perhaps | Session::Exists if cleans => Some(false),
        Session::Perhaps => None,
        Session::Exists => Some(true),
    }
}

fn untrue(history: &History, stamp: u64, said: bool) -> Violation {
    let detail = if said {
        format!("1 at {stamp}, but there can be no session")
    } else {
        format!("0 at {stamp}, but a session had been acknowledged")
    };
    Violation::new(Kind::SessionPresent, &history.client, detail)
}

#[cfg(test)]
mod tests {
    use crate::crash::checker::sketch::problems;

    #[test]
    fn a_session_that_is_gone_is_found() {
        let story = "s1 connected new, killed, s1 lost, s1 connected new";
        assert_eq!(problems(story), ["untrue Session Present: s1"]);
    }

    #[test]
    fn a_session_that_nobody_made_is_found() {
        assert_eq!(problems("s1 connected again"), ["untrue Session Present: s1"]);
    }

    #[test]
    fn an_attempt_without_an_answer_leaves_both_open() {
        assert_eq!(problems("s1 connecting, killed, s1 lost, s1 connected again"), [""; 0]);
        assert_eq!(problems("s1 connecting, killed, s1 lost, s1 connected new"), [""; 0]);
    }

    #[test]
    fn a_clean_start_finds_no_session() {
        assert_eq!(problems("r connected again"), ["untrue Session Present: r"]);
        assert_eq!(problems("r connected new, r left, r connected new"), [""; 0]);
    }
}
