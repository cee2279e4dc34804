//! The task that owns a connection.

use std::{
    collections::HashMap,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use mqtt_packet::{PacketId, QoS, ReasonCode, SubscriptionOptions};
use mqtt_session::{Answer, ClientEvent, Delivery, Lost, Time};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};

use crate::{
    Error, Loss,
    command::{Command, PublishCommand, Reply, SubscribeCommand, UnsubscribeCommand},
    connection::Connection,
    options::Authentication,
    queue::Queue,
    router::Router,
    shared::Shared,
};

/// Above this many bytes towards the server no messages are taken, so that publishers wait.
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// How many commands are taken before the socket has its turn.
const COMMANDS_PER_TURN: usize = 64;

/// Everything that one connection needs.
#[derive(Debug)]
pub(crate) struct Driver<T> {
    pub(crate) connection: Connection<T>,
    /// Messages to publish: taken while there is room for more.
    pub(crate) published: mpsc::Receiver<PublishCommand>,
    /// All else: taken at once, but behind the messages that were sent before.
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) authentication: Option<Authentication>,
    pub(crate) router: Router,
    /// How many messages may wait for their readers before reading stops: a server before 5.0
    /// knows no Receive Maximum.
    pub(crate) withheld_max: u64,
    pub(crate) identifies: bool,
    pub(crate) last_identifier: u32,
    pub(crate) waiting: Waiting,
}

/// Who waits for what.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    publishes: HashMap<u64, Reply<ReasonCode>>,
    subscribes: HashMap<PacketId, (Arc<Queue>, Reply<Vec<ReasonCode>>)>,
    unsubscribes: HashMap<PacketId, (Vec<String>, Reply<Vec<ReasonCode>>)>,
    reauthenticate: Option<Reply<Vec<u8>>>,
    disconnect: Option<Reply<()>>,
    /// All handles are gone.
    no_handles: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Driver<T> {
    /// Runs the connection to its end.
    pub(crate) async fn run(mut self) {
        let loss = loop {
            let now = self.connection.now();
            if let Some(loss) = self.settle(now) {
                break loss;
            }
            if let Err(loss) = poll_fn(|cx| self.poll(cx)).await {
                // The server's last words may be in what was read.
                let said = self.settle(self.connection.now());
                self.connection.endpoint.abandon();
                break said.unwrap_or(loss);
            }
        };
        self.end(loss).await;
    }

    /// Deals with all that has happened; answers why the connection is over, if it is.
    fn settle(&mut self, now: Time) -> Option<Loss> {
        let mut loss = None;
        if let Some(event) = self.connection.endpoint.handle_timeout(now) {
            loss = self.handle(event, now);
        }
        while self.router.retry(now)
            && let Some(event) = self.connection.endpoint.poll_event(now)
        {
            loss = loss.or(self.handle(event, now));
        }
        self.router.release(&mut self.connection.endpoint, now);
        if !self.may_read() {
            self.connection.endpoint.hold_input(now);
        }
        if self.is_forsaken() {
            let left = self.connection.endpoint.disconnect(&Default::default());
            loss = loss.or(left.is_ok().then_some(Loss::Local));
        }
        let left = self.waiting.disconnect.is_some().then_some(Loss::Local);
        loss.or(left).or(self.connection.endpoint.is_closed().then_some(Loss::Closed))
    }

    /// Whether nobody can ask for anything any more, nobody listens, and nothing is unfinished.
    fn is_forsaken(&self) -> bool {
        self.waiting.no_handles
            && !self.router.has_readers()
            && self.connection.endpoint.held().messages == 0
    }

    fn may_read(&self) -> bool {
        !self.router.is_stalled() && self.router.withheld() <= self.withheld_max
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Loss>> {
        let waits = self.router.is_stalled() || self.router.withheld() > 0;
        if waits || self.waiting.no_handles {
            self.shared.bell.listen(cx);
            if self.router.is_unblocked() || self.is_forsaken() {
                return Poll::Ready(Ok(()));
            }
        }
        let busy = self.poll_commands(cx);
        let had_room = self.has_room();
        let reads = self.may_read();
        let turn = self.connection.poll(cx, reads, self.router.stall_ends());
        // Writing may have made the room that publishers wait for.
        let again = busy || (!had_room && self.has_room());
        if again && turn.is_pending() { Poll::Ready(Ok(())) } else { turn }
    }

    /// Takes commands and messages; answers whether there was any.
    fn poll_commands(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.connection.now();
        let mut any = false;
        for _ in 0..COMMANDS_PER_TURN {
            if self.waiting.no_handles || self.connection.endpoint.is_closed() {
                break;
            }
            if let Poll::Ready(Some(command)) = self.commands.poll_recv(cx) {
                // What was published before goes out before, room or not: it is little.
                while let Ok(message) = self.published.try_recv() {
                    self.publish(message, now);
                }
                self.execute(command, now);
            } else if self.has_room() {
                match self.published.poll_recv(cx) {
                    Poll::Ready(Some(message)) => self.publish(message, now),
                    Poll::Ready(None) => self.waiting.no_handles = true,
                    Poll::Pending => break,
                }
            } else {
                break;
            }
            any = true;
        }
        any
    }

    fn has_room(&self) -> bool {
        let endpoint = &self.connection.endpoint;
        endpoint.output().len() + endpoint.held().bytes <= OUTPUT_BYTES_MAX
    }

    fn execute(&mut self, command: Command, now: Time) {
        match command {
            Command::Subscribe(command) => self.subscribe(*command, now),
            Command::Unsubscribe(command) => self.unsubscribe(*command, now),
            Command::Reauthenticate { data, reply } => {
                match self.connection.endpoint.reauthenticate(&data, now) {
                    Ok(()) => self.waiting.reauthenticate = Some(reply),
                    Err(error) => answer(reply, Err(error.into())),
                }
            }
            Command::Disconnect { options, reply } => {
                match self.connection.endpoint.disconnect(&options) {
                    Ok(()) => self.waiting.disconnect = Some(reply),
                    Err(error) => answer(reply, Err(error.into())),
                }
            }
        }
    }

    fn publish(&mut self, message: PublishCommand, now: Time) {
        let PublishCommand { run, expiry_secs, reply } = message;
        let (qos, retain) = (run.qos(), run.retain());
        let run = run.with_expiry(expiry_secs.map(|secs| now.after_secs(secs)));
        let mark = self.connection.last_mark + 1;
        let delivery = Delivery { run, granted: qos, retain, identifiers: None, mark, seq: None };
        match self.connection.endpoint.publish(delivery, now) {
            Err(error) => answer(reply, Err(error.into())),
            Ok(()) if qos == QoS::AtMostOnce => answer(reply, Ok(ReasonCode::SUCCESS)),
            Ok(()) => {
                self.connection.last_mark = mark;
                self.waiting.publishes.insert(mark, reply);
            }
        }
    }

    fn subscribe(&mut self, command: SubscribeCommand, now: Time) {
        let SubscribeCommand { filters, identifier, user_properties, queue, reply } = command;
        let identifier = identifier.or_else(|| self.next_identifier());
        let asked: Vec<(&str, SubscriptionOptions)> =
            filters.iter().map(|(filter, options)| (filter.as_str(), *options)).collect();
        let pairs = pairs(&user_properties);
        match self.connection.endpoint.subscribe(&asked, identifier, &pairs, now) {
            Ok(id) => {
                let names = filters.into_iter().map(|(filter, _)| filter).collect();
                self.router.add(queue.clone(), names, identifier);
                self.waiting.subscribes.insert(id, (queue, reply));
            }
            Err(error) => answer(reply, Err(error.into())),
        }
    }

    /// An identifier for a subscription that the caller gave none.
    fn next_identifier(&mut self) -> Option<u32> {
        let available = self.shared.connected.limits.subscription_identifier_available;
        if !available || !self.identifies {
            return None;
        }
        self.last_identifier = self.last_identifier % IDENTIFIER_MAX + 1;
        Some(self.last_identifier)
    }

    fn unsubscribe(&mut self, command: UnsubscribeCommand, now: Time) {
        let UnsubscribeCommand { filters, user_properties, reply } = command;
        let names: Vec<&str> = filters.iter().map(String::as_str).collect();
        let pairs = pairs(&user_properties);
        match self.connection.endpoint.unsubscribe(&names, &pairs, now) {
            Ok(id) => {
                self.waiting.unsubscribes.insert(id, (filters, reply));
            }
            Err(error) => answer(reply, Err(error.into())),
        }
    }

    /// Deals with one event; answers why the connection is over, if the event says so.
    fn handle(&mut self, event: ClientEvent, now: Time) -> Option<Loss> {
        match event {
            ClientEvent::Span(span) => {
                if let Some(run) = self.connection.endpoint.run(&span) {
                    self.router.deliver(run, &mut self.connection.endpoint, now);
                }
            }
            ClientEvent::Message(run) => {
                self.router.deliver(run, &mut self.connection.endpoint, now);
            }
            ClientEvent::Acknowledged(acknowledged) => {
                let reason = acknowledged.reason;
                let result = if reason.is_error() {
                    Err(Error::PublishRefused { reason })
                } else {
                    Ok(reason)
                };
                self.published(acknowledged.mark, result);
            }
            ClientEvent::Lost(Lost { mark, reason: None }) => {
                self.published(mark, Err(Error::Expired));
            }
            ClientEvent::Lost(Lost { mark, reason: Some(_) }) => {
                self.published(mark, Err(Error::TooLarge));
            }
            ClientEvent::SubAck(suback) => self.subscribed(*suback),
            ClientEvent::UnsubAck(unsuback) => {
                if let Some((filters, reply)) =
                    self.waiting.unsubscribes.remove(&unsuback.packet_id)
                {
                    self.router.remove_filters(&filters);
                    answer(reply, Ok(unsuback.reasons));
                }
            }
            ClientEvent::Auth { data } => self.challenged(&data, now),
            ClientEvent::Reauthenticated { data } => {
                if let Some(reply) = self.waiting.reauthenticate.take() {
                    answer(reply, Ok(data));
                }
            }
            ClientEvent::Disconnected(disconnected) => {
                return Some(Loss::Server(Arc::new(*disconnected)));
            }
            ClientEvent::Failed(violation) => return Some(Loss::Violation(violation)),
            // These two come once, before there is a driver.
            ClientEvent::Connected(_) | ClientEvent::Refused(_) => {}
        }
        None
    }

    fn published(&mut self, mark: u64, result: Result<ReasonCode, Error>) {
        // A message of a session of before has nobody who waits for it.
        if let Some(reply) = self.waiting.publishes.remove(&mark) {
            answer(reply, result);
        }
    }

    fn subscribed(&mut self, suback: Answer) {
        let Some((queue, reply)) = self.waiting.subscribes.remove(&suback.packet_id) else {
            return;
        };
        if suback.reasons.iter().all(|reason| reason.is_error()) {
            self.router.remove(&queue);
        }
        answer(reply, Ok(suback.reasons));
    }

    fn challenged(&mut self, data: &[u8], now: Time) {
        let response = self.authentication.as_mut().map(|method| (method.respond)(data));
        let response = response.unwrap_or_default();
        if let Err(error) = self.connection.endpoint.authenticate(&response, now) {
            tracing::warn!(%error, "a challenge cannot be answered");
            self.connection.endpoint.abandon();
        }
    }

    /// The connection is over: everybody who waits is told, and the session is left for the next
    /// connection.
    async fn end(mut self, loss: Loss) {
        self.connection.close().await;
        self.connection.keep_session();
        self.shared.end(loss);
        self.router.end();
        if let Some(reply) = self.waiting.disconnect.take() {
            answer(reply, Ok(()));
        }
        // Every reply that is dropped with `self` tells its receiver that the connection is over.
    }
}

/// A task that is stopped with its runtime ends its streams too.
impl<T> Drop for Driver<T> {
    fn drop(&mut self) {
        if !self.shared.has_ended() {
            self.connection.keep_session();
            self.shared.end(Loss::Stopped);
            self.router.end();
        }
    }
}

/// The largest Subscription Identifier.
const IDENTIFIER_MAX: u32 = 268_435_455;

fn answer<T>(reply: Reply<T>, result: Result<T, Error>) {
    // Whoever asked may have stopped waiting.
    let _ = reply.send(result);
}

fn pairs(owned: &[(String, String)]) -> Vec<(&str, &str)> {
    owned.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
