//! What has happened although its group was refused: it is written as soon as there is room.

use std::{collections::HashMap, sync::Arc};

use mqtt_session::{Change, SessionNumber};

/// What a change is about: a later one takes the place of an earlier one.
#[derive(Eq, PartialEq, Hash)]
enum About {
    Session(SessionNumber),
    Progress(SessionNumber),
    Received(SessionNumber),
    Subscription(SessionNumber, Arc<str>),
    Retained(Arc<str>),
}

/// The same changes without those that later ones make void. So what waits for room is bounded by
/// the number of sessions, subscriptions and retained messages, however long it waits.
pub(super) fn fold(changes: Vec<Change>) -> Vec<Change> {
    let mut folded: Vec<Option<Change>> = Vec::with_capacity(changes.len());
    let mut places: HashMap<About, usize> = HashMap::new();
    for mut change in changes {
        let earlier = about(&change).and_then(|about| places.insert(about, folded.len()));
        let earlier = earlier.and_then(|place| folded.get_mut(place)).and_then(Option::take);
        if let (
            Some(Change::Progress { finished: mut before, .. }),
            Change::Progress { finished, .. },
        ) = (earlier, &mut change)
        {
            before.append(finished);
            *finished = before;
        }
        folded.push(Some(change));
    }
    folded.into_iter().flatten().collect()
}

fn about(change: &Change) -> Option<About> {
    Some(match change {
        Change::Session(session) => About::Session(session.number),
        Change::Progress { session, .. } => About::Progress(*session),
        Change::Received { session, .. } => About::Received(*session),
        Change::Subscribe(subscription) => {
            About::Subscription(subscription.session, subscription.filter.clone())
        }
        Change::Unsubscribe { session, filter } => About::Subscription(*session, filter.clone()),
        Change::Retain { topic, .. } => About::Retained(topic.clone()),
        // The end of a session comes once.
        Change::End(_) | Change::Enqueue { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use mqtt_session::{FinishedEntry, Progress};

    use super::*;

    fn progress(head: u64) -> Change {
        Change::Progress {
            session: SessionNumber(1),
            progress: Progress { head, sent: head, settled: Vec::new() },
            finished: vec![FinishedEntry { seq: head - 1, shared: None }],
        }
    }

    #[test]
    fn only_the_last_word_is_kept_and_no_finished_entry_is_lost() {
        let unsubscribe =
            || Change::Unsubscribe { session: SessionNumber(1), filter: Arc::from("a") };
        let end = Change::End(SessionNumber(2));
        let changes = vec![progress(2), unsubscribe(), progress(3), end.clone(), unsubscribe()];
        let [Change::Progress { progress, finished, .. }, kept, last] = &fold(changes)[..] else {
            panic!("three are left");
        };
        assert_eq!((progress.head, finished.len()), (3, 2));
        assert_eq!((kept, last), (&end, &unsubscribe()));
    }
}
