//! Authenticators that do not behave.

use async_trait::async_trait;
use mqtt_auth::{Authenticator, Identity, Login, Verdict};
use mqtt_packet::{Connect, Packet, QoS, Version};

use crate::harness::{Broker, Peer, builder, connect};

/// Panics for one user, and never comes to an end for another.
struct Moody {
    is_blocking: bool,
}

#[async_trait]
impl Authenticator for Moody {
    async fn authenticate(&self, login: Login<'_>) -> Verdict {
        match login.user_name {
            Some("panic") => panic!("as the test asks for"),
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
        let broker = Broker::start(builder(|_| {}).authenticator(Moody { is_blocking })).await;
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
    let broker = Broker::start(builder(limits).authenticator(Moody { is_blocking: false })).await;
    let (mut peer, reason) = Peer::try_connect(&broker, &login("patient", "never")).await;
    assert_eq!((reason, peer.end().await), (None, None));
    broker.until_connections(0).await;
    broker.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_during_its_login_leaves_nothing() {
    let broker = Broker::start(builder(|_| {}).authenticator(Moody { is_blocking: false })).await;
    let mut peer = Peer::open(broker.address, Version::V5).await;
    peer.send(&Packet::Connect(login("impatient", "never"))).await;
    broker.until_connections(1).await;
    drop(peer);
    // While a login runs nothing is read, so only the connect timeout or the end of the server
    // notices.
    let report = broker.stop().await;
    assert_eq!(report.sessions, 0);
}
