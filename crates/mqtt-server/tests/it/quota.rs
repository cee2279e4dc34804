//! More sessions than there may be, over sockets.

use std::net::SocketAddr;

use mqtt_packet::{ConnAck, Packet, ReasonCode, Version};
use tokio::net::TcpSocket;

use crate::harness::{Broker, Peer, builder, connect, persistent};

/// What CONNACK says to a client that comes from this address.
async fn visit(broker: &Broker, from: &str, version: Version, client_id: &str) -> ReasonCode {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let mut peer = Peer::open(broker.address, version).await;
    peer.stream = socket.connect(broker.address).await.unwrap();
    peer.send(&Packet::Connect(persistent(version, client_id))).await;
    let raw = peer.expect_next().await;
    let Packet::ConnAck(ConnAck { reason, .. }) = raw.packet() else { panic!("{raw:?}") };
    reason
}

#[tokio::test]
async fn one_address_has_so_many_sessions() {
    let limits = builder(|limits| limits.sessions_per_address_max = Some(2));
    let broker = Broker::start(limits).await;
    let refused = [ReasonCode::QUOTA_EXCEEDED, ReasonCode::SERVER_UNAVAILABLE];
    for (address, version, refused) in
        [("127.0.0.1", Version::V5, refused[0]), ("127.0.0.2", Version::V311, refused[1])]
    {
        for number in 0..4 {
            let id = format!("{address} {number}");
            let expected = if number < 2 { ReasonCode::SUCCESS } else { refused };
            assert_eq!(visit(&broker, address, version, &id).await, expected, "{id}");
        }
        let again = visit(&broker, address, version, &format!("{address} 0")).await;
        assert_eq!(again, ReasonCode::SUCCESS, "a session that is there is taken up");
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_flood_of_lasting_sessions_leaves_room_for_clean_ones() {
    let broker = Broker::start(builder(|limits| limits.sessions_max = 100)).await;
    let mut taken = 0;
    for number in 0..120 {
        let id = format!("flood {number}");
        let (_, reason) = Peer::try_connect(&broker, &persistent(Version::V311, &id)).await;
        taken += usize::from(reason == Some(ReasonCode::SUCCESS));
    }
    assert_eq!(taken, 90);
    let mut clean = Peer::connect(&broker, &connect(Version::V311, "clean")).await;
    clean.ping().await;
    broker.stop().await;
}
