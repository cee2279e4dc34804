//! Parts of a server that panic: it stops and says so, and does not go on as if it ran.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use mqtt_auth::{Action, Authorizer, Subject};
use mqtt_packet::{Connect, ConnectProperties, QoS, Version, Will, WillProperties};
use mqtt_server::{Level, Limits, Server, ServerBuilder, ShutdownReport, StoreError, VitalTask};
use mqtt_session::{
    Change, MemoryStore, QueuedMessage, SessionNumber, SessionStore, store::Stored,
};
use mqtt_testkit::within;
use tokio::task::JoinHandle;

use crate::harness::{PATIENCE_SECS, Peer, connect, persistent};

/// Permits everything, and panics for topics that start like this once it is told to.
#[derive(Clone)]
struct Trap {
    prefix: &'static str,
    is_set: Arc<AtomicBool>,
}

impl Trap {
    fn new(prefix: &'static str) -> Self {
        Self { prefix, is_set: Arc::default() }
    }

    fn set(&self) {
        self.is_set.store(true, Ordering::Relaxed);
    }
}

impl Authorizer for Trap {
    fn authorize(&self, _: Subject<'_>, action: Action<'_>) -> bool {
        let (Action::Publish { topic, .. } | Action::Receive { topic }) = action else {
            return true;
        };
        let springs =
            self.is_set.load(Ordering::Relaxed) && topic.as_str().starts_with(self.prefix);
        assert!(!springs, "as the test asks for");
        true
    }
}

/// A store that panics when it is told to.
#[derive(Default)]
struct Explosive {
    inner: MemoryStore,
    is_set: AtomicBool,
}

impl SessionStore for Explosive {
    fn load(&self, visit: &mut dyn FnMut(Stored)) -> Result<(), StoreError> {
        self.inner.load(visit)
    }

    fn commit(&self, changes: &[Change], level: Level) -> Result<(), StoreError> {
        assert!(!self.is_set.load(Ordering::Relaxed), "as the test asks for");
        self.inner.commit(changes, level)
    }

    fn read(
        &self,
        session: SessionNumber,
        from: u64,
        bytes_max: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        self.inner.read(session, from, bytes_max)
    }
}

/// A server that nobody tells to stop.
async fn start(
    change: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> (std::net::SocketAddr, JoinHandle<ShutdownReport>) {
    let limits = Limits { sys_interval_secs: 1, linger_millis: 100, ..Limits::default() };
    let builder = Server::builder().listen("tcp://127.0.0.1:0").limits(limits);
    let server = change(builder).bind().await.unwrap();
    let address = server.local_addrs().unwrap()[0];
    (address, tokio::spawn(server.run_until(std::future::pending())))
}

async fn client(address: std::net::SocketAddr, connect: &Connect<'_>) -> Peer {
    let mut peer = Peer::open(address, connect.version).await;
    peer.send(&mqtt_packet::Packet::Connect(*connect)).await;
    peer.expect_next().await;
    peer
}

async fn died(server: JoinHandle<ShutdownReport>) -> Option<VitalTask> {
    within(PATIENCE_SECS, "the end of the server", server).await.unwrap().died
}

#[tokio::test]
async fn a_store_that_panics_stops_the_server() {
    let store = Arc::new(Explosive::default());
    let (address, server) = start(|builder| builder.sessions(store.clone())).await;
    let mut subscriber = client(address, &persistent(Version::V5, "subscriber")).await;
    subscriber.subscribe("t", QoS::AtLeastOnce).await;
    store.is_set.store(true, Ordering::Relaxed);
    subscriber.publish("t", b"x", 1).await;
    assert_eq!(died(server).await, Some(VitalTask::Journal));
    subscriber.end().await;
}

#[tokio::test]
async fn a_reporter_that_panics_stops_the_server() {
    let trap = Trap::new("$SYS/");
    let (address, server) = start(|builder| builder.authorizer(trap.clone())).await;
    let mut subscriber = client(address, &connect(Version::V5, "subscriber")).await;
    // No retained messages come before SUBACK.
    subscriber.subscribe("$SYS/#", QoS::AtMostOnce).await;
    trap.set();
    assert_eq!(died(server).await, Some(VitalTask::Reporter));
    subscriber.end().await;
}

#[tokio::test]
async fn a_housekeeper_that_panics_stops_the_server() {
    let trap = Trap::new("will");
    let (address, server) = start(|builder| builder.authorizer(trap.clone())).await;
    let properties = WillProperties { delay_interval_secs: Some(1), ..Default::default() };
    let will =
        Will { qos: QoS::AtMostOnce, retain: false, topic: "will", payload: b"", properties };
    let properties =
        ConnectProperties { session_expiry_interval: Some(60), ..ConnectProperties::default() };
    let hello = Connect { will: Some(will), properties, ..connect(Version::V5, "dying") };
    let dying = client(address, &hello).await;
    trap.set();
    drop(dying);
    assert_eq!(died(server).await, Some(VitalTask::Housekeeper));
}
