//! What the histories have to say from a moment on when the disk had failed.

use mqtt_packet::{PacketType, ReasonCode};

use super::{
    checker::Violation,
    history::{End, Event, Run},
};

/// What publishers were told in a stretch of time.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Messages that were accepted.
    pub(super) accepted: usize,
    /// Messages that were refused, connections that were, and connections that were closed.
    pub(super) turned_down: usize,
    /// Refusals that do not say that room or means are lacking.
    misnamed: Vec<String>,
}

impl Told {
    /// What was told between these stamps.
    pub(super) fn between(run: &Run, from: u64, to: u64) -> Self {
        let entries = run.clients.iter().flat_map(|history| &history.entries);
        let mut told = Self::default();
        for entry in entries.filter(|entry| (from..to).contains(&entry.stamp)) {
            told.hear(&entry.event);
        }
        told
    }

    /// What is wrong if nothing could be kept meanwhile.
    pub(super) fn accepted_while(&self, what: &str) -> Option<Violation> {
        let detail = || format!("{} messages were acknowledged while {what}", self.accepted);
        (self.accepted > 0).then(|| Violation::of_broker(detail()))
    }

    /// What is wrong if there was something that could not be kept.
    pub(super) fn not_refused_while(&self, what: &str) -> Vec<Violation> {
        let detail = || format!("nothing was refused and nobody was cut off while {what}");
        let silent = (self.turned_down == 0).then(|| Violation::of_broker(detail()));
        let misnamed = self.misnamed.iter().map(Violation::of_broker);
        silent.into_iter().chain(misnamed).collect()
    }

    /// Takes one event into account.
    fn hear(&mut self, event: &Event) {
        match event {
            Event::Acknowledged { step: PacketType::PubAck | PacketType::PubRec, .. } => {
                self.accepted += 1;
            }
            Event::Refused { message, reason } => {
                self.turned_down += 1;
                let right = [ReasonCode::QUOTA_EXCEEDED.0, ReasonCode::UNSPECIFIED_ERROR.0];
                if !right.contains(reason) {
                    let detail = format!("{message} was refused with 0x{reason:02X}");
                    self.misnamed.push(detail);
                }
            }
            Event::TurnedAway { .. } | Event::Ended(End::Lost) => self.turned_down += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crash::{
        history::{Client, Entry, History, Role},
        message::{Message, Topic},
    };

    const MESSAGE: Message = Message { publisher: 1, topic: Topic::Direct, number: 1 };

    /// What is wrong with these events, the first of them with stamp 0, from stamp 1 on.
    fn problems(events: Vec<Event>) -> Vec<String> {
        let client = Client { name: "p".to_owned(), role: Role::Reader };
        let entry = |(stamp, event)| Entry { stamp, at_micros: 0, event };
        let entries = (0..).zip(events).map(entry).collect();
        let run = Run { broker: Vec::new(), clients: vec![History { client, entries }] };
        let told = Told::between(&run, 1, 100);
        let mut found = told.not_refused_while("nothing worked");
        found.extend(told.accepted_while("nothing worked"));
        found.into_iter().map(|violation| violation.detail).collect()
    }

    fn accepted() -> Event {
        Event::Acknowledged { message: MESSAGE, step: PacketType::PubAck }
    }

    fn refused(reason: u8) -> Event {
        Event::Refused { message: MESSAGE, reason }
    }

    #[test]
    fn to_refuse_is_right() {
        assert_eq!(problems(vec![accepted(), refused(0x97)]), [""; 0]);
        assert_eq!(problems(vec![accepted(), Event::Ended(End::Lost)]), [""; 0]);
    }

    #[test]
    fn to_accept_is_not() {
        let found = problems(vec![refused(0x97), refused(0x80), accepted()]);
        assert_eq!(found, ["1 messages were acknowledged while nothing worked"]);
    }

    #[test]
    fn to_be_silent_is_not() {
        let found = problems(vec![refused(0x97)]);
        assert_eq!(found, ["nothing was refused and nobody was cut off while nothing worked"]);
    }

    #[test]
    fn to_refuse_for_another_reason_is_not() {
        assert_eq!(
            problems(vec![accepted(), refused(0x87)]),
            ["p1 direct 1 was refused with 0x87"]
        );
    }
}
