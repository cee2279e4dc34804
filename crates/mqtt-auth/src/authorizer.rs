use std::sync::Arc;

use mqtt_topics::{TopicFilterRef, TopicNameRef};

use crate::Identity;

/// Answers what a client may do.
///
/// It is asked at every hand-over: publish, will, subscription, retained replay and delivery. It
/// runs on the hot path and must neither block nor wait.
pub trait Authorizer: Send + Sync {
    /// Whether `who` may do `action`. When in doubt: `false`.
    fn authorize(&self, who: Subject<'_>, action: Action<'_>) -> bool;

    /// A number that grows whenever an answer may have changed, so that callers may cache answers.
    ///
    /// A caller reads it *before* it asks, and drops what it cached under another number. An
    /// implementation puts its new rules in force first and lets the number grow afterwards.
    fn generation(&self) -> u64 {
        0
    }
}

/// Who wants to do something.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The client identifier. Chosen by the client, and proven by nobody.
    pub client_id: &'a str,
    /// Who the client turned out to be when it connected.
    pub identity: &'a Identity,
}

/// What a client wants to do.
#[derive(Clone, Copy, Debug)]
pub enum Action<'a> {
    /// Send a message, or leave it as a will [MQTT-3.3.5-2].
    Publish {
        /// The topic, after a topic alias was resolved.
        topic: TopicNameRef<'a>,
        /// Whether the message is to be retained.
        retain: bool,
        /// The QoS, 0 to 2.
        qos: u8,
    },
    /// Be sent a message of this topic: live, from a queue, or retained.
    Receive {
        /// The topic of the message.
        topic: TopicNameRef<'a>,
    },
    /// Make a subscription. What it delivers is asked for message by message as
    /// [`Action::Receive`].
    Subscribe {
        /// The topic filter; of a shared subscription the inner one, without `$share/{name}/`.
        filter: TopicFilterRef<'a>,
    },
}

/// A shared authorizer is one too: keep one handle to reload it, give the other to the server.
impl<T: Authorizer + ?Sized> Authorizer for Arc<T> {
    fn authorize(&self, who: Subject<'_>, action: Action<'_>) -> bool {
        (**self).authorize(who, action)
    }

    fn generation(&self) -> u64 {
        (**self).generation()
    }
}
