//! Enhanced authentication (section 4.12).

use mqtt_packet::{ReasonCode, Version};
use mqtt_session::{Accept, ClientEvent, ConnectOptions, ServerEvent, Violation};

use crate::pair::Pair;

fn offering(method: &str) -> Pair {
    let mut options = ConnectOptions::new(Version::V5, "client");
    options.authentication_method = Some(method.into());
    options.authentication_data = Some(b"hello".to_vec());
    let mut pair = Pair::new(options);
    pair.connect();
    pair
}

fn authenticated() -> Pair {
    let mut pair = offering("PING");
    pair.server.challenge(b"who?");
    pair.run();
    let Some(ClientEvent::Auth { data }) = pair.client_events.last() else {
        panic!("{:?}", pair.client_events)
    };
    assert_eq!(data, b"who?");
    pair.client.authenticate(b"me", pair.now).unwrap();
    pair.run();
    let Some(ServerEvent::Auth { again: false, data }) = pair.server_events.last() else {
        panic!("{:?}", pair.server_events)
    };
    assert_eq!(data, b"me");
    pair.server
        .accept(Accept { authentication_data: Some(b"welcome"), ..Accept::default() }, pair.now);
    pair.run();
    pair
}

#[test]
fn a_challenge_is_answered_and_the_connection_accepted() {
    let pair = authenticated();
    let connected = pair.connack().unwrap();
    assert_eq!(connected.authentication_data.as_deref(), Some(&b"welcome"[..]));
    assert!(pair.client.is_open());
}

#[test]
fn an_auth_that_is_too_large_for_the_client_is_not_sent() {
    // [MQTT-3.1.2-24]: with 64 bytes of data, AUTH has 78.
    for (limit, sent) in [(78, true), (77, false)] {
        let mut options = ConnectOptions::new(Version::V5, "client");
        options.authentication_method = Some("PING".into());
        options.maximum_packet_size = limit;
        let mut pair = Pair::new(options);
        pair.connect();
        pair.server.challenge(&[7; 64]);
        pair.run();
        match pair.client_events.last() {
            Some(ClientEvent::Auth { .. }) => assert!(sent),
            Some(ClientEvent::Refused(refused)) => {
                assert_eq!((refused.reason, sent), (ReasonCode::PACKET_TOO_LARGE, false));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(pair.server.is_closed(), !sent);
    }
}

#[test]
fn a_client_authenticates_anew() {
    // [MQTT-4.12.1-1]
    let mut pair = authenticated();
    pair.client.reauthenticate(b"again", pair.now).unwrap();
    pair.run();
    assert!(matches!(pair.server_events.last(), Some(ServerEvent::Auth { again: true, .. })));
    pair.server.challenge(b"really?");
    pair.run();
    assert!(matches!(pair.client_events.last(), Some(ClientEvent::Auth { .. })));
    pair.client.authenticate(b"really", pair.now).unwrap();
    pair.run();
    pair.server.reauthenticated(b"fine");
    pair.run();
    let Some(ClientEvent::Reauthenticated { data }) = pair.client_events.last() else {
        panic!("{:?}", pair.client_events)
    };
    assert_eq!(data, b"fine");
}

#[test]
fn a_refused_authentication_closes() {
    let mut pair = offering("PING");
    let method = ReasonCode::BAD_AUTHENTICATION_METHOD;
    pair.server.refuse(Violation::new(method, "MQTT-4.12.0-1", "an unknown method"));
    pair.run();
    let Some(ClientEvent::Refused(refused)) = pair.client_events.last() else {
        panic!("{:?}", pair.client_events)
    };
    assert_eq!(refused.reason, ReasonCode::BAD_AUTHENTICATION_METHOD);
}

#[test]
fn auth_with_another_method_is_refused() {
    // [MQTT-4.12.0-5]
    let mut pair = offering("PING");
    let auth = [0xF0, 9, 0x18, 7, 0x15, 0, 4, b'P', b'O', b'N', b'G'];
    pair.say_to_client(&auth);
    assert_eq!(pair.client_failure(), Some("MQTT-4.12.0-5"));
}

#[test]
fn auth_that_nobody_asked_for_is_refused() {
    // [MQTT-4.12.0-6] without a method; with one, AUTH begins with the client.
    let auth = [0xF0, 9, 0x18, 7, 0x15, 0, 4, b'P', b'I', b'N', b'G'];
    let mut pair = crate::pair::connected(Version::V5);
    pair.say_to_client(&auth);
    assert_eq!(pair.client_failure(), Some("MQTT-4.12.0-6"));
    let mut pair = authenticated();
    pair.say_to_client(&auth);
    assert_eq!(pair.client_failure(), Some("MQTT-4.12.1-1"));
}
