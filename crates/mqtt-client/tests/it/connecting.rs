//! From the URL to CONNACK.

use std::time::Duration;

use mqtt_client::{
    Client, Error, Loss, Options, QoS, ReasonCode, RequestError, Version, WillOptions,
};
use mqtt_packet::{Auth, AuthProperties, ConnAck, ConnAckProperties, Connect, Packet};

use crate::script::{Server, connected, connected_with, soon};

#[tokio::test]
async fn connect_carries_the_options() {
    let server = Server::start().await;
    let options = server
        .options()
        .user_name("user")
        .password("secret")
        .keep_alive_secs(7)
        .receive_maximum(9)
        .user_property("a", "b")
        .will(WillOptions { topic: "will".into(), qos: QoS::AtLeastOnce, ..Default::default() });
    let connecting = tokio::spawn(options.connect());
    let mut script = server.accept().await;
    let seen = script.connect().await;
    let connect = Connect::parse(seen.first, &seen.body).unwrap();
    assert_eq!((connect.version, connect.client_id), (Version::V5, "client"));
    assert_eq!((connect.user_name, connect.password), (Some("user"), Some(&b"secret"[..])));
    assert_eq!((connect.keep_alive_secs, connect.clean_start), (7, true));
    assert_eq!(connect.properties.receive_maximum, Some(9));
    assert_eq!(connect.will.unwrap().topic, "will");
    assert_eq!(connect.properties.user_properties.iter().next(), Some(("a", "b")));
    script.send(&Packet::ConnAck(ConnAck::new(ReasonCode::SUCCESS))).await;
    assert!(soon(connecting).await.unwrap().is_ok());
}

#[tokio::test]
async fn every_version_connects() {
    for version in Version::ALL {
        let (client, script) = connected(version).await;
        assert_eq!((client.version(), script.version), (version, version));
    }
}

#[tokio::test]
async fn a_3_1_client_without_an_identifier_makes_one_up() {
    // D31-03, D31-04
    let server = Server::start().await;
    let options = server.options().version(Version::V31).client_id("");
    let connecting = tokio::spawn(options.connect());
    let mut script = server.accept().await;
    let seen = script.connect().await;
    let connect = Connect::parse(seen.first, &seen.body).unwrap();
    assert!((1..=23).contains(&connect.client_id.len()), "{:?}", connect.client_id);
    connecting.abort();
}

#[tokio::test]
async fn an_empty_identifier_needs_a_clean_session() {
    // [MQTT-3.1.3-7] of 3.1.1; the server sees no CONNECT.
    let server = Server::start().await;
    let options = server.options().version(Version::V311).client_id("").clean_start(false);
    let error = options.connect().await.unwrap_err();
    assert!(matches!(error, Error::Request(RequestError::ClientIdMissing)), "{error}");
    assert_eq!(server.accept().await.read().await, None);
}

#[tokio::test]
async fn the_servers_words_are_there_to_read() {
    let server = Server::start().await;
    let connack = ConnAck {
        properties: ConnAckProperties {
            assigned_client_identifier: Some("chosen"),
            server_keep_alive: Some(77),
            response_information: Some("answers/"),
            ..Default::default()
        },
        ..ConnAck::new(ReasonCode::SUCCESS)
    };
    let options = server.options().client_id("");
    let (client, _script) = server.serve(options, &Packet::ConnAck(connack)).await;
    let client = client.unwrap();
    let connected = client.connected();
    assert_eq!((&*connected.client_id, connected.keep_alive_secs), ("chosen", 77));
    assert_eq!(connected.response_information.as_deref(), Some("answers/"));
    assert_eq!(client.session().client_id(), "chosen");
}

#[tokio::test]
async fn a_refusal_says_why() {
    for version in Version::ALL {
        let server = Server::start().await;
        let options = server.options().version(version);
        let refusal = ConnAck::new(ReasonCode::NOT_AUTHORIZED);
        let (client, _script) = server.serve(options, &Packet::ConnAck(refusal)).await;
        let Err(Error::Refused(refused)) = client else { panic!("{client:?}") };
        assert_eq!(refused.reason, ReasonCode::NOT_AUTHORIZED, "{version}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let server = Server::start().await;
    let options = server.options().connect_timeout(Duration::from_millis(50));
    let error = soon(options.connect()).await.unwrap_err();
    assert!(matches!(error, Error::ConnectTimeout { millis: 50 }), "{error}");
}

#[tokio::test]
async fn nobody_listens() {
    let server = Server::start().await;
    let options = server.options();
    drop(server);
    let error = options.connect().await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    let error = Client::connect("http://example.org").await.unwrap_err();
    assert!(matches!(error, Error::Url(_)), "{error}");
}

#[tokio::test]
async fn a_session_that_the_client_does_not_have_closes() {
    // [MQTT-3.2.2-4]
    let server = Server::start().await;
    let connack = ConnAck { session_present: true, ..ConnAck::new(ReasonCode::SUCCESS) };
    let (client, mut script) = server.serve(server.options(), &Packet::ConnAck(connack)).await;
    let Err(Error::ConnectionLost(Loss::Violation(violation))) = client else {
        panic!("{client:?}")
    };
    assert_eq!(violation.statement, "MQTT-3.2.2-2");
    assert_eq!(script.read().await, None);
}

#[tokio::test]
async fn a_challenge_is_answered() {
    // [MQTT-4.12.0-3], [MQTT-4.12.1-1]
    let server = Server::start().await;
    let options = server
        .options()
        .authentication("REVERSE", "hello", |data| data.iter().rev().copied().collect::<Vec<u8>>());
    let connecting = tokio::spawn(options.connect());
    let mut script = server.accept().await;
    script.connect().await;
    script.send(&auth(ReasonCode::CONTINUE_AUTHENTICATION, b"abc")).await;
    assert_eq!(data(&script.read().await.unwrap().body), (0x18, b"cba".to_vec()));
    let connack = ConnAck {
        properties: ConnAckProperties {
            authentication_method: Some("REVERSE"),
            ..Default::default()
        },
        ..ConnAck::new(ReasonCode::SUCCESS)
    };
    script.send(&Packet::ConnAck(connack)).await;
    let client = soon(connecting).await.unwrap().unwrap();

    let again = tokio::spawn(async move { client.reauthenticate("again").await });
    assert_eq!(data(&script.read().await.unwrap().body), (0x19, b"again".to_vec()));
    script.send(&auth(ReasonCode::CONTINUE_AUTHENTICATION, b"xyz")).await;
    assert_eq!(data(&script.read().await.unwrap().body), (0x18, b"zyx".to_vec()));
    script.send(&auth(ReasonCode::SUCCESS, b"fine")).await;
    assert_eq!(soon(again).await.unwrap().unwrap(), b"fine");
}

fn auth(reason: ReasonCode, data: &[u8]) -> Packet<'_> {
    let properties = AuthProperties {
        authentication_method: Some("REVERSE"),
        authentication_data: Some(data),
        ..Default::default()
    };
    Packet::Auth(Auth { reason, properties })
}

fn data(body: &[u8]) -> (u8, Vec<u8>) {
    let auth = Auth::parse(0xF0, body, Version::V5).unwrap();
    (auth.reason.0, auth.properties.authentication_data.unwrap_or_default().to_vec())
}

#[tokio::test]
async fn any_transport_will_do() {
    let (here, there) = tokio::io::duplex(1024);
    let serving = async {
        let (mut read, mut write) = tokio::io::split(there);
        let mut buf = [0; 1024];
        tokio::io::AsyncReadExt::read(&mut read, &mut buf).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut write, &[0x20, 3, 0, 0, 0]).await.unwrap();
        (read, write)
    };
    let connecting = Options::to("nowhere", 1).connect_with(here);
    let (client, _there) = tokio::join!(connecting, serving);
    assert!(client.is_ok());
}

#[tokio::test]
async fn an_idle_client_pings_as_often_as_the_server_wants() {
    // [MQTT-3.1.2-20], [MQTT-3.1.2-21], [MQTT-3.2.2-21]; [MQTT-3.1.2-23] of 3.1.1
    let server = Server::start().await;
    let connack = ConnAck {
        properties: ConnAckProperties { server_keep_alive: Some(1), ..Default::default() },
        ..ConnAck::new(ReasonCode::SUCCESS)
    };
    let options = server.options().keep_alive_secs(60);
    let (client, mut script) = server.serve(options, &Packet::ConnAck(connack)).await;
    let client = client.unwrap();
    for _ in 0..2 {
        let before = std::time::Instant::now();
        assert_eq!(script.read().await.unwrap().first, 0xC0);
        assert!(before.elapsed() <= Duration::from_secs(1));
        script.send(&Packet::PingResp).await;
    }
    drop(client);
}

#[tokio::test]
async fn a_server_that_does_not_answer_pings_is_given_up() {
    let (client, _script) = connected_with(|options| {
        options.keep_alive_secs(1).ping_timeout(Duration::from_millis(50))
    })
    .await;
    let loss = soon(client.unwrap().closed()).await;
    assert!(matches!(loss, Loss::Violation(_)), "{loss}");
}
