//! What handles ask of the connection's task.

use std::sync::Arc;

use mqtt_packet::{ReasonCode, SubscriptionOptions};
use mqtt_session::{DisconnectOptions, Run};
use tokio::sync::oneshot;

use crate::{Error, queue::Queue};

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// A message to publish.
#[derive(Debug)]
pub(crate) struct PublishCommand {
    pub(crate) run: Run,
    pub(crate) expiry_secs: Option<u32>,
    pub(crate) reply: Reply<ReasonCode>,
}

/// Any other request.
#[derive(Debug)]
pub(crate) enum Command {
    Subscribe(Box<SubscribeCommand>),
    Unsubscribe(Box<UnsubscribeCommand>),
    Reauthenticate { data: Vec<u8>, reply: Reply<Vec<u8>> },
    Disconnect { options: Box<DisconnectOptions>, reply: Reply<()> },
}

#[derive(Debug)]
pub(crate) struct SubscribeCommand {
    pub(crate) filters: Vec<(String, SubscriptionOptions)>,
    pub(crate) identifier: Option<u32>,
    pub(crate) user_properties: Vec<(String, String)>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) reply: Reply<Vec<ReasonCode>>,
}

#[derive(Debug)]
pub(crate) struct UnsubscribeCommand {
    pub(crate) filters: Vec<String>,
    pub(crate) user_properties: Vec<(String, String)>,
    pub(crate) reply: Reply<Vec<ReasonCode>>,
}
