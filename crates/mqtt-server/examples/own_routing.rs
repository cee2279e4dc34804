//! Keep subscriptions your own way: `cargo run --example own_routing -p mqtt-server`.
//!
//! This one counts how often the subscriptions are searched. In the steady state that is not once
//! per message: a connection remembers the receivers of its topics until a subscription changes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use mqtt_packet::QoS;
use mqtt_server::{Matches, MemoryRouting, Routing, Server, SubscriberId, Subscription};
use mqtt_topics::{SubscriptionFilter, TopicNameRef};

/// The routing in memory, with a counter.
struct Counted {
    inner: MemoryRouting,
    searches: Arc<AtomicU64>,
}

impl Routing for Counted {
    fn subscribe(
        &self,
        subscriber: SubscriberId,
        filter: SubscriptionFilter<'_>,
        subscription: Subscription,
    ) -> bool {
        println!("subscriber {} wants {filter}", subscriber.0);
        self.inner.subscribe(subscriber, filter, subscription)
    }

    fn unsubscribe(&self, subscriber: SubscriberId, filter: SubscriptionFilter<'_>) -> bool {
        self.inner.unsubscribe(subscriber, filter)
    }

    fn matches(&self, topic: TopicNameRef<'_>, matches: &mut Matches) {
        self.searches.fetch_add(1, Ordering::Relaxed);
        self.inner.matches(topic, matches);
    }

    fn generation(&self) -> u64 {
        self.inner.generation()
    }

    fn subscriptions(&self) -> usize {
        self.inner.subscriptions()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let searches = Arc::new(AtomicU64::new(0));
    let routing = Counted { inner: MemoryRouting::new(), searches: searches.clone() };
    let server = Server::builder().listen("tcp://127.0.0.1:0").routing(routing).bind().await?;

    let mut client = server.handle().local_client("client")?;
    client.subscribe("greetings/#", QoS::AtLeastOnce)?;
    let round_trip = async {
        let published = client.publish("greetings/world", b"hello", QoS::AtLeastOnce, false);
        println!("published: {published:?}");
        if let Some(message) = client.next().await {
            println!("came back: {}", message.topic());
        }
    };
    server.run_until(round_trip).await;
    println!("the subscriptions were searched {} times", searches.load(Ordering::Relaxed));
    Ok(())
}
