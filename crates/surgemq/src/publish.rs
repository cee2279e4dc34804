//! `surgemq pub`: publishes messages.

mod lines;

use std::{collections::VecDeque, fs, io, path::Path, process::ExitCode};

use bytes::Bytes;
use mqtt_client::{Client, QoS, Receipt};
use tokio::io::{AsyncReadExt, BufReader};

use self::lines::Lines;
use crate::{
    cli::{self, PublishArgs, PublishPlan, Source},
    connect,
    failure::Failure,
    log, runtime,
};

/// The largest payload that fits into a packet with a topic of one byte.
const PAYLOAD_BYTES_MAX: u64 = 268_435_452;

/// Publishes what the arguments say, and waits until all of it is acknowledged.
///
/// # Errors
/// The arguments make no sense, a payload cannot be read, or the broker refused something.
pub(crate) fn run(arguments: &PublishArgs) -> Result<ExitCode, Failure> {
    let plan = arguments.plan()?;
    if arguments.connection.debug {
        log::start_debug()?;
    }
    runtime::block_on(1, publish(plan, arguments.connection.quiet))?
}

async fn publish(plan: PublishPlan, quiet: bool) -> Result<ExitCode, Failure> {
    // What can fail here fails before anybody is connected to.
    let payload = match &plan.source {
        Source::Given(bytes) => Some(Bytes::copy_from_slice(bytes)),
        Source::File(path) => Some(read_file(path)?),
        Source::Stdin => Some(read_stdin().await?),
        Source::Lines => None,
    };
    let client = connect::connect(&plan.connection).await?;
    let mut publisher = Publisher::new(client, plan, quiet);
    let sent = match payload {
        Some(payload) => publisher.repeat(&payload).await,
        None => publisher.lines().await,
    };
    let ended = match sent {
        Ok(()) => publisher.finish().await,
        Err(failure) => Err(failure),
    };
    connect::disconnect(&publisher.client, &publisher.plan.connection).await;
    ended.map(|()| ExitCode::SUCCESS)
}

/// Publishes messages, some of them at once.
struct Publisher {
    client: Client,
    plan: PublishPlan,
    /// Messages that are not acknowledged yet, the oldest first.
    in_flight: VecDeque<Receipt>,
    /// What was refused last; the others are published nevertheless.
    refused: Option<Failure>,
    quiet: bool,
}

impl Publisher {
    fn new(client: Client, plan: PublishPlan, quiet: bool) -> Self {
        Self { client, plan, in_flight: VecDeque::new(), refused: None, quiet }
    }

    /// The same message, as often as the plan says.
    async fn repeat(&mut self, payload: &Bytes) -> Result<(), Failure> {
        for round in 0..self.plan.repeat {
            if round > 0 && !self.plan.repeat_delay.is_zero() {
                tokio::time::sleep(self.plan.repeat_delay).await;
            }
            self.send(payload.clone()).await?;
        }
        Ok(())
    }

    /// A message for each line of standard input.
    async fn lines(&mut self) -> Result<(), Failure> {
        let mut lines = Lines::new(BufReader::with_capacity(64 * 1024, tokio::io::stdin()));
        loop {
            let line = tokio::select! {
                line = lines.next() => line.map_err(|error| stdin_failure(&error))?,
                loss = self.client.closed() => return Err(connect::lost(&loss)),
            };
            match line {
                Some(line) => self.send(line).await?,
                None => return Ok(()),
            }
        }
    }

    async fn send(&mut self, payload: Bytes) -> Result<(), Failure> {
        while self.in_flight.len() >= self.in_flight_max() {
            self.await_oldest().await?;
        }
        let properties = &self.plan.connection.properties.publish;
        let publish = self.client.publish(self.plan.topic.as_str(), payload);
        let publish = publish.qos(self.plan.qos).retain(self.plan.retain);
        let sent = connect::with_properties(publish, properties).send().await;
        self.in_flight.push_back(sent.map_err(|error| connect::failure(&error))?);
        Ok(())
    }

    /// At QoS 0 there are no acknowledgements, only messages that are not written yet.
    fn in_flight_max(&self) -> usize {
        match self.plan.qos {
            QoS::AtMostOnce => 1024,
            _ => usize::from(self.plan.max_inflight.get()),
        }
    }

    /// Waits for what is not acknowledged yet.
    async fn finish(&mut self) -> Result<(), Failure> {
        while !self.in_flight.is_empty() {
            self.await_oldest().await?;
        }
        self.refused.take().map_or(Ok(()), Err)
    }

    /// A message that is refused does not keep the others from being published.
    async fn await_oldest(&mut self) -> Result<(), Failure> {
        let Some(receipt) = self.in_flight.pop_front() else {
            return Ok(());
        };
        match receipt.await {
            Ok(reason) => tracing::debug!("acknowledged: {reason}"),
            Err(error @ mqtt_client::Error::ConnectionLost(_)) => {
                return Err(connect::failure(&error));
            }
            Err(error) => {
                let earlier = self.refused.replace(connect::failure(&error));
                earlier.filter(|_| !self.quiet).iter().for_each(|earlier| cli::tell(earlier));
            }
        }
        Ok(())
    }
}

fn read_file(path: &Path) -> Result<Bytes, Failure> {
    let failed = |error: io::Error| {
        Failure::new(format!("cannot read the payload from {}: {error}", path.display()))
    };
    // A pipe has no length; what comes out of it is looked at afterwards.
    check_length(fs::metadata(path).map_err(failed)?.len(), &path.display())?;
    let payload = fs::read(path).map_err(failed)?;
    check_length(payload.len() as u64, &path.display())?;
    Ok(payload.into())
}

async fn read_stdin() -> Result<Bytes, Failure> {
    let mut payload = Vec::new();
    let mut bounded = tokio::io::stdin().take(PAYLOAD_BYTES_MAX + 1);
    bounded.read_to_end(&mut payload).await.map_err(|error| stdin_failure(&error))?;
    check_length(payload.len() as u64, &"stdin")?;
    Ok(payload.into())
}

fn check_length(length: u64, source: &dyn std::fmt::Display) -> Result<(), Failure> {
    if length <= PAYLOAD_BYTES_MAX {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{source} has more than the {PAYLOAD_BYTES_MAX} bytes that fit into one message; cut it \
         into several"
    )))
}

fn stdin_failure(error: &io::Error) -> Failure {
    Failure::new(format!("cannot read stdin: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_that_fits_into_no_packet_is_refused() {
        assert_eq!(check_length(PAYLOAD_BYTES_MAX, &"x"), Ok(()));
        let text = check_length(PAYLOAD_BYTES_MAX + 1, &"x").unwrap_err().to_string();
        assert!(text.starts_with("x has more than the 268435452 bytes"), "{text}");
    }
}
