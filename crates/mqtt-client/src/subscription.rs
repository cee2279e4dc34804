//! Streams of messages.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;
use mqtt_packet::ReasonCode;

use crate::{Client, Error, message::Message, queue::Queue};

/// A stream of messages. It ends with the connection, after what had come until then.
///
/// Dropping it gives up what it still holds.
#[derive(Debug)]
pub struct Messages {
    queue: Arc<Queue>,
}

impl Messages {
    pub(crate) const fn new(queue: Arc<Queue>) -> Self {
        Self { queue }
    }

    /// The next message; `None` at the end. Dropping the future loses no message.
    pub async fn recv(&mut self) -> Option<Message> {
        poll_fn(|cx| self.queue.poll_next(cx)).await
    }
}

impl Stream for Messages {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.queue.poll_next(cx)
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

/// A subscription, and the stream of its messages.
///
/// Dropping it ends the stream, not the subscription: the server goes on sending, and messages that
/// no other stream wants are acknowledged and dropped. [`Subscription::unsubscribe`] ends both.
#[derive(Debug)]
pub struct Subscription {
    messages: Messages,
    client: Client,
    filters: Vec<String>,
    reasons: Vec<ReasonCode>,
}

impl Subscription {
    pub(crate) const fn new(
        messages: Messages,
        client: Client,
        filters: Vec<String>,
        reasons: Vec<ReasonCode>,
    ) -> Self {
        Self { messages, client, filters, reasons }
    }

    /// The next message; `None` at the end. Dropping the future loses no message.
    pub async fn recv(&mut self) -> Option<Message> {
        self.messages.recv().await
    }

    /// The filters, in the order of the request.
    #[must_use]
    pub fn filters(&self) -> &[String] {
        &self.filters
    }

    /// The server's answer to each filter, in the order of the request: the granted QoS, or why
    /// the filter was refused [MQTT-3.9.3-1]. At least one is granted.
    #[must_use]
    pub fn reasons(&self) -> &[ReasonCode] {
        &self.reasons
    }

    /// Ends the subscription at the server. What had come until then can still be taken from the
    /// stream that this answers with.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn unsubscribe(self) -> Result<Messages, Error> {
        self.client.unsubscribe(self.filters).await?;
        Ok(self.messages)
    }
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        Pin::new(&mut self.messages).poll_next(cx)
    }
}
