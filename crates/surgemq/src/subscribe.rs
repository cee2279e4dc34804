//! `surgemq sub`: subscribes, and prints messages.

mod printer;

use std::{io, process::ExitCode};

use mqtt_client::{Client, Message, Messages, Subscription};

use self::printer::{Next, Printer};
use crate::{
    cli::{self, SubscribeArgs, SubscribePlan},
    connect,
    failure::Failure,
    log, runtime,
    signals::Stop,
};

/// The exit code of mosquitto_sub when the time of `-W` is over.
const TIMED_OUT: u8 = 27;

/// Subscribes as the arguments say, and prints until there is a reason to end.
///
/// # Errors
/// The arguments make no sense, the broker refused something, the connection was lost, or the time
/// is over.
pub(crate) fn run(arguments: &SubscribeArgs) -> Result<ExitCode, Failure> {
    let plan = arguments.plan()?;
    if arguments.connection.debug {
        log::start_debug()?;
    }
    runtime::block_on(1, subscribe(&plan, arguments.connection.quiet))?
}

async fn subscribe(plan: &SubscribePlan, quiet: bool) -> Result<ExitCode, Failure> {
    let mut stop = Stop::on_signals()
        .map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))?;
    let client = tokio::select! {
        client = connect::connect(&plan.connection) => client?,
        () = stop.requested() => return Ok(ExitCode::SUCCESS),
    };
    let ended = tokio::select! {
        ended = receive(&client, plan, quiet) => ended,
        () = stop.requested() => Ok(()),
        failure = time_over(plan) => Err(failure),
    };
    connect::disconnect(&client, &plan.connection).await;
    ended.map(|()| ExitCode::SUCCESS)
}

/// Never comes if the plan has no end in time.
async fn time_over(plan: &SubscribePlan) -> Failure {
    match plan.timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
    Failure::with_code("timed out", TIMED_OUT)
}

async fn receive(client: &Client, plan: &SubscribePlan, quiet: bool) -> Result<(), Failure> {
    // Messages of a session of before may come first, and for filters that are not ours.
    let earlier = client.messages();
    let subscription = subscribe_to_all(client, plan, quiet).await?;
    unsubscribe(client, plan).await?;
    let Some(subscription) = subscription.filter(|_| !plan.exit_when_subscribed) else {
        return Ok(());
    };
    let incoming = Incoming { earlier, subscription };
    print_all(client, plan, incoming, quiet).await
}

/// `None` if there is nothing to subscribe to.
async fn subscribe_to_all(
    client: &Client,
    plan: &SubscribePlan,
    quiet: bool,
) -> Result<Option<Subscription>, Failure> {
    let Some((first, others)) = plan.filters.split_first() else {
        return Ok(None);
    };
    let mut subscribe = client.subscribe(first.as_str(), plan.options);
    for filter in others {
        subscribe = subscribe.and(filter.as_str(), plan.options);
    }
    let properties = &plan.connection.properties.subscribe;
    if let Some(identifier) = properties.subscription_identifier {
        subscribe = subscribe.identifier(identifier);
    }
    for (name, value) in &properties.user {
        subscribe = subscribe.user_property(name, value);
    }
    let subscription = subscribe.await.map_err(|error| connect::failure(&error))?;
    for (filter, reason) in plan.filters.iter().zip(subscription.reasons()) {
        tracing::debug!("subscribed to {filter:?}: {reason}");
        if reason.is_error() && !quiet {
            cli::tell(&format_args!("the broker refused the subscription to {filter:?}: {reason}"));
        }
    }
    Ok(Some(subscription))
}

async fn unsubscribe(client: &Client, plan: &SubscribePlan) -> Result<(), Failure> {
    if plan.unsubscribe.is_empty() {
        return Ok(());
    }
    let mut unsubscribe = client.unsubscribe(plan.unsubscribe.clone());
    for (name, value) in &plan.connection.properties.unsubscribe {
        unsubscribe = unsubscribe.user_property(name, value);
    }
    let reasons = unsubscribe.await.map_err(|error| connect::failure(&error))?;
    tracing::debug!("unsubscribed: {reasons:?}");
    Ok(())
}

/// All messages of the connection.
struct Incoming {
    earlier: Option<Messages>,
    subscription: Subscription,
}

impl Incoming {
    /// The next message; `None` when the connection is over.
    async fn recv(&mut self) -> Option<Message> {
        let Some(earlier) = &mut self.earlier else {
            return self.subscription.recv().await;
        };
        tokio::select! {
            biased;
            message = earlier.recv() => match message {
                None => self.subscription.recv().await,
                message => message,
            },
            message = self.subscription.recv() => message,
        }
    }

    /// Like `recv`, but does not wait: the outer `None` says that there is nothing now.
    async fn try_recv(&mut self) -> Option<Option<Message>> {
        tokio::select! {
            biased;
            message = self.recv() => Some(message),
            () = std::future::ready(()) => None,
        }
    }
}

async fn print_all(
    client: &Client,
    plan: &SubscribePlan,
    mut incoming: Incoming,
    quiet: bool,
) -> Result<(), Failure> {
    let mut printer = Printer::new(io::stdout().lock(), plan, quiet);
    loop {
        let message = match incoming.try_recv().await {
            Some(message) => message,
            None => {
                // Nothing more for now: whoever reads the output is not to wait.
                if printer.flush()? == Next::End {
                    return Ok(());
                }
                incoming.recv().await
            }
        };
        let Some(message) = message else {
            printer.flush()?;
            return Err(connect::lost(&client.closed().await));
        };
        let printed = printer.take(&message)?;
        if printed.remove_retained {
            remove_retained(client, message.topic()).await?;
        }
        if printed.next == Next::End {
            return Ok(());
        }
    }
}

async fn remove_retained(client: &Client, topic: &str) -> Result<(), Failure> {
    let removal = client.publish(topic, Vec::new()).retain(true);
    removal.await.map(drop).map_err(|error| connect::failure(&error))
}
