//! Asking for a subscription.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
};

use mqtt_packet::{RetainHandling, SubscriptionOptions};

use crate::{
    Client, Error,
    command::{Command, SubscribeCommand},
    subscription::{Messages, Subscription},
};

/// A subscription to ask for: await it.
///
/// The setters for options speak of the filter that was added last.
#[derive(Clone, Debug)]
#[must_use = "nothing is subscribed to until this is awaited"]
pub struct Subscribe {
    client: Client,
    filters: Vec<(String, SubscriptionOptions)>,
    identifier: Option<u32>,
    user_properties: Vec<(String, String)>,
}

impl Subscribe {
    pub(crate) fn new(client: Client, filter: String, options: SubscriptionOptions) -> Self {
        let filters = vec![(filter, options)];
        Self { client, filters, identifier: None, user_properties: Vec::new() }
    }

    /// Adds a filter: the same SUBSCRIBE, the same stream.
    pub fn and(
        mut self,
        filter: impl Into<String>,
        options: impl Into<SubscriptionOptions>,
    ) -> Self {
        self.filters.push((filter.into(), options.into()));
        self
    }

    /// Whether this client's own messages are held back [MQTT-3.8.3-3]; 5.0 only, as all that
    /// follows.
    pub fn no_local(mut self, no_local: bool) -> Self {
        self.last(|options| options.no_local = no_local);
        self
    }

    /// Whether messages keep the RETAIN flag that they were published with [MQTT-3.3.1-13].
    pub fn retain_as_published(mut self, keep: bool) -> Self {
        self.last(|options| options.retain_as_published = keep);
        self
    }

    /// When retained messages are sent.
    pub fn retain_handling(mut self, handling: RetainHandling) -> Self {
        self.last(|options| options.retain_handling = handling);
        self
    }

    /// The Subscription Identifier, 1 to 268,435,455. Without this the client chooses one, unless
    /// [`Options::subscription_identifiers`](crate::Options::subscription_identifiers) is off.
    pub const fn identifier(mut self, identifier: u32) -> Self {
        self.identifier = Some(identifier);
        self
    }

    /// Adds a name and a value for the server.
    pub fn user_property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.user_properties.push((name.into(), value.into()));
        self
    }

    fn last(&mut self, set: impl FnOnce(&mut SubscriptionOptions)) {
        if let Some((_, options)) = self.filters.last_mut() {
            set(options);
        }
    }

    async fn run(self) -> Result<Subscription, Error> {
        let queue = self.client.shared().queue();
        // From here on the stream is given up if the caller gives up.
        let messages = Messages::new(queue.clone());
        let names = self.filters.iter().map(|(filter, _)| filter.clone()).collect();
        let Self { client, filters, identifier, user_properties } = self;
        let reasons = client
            .request(|reply| {
                let command =
                    SubscribeCommand { filters, identifier, user_properties, queue, reply };
                Command::Subscribe(Box::new(command))
            })
            .await?;
        if reasons.iter().all(|reason| reason.is_error()) {
            return Err(Error::SubscribeRefused { reasons });
        }
        Ok(Subscription::new(messages, client, names, reasons))
    }
}

impl IntoFuture for Subscribe {
    type Output = Result<Subscription, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Sends SUBSCRIBE and waits for SUBACK.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Filters for [`Client::unsubscribe`]: one, or several.
pub trait IntoFilters {
    /// The filters, in order.
    fn into_filters(self) -> Vec<String>;
}

impl IntoFilters for &str {
    fn into_filters(self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

impl IntoFilters for String {
    fn into_filters(self) -> Vec<String> {
        vec![self]
    }
}

impl IntoFilters for Vec<String> {
    fn into_filters(self) -> Vec<String> {
        self
    }
}

impl IntoFilters for &[&str] {
    fn into_filters(self) -> Vec<String> {
        self.iter().map(|filter| (*filter).to_owned()).collect()
    }
}
