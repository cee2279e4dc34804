//! The inbox against a model that keeps every message in a list.

use std::collections::VecDeque;

use mqtt_packet::QoS;
use mqtt_session::{DropReason, Inbox, InboxLimits, Ledger, QueueFull, Time};
use proptest::{collection::vec, prelude::*};

use crate::pair::message;

const LIMITS: InboxLimits = InboxLimits {
    messages_max: 8,
    bytes_max: 400,
    high_water_bytes: 150,
    slow_after_millis: 50,
    behind_max_millis: 500,
    when_full: QueueFull::DropNewest,
};

#[derive(Clone, Debug)]
enum Step {
    Push {
        qos: u8,
        bytes: usize,
    },
    Drain {
        bytes_max: usize,
    },
    /// The owner finishes some of what it took.
    Finish {
        messages: usize,
    },
    GoOnline,
    GoOffline,
    Wait {
        millis: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..3_u8, 0..120_usize).prop_map(|(qos, bytes)| Step::Push { qos, bytes }),
        2 => (0..300_usize).prop_map(|bytes_max| Step::Drain { bytes_max }),
        2 => (0..6_usize).prop_map(|messages| Step::Finish { messages }),
        1 => Just(Step::GoOnline),
        1 => Just(Step::GoOffline),
        1 => (0..60_u64).prop_map(|millis| Step::Wait { millis }),
    ];
    vec(step, 1..80)
}

proptest! {
    #[test]
    fn every_message_is_in_one_place(steps in steps()) {
        let mut model = Model::new();
        for step in steps {
            model.step(&step);
            model.check()?;
        }
        model.inbox.end();
        prop_assert_eq!(model.inbox.ledger().held(), 0);
    }
}

struct Model {
    inbox: Inbox,
    now: Time,
    number: u32,
    /// Numbers and lengths of QoS 1 and 2 messages in the queue, and of all.
    queue: VecDeque<(u32, QoS, usize)>,
    /// QoS 1 and 2 messages that the owner took.
    owned: VecDeque<usize>,
    pushed: u64,
    delivered: u64,
    lost: u64,
}

impl Model {
    fn new() -> Self {
        Self {
            inbox: Inbox::new(LIMITS),
            now: Time::ZERO,
            number: 0,
            queue: VecDeque::new(),
            owned: VecDeque::new(),
            pushed: 0,
            delivered: 0,
            lost: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Push { qos, bytes } => self.push(QoS::from_bits(qos).unwrap(), bytes),
            Step::Drain { bytes_max } => self.drain(bytes_max),
            Step::Finish { messages } => self.finish(messages),
            Step::GoOnline => self.inbox.go_online(),
            Step::GoOffline => {
                let lost = self.queue.iter().filter(|(_, qos, _)| *qos == QoS::AtMostOnce).count();
                self.lost += lost as u64;
                self.queue.retain(|(_, qos, _)| *qos != QoS::AtMostOnce);
                self.inbox.go_offline();
            }
            Step::Wait { millis } => self.now = self.now.after_millis(millis),
        }
    }

    fn push(&mut self, qos: QoS, bytes: usize) {
        self.number += 1;
        self.pushed += 1;
        let run = message(&self.number.to_string(), &"x".repeat(bytes), qos);
        let len = run.len();
        let fits = self.fits(qos);
        let before = self.inbox.queued();
        let delivery = mqtt_session::Delivery {
            run,
            granted: QoS::ExactlyOnce,
            retain: false,
            identifiers: None,
            mark: 0,
            seq: None,
        };
        self.inbox.push(delivery, self.now);
        let slow = qos == QoS::AtMostOnce && self.inbox.is_slow();
        if self.inbox.queued() > before {
            assert!(fits, "more than the limits");
            self.queue.push_back((self.number, qos, len));
        } else {
            assert!(!fits || slow, "less than the limits");
            self.lost += 1;
        }
    }

    fn fits(&self, qos: QoS) -> bool {
        let bytes: usize = self.queue.iter().map(|(_, _, len)| len).sum();
        let owned: usize = self.owned.iter().sum();
        let messages = self.queue.iter().filter(|(_, qos, _)| *qos != QoS::AtMostOnce).count();
        match qos {
            QoS::AtMostOnce => self.inbox.is_online() && bytes < LIMITS.bytes_max,
            _ => {
                bytes + owned < LIMITS.bytes_max
                    && messages + self.owned.len() < LIMITS.messages_max
            }
        }
    }

    fn drain(&mut self, bytes_max: usize) {
        let mut out = VecDeque::new();
        self.inbox.drain(&mut out, bytes_max);
        for delivery in &out {
            let (number, qos, len) = self.queue.pop_front().unwrap();
            assert_eq!(delivery.run.topic(), number.to_string(), "out of order");
            match qos {
                QoS::AtMostOnce => self.delivered += 1,
                _ => self.owned.push_back(len),
            }
        }
        self.report(out.iter().filter(|delivery| delivery.qos() == QoS::AtMostOnce).count());
    }

    fn finish(&mut self, messages: usize) {
        let finished = messages.min(self.owned.len());
        self.owned.drain(..finished);
        self.delivered += finished as u64;
        self.report(finished);
    }

    fn report(&mut self, delivered: usize) {
        let mut done = Ledger::default();
        done.delivered = delivered as u64;
        let held =
            mqtt_session::Held { messages: self.owned.len(), bytes: self.owned.iter().sum() };
        self.inbox.report(done, held);
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let ledger = self.inbox.ledger();
        prop_assert_eq!(self.inbox.queued(), self.queue.len() as u64);
        prop_assert_eq!(
            self.inbox.bytes(),
            self.queue.iter().map(|(_, _, len)| len).sum::<usize>()
        );
        prop_assert_eq!(ledger.enqueued, self.pushed);
        prop_assert_eq!(ledger.delivered, self.delivered);
        prop_assert_eq!(ledger.dropped_total(), self.lost);
        prop_assert_eq!(ledger.dropped(DropReason::SessionEnded), 0);
        prop_assert_eq!(ledger.held(), (self.queue.len() + self.owned.len()) as u64);
        Ok(())
    }
}
