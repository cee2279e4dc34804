//! The handle of a connection.

use std::sync::Arc;

use bytes::Bytes;
use mqtt_packet::{SubscriptionOptions, Version};
use mqtt_session::{Connected, DisconnectOptions};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Error, Loss, Options, SessionState,
    command::{Command, PublishCommand, Reply},
    publish::Publish,
    shared::Shared,
    subscribe::{IntoFilters, Subscribe},
    subscription::Messages,
    unsubscribe::Unsubscribe,
};

/// A connection to a server. A clone is another handle of the same connection.
///
/// When all handles and all streams are dropped, what was published is still sent and
/// acknowledged, and the client leaves with a DISCONNECT. To know that it arrived, await
/// [`Client::disconnect`].
#[derive(Clone, Debug)]
pub struct Client {
    messages: mpsc::Sender<PublishCommand>,
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

/// What a connection counts.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub struct Stats {
    /// Messages that no stream asked for; they were acknowledged [MQTT-4.5.0-2].
    pub dropped_unmatched: u64,
    /// Messages of QoS 0 that a stream lost because its reader was behind for too long.
    pub dropped_slow: u64,
}

impl Client {
    /// Connects to the server at `url`, with the defaults of [`Options::new`].
    ///
    /// # Errors
    /// As [`Options::connect`].
    pub async fn connect(url: impl AsRef<str>) -> Result<Self, Error> {
        Options::new(url).connect().await
    }

    pub(crate) const fn new(
        messages: mpsc::Sender<PublishCommand>,
        commands: mpsc::Sender<Command>,
        shared: Arc<Shared>,
    ) -> Self {
        Self { messages, commands, shared }
    }

    /// Publishes a message: await what this answers with, or set more of it first.
    pub fn publish(&self, topic: impl Into<String>, payload: impl Into<Bytes>) -> Publish {
        Publish::new(self.clone(), topic.into(), payload.into())
    }

    /// Subscribes: await what this answers with, or set more of it first. The options are a QoS, or
    /// all [`SubscriptionOptions`].
    pub fn subscribe(
        &self,
        filter: impl Into<String>,
        options: impl Into<SubscriptionOptions>,
    ) -> Subscribe {
        Subscribe::new(self.clone(), filter.into(), options.into())
    }

    /// Ends subscriptions, whichever stream they belong to: await what this answers with. A stream
    /// that is left without a filter ends.
    pub fn unsubscribe(&self, filters: impl IntoFilters) -> Unsubscribe {
        Unsubscribe::new(self.clone(), filters.into_filters())
    }

    /// The default stream: messages that match none of this client's subscriptions, as those of a
    /// session of before do. `None` if it was asked for before.
    ///
    /// Without anybody to read it, such messages are acknowledged and dropped [MQTT-4.5.0-2], and
    /// counted; with [`Options::clean_start`] off they are held for it, or for the subscription
    /// that they match, up to the capacity of a stream.
    #[must_use]
    pub fn messages(&self) -> Option<Messages> {
        self.shared.unmatched.take()
    }

    /// What the server said when it accepted the connection.
    #[must_use]
    pub fn connected(&self) -> &Connected {
        &self.shared.connected
    }

    /// The protocol version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.shared.version
    }

    /// What the connection counts.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Authenticates anew with the method of [`Options::authentication`]; answers with the server's
    /// last data [MQTT-4.12.1-1].
    ///
    /// # Errors
    /// No method was given, or the connection is over: the server ends it if it is not convinced.
    pub async fn reauthenticate(&self, data: impl Into<Vec<u8>>) -> Result<Vec<u8>, Error> {
        let data = data.into();
        self.request(|reply| Command::Reauthenticate { data, reply }).await
    }

    /// Leaves: DISCONNECT, behind everything that was sent before, and the close. Messages that
    /// wait for an acknowledgement stay in the session.
    ///
    /// # Errors
    /// The connection was over already.
    pub async fn disconnect(&self) -> Result<(), Error> {
        self.disconnect_with(DisconnectOptions::default()).await
    }

    /// Leaves, and says more about it; 5.0 only. [`ReasonCode::DISCONNECT_WITH_WILL`] asks for the
    /// will.
    ///
    /// # Errors
    /// The connection was over already, or DISCONNECT cannot say that; then the connection is still
    /// open.
    ///
    /// [`ReasonCode::DISCONNECT_WITH_WILL`]: mqtt_packet::ReasonCode::DISCONNECT_WITH_WILL
    pub async fn disconnect_with(&self, options: DisconnectOptions) -> Result<(), Error> {
        let options = Box::new(options);
        self.request(|reply| Command::Disconnect { options, reply }).await
    }

    /// Waits until the connection is over, and says why.
    pub async fn closed(&self) -> Loss {
        let mut loss = self.shared.loss.subscribe();
        // The task that sets it may be stopped with the runtime; then nobody waits here either.
        match loss.wait_for(Option::is_some).await {
            Ok(loss) => loss.clone().unwrap_or(Loss::Stopped),
            Err(_) => Loss::Stopped,
        }
    }

    /// The client's half of the session, for [`Options::resume`] once the connection is over.
    #[must_use]
    pub fn session(&self) -> SessionState {
        self.shared.session.clone()
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) async fn send_message(&self, message: PublishCommand) -> Result<(), Error> {
        let sent = self.messages.send(message).await;
        sent.map_err(|_| Error::ConnectionLost(self.shared.loss()))
    }

    pub(crate) async fn request<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(command(reply)).await;
        sent.map_err(|_| Error::ConnectionLost(self.shared.loss()))?;
        answer.await.unwrap_or_else(|_| Err(Error::ConnectionLost(self.shared.loss())))
    }
}
