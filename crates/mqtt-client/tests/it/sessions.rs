//! Sessions that go from one connection to the next.

use mqtt_client::{Error, Loss, QoS, ReasonCode, Version};
use mqtt_packet::{ConnAck, Packet, PacketType};

use crate::script::{Server, ids, soon};

fn connack(session_present: bool) -> Packet<'static> {
    Packet::ConnAck(ConnAck { session_present, ..ConnAck::new(ReasonCode::SUCCESS) })
}

#[tokio::test]
async fn unacknowledged_messages_go_out_again_on_the_next_connection() {
    // [MQTT-4.4.0-1]; [MQTT-2.3.1-3] of 3.1.1
    for version in [Version::V311, Version::V5] {
        let server = Server::start().await;
        let options = || server.options().version(version).clean_start(false);
        let (client, mut script) = server.serve(options(), &connack(false)).await;
        let client = client.unwrap();
        let session = client.session();
        assert!(!session.is_free());
        for payload in ["1", "2"] {
            drop(client.publish("a", payload).qos(QoS::AtLeastOnce).send().await.unwrap());
        }
        let before = script.read_all(2).await;
        script.cut();
        assert!(matches!(soon(client.closed()).await, Loss::Closed | Loss::Io(_)));
        assert_eq!(session.unfinished(), 2);

        let (client, mut script) = server.serve(options().resume(&session), &connack(true)).await;
        let client = client.unwrap();
        let again = script.read_all(2).await;
        for (before, again) in before.iter().zip(&again) {
            let (before, again) = (before.publish(version), again.publish(version));
            assert!(again.dup && !before.dup);
            assert_eq!((before.delivery, before.payload), (again.delivery, again.payload));
        }
        for id in [1, 2] {
            script.ack(PacketType::PubAck, id, ReasonCode::SUCCESS).await;
        }
        // The next message gets an identifier that is free, and its answer.
        let next = tokio::spawn(client.publish("a", "3").qos(QoS::AtLeastOnce).into_future());
        let seen = script.read().await.unwrap();
        let id = seen.publish(version).delivery.packet_id().unwrap().get();
        script.ack(PacketType::PubAck, id, ReasonCode::SUCCESS).await;
        assert!(soon(next).await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_lost_session_is_begun_anew() {
    // [MQTT-3.2.2-5]
    let server = Server::start().await;
    let options = || server.options().clean_start(false).session_expiry_secs(60);
    let (client, mut script) = server.serve(options(), &connack(false)).await;
    let client = client.unwrap();
    let session = client.session();
    drop(client.publish("a", "1").qos(QoS::ExactlyOnce).send().await.unwrap());
    script.read().await.unwrap();
    script.cut();
    soon(client.closed()).await;
    let (_client, mut script) = server.serve(options().resume(&session), &connack(false)).await;
    let seen = script.read().await.unwrap();
    assert!(!seen.publish(Version::V5).dup);
}

#[tokio::test]
async fn a_session_survives_a_connection_that_fails() {
    let server = Server::start().await;
    let options = || server.options().clean_start(false).session_expiry_secs(60);
    let (client, mut script) = server.serve(options(), &connack(false)).await;
    let client = client.unwrap();
    let session = client.session();
    drop(client.publish("a", "1").qos(QoS::AtLeastOnce).send().await.unwrap());
    script.read().await.unwrap();
    // It is in use, so it cannot be resumed.
    let error = options().resume(&session).connect().await.unwrap_err();
    assert!(matches!(error, Error::SessionInUse), "{error}");
    drop(server.accept().await);
    script.cut();
    soon(client.closed()).await;
    let refusal = Packet::ConnAck(ConnAck::new(ReasonCode::SERVER_BUSY));
    let (refused, _script) = server.serve(options().resume(&session), &refusal).await;
    assert!(matches!(refused, Err(Error::Refused(_))));
    let timeout = std::time::Duration::from_millis(20);
    let silent = options().resume(&session).connect_timeout(timeout).connect().await;
    assert!(matches!(silent, Err(Error::ConnectTimeout { .. })));
    assert_eq!(session.unfinished(), 1);
}

#[tokio::test]
async fn messages_of_a_session_of_before_wait_for_their_subscription() {
    let server = Server::start().await;
    let options = server.options().version(Version::V311).clean_start(false);
    let (client, mut script) = server.serve(options, &connack(true)).await;
    let client = client.unwrap();
    script.publish("a", "1", QoS::AtLeastOnce, 1).await;
    script.publish("b", "2", QoS::AtLeastOnce, 2).await;
    assert_eq!(ids(&script.read_all(2).await, 0x40), [1, 2]);
    let (messages, _) =
        tokio::join!(client.subscribe("a", QoS::AtLeastOnce).into_future(), script.grant());
    assert_eq!(soon(messages.unwrap().recv()).await.unwrap().topic(), "a");
    let mut rest = client.messages().unwrap();
    assert_eq!(soon(rest.recv()).await.unwrap().topic(), "b");
    assert_eq!(client.stats().dropped_unmatched, 0);
}

#[tokio::test]
async fn qos_2_stays_exactly_once_over_a_cut() {
    let server = Server::start().await;
    let options = || server.options().version(Version::V311).clean_start(false);
    let (client, mut script) = server.serve(options(), &connack(false)).await;
    let client = client.unwrap();
    let session = client.session();
    let mut messages = client.messages().unwrap();
    script.publish("a", "once", QoS::ExactlyOnce, 5).await;
    assert_eq!(&soon(messages.recv()).await.unwrap().payload()[..], b"once");
    script.read().await.unwrap();
    script.cut();
    soon(client.closed()).await;
    let (client, mut script) = server.serve(options().resume(&session), &connack(true)).await;
    let mut messages = client.as_ref().unwrap().messages().unwrap();
    // The server did not see the PUBREC.
    script.publish("a", "once", QoS::ExactlyOnce, 5).await;
    script.publish("a", "next", QoS::AtMostOnce, 0).await;
    assert_eq!(ids(&script.read_all(1).await, 0x50), [5]);
    assert_eq!(&soon(messages.recv()).await.unwrap().payload()[..], b"next");
}
