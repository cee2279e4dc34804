//! Ending subscriptions.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
};

use mqtt_packet::ReasonCode;

use crate::{
    Client, Error,
    command::{Command, UnsubscribeCommand},
};

/// Subscriptions to end: await it.
#[derive(Clone, Debug)]
#[must_use = "nothing is ended until this is awaited"]
pub struct Unsubscribe {
    client: Client,
    filters: Vec<String>,
    user_properties: Vec<(String, String)>,
}

impl Unsubscribe {
    pub(crate) const fn new(client: Client, filters: Vec<String>) -> Self {
        Self { client, filters, user_properties: Vec::new() }
    }

    /// Adds a name and a value for the server; 5.0 only.
    pub fn user_property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.user_properties.push((name.into(), value.into()));
        self
    }

    async fn run(self) -> Result<Vec<ReasonCode>, Error> {
        let Self { client, filters, user_properties } = self;
        client
            .request(|reply| {
                let command = UnsubscribeCommand { filters, user_properties, reply };
                Command::Unsubscribe(Box::new(command))
            })
            .await
    }
}

impl IntoFuture for Unsubscribe {
    /// One reason for each filter, in order; none before 5.0.
    type Output = Result<Vec<ReasonCode>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Sends UNSUBSCRIBE and waits for UNSUBACK.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
