//! Decide yourself who may do what: `cargo run --example own_authorizer -p mqtt-server`.
//!
//! Everybody reads everything, and publishes below `from/` and the own client identifier alone.

use bytes::BytesMut;
use mqtt_auth::{Action, Authorizer, Subject};
use mqtt_packet::{
    Connect, ConnectProperties, Delivery, Packet, Publish, PublishProperties, QoS, Version,
};
use mqtt_server::{Server, ServerHandle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A client publishes under its own name.
struct OwnNames;

impl Authorizer for OwnNames {
    // Asked at every hand-over, so it neither waits nor computes much. An authorizer whose rules
    // change says so with `generation`.
    fn authorize(&self, who: Subject<'_>, action: Action<'_>) -> bool {
        match action {
            Action::Publish { topic, .. } => {
                let rest = topic.as_str().strip_prefix("from/");
                rest.and_then(|rest| rest.strip_prefix(who.client_id))
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Action::Receive { .. } | Action::Subscribe { .. } => true,
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().listen("tcp://127.0.0.1:0").authorizer(OwnNames).bind().await?;
    let handle = server.handle();
    let story = async {
        if let Err(error) = publish_twice(&handle).await {
            eprintln!("{error}");
        }
    };
    let report = server.run_until(story).await;
    println!("{} message was not permitted", report.totals.traffic.denied);
    Ok(())
}

/// Alice publishes under her own name and under Bob's; a local client, which is the server's own
/// and may do everything, looks on.
async fn publish_twice(
    handle: &ServerHandle,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut witness = handle.local_client("witness")?;
    witness.subscribe("#", QoS::AtMostOnce)?;

    let packets = packets(&["from/bob", "from/alice"])?;
    let (mut ours, theirs) = tokio::io::duplex(1024);
    let dialogue = async {
        ours.write_all(&packets).await?;
        let message = witness.next().await;
        ours.read_u8().await?;
        drop(ours);
        Ok::<_, std::io::Error>(message)
    };
    let (_, message) = tokio::join!(handle.serve(theirs, "in memory"), dialogue);
    if let Some(message) = message? {
        println!("{} got through", message.topic());
    }
    Ok(())
}

/// What Alice says: who she is, and a message to each topic.
fn packets(topics: &[&str]) -> Result<BytesMut, mqtt_packet::EncodeError> {
    let mut out = BytesMut::new();
    let connect = Connect {
        version: Version::V311,
        clean_start: true,
        keep_alive_secs: 0,
        client_id: "alice",
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    };
    Packet::Connect(connect).encode(Version::V311, &mut out)?;
    for topic in topics {
        let publish = Publish {
            dup: false,
            delivery: Delivery::AtMostOnce,
            retain: false,
            topic,
            properties: PublishProperties::default(),
            payload: b"hello",
        };
        Packet::Publish(publish).encode(Version::V311, &mut out)?;
    }
    Ok(out)
}
