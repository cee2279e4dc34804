//! DISCONNECT.

use mqtt_client::{DisconnectOptions, Error, Loss, QoS, ReasonCode, Version};
use mqtt_packet::Disconnect;

use crate::script::{connected, connected_with, soon};

#[tokio::test]
async fn leaving_is_the_last_word_and_closes() {
    // [MQTT-3.14.4-1], [MQTT-3.14.4-2]; the same ids in 3.1.1
    for version in Version::ALL {
        let (client, mut script) = connected(version).await;
        let last = client.publish("a", "last").send().await.unwrap();
        let leaving = tokio::spawn({
            let client = client.clone();
            async move { client.disconnect().await }
        });
        assert_eq!(script.read().await.unwrap().first, 0x30);
        assert_eq!(script.read().await.unwrap().first, 0xE0);
        assert_eq!(script.read().await, None);
        script.cut();
        assert!(soon(leaving).await.unwrap().is_ok());
        assert!(soon(last).await.is_ok());
        assert!(matches!(client.closed().await, Loss::Local));
        let late = soon(client.disconnect()).await.unwrap_err();
        assert!(matches!(late, Error::ConnectionLost(Loss::Local)), "{late}");
    }
}

#[tokio::test]
async fn leaving_says_what_it_is_told() {
    let (client, mut script) = connected_with(|options| options.session_expiry_secs(60)).await;
    let options = DisconnectOptions {
        reason: ReasonCode::DISCONNECT_WITH_WILL,
        session_expiry_secs: Some(5),
        user_properties: vec![("a".into(), "b".into())],
        ..Default::default()
    };
    let client = client.unwrap();
    let leaving = tokio::spawn(async move { client.disconnect_with(options).await });
    let seen = script.read().await.unwrap();
    let disconnect = Disconnect::parse(seen.first, &seen.body, Version::V5).unwrap();
    assert_eq!(disconnect.reason, ReasonCode::DISCONNECT_WITH_WILL);
    assert_eq!(disconnect.properties.session_expiry_interval, Some(5));
    script.cut();
    assert!(soon(leaving).await.unwrap().is_ok());
}

#[tokio::test]
async fn what_disconnect_cannot_say_leaves_the_connection_open() {
    let (client, mut script) = connected(Version::V311).await;
    let options = DisconnectOptions { session_expiry_secs: Some(5), ..Default::default() };
    let error = client.disconnect_with(options).await.unwrap_err();
    assert!(matches!(error, Error::Request(_)), "{error}");
    soon(client.publish("a", "still here")).await.unwrap();
    assert_eq!(script.read().await.unwrap().first, 0x30);
}

#[tokio::test]
async fn streams_keep_the_connection_open() {
    let (client, mut script) = connected(Version::V5).await;
    let mut messages = client.messages().unwrap();
    drop(client);
    script.publish("a", "1", QoS::AtLeastOnce, 1).await;
    assert!(soon(messages.recv()).await.is_some());
    assert_eq!(script.read().await.unwrap().first, 0x40);
    drop(messages);
    assert_eq!(script.read().await.unwrap().first, 0xE0);
    assert_eq!(script.read().await, None);
}

#[tokio::test]
async fn leaving_does_not_wait_for_a_server_that_acknowledges_nothing() {
    let (client, mut script) = connected(Version::V5).await;
    let mut receipts = Vec::new();
    for _ in 0..4 {
        let publish = client.publish("a", vec![0; 1_000_000]).qos(QoS::AtLeastOnce);
        receipts.push(publish.send().await.unwrap());
    }
    let leaving = tokio::spawn({
        let client = client.clone();
        async move { client.disconnect().await }
    });
    // All that was published before goes out before.
    let seen = script.read_all(5).await;
    assert_eq!(
        seen.iter().map(|seen| seen.first).collect::<Vec<_>>(),
        [0x32, 0x32, 0x32, 0x32, 0xE0]
    );
    script.cut();
    assert!(soon(leaving).await.unwrap().is_ok());
    for receipt in receipts {
        assert!(matches!(soon(receipt).await, Err(Error::ConnectionLost(Loss::Local))));
    }
    assert_eq!(client.session().unfinished(), 4);
}
