//! Logins that take their time, and authenticators that do not behave.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mqtt_auth::{Authenticator, Identity, Login, Refusal, Standing, Verdict};
use mqtt_packet::{ConnAck, Connect, Packet, QoS, ReasonCode, Version};
use mqtt_server::Limits;

use crate::harness::{Broker, Peer, builder, connect};

/// Panics for one user, and never comes to an end for another.
#[derive(Default)]
struct Moody {
    is_blocking: bool,
    is_released: AtomicBool,
}

#[async_trait]
impl Authenticator for Moody {
    async fn authenticate(&self, login: Login<'_>) -> Verdict {
        match login.user_name {
            Some("panic") => panic!("as the test asks for"),
            // A thread cannot be ended: this one ends with the test.
            Some("never") if self.is_blocking => {
                while !self.is_released.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Verdict::Pass
            }
            Some("never") => std::future::pending().await,
            _ => Verdict::Allow(Identity::anonymous()),
        }
    }

    fn is_blocking(&self) -> bool {
        self.is_blocking
    }
}

fn login<'a>(id: &'a str, user: &'a str) -> Connect<'a> {
    Connect { user_name: Some(user), ..connect(Version::V5, id) }
}

#[tokio::test]
async fn a_panic_ends_its_own_connection_alone() {
    for is_blocking in [false, true] {
        let broker =
            Broker::start(builder(|_| {}).authenticator(Moody { is_blocking, ..Moody::default() }))
                .await;
        let mut bystander = Peer::simple(&broker, Version::V5, "bystander").await;
        bystander.subscribe("t", QoS::AtLeastOnce).await;
        for number in 0..5 {
            let id = format!("unlucky {number}");
            let (_, reason) = Peer::try_connect(&broker, &login(&id, "panic")).await;
            assert_eq!(reason, None, "it fails closed");
        }
        broker.until_connections(1).await;
        bystander.publish("t", b"still here", 1).await;
        assert_eq!(bystander.message().await.1, "still here");
        assert_eq!(broker.handle.sessions(), 1);
        broker.stop().await;
    }
}

#[tokio::test]
async fn a_login_without_end_is_cut_off() {
    let limits = |limits: &mut mqtt_server::Limits| limits.protocol.connect_timeout_millis = 100;
    let broker = Broker::start(builder(limits).authenticator(Moody::default())).await;
    let (mut peer, reason) = Peer::try_connect(&broker, &login("patient", "never")).await;
    assert_eq!((reason, peer.end().await), (None, None));
    broker.until_connections(0).await;
    broker.stop().await;
}

#[tokio::test]
async fn a_hash_without_end_is_cut_off_and_gives_its_turn_back() {
    let limits = |limits: &mut Limits| {
        limits.protocol.connect_timeout_millis = 3000;
        limits.login_wait_millis = 1000;
        limits.login_threads = 1;
    };
    let moody = Arc::new(Moody { is_blocking: true, ..Moody::default() });
    let broker = Broker::start(builder(limits).authenticator(moody.clone())).await;
    let (mut peer, reason) = Peer::try_connect(&broker, &login("patient", "never")).await;
    assert_eq!((reason, peer.end().await), (None, None));
    Peer::connect(&broker, &login("next", "somebody")).await;
    moody.is_released.store(true, Ordering::Relaxed);
    broker.stop().await;
}

/// Hashes for some milliseconds: `right` is right. Remembers who asked, in order, and what it is told
/// to have become of them.
#[derive(Default)]
struct Slow {
    asked: parking_lot::Mutex<Vec<String>>,
    calls: AtomicUsize,
    generation: AtomicU64,
    is_remembered: bool,
}

#[async_trait]
impl Authenticator for Slow {
    async fn authenticate(&self, login: Login<'_>) -> Verdict {
        std::thread::sleep(Duration::from_millis(20));
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.asked.lock().push(login.client_id.to_owned());
        match login.password {
            Some(b"right") => Verdict::Allow(Identity::user(login.user_name.unwrap_or_default())),
            _ => Verdict::Deny(Refusal::BadCredentials),
        }
    }

    fn is_blocking(&self) -> bool {
        true
    }

    fn fingerprint(&self, login: Login<'_>) -> Option<[u8; 32]> {
        let right = u8::from(login.password == Some(b"right"));
        let generation = u8::try_from(self.generation.load(Ordering::Relaxed)).ok()?;
        self.is_remembered.then_some([right + 2 * generation; 32])
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    fn standing(&self, _: &Identity, generation: u64) -> Standing {
        if generation < self.generation() { Standing::Over } else { Standing::Valid }
    }
}

/// A broker with one thread to hash on.
async fn slow(slow: Slow, change: impl FnOnce(&mut Limits)) -> (Broker, Arc<Slow>) {
    let slow = Arc::new(slow);
    let limits = |limits: &mut Limits| {
        limits.login_threads = 1;
        change(limits);
    };
    (Broker::start(builder(limits).authenticator(slow.clone())).await, slow)
}

fn with_password<'a>(id: &'a str, password: &'a str) -> Connect<'a> {
    Connect { password: Some(password.as_bytes()), ..login(id, id) }
}

/// The answer to a CONNECT from an address.
async fn log_in(
    broker: &Broker,
    from: [u8; 4],
    connect: &Connect<'_>,
) -> (Peer, Option<ReasonCode>) {
    let mut peer = Peer::open_from(from, broker.address, connect.version).await;
    peer.send(&Packet::Connect(*connect)).await;
    let Some(raw) = peer.next().await else { return (peer, None) };
    let Packet::ConnAck(ConnAck { reason, .. }) = raw.packet() else { panic!("no CONNACK") };
    (peer, Some(reason))
}

/// Clients that send a wrong password, again and again, from these addresses.
fn attack(broker: &Arc<Broker>, from: Vec<[u8; 4]>) -> Vec<tokio::task::JoinHandle<()>> {
    let guess = |(number, from): (usize, [u8; 4])| {
        let broker = broker.clone();
        tokio::spawn(async move {
            loop {
                let id = format!("mallory {number}");
                let (_, reason) = log_in(&broker, from, &with_password(&id, "wrong")).await;
                assert_ne!(reason, Some(ReasonCode::SUCCESS));
            }
        })
    };
    from.into_iter().enumerate().map(guess).collect()
}

#[tokio::test]
async fn a_right_login_comes_in_beside_any_number_of_wrong_ones() {
    let one_address = vec![[127, 0, 0, 2]; 200];
    let one_network = (1..=200).map(|last| [127, 0, 0, last]).collect();
    let networks = (1..=200).map(|network| [127, 1, network, 1]).collect();
    for from in [one_address, one_network, networks] {
        let (broker, slow) = slow(Slow::default(), |_| {}).await;
        let broker = Arc::new(broker);
        let attack = attack(&broker, from);
        while slow.calls.load(Ordering::Relaxed) < 5 {
            tokio::task::yield_now().await;
        }
        let before = slow.calls.load(Ordering::Relaxed);
        let (_, reason) = log_in(&broker, [127, 0, 1, 1], &with_password("alice", "right")).await;
        assert_eq!(reason, Some(ReasonCode::SUCCESS));
        let place = slow.asked.lock().iter().position(|id| id == "alice").unwrap();
        assert!(place <= before + 60, "{place} were asked, {before} of them before");
        attack.iter().for_each(tokio::task::JoinHandle::abort);
        for task in attack {
            let _ = task.await;
        }
        Arc::into_inner(broker).unwrap().stop().await;
    }
}

/// Nothing tells them from the right one but their passwords.
#[tokio::test]
async fn a_right_login_comes_in_beside_wrong_ones_of_its_own_address() {
    for users in ["one", "the same", "many"] {
        let (broker, slow) = slow(Slow::default(), |_| {}).await;
        let broker = Arc::new(broker);
        let guess = |number| {
            let broker = broker.clone();
            tokio::spawn(async move {
                let id = format!("guess {number}");
                let user = match users {
                    "one" => "mallory",
                    "the same" => "alice",
                    _ => &id,
                };
                let guess = Connect { user_name: Some(user), ..with_password(&id, "wrong") };
                log_in(&broker, [127, 0, 0, 1], &guess).await.1
            })
        };
        let attack: Vec<_> = (0..150).map(guess).collect();
        while slow.calls.load(Ordering::Relaxed) < 3 {
            tokio::task::yield_now().await;
        }
        let (_, reason) = log_in(&broker, [127, 0, 0, 1], &with_password("alice", "right")).await;
        assert_eq!(reason, Some(ReasonCode::SUCCESS));
        let place = slow.asked.lock().iter().position(|id| id == "alice").unwrap();
        assert!(place < 75, "{users}: {place} of 150 guesses were before");
        for guess in attack {
            guess.await.unwrap();
        }
        Arc::into_inner(broker).unwrap().stop().await;
    }
}

#[tokio::test]
async fn who_waits_for_the_servers_own_hashes_is_not_cut() {
    // Together they wait for three times as long as a client may take to connect.
    let limits = |limits: &mut Limits| limits.protocol.connect_timeout_millis = 500;
    let (broker, slow) = slow(Slow::default(), limits).await;
    let broker = Arc::new(broker);
    let devices = (0..75).map(|number| {
        let broker = broker.clone();
        tokio::spawn(async move {
            let id = format!("device {number}");
            log_in(&broker, [127, 0, 0, 1], &with_password(&id, "right")).await.1
        })
    });
    for device in devices.collect::<Vec<_>>() {
        assert_eq!(device.await.unwrap(), Some(ReasonCode::SUCCESS));
    }
    assert_eq!(slow.calls.load(Ordering::Relaxed), 75);
    Arc::into_inner(broker).unwrap().stop().await;
}

#[tokio::test]
async fn too_many_logins_are_refused_without_being_looked_at() {
    for (total, per_address, bytes) in
        [(10, 1000, 1_000_000), (1000, 10, 1_000_000), (1000, 1000, 200)]
    {
        let limits = |limits: &mut Limits| {
            limits.logins_waiting_max = total;
            limits.logins_waiting_per_address_max = per_address;
            limits.logins_waiting_bytes_max = bytes;
        };
        let (broker, slow) = slow(Slow::default(), limits).await;
        let broker = Arc::new(broker);
        let clients = (0..60).map(|number| {
            let broker = broker.clone();
            tokio::spawn(async move {
                let version = if number % 2 == 0 { Version::V5 } else { Version::V311 };
                let id = format!("client {number}");
                let connect = Connect { version, ..with_password(&id, "right") };
                log_in(&broker, [127, 0, 0, 1], &connect).await.1
            })
        });
        let (mut taken, mut refused) = (0, 0);
        for client in clients.collect::<Vec<_>>() {
            match client.await.unwrap() {
                Some(ReasonCode::SUCCESS) => taken += 1,
                // Return code 3 before 5.0.
                Some(ReasonCode::SERVER_UNAVAILABLE) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(taken >= 5 && refused >= 5, "{taken} taken, {refused} refused");
        assert_eq!(slow.calls.load(Ordering::Relaxed), taken);
        Arc::into_inner(broker).unwrap().stop().await;
    }
}

#[tokio::test]
async fn a_verified_login_is_remembered_until_its_user_changes() {
    let remembering = Slow { is_remembered: true, ..Slow::default() };
    let (broker, slow) = slow(remembering, |limits| limits.login_memory_millis = 600_000).await;
    let calls = || slow.calls.load(Ordering::Relaxed);
    let alice = with_password("alice", "right");
    for _ in 0..20 {
        Peer::connect(&broker, &alice).await;
    }
    assert_eq!(calls(), 1);
    for expected in 2..4 {
        let (_, reason) = Peer::try_connect(&broker, &with_password("alice", "wrong")).await;
        assert_eq!(reason, Some(ReasonCode::BAD_USER_NAME_OR_PASSWORD));
        assert_eq!(calls(), expected, "a wrong one is not remembered");
    }
    slow.generation.fetch_add(1, Ordering::Relaxed);
    Peer::connect(&broker, &alice).await;
    assert_eq!(calls(), 4);
    broker.stop().await;
}

#[tokio::test]
async fn a_connection_whose_login_is_over_ends_by_itself() {
    let (broker, slow) = slow(Slow::default(), |_| {}).await;
    for tells in [false, true] {
        let mut alice = Peer::connect(&broker, &with_password("alice", "right")).await;
        slow.generation.fetch_add(1, Ordering::Relaxed);
        let bob = Peer::connect(&broker, &with_password("bob", "right")).await;
        if tells {
            broker.handle.identities_changed();
        }
        assert_eq!(alice.end().await, Some(ReasonCode::NOT_AUTHORIZED));
        broker.until_connections(1).await;
        assert_eq!(broker.handle.end_connections(|who| who.client_id == "bob"), 1);
        let mut bob = bob;
        assert_eq!(bob.end().await, Some(ReasonCode::NOT_AUTHORIZED));
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_during_its_login_leaves_nothing() {
    let broker = Broker::start(builder(|_| {}).authenticator(Moody::default())).await;
    let mut peer = Peer::open(broker.address, Version::V5).await;
    peer.send(&Packet::Connect(login("impatient", "never"))).await;
    broker.until_connections(1).await;
    drop(peer);
    // While a login runs nothing is read, so only the connect timeout or the end of the server
    // notices.
    let report = broker.stop().await;
    assert_eq!(report.sessions, 0);
}
