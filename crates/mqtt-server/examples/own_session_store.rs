//! Keep sessions your own way: `cargo run --example own_session_store -p mqtt-server`.
//!
//! A client subscribes and goes. The server stops, and a second one takes the session up from the
//! same store.

use std::sync::Arc;

use mqtt_packet::{
    Connect, ConnectProperties, Packet, PacketId, QoS, Subscribe, SubscribeFilters,
    SubscribeProperties, Version,
};
use mqtt_server::{Server, ServerHandle};
use mqtt_session::{
    Change, Level, MemoryStore, QueuedMessage, SessionNumber, SessionStore, StoreError, Stored,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Keeps everything in memory, and says what it does. One that keeps it on a disk does the same with
/// files: the server decides what is in a group, the store keeps all of it or nothing.
#[derive(Default)]
struct Talkative {
    inner: MemoryStore,
}

impl SessionStore for Talkative {
    fn load(&self, visit: &mut dyn FnMut(Stored)) -> Result<(), StoreError> {
        self.inner.load(&mut |stored| {
            println!("found {stored:?}");
            visit(stored);
        })
    }

    fn commit(&self, changes: &[Change], level: Level) -> Result<(), StoreError> {
        println!("a group for the level {level:?}: {changes:?}");
        self.inner.commit(changes, level)
    }

    fn read(
        &self,
        session: SessionNumber,
        from: u64,
        bytes_max: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        self.inner.read(session, from, bytes_max)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Arc::new(Talkative::default());
    for run in 1..=2 {
        let server =
            Server::builder().listen("tcp://127.0.0.1:0").sessions(store.clone()).bind().await?;
        let handle = server.handle();
        let report = server
            .run_until(async {
                if let Err(error) = visit(&handle).await {
                    eprintln!("{error}");
                }
            })
            .await;
        println!("server {run} leaves {} messages behind", report.messages);
    }
    Ok(())
}

/// A client comes, subscribes and goes; then a message for it waits.
async fn visit(handle: &ServerHandle) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let packets = packets()?;
    let (mut ours, theirs) = tokio::io::duplex(1024);
    let dialogue = async {
        ours.write_all(&packets).await?;
        let mut connack = [0; 4];
        ours.read_exact(&mut connack).await?;
        let [_, _, session_present, _] = connack;
        println!("session present: {}", session_present == 1);
        // SUBACK comes behind the messages that waited, so any answer will do.
        ours.read_u8().await?;
        drop(ours);
        Ok::<_, std::io::Error>(())
    };
    let (_, told) = tokio::join!(handle.serve(theirs, "in memory"), dialogue);
    told?;
    let publisher = handle.local_client("publisher")?;
    publisher.publish("news", b"something happened", QoS::AtLeastOnce, false)?;
    Ok(())
}

fn packets() -> Result<bytes::BytesMut, Box<dyn std::error::Error + Send + Sync>> {
    let mut out = bytes::BytesMut::new();
    let connect = Connect {
        version: Version::V311,
        clean_start: false,
        keep_alive_secs: 0,
        client_id: "reader",
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    };
    let filters = [("news", QoS::AtLeastOnce.into())];
    let subscribe = Subscribe {
        packet_id: PacketId::new(1).ok_or("0 is no identifier")?,
        properties: SubscribeProperties::default(),
        filters: SubscribeFilters::new(&filters),
    };
    Packet::Connect(connect).encode(Version::V311, &mut out)?;
    Packet::Subscribe(subscribe).encode(Version::V311, &mut out)?;
    Ok(out)
}
