//! The stories, told the same way for both versions.

use std::{
    fmt::Debug,
    time::{SystemTime, UNIX_EPOCH},
};

use rumqttc::v5::mqttbytes::v5::PublishProperties;

use crate::peer::{Peer, Publish, Settings, Version};

/// What every version tells.
const OF_ALL_VERSIONS: &[&str] = &[
    "qos 0",
    "qos 1",
    "qos 2",
    "retained",
    "will",
    "offline queue qos 1",
    "offline queue qos 2",
    "redelivery",
    "wildcards",
];

/// What MQTT 5.0 alone can tell.
const OF_VERSION_5: &[&str] = &["shared subscription", "properties"];

/// How many messages wait in a queue or are shared out.
const MANY: usize = 20;

/// The names of the stories of a version.
pub(crate) fn names(version: Version) -> impl Iterator<Item = &'static str> {
    let more = if version == Version::V5 { OF_VERSION_5 } else { &[] };
    OF_ALL_VERSIONS.iter().chain(more).copied()
}

/// What the tellers share: the broker, and names of their own.
#[derive(Debug)]
pub(crate) struct Story {
    host: String,
    port: u16,
    version: Version,
    /// Differs from that of every other story, so that none sees another's messages.
    run: String,
    topic: String,
}

impl Story {
    /// A story about the broker at this address.
    pub(crate) fn new(host: &str, port: u16, version: Version) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let run = format!("{:x}", now.as_micros());
        let topic = format!("rumqttc/{run}");
        Self { host: host.to_owned(), port, version, run, topic }
    }

    /// Tells one story by its name.
    pub(crate) async fn tell(&self, name: &str) -> Result<(), String> {
        match name {
            "qos 0" => self.round_trip(0).await,
            "qos 1" => self.round_trip(1).await,
            "qos 2" => self.round_trip(2).await,
            "retained" => self.retained().await,
            "will" => self.will().await,
            "offline queue qos 1" => self.offline_queue(1).await,
            "offline queue qos 2" => self.offline_queue(2).await,
            "redelivery" => self.redelivery().await,
            "wildcards" => self.wildcards().await,
            "shared subscription" => self.shared_subscription().await,
            "properties" => self.properties().await,
            _ => Err("there is no such story".to_owned()),
        }
    }

    async fn round_trip(&self, qos: u8) -> Result<(), String> {
        let mut receiver = self.peer("receiver").await?;
        receiver.subscribe(&self.topic, qos).await?;
        let mut sender = self.peer("sender").await?;
        for text in ["hello", "", "end"] {
            sender.publish(Publish { qos, ..plain(&self.topic, text) }).await?;
            let got = receiver.next().await?;
            let got = (got.topic.as_str(), got.text.as_str(), got.qos, got.retain);
            expect("the message", &got, &(self.topic.as_str(), text, qos, false))?;
        }
        Ok(())
    }

    async fn retained(&self) -> Result<(), String> {
        let mut sender = self.peer("sender").await?;
        sender.publish(Publish { retain: true, ..plain(&self.topic, "kept") }).await?;
        let mut early = self.peer("early").await?;
        early.subscribe(&self.topic, 1).await?;
        let message = early.next().await?;
        expect("the retained message", &(message.text.as_str(), message.retain), &("kept", true))?;
        sender.publish(Publish { retain: true, ..plain(&self.topic, "") }).await?;
        expect("clearing is forwarded as it is", &early.next_text().await?.as_str(), &"")?;
        let mut late = self.peer("late").await?;
        late.subscribe(&self.topic, 1).await?;
        sender.publish(plain(&self.topic, "end")).await?;
        expect("the first message after clearing", &late.next_text().await?.as_str(), &"end")
    }

    async fn will(&self) -> Result<(), String> {
        let mut watcher = self.peer("watcher").await?;
        watcher.subscribe(&self.topic, 1).await?;
        self.mortal("abrupt").await?.vanish().await;
        let message = watcher.next().await?;
        expect("the will", &(message.text.as_str(), message.qos), &("gone", 1))?;
        self.mortal("polite").await?.leave().await?;
        self.peer("sender").await?.publish(plain(&self.topic, "end")).await?;
        expect("what follows a DISCONNECT", &watcher.next_text().await?.as_str(), &"end")
    }

    async fn offline_queue(&self, qos: u8) -> Result<(), String> {
        let mut away = self.persistent_peer("away").await?;
        away.subscribe(&self.topic, qos).await?;
        away.leave().await?;
        let texts = texts();
        let mut sender = self.peer("sender").await?;
        for text in &texts {
            sender.publish(Publish { qos, ..plain(&self.topic, text) }).await?;
        }
        let mut back = self.persistent_peer("away").await?;
        expect("session present", &back.session_present, &true)?;
        let mut got = Vec::new();
        while got.len() < texts.len() {
            got.push(back.next_text().await?);
        }
        expect("the queue", &got, &texts)?;
        sender.publish(Publish { qos, ..plain(&self.topic, "end") }).await?;
        expect("what follows the queue", &back.next_text().await?.as_str(), &"end")
    }

    async fn redelivery(&self) -> Result<(), String> {
        let settings = Settings { acknowledge: false, ..self.persistent("deaf") };
        let mut deaf = Peer::connect(self.version, settings).await?;
        deaf.subscribe(&self.topic, 1).await?;
        let mut sender = self.peer("sender").await?;
        sender.publish(plain(&self.topic, "again")).await?;
        let first = deaf.next().await?;
        expect("the first delivery", &(first.text.as_str(), first.dup), &("again", false))?;
        deaf.vanish().await;
        let mut back = self.persistent_peer("deaf").await?;
        let second = back.next().await?;
        let got = (second.text.as_str(), second.dup, second.packet_id);
        expect("the second delivery", &got, &("again", true, first.packet_id))?;
        sender.publish(plain(&self.topic, "end")).await?;
        expect("what follows the acknowledgement", &back.next_text().await?.as_str(), &"end")
    }

    async fn wildcards(&self) -> Result<(), String> {
        let base = &self.topic;
        let mut receiver = self.peer("receiver").await?;
        receiver.subscribe(&format!("{base}/+/leaf"), 1).await?;
        receiver.subscribe(&format!("{base}/deep/#"), 1).await?;
        let mut sender = self.peer("sender").await?;
        for topic in ["a/leaf", "a/other", "deep", "deep/1/2", "shallow/1/leaf", "end/leaf"] {
            sender.publish(plain(&format!("{base}/{topic}"), topic)).await?;
        }
        let mut got = Vec::new();
        while got.len() < 4 {
            got.push(receiver.next_text().await?);
        }
        let expected = ["a/leaf", "deep", "deep/1/2", "end/leaf"].map(str::to_owned);
        expect("the matches", &got.as_slice(), &expected.as_slice())
    }

    async fn shared_subscription(&self) -> Result<(), String> {
        let (work, end) = (format!("{}/work", self.topic), format!("{}/end", self.topic));
        let mut members = [self.peer("one").await?, self.peer("two").await?];
        for member in &mut members {
            member.subscribe(&format!("$share/group/{work}"), 1).await?;
            member.subscribe(&end, 1).await?;
        }
        let mut expected = texts();
        let mut sender = self.peer("sender").await?;
        for text in &expected {
            sender.publish(plain(&work, text)).await?;
        }
        sender.publish(plain(&end, "end")).await?;
        let mut got = Vec::new();
        for member in &mut members {
            let mut text = member.next_text().await?;
            while text != "end" {
                got.push(text);
                text = member.next_text().await?;
            }
        }
        got.sort();
        expected.sort();
        expect("what the members got together", &got, &expected)
    }

    async fn properties(&self) -> Result<(), String> {
        let mut receiver = self.peer("receiver").await?;
        receiver.subscribe(&self.topic, 1).await?;
        let pair = |value: &str| ("colour".to_owned(), value.to_owned());
        let sent = PublishProperties {
            user_properties: vec![pair("red"), pair("blue")],
            content_type: Some("text/plain".to_owned()),
            response_topic: Some(format!("{}/answer", self.topic)),
            correlation_data: Some(vec![0, 1, 255].into()),
            ..PublishProperties::default()
        };
        let publish =
            Publish { properties: Some(sent.clone()), ..plain(&self.topic, "with properties") };
        self.peer("sender").await?.publish(publish).await?;
        expect("the properties", &receiver.next().await?.properties, &Some(sent))
    }

    async fn peer(&self, name: &str) -> Result<Peer, String> {
        Peer::connect(self.version, self.settings(name)).await
    }

    async fn persistent_peer(&self, name: &str) -> Result<Peer, String> {
        Peer::connect(self.version, self.persistent(name)).await
    }

    /// A peer with a will.
    async fn mortal(&self, name: &str) -> Result<Peer, String> {
        let will = Some((self.topic.clone(), "gone".to_owned()));
        Peer::connect(self.version, Settings { will, ..self.settings(name) }).await
    }

    fn persistent(&self, name: &str) -> Settings {
        Settings { clean: false, ..self.settings(name) }
    }

    fn settings(&self, name: &str) -> Settings {
        Settings {
            client_id: format!("{}-{name}", self.run),
            host: self.host.clone(),
            port: self.port,
            clean: true,
            acknowledge: true,
            will: None,
        }
    }
}

/// A publish with QoS 1.
fn plain<'a>(topic: &'a str, text: &'a str) -> Publish<'a> {
    Publish { topic, text, qos: 1, retain: false, properties: None }
}

fn texts() -> Vec<String> {
    (0..MANY).map(|number| format!("message {number}")).collect()
}

fn expect<T: Debug + PartialEq>(what: &str, actual: &T, expected: &T) -> Result<(), String> {
    if actual == expected {
        return Ok(());
    }
    Err(format!("{what}: expected {expected:?}, got {actual:?}"))
}
