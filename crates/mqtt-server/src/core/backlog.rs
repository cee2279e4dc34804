//! What a client has asked for and has not got yet, because it takes more than a turn.

use mqtt_session::{Run, Time};

use super::{connection::Connection, replay::Replays, subscribe::FilterRequest, work::Work};

/// What is left to be done for one client. Most clients never have one.
#[derive(Default)]
pub(super) struct Backlog {
    /// The packet that is being worked off. What was read behind it waits.
    pub(super) request: Option<Request>,
    /// Retained messages for new subscriptions.
    pub(super) replays: Replays,
}

/// A packet that is worked off a part at a time.
pub(super) enum Request {
    /// SUBSCRIBE or UNSUBSCRIBE with many filters.
    Filters(FilterRequest),
    /// Messages for the groups of a shared subscription, each of which goes to another member.
    Messages(Run),
}

impl Connection {
    /// Whether a packet was begun and is not worked off.
    pub(super) fn has_request(&self) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| backlog.request.is_some())
    }

    /// Goes on with the packet that was begun.
    pub(super) fn go_on(&mut self, work: &mut Work, now: Time) {
        let request = self.backlog.as_mut().and_then(|backlog| backlog.request.take());
        match request {
            Some(Request::Filters(request)) => self.work_off_filters(request, work),
            Some(Request::Messages(run)) => self.publish_rest(run, work, now),
            None => {}
        }
    }

    /// Keeps what is left of a packet for the next turn.
    pub(super) fn keep_request(&mut self, request: Request) {
        self.backlog.get_or_insert_default().request = Some(request);
    }
}
