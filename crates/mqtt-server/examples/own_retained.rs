//! Keep retained messages your own way: `cargo run --example own_retained -p mqtt-server`.
//!
//! This one writes down each change, as one would that mirrors them elsewhere.

use std::sync::Arc;

use mqtt_packet::QoS;
use mqtt_server::{MemoryRetained, Retained, RetainedCount, RetainedFull, ScanPage, Server};
use mqtt_session::{Run, Time};
use mqtt_topics::{TopicFilterRef, TopicNameRef};
use parking_lot::Mutex;

/// Retained messages in memory, and a journal of their changes.
struct Journaled {
    inner: MemoryRetained,
    journal: Arc<Mutex<Vec<String>>>,
}

impl Retained for Journaled {
    fn set(&self, topic: TopicNameRef<'_>, message: Option<Run>) -> Result<(), RetainedFull> {
        let what = if message.is_some() { "set" } else { "cleared" };
        self.inner.set(topic, message)?;
        self.journal.lock().push(format!("{} was {what}", topic.as_str()));
        Ok(())
    }

    fn scan(
        &self,
        filter: TopicFilterRef<'_>,
        after: Option<TopicNameRef<'_>>,
        messages_max: usize,
        now: Time,
        found: &mut Vec<Run>,
    ) -> ScanPage {
        self.inner.scan(filter, after, messages_max, now, found)
    }

    fn count(&self) -> RetainedCount {
        self.inner.count()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let journal = Arc::new(Mutex::new(Vec::new()));
    let room = RetainedCount { messages: 1000, bytes: 1024 * 1024 };
    let retained = Journaled { inner: MemoryRetained::new(room), journal: journal.clone() };
    let limits = mqtt_server::Limits { sys_interval_secs: 0, ..Default::default() };
    let server = Server::builder()
        .listen("tcp://127.0.0.1:0")
        .limits(limits)
        .retained(retained)
        .bind()
        .await?;

    let mut client = server.handle().local_client("client")?;
    client.publish("lamp", b"on", QoS::AtLeastOnce, true)?;
    client.subscribe("lamp", QoS::AtLeastOnce)?;
    let round_trip = async {
        if let Some(message) = client.next().await {
            println!("the lamp is {}", String::from_utf8_lossy(&message.payload()));
        }
        // An empty retained message takes the topic's message away.
        let cleared = client.publish("lamp", b"", QoS::AtLeastOnce, true);
        println!("cleared: {cleared:?}");
    };
    server.run_until(round_trip).await;
    journal.lock().iter().for_each(|line| println!("{line}"));
    Ok(())
}
