//! What the broker says beside a reason code.

use mqtt_auth::AclFile;
use mqtt_packet::{
    Connect, ConnectProperties, Packet, Subscribe, SubscribeFilters, SubscribeProperties, Version,
};

use crate::harness::{Broker, Peer, Raw, builder, connect};

/// The Reason String of whatever packet it is.
fn words(raw: &Raw) -> Option<String> {
    let words = match raw.packet() {
        Packet::ConnAck(connack) => connack.properties.reason_string,
        Packet::PubAck(ack) => ack.properties.reason_string,
        Packet::SubAck(suback) => suback.properties.reason_string,
        Packet::Disconnect(disconnect) => disconnect.properties.reason_string,
        other => panic!("no answer but {other:?}"),
    };
    words.map(str::to_owned)
}

/// A broker that permits nothing.
async fn broker() -> Broker {
    Broker::start(builder(|_| {}).authorizer(AclFile::parse("").unwrap())).await
}

/// What the broker says to a message, a subscription and a second CONNECT.
async fn refusals(broker: &Broker, properties: ConnectProperties<'_>) -> [Option<String>; 3] {
    let hello = Connect { properties, ..connect(Version::V5, "client") };
    let mut peer = Peer::connect(broker, &hello).await;
    peer.publish("t", b"x", 1).await;
    let message = words(&peer.expect_next().await);
    let (packet_id, properties) = (peer.next_id(), SubscribeProperties::default());
    let filters = [("t", Default::default())];
    let filters = SubscribeFilters::new(&filters);
    peer.send(&Packet::Subscribe(Subscribe { packet_id, properties, filters })).await;
    let subscription = words(&peer.expect_next().await);
    peer.send(&Packet::Connect(hello)).await;
    [message, subscription, words(&peer.expect_next().await)]
}

#[tokio::test]
async fn what_is_refused_is_explained_to_who_asks() {
    let broker = broker().await;
    let denied = || Some("Not authorized".to_owned());
    let violation = || Some("a second CONNECT".to_owned());
    let asks = |words: Option<bool>| ConnectProperties {
        request_problem_information: words,
        ..Default::default()
    };
    assert_eq!(refusals(&broker, asks(Some(true))).await, [denied(), denied(), violation()]);

    // [MQTT-3.1.2-29], and who says nothing is told nothing.
    for words in [Some(false), None] {
        assert_eq!(refusals(&broker, asks(words)).await, [None, None, None]);
    }

    // [MQTT-3.4.2-2], [MQTT-3.9.2-1], [MQTT-3.14.2-3]
    let small = ConnectProperties { maximum_packet_size: Some(22), ..asks(Some(true)) };
    assert_eq!(refusals(&broker, small).await, [None, None, None]);
    broker.stop().await;
}

#[tokio::test]
async fn a_method_that_nobody_knows_is_refused_with_words() {
    let broker = broker().await;
    let properties = ConnectProperties {
        authentication_method: Some("unheard of"),
        request_problem_information: Some(true),
        ..ConnectProperties::default()
    };
    let hello = Connect { properties, ..connect(Version::V5, "client") };
    let mut peer = Peer::open(broker.address, Version::V5).await;
    peer.send(&Packet::Connect(hello)).await;
    let refusal = words(&peer.expect_next().await);
    assert_eq!(refusal.as_deref(), Some("an unknown authentication method"));
    broker.stop().await;
}
