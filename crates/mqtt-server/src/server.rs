//! The server to embed.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use mqtt_auth::Subject;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Notify, watch},
    task::JoinSet,
};

use crate::{
    builder::ServerBuilder,
    core::{
        broker::{Broker, ConnectionCount, Totals},
        cause::Cause,
        log_limit,
        login::Peer,
        memory::{MemoryLevel, MemoryState},
    },
    local::LocalClient,
    net::{
        clock::{Clock, LOOK},
        journal::Writer,
        listen::{self, Listener},
        login_turns::LoginTurns,
        strangers::Strangers,
    },
};

/// What all tasks of a server share.
pub(crate) struct Shared {
    pub(crate) broker: Arc<Broker>,
    pub(crate) clock: Clock,
    /// Says whose password is hashed next.
    pub(crate) logins: Arc<LoginTurns>,
    /// Connections of the listeners that have not been let in.
    pub(crate) strangers: Arc<Strangers>,
    /// Somebody says that identities may have ended.
    identities: Notify,
    /// Tells the connections that have no session, or none any more, that the server stops.
    pub(crate) stopping: Arc<Notify>,
    /// Connections that are over and wait long for their client to close.
    pub(crate) lingering: AtomicUsize,
}

/// A broker that is bound to its addresses.
///
/// Nothing is accepted before [`Server::run_until`] is polled.
pub struct Server {
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    stop: watch::Sender<bool>,
    helpers: JoinSet<()>,
    /// Writes the journal.
    writer: Writer,
}

/// A handle to a running server: cheap to clone, usable from anywhere.
#[derive(Clone)]
pub struct ServerHandle {
    shared: Arc<Shared>,
}

/// A part of a server that has to live as long as the server.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
#[non_exhaustive]
pub enum VitalTask {
    /// Accepts the connections of a listener.
    Acceptor,
    /// Publishes wills and ends sessions when they are due.
    Housekeeper,
    /// Notices that the authenticator does not stand by identities any more.
    IdentityWatch,
    /// Publishes `$SYS`, and says how many lines of the log were left out.
    Reporter,
    /// Looks at the memory that the process uses.
    Watcher,
    /// The thread that writes the journal.
    Journal,
}

impl fmt::Display for VitalTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Acceptor => "the task that accepts connections",
            Self::Housekeeper => "the task that sees to wills and expired sessions",
            Self::IdentityWatch => "the task that notices logins that are over",
            Self::Reporter => "the task that publishes $SYS",
            Self::Watcher => "the task that watches the memory",
            Self::Journal => "the thread that writes the journal",
        })
    }
}

/// What a server left behind when it stopped.
#[derive(Copy, Clone, Debug)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Connections that were open when the server was told to stop.
    pub connections: usize,
    /// Of these, connections that did not take what was due to them in time and were cut.
    pub cut: usize,
    /// Sessions without a connection: those that a session store keeps for the next server.
    pub sessions: usize,
    /// Messages that are still queued or in flight in these sessions.
    pub messages: u64,
    /// What went through.
    pub totals: Totals,
    /// The part of the server that panicked, if the server stopped for that and not because it was
    /// told to. What happened is in the log.
    pub died: Option<VitalTask>,
}

impl Server {
    /// A server to be configured.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    /// # Errors
    /// There is no thread for the journal.
    pub(crate) fn new(broker: Broker, listeners: Vec<Listener>, clock: Clock) -> io::Result<Self> {
        let shared = Shared {
            strangers: Strangers::new(
                broker.limits.connecting_max.min(broker.limits.connections_max),
            ),
            logins: Arc::new(LoginTurns::new(&broker.limits)),
            identities: Notify::new(),
            broker: Arc::new(broker),
            clock,
            stopping: Arc::default(),
            lingering: AtomicUsize::new(0),
        };
        let (stop, _) = watch::channel(false);
        let shared = Arc::new(shared);
        let writer = Writer::start(&shared)?;
        Ok(Self { shared, listeners, stop, helpers: JoinSet::new(), writer })
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The addresses that the server listens on, in the order in which they were given; one name
    /// may stand for several. A port 0 is the real one here.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(|listener| listener.socket.local_addr()).collect()
    }

    /// What was given to [`ServerBuilder::listen`] for each of [`Server::local_addrs`].
    pub fn listener_names(&self) -> impl Iterator<Item = &str> {
        self.listeners.iter().map(|listener| &*listener.name)
    }

    /// A handle that stays valid while the server runs.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle { shared: self.shared.clone() }
    }

    /// Serves until `shutdown` is done; then stops: accepts nothing more, tells the clients, gives
    /// them [`Limits::shutdown_millis`](crate::Limits::shutdown_millis) to take what is due to them,
    /// and hands the sessions to the store.
    ///
    /// It stops in the same way when a part of it panics without which it would only look as if it
    /// ran: [`ShutdownReport::died`] says which. A connection whose task panics ends alone.
    pub async fn run_until(mut self, shutdown: impl Future<Output = ()>) -> ShutdownReport {
        let mut acceptors = JoinSet::new();
        for listener in std::mem::take(&mut self.listeners) {
            let stop = self.stop.subscribe();
            acceptors.spawn(listen::accept(listener, self.shared.clone(), stop));
        }
        let housekeeper = self.helpers.spawn(housekeep(self.shared.clone())).id();
        let identities = self.helpers.spawn(watch_identities(self.shared.clone())).id();
        let watcher = self.helpers.spawn(watch_memory(self.shared.clone())).id();
        self.helpers.spawn(report(self.shared.clone()));
        let died = tokio::select! {
            () = shutdown => None,
            Some(_) = acceptors.join_next() => Some(VitalTask::Acceptor),
            Some(Err(ended)) = self.helpers.join_next() => Some(match ended.id() {
                id if id == housekeeper => VitalTask::Housekeeper,
                id if id == identities => VitalTask::IdentityWatch,
                id if id == watcher => VitalTask::Watcher,
                _ => VitalTask::Reporter,
            }),
            () = self.writer.ended() => Some(VitalTask::Journal),
        };
        if let Some(died) = died {
            tracing::error!("{died} panicked: the server stops");
        }
        self.helpers.abort_all();
        self.stop(acceptors, died).await
    }

    async fn stop(
        mut self,
        mut acceptors: JoinSet<JoinSet<()>>,
        died: Option<VitalTask>,
    ) -> ShutdownReport {
        let broker = &self.shared.broker;
        broker.is_stopping.store(true, Ordering::Relaxed);
        let connections = broker.connections.load(Ordering::Relaxed);
        let _ = self.stop.send(true);
        self.shared.stopping.notify_waiters();
        for slots in broker.registry.all().chunks(WOKEN) {
            for slot in slots.iter().filter(|slot| slot.lock().inbox.is_online()) {
                slot.ask_to_leave(Cause::Stopping, None);
            }
            tokio::task::yield_now().await;
        }
        let deadline = Duration::from_millis(broker.limits.shutdown_millis);
        let deadline = tokio::time::Instant::now() + deadline;
        let mut cut = 0;
        while let Some(ended) = acceptors.join_next().await {
            // The connections of an acceptor that panicked ended with it.
            let Ok(mut tasks) = ended else { continue };
            while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, tasks.join_next()).await {
                listen::report_panic(ended, broker);
            }
            cut += tasks.len();
            tasks.shutdown().await;
        }
        self.writer.stop().await;
        broker.log_limit.say_left_out(self.shared.clock.now(), 0);
        let (mut sessions, mut messages) = (0, 0);
        for slot in broker.registry.all() {
            let state = slot.lock();
            if !state.ended && !state.inbox.is_online() {
                sessions += 1;
                messages += state.inbox.ledger().held();
            }
        }
        let totals = broker.totals();
        ShutdownReport { connections, cut, sessions, messages, totals, died }
    }
}

impl ServerHandle {
    /// A client inside the process, without a socket and without a login. It may publish and read
    /// everything.
    ///
    /// # Errors
    /// `client_id` is used by a connection that does not go, or by a session that is not the
    /// server's own.
    pub fn local_client(&self, client_id: &str) -> Result<LocalClient, crate::LocalError> {
        LocalClient::new(&self.shared, client_id)
    }

    /// Serves one connection over any transport: anything that reads and writes bytes. Returns when
    /// the connection is over.
    ///
    /// `listener` is the name that authenticators see.
    pub async fn serve<T>(&self, io: T, listener: &str)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let peer = Peer { address: None, listener: listener.into() };
        if let Some(count) = ConnectionCount::new(&self.shared.broker) {
            listen::drive(io, peer, count, None, &self.shared).await;
        }
    }

    /// Identities may have ended, as after [`PasswordFile::reload`](mqtt_auth::PasswordFile::reload):
    /// each connection asks the authenticator for its
    /// [standing](mqtt_auth::Authenticator::standing) at once, and one whose identity is over ends
    /// with 0x87 (Not authorized). Without this the server notices within a second, by the
    /// authenticator's generation.
    pub fn identities_changed(&self) {
        self.shared.identities.notify_one();
    }

    /// Ends the connections of all clients of which `is_over` says so, with 0x87 (Not authorized);
    /// returns how many. For an embedder who hears from elsewhere that somebody is not welcome any
    /// more; an authenticator that knows as well keeps the client from coming back. Sessions stay.
    pub fn end_connections(&self, is_over: impl FnMut(Subject<'_>) -> bool) -> usize {
        self.shared.broker.end_connections(is_over)
    }

    /// What went through so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.shared.broker.totals()
    }

    /// How much memory the process uses, as far as the server looked, and what that means.
    #[must_use]
    pub fn memory(&self) -> MemoryState {
        self.shared.broker.memory.state()
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.broker.connections.load(Ordering::Relaxed)
    }

    /// How many sessions there are, with and without a connection.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.shared.broker.registry.len()
    }
}

/// So many connections in a row are woken to look at their identity; then others run.
const WOKEN: usize = 256;

/// The authenticator is asked so often whether identities may have ended.
const LOOKS_EVERY: Duration = Duration::from_secs(1);

/// Has connections look whether their identity still stands when it may not.
async fn watch_identities(shared: Arc<Shared>) {
    let generation = || shared.broker.authenticator.generation();
    let mut seen = generation();
    loop {
        let told = tokio::time::timeout(LOOKS_EVERY, shared.identities.notified()).await.is_ok();
        let now = generation();
        if now == seen && !told {
            continue;
        }
        seen = now;
        for slots in shared.broker.look_at_identities().chunks(WOKEN) {
            slots.iter().for_each(|slot| slot.wake());
            tokio::task::yield_now().await;
        }
    }
}

/// Publishes wills and ends sessions when they are due.
async fn housekeep(shared: Arc<Shared>) {
    loop {
        look_at_calendar(&shared);
        let next = shared.broker.handle_timeout(shared.clock.now());
        if next.is_some_and(|due| due <= shared.clock.now()) {
            // A batch at a time, others in between.
            tokio::task::yield_now().await;
            continue;
        }
        let woken = std::future::poll_fn(|cx| {
            let mut housekeeper = shared.broker.schedule.housekeeper.lock();
            let earlier = shared.broker.schedule.next();
            let is_earlier = earlier.is_some_and(|at| next.is_none_or(|next| at < next));
            if is_earlier || shared.broker.has_leftovers() {
                return Poll::Ready(());
            }
            *housekeeper = Some(cx.waker().clone());
            Poll::Pending
        });
        let look = tokio::time::Instant::now() + LOOK;
        let instant = next.map_or(look, |next| shared.clock.instant(next).min(look));
        let _ = tokio::time::timeout_at(instant, woken).await;
    }
}

/// Says if the calendar was set, and has the store keep by how much: deadlines do not move, but
/// whoever reads them later has to know.
fn look_at_calendar(shared: &Arc<Shared>) {
    let Some(set) = shared.clock.look() else { return };
    let by_secs = set.by_millis / 1000;
    tracing::warn!(by_secs, "the calendar was set: deadlines go by the time that passes");
    if shared.broker.journal.is_some() {
        let shared = shared.clone();
        // A write may wait for the disk.
        tokio::task::spawn_blocking(move || {
            if let Some(journal) = &shared.broker.journal {
                journal.note_clock(set.mark);
            }
        });
    }
}

/// Publishes `$SYS` and says what was left out of the log, for ever.
async fn report(shared: Arc<Shared>) {
    let secs = shared.broker.limits.sys_interval_secs;
    let mut sys = ticks(Duration::from_secs(secs.max(1).into()));
    let mut log = ticks(Duration::from_millis(log_limit::WINDOW_MILLIS));
    loop {
        tokio::select! {
            _ = sys.tick(), if secs > 0 => publish_sys(&shared).await,
            _ = log.tick() => {
                let now = shared.clock.now();
                shared.broker.log_limit.say_left_out(now, log_limit::WINDOW_MILLIS);
            }
        }
    }
}

/// Looks at the memory that the process uses: seldom while there is enough.
async fn watch_memory(shared: Arc<Shared>) {
    loop {
        let level = shared.broker.watch_memory();
        let pause = if level == MemoryLevel::Fine { 500 } else { 250 };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// Publishes `$SYS`: adds the sessions up a page at a time, others in between.
async fn publish_sys(shared: &Shared) {
    let totals = loop {
        match shared.broker.sum_some() {
            Some(totals) => break totals,
            None => tokio::task::yield_now().await,
        }
    };
    let now = shared.clock.now();
    for value in shared.broker.sys_values(&totals, now) {
        shared.broker.publish_sys_value(&value, now);
        tokio::task::yield_now().await;
    }
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}
