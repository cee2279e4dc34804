//! What was published, over all publishers.

use std::collections::HashMap;

use mqtt_packet::QoS;

use crate::crash::{
    history::{Event, History, Role, Run},
    message::Message,
};

/// All messages that were ever sent.
pub(super) struct Publications(HashMap<Message, Publication>);

/// What became of one message at its publisher.
pub(super) struct Publication {
    pub(super) qos: QoS,
    /// When it was sent for the first time.
    pub(super) first_sent: u64,
    /// How often it was sent, repetitions included.
    pub(super) sends: usize,
    /// When it was acknowledged.
    pub(super) acknowledged: Option<u64>,
}

impl Publications {
    /// What the publishers of this run have sent.
    pub(super) fn of(run: &Run) -> Self {
        let mut all = Self(HashMap::new());
        for history in &run.clients {
            if let Role::Publisher { qos } = history.client.role {
                all.add(history, qos);
            }
        }
        all
    }

    /// What is known of this message.
    pub(super) fn find(&self, message: Message) -> Option<&Publication> {
        self.0.get(&message)
    }

    /// The acknowledged messages.
    pub(super) fn acknowledged(&self) -> impl Iterator<Item = (Message, &Publication)> {
        let all = self.0.iter().map(|(message, publication)| (*message, publication));
        all.filter(|(_, publication)| publication.acknowledged.is_some())
    }

    fn add(&mut self, history: &History, qos: QoS) {
        for entry in &history.entries {
            match entry.event {
                Event::Sent { message, .. } => {
                    let unsent =
                        Publication { qos, first_sent: entry.stamp, sends: 0, acknowledged: None };
                    self.0.entry(message).or_insert(unsent).sends += 1;
                }
                Event::Acknowledged { message, .. } => {
                    if let Some(publication) = self.0.get_mut(&message) {
                        publication.acknowledged.get_or_insert(entry.stamp);
                    }
                }
                _ => {}
            }
        }
    }
}

impl Publication {
    /// How many copies of it the broker may have taken for messages of their own: a QoS 1 message
    /// that its publisher repeats is a new one to the broker.
    pub(super) fn copies_max(&self) -> usize {
        if self.qos == QoS::ExactlyOnce { 1 } else { self.sends }
    }
}
