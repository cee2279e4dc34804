//! Accepting connections.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    core::{broker::ConnectionCount, connection::Connection, login::Peer},
    net::{
        driver::Driver,
        websocket::{Doorway, WebSocket},
    },
    server::Shared,
};

/// After an accept that failed for want of descriptors the listener waits this long.
const BACK_OFF: Duration = Duration::from_millis(100);

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
    loop {
        let accepted = tokio::select! {
            accepted = listener.socket.accept() => accepted,
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                report_panic(ended);
                continue;
            }
            _ = stop.wait_for(|stop| *stop) => return tasks,
        };
        match accepted {
            Ok((stream, peer)) => start(stream, peer, &listener, &shared, &mut tasks),
            Err(error) => {
                if shared.broker.log_limit.permits(None, shared.clock.now()) {
                    tracing::error!(%error, listener = %listener.name, "cannot accept a connection");
                }
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

fn start(
    stream: TcpStream,
    address: SocketAddr,
    listener: &Listener,
    shared: &Arc<Shared>,
    tasks: &mut JoinSet<()>,
) {
    let stopping = shared.broker.is_stopping.load(Ordering::Relaxed);
    let Some(count) = ConnectionCount::new(&shared.broker).filter(|_| !stopping) else { return };
    // Without this a small packet waits for the acknowledgement of the one before.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let peer = Peer { address: Some(address), listener: listener.name.clone() };
    match &listener.transport {
        Transport::Tcp => tasks.spawn(drive(stream, peer, count, shared)),
        Transport::WebSocket(doorway) => {
            let packet_bytes_max = shared.broker.limits.protocol.maximum_packet_size;
            let is_loopback =
                stream.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
            let io = WebSocket::new(stream, doorway.clone(), packet_bytes_max, is_loopback);
            tasks.spawn(drive(io, peer, count, shared))
        }
    };
}

/// The task of one connection, over any transport.
pub(crate) fn drive<T>(
    io: T,
    peer: Peer,
    count: ConnectionCount,
    shared: &Arc<Shared>,
) -> impl Future<Output = ()> + Send + use<T>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
{
    let now = shared.clock.now();
    let connection = Connection::new(shared.broker.clone(), peer, count, now);
    Driver::new(io, connection, shared.clone())
}

/// A panic ends its own connection alone, and is said.
pub(crate) fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "the task of a connection panicked");
    }
}
