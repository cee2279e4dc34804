//! A client inside the process, without a socket.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    task::Poll,
};

use bytes::Bytes;
use mqtt_auth::Identity;
use mqtt_packet::{PublishProperties, QoS, ReasonCode, SubscriptionOptions};
use mqtt_session::{Delivery, Held, Ledger, MessageParts, Run};
use mqtt_topics::{SubscriptionFilter, TopicError, TopicNameRef};
use thiserror::Error;

use crate::{
    core::{
        slot::{LOCAL_USER, Report, Slot},
        traffic::Traffic,
    },
    routing::Subscription,
    server::Shared,
};

/// How many bytes are taken from the queue at once.
const TAKE_BYTES: usize = 64 * 1024;

/// A client inside the process. Dropping it ends its session.
///
/// What it is sent waits in the same bounded queue as for any client: if it does not come to fetch,
/// publishers wait for it, and then it loses QoS 0 messages.
pub struct LocalClient {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    taken: VecDeque<Delivery>,
    current: VecDeque<LocalMessage>,
}

/// A message as a [`LocalClient`] gets it.
#[derive(Clone, Debug)]
pub struct LocalMessage {
    run: Run,
    /// The QoS it was delivered with: the lower of the published and the granted one.
    pub qos: QoS,
    /// Whether it is a retained message, or was published as one and the subscription asks to know.
    pub retain: bool,
}

impl LocalMessage {
    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.run.topic()
    }

    /// The application message.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.run.payload()
    }

    /// The properties that the publisher set.
    #[must_use]
    pub fn properties(&self) -> PublishProperties<'_> {
        self.run.properties()
    }
}

/// A [`LocalClient`] could not do what it was asked for.
#[derive(Debug, Error)]
pub enum LocalError {
    /// The topic or filter is not one.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The message does not fit into a packet.
    #[error(transparent)]
    Message(#[from] mqtt_packet::EncodeError),
    /// The client identifier is taken.
    #[error("the client identifier {client_id:?} is taken: choose another")]
    Taken {
        /// The identifier.
        client_id: String,
    },
}

impl LocalClient {
    pub(crate) fn new(shared: &Arc<Shared>, client_id: &str) -> Result<Self, LocalError> {
        let taken = || LocalError::Taken { client_id: client_id.to_owned() };
        let broker = &shared.broker;
        let mut shard = broker.registry.shard(client_id).ok_or_else(taken)?;
        if shard.find(client_id).is_some() {
            return Err(taken());
        }
        let slot = Arc::new(Slot::new(
            broker.registry.next_id(),
            client_id.into(),
            Identity::user(LOCAL_USER),
            broker.inbox_limits(),
            None,
        ));
        slot.set_peer(mqtt_session::Wire::V5, u32::MAX);
        slot.lock().inbox.go_online();
        broker.registry.insert(&mut shard, &slot);
        drop(shard);
        broker.connections.fetch_add(1, Ordering::Relaxed);
        let (taken, current) = (VecDeque::new(), VecDeque::new());
        Ok(Self { shared: shared.clone(), slot, taken, current })
    }

    /// Publishes a message. It does not wait for the session store: a server that dies at once may not
    /// have kept it. The answer is [`ReasonCode::NO_MATCHING_SUBSCRIBERS`] if nobody is
    /// subscribed, [`ReasonCode::QUOTA_EXCEEDED`] if it could not be retained.
    ///
    /// # Errors
    /// The topic is not a topic name, or the message does not fit into a packet.
    pub fn publish(
        &self,
        topic: &str,
        payload: &[u8],
        qos: QoS,
        retain: bool,
    ) -> Result<ReasonCode, LocalError> {
        TopicNameRef::new(topic)?;
        let run = Run::from_message(&MessageParts {
            topic,
            payload,
            properties: &[],
            qos,
            retain,
            packet_id: None,
            expires_at: None,
        })?;
        let mut traffic = Traffic { published: 1, ..Traffic::default() };
        let now = self.shared.clock.now();
        let reason = self.shared.broker.publish(Some(&self.slot), &run, now, &mut traffic);
        self.shared.broker.count(traffic);
        Ok(reason)
    }

    /// Subscribes. Retained messages come first.
    ///
    /// # Errors
    /// `filter` is not a topic filter.
    pub fn subscribe(&mut self, filter: &str, qos: QoS) -> Result<(), LocalError> {
        let parsed = SubscriptionFilter::parse(filter)?;
        let broker = &self.shared.broker;
        let subscription =
            Subscription { options: SubscriptionOptions::new(qos), identifier: None };
        self.slot.lock().subscriptions.insert(filter.into(), subscription);
        broker.routing.subscribe(self.slot.id, parsed, subscription);
        if parsed.share.is_none() {
            let mut found = Vec::new();
            let (now, mut after) = (self.shared.clock.now(), None);
            loop {
                let at = after.as_ref().map(mqtt_topics::TopicName::as_ref);
                after = broker.retained.scan(parsed.filter, at, 256, now, &mut found).next;
                if after.is_none() {
                    break;
                }
            }
            let count = found.len() as u64;
            let mut done = Ledger::default();
            (done.enqueued, done.delivered) = (count, count);
            let messages = found.into_iter().map(|run| {
                let qos = qos.min(run.qos());
                LocalMessage { run, qos, retain: true }
            });
            self.current.extend(messages);
            let traffic = Traffic { replayed: count, ..Traffic::default() };
            self.slot.exchange(
                Report { done, traffic, ..Report::default() },
                &mut VecDeque::new(),
                0,
            );
        }
        Ok(())
    }

    /// Removes a subscription. Answers whether there was one.
    ///
    /// # Errors
    /// `filter` is not a topic filter.
    pub fn unsubscribe(&mut self, filter: &str) -> Result<bool, LocalError> {
        let parsed = SubscriptionFilter::parse(filter)?;
        self.slot.lock().subscriptions.remove(filter);
        Ok(self.shared.broker.routing.unsubscribe(self.slot.id, parsed))
    }

    /// Waits for the next message; `None` when the server has stopped. Nothing is lost if the future
    /// is dropped before it is done.
    pub async fn next(&mut self) -> Option<LocalMessage> {
        poll_fn(|cx| {
            loop {
                if let Some(message) = self.current.pop_front() {
                    return Poll::Ready(Some(message));
                }
                if self.fetch().is_none() {
                    return Poll::Ready(None);
                }
                if self.current.is_empty() && self.slot.sleep(cx.waker(), true) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Takes what waits; `None` when the server stops.
    fn fetch(&mut self) -> Option<()> {
        let leave = self.slot.exchange(Report::default(), &mut self.taken, TAKE_BYTES);
        let now = self.shared.clock.now();
        let mut done = Ledger::default();
        for delivery in self.taken.drain(..) {
            if delivery.run.is_expired(now) {
                done.expired += u64::from(delivery.count());
                continue;
            }
            done.delivered += u64::from(delivery.count());
            self.current.extend(delivery.run.frames().map(|frame| LocalMessage {
                run: delivery.run.with_frame(&frame),
                qos: delivery.qos(),
                retain: delivery.retain,
            }));
        }
        let report = Report { done, held: Held::default(), ..Report::default() };
        self.slot.exchange(report, &mut self.taken, 0);
        (leave.leave.is_none() || !self.current.is_empty()).then_some(())
    }
}

impl Drop for LocalClient {
    fn drop(&mut self) {
        self.shared.broker.end_session(&self.slot);
        self.shared.broker.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
