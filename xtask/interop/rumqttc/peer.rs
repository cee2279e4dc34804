//! One client of either version, whose messages wait in a queue.

use std::{collections::VecDeque, fmt, time::Duration};

use rumqttc::v5::mqttbytes::v5::PublishProperties;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use crate::{v3, v5};

/// How long a peer waits for the broker.
const PATIENCE: Duration = Duration::from_secs(10);

/// The versions that rumqttc speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Version {
    /// MQTT 3.1.1.
    V3,
    /// MQTT 5.0.
    V5,
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::V3 => "3.1.1",
            Self::V5 => "5.0",
        })
    }
}

/// How to connect.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) client_id: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Start without the session of before, and leave none behind.
    pub(crate) clean: bool,
    /// Acknowledge what comes in.
    pub(crate) acknowledge: bool,
    /// The topic and payload of the will, which has QoS 1.
    pub(crate) will: Option<(String, String)>,
}

/// A message that came in.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) text: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) packet_id: u16,
    pub(crate) properties: Option<PublishProperties>,
}

/// A message that goes out.
#[derive(Clone, Debug)]
pub(crate) struct Publish<'a> {
    pub(crate) topic: &'a str,
    pub(crate) text: &'a str,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) properties: Option<PublishProperties>,
}

/// What the broker said, the same for both versions.
#[derive(Debug)]
pub(crate) enum Event {
    Connected { session_present: bool },
    Subscribed { granted: Option<u8> },
    Published,
    Message(Message),
}

/// The half of a client that sends.
#[derive(Debug)]
pub(crate) enum Sender {
    V3(rumqttc::AsyncClient),
    V5(rumqttc::v5::AsyncClient),
}

/// One client.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) session_present: bool,
    sender: Sender,
    events: mpsc::UnboundedReceiver<Event>,
    messages: VecDeque<Message>,
    driver: JoinHandle<()>,
}

impl Peer {
    /// Connects and waits for the CONNACK.
    pub(crate) async fn connect(version: Version, settings: Settings) -> Result<Self, String> {
        let (told, events) = mpsc::unbounded_channel();
        let (sender, driver) = match version {
            Version::V3 => v3::connect(settings, told),
            Version::V5 => v5::connect(settings, told),
        };
        let messages = VecDeque::new();
        let mut peer = Self { session_present: false, sender, events, messages, driver };
        let is_connack = |event: &Event| matches!(event, Event::Connected { .. });
        if let Event::Connected { session_present } = peer.wait("the CONNACK", is_connack).await? {
            peer.session_present = session_present;
        }
        Ok(peer)
    }

    /// Subscribes and fails unless the QoS is granted as asked for.
    pub(crate) async fn subscribe(&mut self, filter: &str, qos: u8) -> Result<(), String> {
        match &self.sender {
            Sender::V3(client) => v3::subscribe(client, filter, qos).await?,
            Sender::V5(client) => v5::subscribe(client, filter, qos).await?,
        }
        let is_suback = |event: &Event| matches!(event, Event::Subscribed { .. });
        match self.wait("the SUBACK", is_suback).await? {
            Event::Subscribed { granted } if granted == Some(qos) => Ok(()),
            other => Err(format!("the SUBACK: expected QoS {qos}, got {other:?}")),
        }
    }

    /// Publishes and, for QoS 1 and 2, waits for the acknowledgement.
    pub(crate) async fn publish(&mut self, publish: Publish<'_>) -> Result<(), String> {
        let is_acknowledged = publish.qos > 0;
        match &self.sender {
            Sender::V3(client) => v3::publish(client, publish).await?,
            Sender::V5(client) => v5::publish(client, publish).await?,
        }
        if is_acknowledged {
            let is_done = |event: &Event| matches!(event, Event::Published);
            self.wait("the acknowledgement", is_done).await?;
        }
        Ok(())
    }

    /// The next message, in the order in which they came.
    pub(crate) async fn next(&mut self) -> Result<Message, String> {
        if let Some(message) = self.messages.pop_front() {
            return Ok(message);
        }
        match self.wait("a message", |event| matches!(event, Event::Message(_))).await? {
            Event::Message(message) => Ok(message),
            other => Err(format!("a message: got {other:?}")),
        }
    }

    /// The text of the next message.
    pub(crate) async fn next_text(&mut self) -> Result<String, String> {
        Ok(self.next().await?.text)
    }

    /// Disconnects in good order and waits until the broker has closed the connection.
    pub(crate) async fn leave(mut self) -> Result<(), String> {
        match &self.sender {
            Sender::V3(client) => client.disconnect().await.map_err(|error| error.to_string())?,
            Sender::V5(client) => client.disconnect().await.map_err(|error| error.to_string())?,
        }
        let ended = timeout(PATIENCE, &mut self.driver).await;
        ended.map_or_else(|_| Err("the broker did not close".to_owned()), |_| Ok(()))
    }

    /// Closes the connection without a DISCONNECT, and returns once it is closed.
    pub(crate) async fn vanish(mut self) {
        self.driver.abort();
        // An aborted task always ends with an error; its socket is closed by then.
        (&mut self.driver).await.ok();
    }

    /// The next event that is `wanted`; messages that come before it are kept for later.
    async fn wait(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) -> Result<Event, String> {
        loop {
            let event = timeout(PATIENCE, self.events.recv()).await;
            match event.map_err(|_| format!("{what}: nothing within {PATIENCE:?}"))? {
                Some(event) if wanted(&event) => return Ok(event),
                Some(Event::Message(message)) => self.messages.push_back(message),
                Some(_) => {}
                None => return Err(format!("{what}: the connection is closed")),
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
