//! MQTT 3.1.1 with rumqttc.

use rumqttc::{AsyncClient, EventLoop, LastWill, MqttOptions, Packet, QoS, SubscribeReasonCode};
use tokio::{sync::mpsc::UnboundedSender, task::JoinHandle};

use crate::peer::{Event, Message, Publish, Sender, Settings};

/// Requests that may wait for the client's task, and packets without an acknowledgement.
const CAPACITY: u16 = 100;

/// Starts a client whose task tells `events` what it hears.
pub(crate) fn connect(
    settings: Settings,
    events: UnboundedSender<Event>,
) -> (Sender, JoinHandle<()>) {
    let mut options = MqttOptions::new(settings.client_id, settings.host, settings.port);
    options.set_clean_session(settings.clean).set_inflight(CAPACITY);
    options.set_manual_acks(!settings.acknowledge);
    if let Some((topic, text)) = settings.will {
        options.set_last_will(LastWill::new(topic, text, QoS::AtLeastOnce, false));
    }
    let (client, event_loop) = AsyncClient::new(options, CAPACITY.into());
    (Sender::V3(client), tokio::spawn(drive(event_loop, events)))
}

/// Subscribes to one filter.
pub(crate) async fn subscribe(client: &AsyncClient, filter: &str, qos: u8) -> Result<(), String> {
    client.subscribe(filter, level(qos)?).await.map_err(|error| error.to_string())
}

/// Publishes one message.
pub(crate) async fn publish(client: &AsyncClient, publish: Publish<'_>) -> Result<(), String> {
    let Publish { topic, text, qos, retain, .. } = publish;
    let sent = client.publish(topic, level(qos)?, retain, text).await;
    sent.map_err(|error| error.to_string())
}

/// Runs until the connection ends; a reconnect is another peer.
async fn drive(mut event_loop: EventLoop, events: UnboundedSender<Event>) {
    while let Ok(event) = event_loop.poll().await {
        let rumqttc::Event::Incoming(packet) = event else { continue };
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
                SubscribeReasonCode::Failure => None,
            });
            Some(Event::Subscribed { granted })
        }
        Packet::PubAck(_) | Packet::PubComp(_) => Some(Event::Published),
        Packet::Publish(publish) => Some(Event::Message(Message {
            text: String::from_utf8_lossy(&publish.payload).into_owned(),
            topic: publish.topic,
            qos: publish.qos as u8,
            retain: publish.retain,
            dup: publish.dup,
            packet_id: publish.pkid,
            properties: None,
        })),
        _ => None,
    }
}

fn level(qos: u8) -> Result<QoS, String> {
    rumqttc::qos(qos).map_err(|error| error.to_string())
}
