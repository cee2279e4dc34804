//! Publishing a message.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use mqtt_packet::{PublishProperties, QoS, ReasonCode, UserProperties};
use mqtt_session::{MessageParts, RequestError, Run};
use mqtt_topics::TopicNameRef;
use tokio::sync::oneshot;

use crate::{Client, Error, command::PublishCommand, shared::Shared};

/// A message to publish: await it, or [`Publish::send`] it and await the acknowledgement later.
#[derive(Clone, Debug)]
#[must_use = "nothing is published until this is awaited"]
pub struct Publish {
    client: Client,
    topic: String,
    payload: Bytes,
    qos: QoS,
    retain: bool,
    properties: Properties,
}

#[derive(Clone, Debug, Default)]
struct Properties {
    payload_is_utf8: Option<bool>,
    expiry_secs: Option<u32>,
    response_topic: Option<String>,
    correlation_data: Option<Vec<u8>>,
    content_type: Option<String>,
    user_properties: Vec<(String, String)>,
}

impl Publish {
    pub(crate) fn new(client: Client, topic: String, payload: Bytes) -> Self {
        let (qos, retain, properties) = (QoS::AtMostOnce, false, Properties::default());
        Self { client, topic, payload, qos, retain, properties }
    }

    /// The QoS; without this it is 0.
    pub const fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }

    /// Whether the server keeps the message for subscriptions to come [MQTT-3.3.1-5]; an empty
    /// payload deletes what it keeps.
    pub const fn retain(mut self, retain: bool) -> Self {
        self.retain = retain;
        self
    }

    /// Whether the payload is UTF-8; 5.0 only, as all that follows.
    pub const fn payload_is_utf8(mut self, utf8: bool) -> Self {
        self.properties.payload_is_utf8 = Some(utf8);
        self
    }

    /// How long the message is good for, in seconds.
    pub const fn expiry_secs(mut self, secs: u32) -> Self {
        self.properties.expiry_secs = Some(secs);
        self
    }

    /// The topic for an answer.
    pub fn response_topic(mut self, topic: impl Into<String>) -> Self {
        self.properties.response_topic = Some(topic.into());
        self
    }

    /// What an answer is to be known by.
    pub fn correlation_data(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.properties.correlation_data = Some(data.into());
        self
    }

    /// What the payload is; any text, often a MIME type.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.properties.content_type = Some(content_type.into());
        self
    }

    /// Adds a name and a value for the receivers; they keep their order [MQTT-3.3.2-18].
    pub fn user_property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.user_properties.push((name.into(), value.into()));
        self
    }

    /// Hands the message to the connection, and answers with a receipt for its acknowledgement.
    /// Messages are sent in the order of these calls. Waits while the connection has more to do
    /// than it may hold.
    ///
    /// # Errors
    /// The connection is over, or the message does not fit into a packet. What the server does not
    /// take is an error of the receipt.
    pub async fn send(self) -> Result<Receipt, Error> {
        let run = self.run()?;
        let (reply, answer) = oneshot::channel();
        let expiry_secs = self.properties.expiry_secs;
        self.client.send_message(PublishCommand { run, expiry_secs, reply }).await?;
        Ok(Receipt { answer, shared: self.client.shared().clone() })
    }

    fn run(&self) -> Result<Run, RequestError> {
        TopicNameRef::with_limit(&self.topic, usize::MAX)?;
        let properties = &self.properties;
        let pairs: Vec<_> =
            properties.user_properties.iter().map(|(name, value)| (&**name, &**value)).collect();
        let set = PublishProperties {
            payload_format_indicator: properties.payload_is_utf8,
            response_topic: properties.response_topic.as_deref(),
            correlation_data: properties.correlation_data.as_deref(),
            content_type: properties.content_type.as_deref(),
            user_properties: UserProperties::Pairs(&pairs),
            ..PublishProperties::default()
        };
        let mut block = BytesMut::new();
        set.encode(&mut block)?;
        Ok(Run::from_message(&MessageParts {
            topic: &self.topic,
            payload: &self.payload,
            properties: &block,
            qos: self.qos,
            retain: self.retain,
            packet_id: None,
            expires_at: None,
        })?)
    }
}

impl IntoFuture for Publish {
    type Output = Result<ReasonCode, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Sends the message and waits for its final acknowledgement: PUBACK, PUBCOMP, or at QoS 0 that
    /// it is on its way to the socket.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.send().await?.await })
    }
}

/// A future that ends with the final acknowledgement of a message: with its reason code, which is
/// below 0x80; 0x10 says that nobody has subscribed.
///
/// Dropping it does not take the message back.
#[derive(Debug)]
#[must_use = "only awaiting the receipt tells whether the server took the message"]
pub struct Receipt {
    answer: oneshot::Receiver<Result<ReasonCode, Error>>,
    shared: Arc<Shared>,
}

impl Future for Receipt {
    type Output = Result<ReasonCode, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer)
            .poll(cx)
            .map(|answer| answer.unwrap_or_else(|_| Err(Error::ConnectionLost(self.shared.loss()))))
    }
}
