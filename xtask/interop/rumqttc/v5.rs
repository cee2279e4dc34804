//! MQTT 5.0 with rumqttc.

use rumqttc::v5::{
    AsyncClient, EventLoop, MqttOptions,
    mqttbytes::{
        QoS, qos as level_of,
        v5::{LastWill, Packet, SubscribeReasonCode},
    },
};
use tokio::{sync::mpsc::UnboundedSender, task::JoinHandle};

use crate::peer::{Event, Message, Publish, Sender, Settings};

/// Requests that may wait for the client's task.
const CAPACITY: usize = 100;

/// How long the broker keeps a session that is not clean.
const SESSION_EXPIRY_SECS: u32 = 300;

/// Starts a client whose task tells `events` what it hears.
pub(crate) fn connect(
    settings: Settings,
    events: UnboundedSender<Event>,
) -> (Sender, JoinHandle<()>) {
    let mut options = MqttOptions::new(settings.client_id, settings.host, settings.port);
    let expiry_secs = if settings.clean { 0 } else { SESSION_EXPIRY_SECS };
    options.set_clean_start(settings.clean).set_session_expiry_interval(Some(expiry_secs));
    options.set_manual_acks(!settings.acknowledge);
    if let Some((topic, text)) = settings.will {
        options.set_last_will(LastWill::new(topic, text, QoS::AtLeastOnce, false, None));
    }
    let (client, event_loop) = AsyncClient::new(options, CAPACITY);
    (Sender::V5(client), tokio::spawn(drive(event_loop, events)))
}

/// Subscribes to one filter.
pub(crate) async fn subscribe(client: &AsyncClient, filter: &str, qos: u8) -> Result<(), String> {
    client.subscribe(filter, level(qos)?).await.map_err(|error| error.to_string())
}

/// Publishes one message.
pub(crate) async fn publish(client: &AsyncClient, publish: Publish<'_>) -> Result<(), String> {
    let Publish { topic, text, qos, retain, properties } = publish;
    let (qos, text) = (level(qos)?, text.to_owned());
    let sent = match properties {
        Some(properties) => {
            client.publish_with_properties(topic, qos, retain, text, properties).await
        }
        None => client.publish(topic, qos, retain, text).await,
    };
    sent.map_err(|error| error.to_string())
}

/// Runs until the connection ends; a reconnect is another peer.
async fn drive(mut event_loop: EventLoop, events: UnboundedSender<Event>) {
    while let Ok(event) = event_loop.poll().await {
        let rumqttc::v5::Event::Incoming(packet) = event else { continue };
        if let Some(event) = translate(packet) {
            // Nobody listens any more once the story has ended.
            events.send(event).ok();
        }
    }
}

fn translate(packet: Packet) -> Option<Event> {
    match packet {
        Packet::ConnAck(connack) => {
            Some(Event::Connected { session_present: connack.session_present })
        }
        Packet::SubAck(suback) => {
            let granted = suback.return_codes.first().and_then(|code| match code {
                SubscribeReasonCode::Success(qos) => Some(*qos as u8),
                _ => None,
            });
            Some(Event::Subscribed { granted })
        }
        Packet::PubAck(_) | Packet::PubComp(_) => Some(Event::Published),
        Packet::Publish(publish) => Some(Event::Message(Message {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            text: String::from_utf8_lossy(&publish.payload).into_owned(),
            qos: publish.qos as u8,
            retain: publish.retain,
            dup: publish.dup,
            packet_id: publish.pkid,
            properties: publish.properties,
        })),
        _ => None,
    }
}

fn level(qos: u8) -> Result<QoS, String> {
    level_of(qos).ok_or_else(|| format!("there is no QoS {qos}"))
}
