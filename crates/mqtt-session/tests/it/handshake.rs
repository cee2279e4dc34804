//! CONNECT, CONNACK, and what follows from them.

use mqtt_packet::{ConnAck, Packet, QoS, ReasonCode, Version};
use mqtt_session::{
    ClientEvent, ConnectOptions, DisconnectOptions, RequestError, ServerEvent, Session, WillOptions,
};

use crate::pair::{Pair, connected, encoded, persistent};

#[test]
fn a_client_connects_in_every_version() {
    for version in Version::ALL {
        let pair = connected(version);
        assert!(pair.client.is_open() && pair.server.is_open(), "{version}");
        assert!(!pair.connack().unwrap().session_present);
        assert_eq!(pair.client.negotiated().unwrap().version, version);
    }
}

#[test]
fn connect_says_all_that_was_asked_for() {
    let mut options = ConnectOptions::new(Version::V5, "");
    options.user_name = Some("user".into());
    options.password = Some(b"secret".to_vec());
    options.receive_maximum = 7;
    options.will = Some(WillOptions {
        topic: "will".into(),
        payload: b"gone".to_vec(),
        qos: QoS::AtLeastOnce,
        retain: true,
        delay_secs: Some(5),
        expiry_secs: Some(60),
        content_type: Some("text/plain".into()),
        user_properties: vec![("a".into(), "b".into())],
        ..WillOptions::default()
    });
    let mut pair = Pair::new(options);
    pair.connect();
    let request = pair.server_events.iter().find_map(|event| match event {
        ServerEvent::Connect(request) => Some(request),
        _ => None,
    });
    let request = request.unwrap();
    let will = request.will.as_ref().unwrap();
    assert_eq!((&*request.client_id, request.receive_maximum), ("", 7));
    assert_eq!(request.user_name.as_deref(), Some("user"));
    assert_eq!(request.password.as_deref(), Some(&b"secret"[..]));
    assert_eq!((will.message.topic(), will.delay_secs, will.expiry_secs), ("will", 5, Some(60)));
    assert_eq!(will.message.properties().content_type, Some("text/plain"));
    assert_eq!(will.message.properties().user_properties.iter().count(), 1);
    assert!(!format!("{:?}", pair.options).contains("secret"));
}

#[test]
fn what_a_version_has_no_place_for_is_an_error() {
    let error = |change: fn(&mut ConnectOptions)| {
        let mut options = ConnectOptions::new(Version::V311, "client");
        change(&mut options);
        options.check().unwrap_err()
    };
    assert!(matches!(
        error(|options| options.authentication_method = Some("SCRAM".into())),
        RequestError::NotInVersion { .. }
    ));
    assert!(matches!(error(|options| options.password = Some(vec![1])), RequestError::Encode(_)));
    // [MQTT-3.1.3-7] of 3.1.1
    let no_id = error(|options| {
        options.client_id.clear();
        options.clean_start = false;
    });
    assert_eq!(no_id, RequestError::ClientIdMissing);
    assert_eq!(ConnectOptions::new(Version::V31, "").check(), Err(RequestError::ClientIdMissing));
    let will = |topic: &str| {
        let mut options = ConnectOptions::new(Version::V5, "");
        options.will = Some(WillOptions { topic: topic.into(), ..WillOptions::default() });
        options.check()
    };
    assert!(matches!(will("a/#"), Err(RequestError::Topic(_))));
    assert_eq!(will("a"), Ok(()));
}

#[test]
fn a_refusal_closes_and_keeps_the_session() {
    for version in Version::ALL {
        let mut pair = persistent(version);
        pair.cut();
        pair.open();
        let refusal = ConnAck::new(ReasonCode::NOT_AUTHORIZED);
        pair.say_to_client(&encoded(&Packet::ConnAck(refusal), version));
        let Some(ClientEvent::Refused(refused)) = pair.client_events.last() else {
            panic!("{:?}", pair.client_events)
        };
        assert_eq!(refused.reason, ReasonCode::NOT_AUTHORIZED);
        assert!(pair.client.is_closed() && pair.client.take_session().is_some());
    }
}

#[test]
fn a_clean_start_throws_both_halves_away() {
    let mut pair = persistent(Version::V5);
    pair.server_acknowledges = false;
    pair.publish(QoS::AtLeastOnce, "old");
    pair.run();
    pair.cut();
    pair.client_session = None;
    pair.options.clean_start = true;
    pair.at_server.clear();
    pair.connect();
    assert!(!pair.connack().unwrap().session_present);
    assert_eq!(pair.at_server, []);
}

#[test]
fn a_session_that_only_the_server_has_is_not_believed() {
    // [MQTT-3.2.2-4]
    let mut pair = persistent(Version::V5);
    pair.cut();
    pair.client_session = None;
    pair.connect();
    assert_eq!(pair.client_failure(), Some("MQTT-3.2.2-4"));
    assert!(pair.client.is_closed());
}

#[test]
fn nobody_waits_for_ever_to_connect() {
    let mut pair = Pair::new(ConnectOptions::new(Version::V5, "client"));
    pair.open();
    assert_eq!(pair.server.poll_timeout().unwrap().as_millis(), 10_000);
    // The server never hears a CONNECT, the client no CONNACK.
    let late = pair.now.after_millis(10_000);
    assert!(pair.server.handle_timeout(pair.now.after_millis(9_999)).is_none());
    assert!(matches!(pair.server.handle_timeout(late), Some(ServerEvent::Failed(_))));
    assert!(pair.client.handle_timeout(pair.now.after_millis(9_999)).is_none());
    assert!(matches!(pair.client.handle_timeout(late), Some(ClientEvent::Failed(_))));
    assert!(pair.client.is_closed() && pair.server.is_closed());
}

#[test]
fn packets_behind_connect_wait_for_the_answer() {
    let mut pair = Pair::new(ConnectOptions::new(Version::V311, "client"));
    pair.open();
    let connect = [0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 1, b'x'];
    let publish = [0x30, 4, 0, 1, b'a', b'!'];
    pair.say_to_server(&[&connect[..], &publish].concat());
    pair.say_to_server(&[]);
    assert_eq!(pair.texts_at_server(), ["!"]);
}

#[test]
fn leaving_is_the_last_word() {
    // [MQTT-3.14.4-1]: nothing behind DISCONNECT.
    for version in Version::ALL {
        let mut pair = connected(version);
        pair.publish(QoS::AtMostOnce, "bye");
        pair.client.disconnect(&DisconnectOptions::default()).unwrap();
        let late = pair.client.publish(
            mqtt_session::Delivery {
                run: crate::pair::message("a", "late", QoS::AtMostOnce),
                granted: QoS::AtMostOnce,
                retain: false,
                identifiers: None,
                mark: 0,
                seq: None,
            },
            pair.now,
        );
        assert_eq!(late, Err(RequestError::NotConnected));
        pair.run();
        assert_eq!(pair.texts_at_server(), ["bye"]);
        assert_eq!(pair.up.last().unwrap().0, 0xE0);
        assert!(matches!(pair.server_events.last(), Some(ServerEvent::Disconnect { .. })));
    }
}

#[test]
fn a_session_expiry_of_zero_cannot_be_raised_when_leaving() {
    // U5-072
    let raised = DisconnectOptions { session_expiry_secs: Some(1), ..Default::default() };
    let mut pair = connected(Version::V5);
    assert_eq!(pair.client.disconnect(&raised), Err(RequestError::SessionExpiryRaised));
    assert!(pair.client.is_open());
    let mut pair = persistent(Version::V5);
    assert_eq!(pair.client.disconnect(&raised), Ok(()));
    pair.run();
    let Some(ServerEvent::Disconnect { session_expiry_secs, .. }) = pair.server_events.last()
    else {
        panic!("{:?}", pair.server_events)
    };
    assert_eq!(*session_expiry_secs, Some(1));
}

#[test]
fn a_new_session_does_not_need_the_servers_word() {
    // A client that brings an empty session is told that there is none.
    let mut pair = Pair::new(ConnectOptions::new(Version::V5, "client"));
    pair.options.clean_start = false;
    pair.client_session = Some(Session::default());
    pair.connect();
    assert!(pair.client.is_open());
}
