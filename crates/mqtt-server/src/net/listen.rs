//! Accepting connections.

use std::{
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinError, JoinSet},
    time::Instant,
};

use crate::{
    core::{
        broker::{Broker, ConnectionCount},
        cause::Cause,
        connection::Connection,
        connection_log::Names,
        login::Peer,
        memory::MemoryLevel,
        refusals::Refused,
    },
    net::{
        driver::Driver,
        strangers::Stranger,
        websocket::{Doorway, WebSocket},
    },
    server::Shared,
};

/// After an accept that failed for want of descriptors or memory the listener waits this long.
const BACK_OFF: Duration = Duration::from_millis(100);

/// How often such a failure is said while it lasts.
const COMPLAINT: Duration = Duration::from_secs(60);

/// Where clients come in.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The address as it was given; authenticators see it.
    pub(crate) name: Arc<str>,
    pub(crate) socket: TcpListener,
    pub(crate) transport: Transport,
}

/// What is spoken below MQTT.
#[derive(Clone, Debug)]
pub(crate) enum Transport {
    Tcp,
    WebSocket(Arc<Doorway>),
}

/// Accepts connections until the server stops; then gives the tasks of its connections back.
pub(crate) async fn accept(
    listener: Listener,
    shared: Arc<Shared>,
    mut stop: tokio::sync::watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let mut failures = Failures::default();
    loop {
        let accepted = tokio::select! {
            accepted = failures.accept(&listener) => accepted,
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                report_panic(ended, &shared.broker);
                continue;
            }
            _ = stop.wait_for(|stop| *stop) => return tasks,
        };
        // Whatever panics here must not end the task: its connections would end with it.
        let handled = catch_unwind(AssertUnwindSafe(|| match accepted {
            Ok((stream, peer)) => {
                failures.retry = None;
                start(stream, peer, &listener, &shared, &mut tasks);
            }
            Err(error) => failures.note(&error, &listener),
        }));
        if handled.is_err() {
            shared.broker.connections_panicked.fetch_add(1, Ordering::Relaxed);
        }
        if shared.broker.connections.load(Ordering::Relaxed) > shared.broker.limits.connections_max
        {
            // One that makes room has its descriptor until its task has ended: more newcomers at
            // once would take those that are kept for the store.
            tokio::task::yield_now().await;
        }
    }
}

/// What the operating system refuses a listener.
#[derive(Default)]
struct Failures {
    /// Nothing is accepted before.
    retry: Option<Instant>,
    /// Failures since they were said last, and when that was.
    untold: u64,
    told: Option<Instant>,
}

impl Failures {
    /// Accepts a connection. May be dropped and called again: nothing is lost.
    async fn accept(&self, listener: &Listener) -> io::Result<(TcpStream, SocketAddr)> {
        if let Some(retry) = self.retry {
            tokio::time::sleep_until(retry).await;
        }
        listener.socket.accept().await
    }

    /// Says it, though not each time; and waits, as it would fail again at once.
    fn note(&mut self, error: &io::Error, listener: &Listener) {
        if is_of_one_connection(error) {
            return;
        }
        let now = Instant::now();
        self.retry = Some(now + BACK_OFF);
        self.untold += 1;
        if self.told.is_none_or(|told| now >= told + COMPLAINT) {
            self.told = Some(now);
            let times = std::mem::take(&mut self.untold);
            tracing::error!(
                %error, listener = %listener.name, times,
                "cannot accept connections: clients wait until there are descriptors and memory again"
            );
        }
    }
}

/// Whether an accept failed for the one connection that it took off the queue: then the next one
/// is worth a try.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
    )
}

fn start(
    stream: TcpStream,
    address: SocketAddr,
    listener: &Listener,
    shared: &Arc<Shared>,
    tasks: &mut JoinSet<()>,
) {
    let stopping = shared.broker.is_stopping.load(Ordering::Relaxed);
    let peer = Peer { address: Some(address), listener: listener.name.clone() };
    if stopping {
        return;
    }
    let refused = |reason, why: &str, peer: &Peer| {
        let now = shared.clock.now();
        shared.broker.note_refused(reason, &why, peer, Names::default(), now);
    };
    let evicted = |gone: SocketAddr| {
        let peer = Peer { address: Some(gone), ..peer.clone() };
        let why = "not let in yet, it made room for another connection";
        refused(Refused::MadeRoom, why, &peer);
    };
    let make_room = || shared.strangers.evict().map(evicted).is_some();
    let Some(count) = ConnectionCount::or_evict(&shared.broker, make_room) else {
        let why = "there are as many connections as there may be";
        return refused(Refused::Connections, why, &peer);
    };
    if shared.broker.memory.still_refuses(MemoryLevel::Full) {
        let now = shared.clock.now();
        let why = Cause::Memory.why();
        shared.broker.note_refused(Refused::Memory, &why, &peer, Names::default(), now);
        return;
    }
    // Without this a small packet waits for the acknowledgement of the one before.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let (stranger, gone) = shared.strangers.enter(address);
    gone.into_iter().for_each(evicted);
    let place = stranger.place();
    let stranger = Some(stranger);
    let task = match &listener.transport {
        Transport::Tcp => tasks.spawn(drive(stream, peer.clone(), count, stranger, shared)),
        Transport::WebSocket(doorway) => {
            let packet_bytes_max = shared.broker.limits.protocol.maximum_packet_size;
            let is_loopback =
                stream.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
            let io = WebSocket::new(stream, doorway.clone(), packet_bytes_max, is_loopback);
            tasks.spawn(drive(io, peer.clone(), count, stranger, shared))
        }
    };
    shared.strangers.set_task(place, task);
}

/// The task of one connection, over any transport.
pub(crate) fn drive<T>(
    io: T,
    peer: Peer,
    count: ConnectionCount,
    stranger: Option<Stranger>,
    shared: &Arc<Shared>,
) -> impl Future<Output = ()> + Send + use<T>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
{
    let now = shared.clock.now();
    let connection = Connection::new(shared.broker.clone(), peer, count, now);
    Driver::new(io, connection, stranger, shared.clone())
}

/// A panic ends its own connection alone, is counted and said.
pub(crate) fn report_panic(ended: Result<(), JoinError>, broker: &Broker) {
    if let Err(error) = ended
        && error.is_panic()
    {
        broker.connections_panicked.fetch_add(1, Ordering::Relaxed);
        tracing::error!(%error, "the task of a connection panicked");
    }
}
