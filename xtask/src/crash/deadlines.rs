//! Deadlines go on while the broker is away: wills with a delay, sessions and messages that
//! expire.
//!
//! The clients of one story connect, most of them leave, the broker is killed and stays away for
//! longer than the short deadlines; then it is seen what is due, and what is not.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use mqtt_packet::{
    Connect, ConnectProperties, Delivery, Disconnect, Packet, PacketId, PacketType, Publish,
    PublishProperties, QoS, Subscribe, SubscribeFilters, SubscribeProperties, SubscriptionOptions,
    Version, Will, WillProperties,
};

use super::{
    broker::Recipe,
    checker::Violation,
    history::Run,
    lab::Lab,
    wire::{Incoming, Wire},
};
use crate::failure::Failure;

/// The deadlines that pass while the broker is away, and those that do not, in seconds.
const SHORT_SECS: u32 = 3;
const LONG_SECS: u32 = 600;

/// How long the broker is away: longer than the short deadlines.
const AWAY: Duration = Duration::from_millis(3_600);

/// How long the broker may take to see that a connection was dropped.
const NOTICED: Duration = Duration::from_millis(500);

/// How long what is due may take to come once the broker is back.
const DUE: Duration = Duration::from_millis(2_500);

/// How long it is watched what comes: longer than a short delay that begins again.
const WATCHED: Duration = Duration::from_millis(7_000);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lets deadlines pass while the broker is away.
pub(super) fn run(lab: &mut Lab) -> Result<(), Failure> {
    let recipe = lab.broker_in("deadlines")?;
    let seen = tell(&recipe).unwrap_or_else(|why| vec![Violation::of_broker(why)]);
    lab.judge(&recipe, "deadlines", &Run::default(), seen)?;
    lab.sum_up("deadlines");
    Ok(())
}

fn tell(recipe: &Recipe) -> Result<Vec<Violation>, String> {
    let mut broker = recipe.start().map_err(|no_broker| no_broker.to_string())?;
    let before = meet(recipe.port).map_err(|error| format!("before the kill: {error}"))?;
    thread::sleep(NOTICED);
    broker.kill();
    drop(before);
    thread::sleep(AWAY);
    let _broker = recipe.start().map_err(|no_broker| no_broker.to_string())?;
    let found = meet_again(recipe.port).map_err(|error| format!("after the kill: {error}"))?;
    Ok(found.into_iter().map(Violation::of_broker).collect())
}

/// Connects everybody, and returns those who stay.
fn meet(port: u16) -> io::Result<[Wire; 3]> {
    let mut watcher = Guest::named("watcher").connect(port)?.0;
    subscribe(&mut watcher, "deadlines/will/+")?;
    let stays = Guest::named("stays").with_will(SHORT_SECS).connect(port)?.0;
    let returns = Guest::named("returns").with_will(LONG_SECS).connect(port)?.0;
    drop(Guest::named("drops").with_will(SHORT_SECS).connect(port)?.0);
    leave(Guest::named("leaves").with_will(SHORT_SECS).connect(port)?.0)?;
    leave(Guest::named("expires").for_secs(SHORT_SECS).connect(port)?.0)?;
    leave(Guest::named("lasts").connect(port)?.0)?;
    let mut sleeps = Guest::named("sleeps").connect(port)?.0;
    subscribe(&mut sleeps, "deadlines/news")?;
    leave(sleeps)?;
    let mut reports = Guest::named("reports").connect(port)?.0;
    publish(&mut reports, b"stale", SHORT_SECS)?;
    publish(&mut reports, b"fresh", LONG_SECS)?;
    leave(reports)?;
    Ok([watcher, stays, returns])
}

/// Sees who is there after the kill, and returns what is wrong.
fn meet_again(port: u16) -> io::Result<Vec<String>> {
    let back = Instant::now();
    let mut wrong = Vec::new();
    let (_returns, returned) = Guest::named("returns").connect(port)?;
    for (name, expected, is) in [
        ("returns", true, returned),
        ("expires", false, Guest::named("expires").for_secs(SHORT_SECS).connect(port)?.1),
        ("lasts", true, Guest::named("lasts").connect(port)?.1),
    ] {
        if is != expected {
            let (is, expected) = (u8::from(is), u8::from(expected));
            wrong.push(format!("the client that {name} has Session Present {is}, not {expected}"));
        }
    }
    let mut watcher = Guest::named("watcher").connect(port)?.0;
    wrong.extend(wrong_wills(&receive_until(&mut watcher, back + WATCHED)?, back));
    let mut sleeps = Guest::named("sleeps").connect(port)?.0;
    wrong.extend(wrong_news(&receive_until(&mut sleeps, Instant::now() + DUE)?));
    Ok(wrong)
}

fn wrong_news(news: &[Arrival]) -> Vec<String> {
    let mut wrong = Vec::new();
    let find = |text: &[u8]| news.iter().find(|arrival| arrival.payload == text);
    if find(b"stale").is_some() {
        wrong.push("a message was delivered that expired while the broker was away".to_owned());
    }
    match find(b"fresh").map(|fresh| fresh.expiry_secs) {
        None => wrong.push("a message was lost that had not expired".to_owned()),
        // The rest of it, without the time that has passed [MQTT-3.3.2-6].
        Some(Some(left)) if left <= LONG_SECS - SHORT_SECS => {}
        Some(left) => wrong.push(format!("a message is good for {left:?} s more, too long")),
    }
    wrong
}

fn wrong_wills(wills: &[Arrival], back: Instant) -> Vec<String> {
    let mut wrong = Vec::new();
    let find = |name: &str| wills.iter().find(|will| will.payload == name.as_bytes());
    for (name, limit) in [("drops", DUE), ("stays", WATCHED)] {
        match find(name).map(|will| will.at.saturating_duration_since(back)) {
            None => wrong.push(format!("the will of the client that {name} did not come")),
            Some(late) if late > limit => {
                wrong.push(format!("the will of the client that {name} came after {late:?}"));
            }
            Some(_) => {}
        }
    }
    for name in ["returns", "leaves"] {
        if find(name).is_some() {
            wrong.push(format!("the will of the client that {name} came"));
        }
    }
    wrong
}

/// A client of the story.
struct Guest {
    name: &'static str,
    /// The Session Expiry Interval.
    session_secs: u32,
    /// The Will Delay Interval, where there is a will.
    will_delay_secs: Option<u32>,
}

/// A message that came.
struct Arrival {
    payload: Vec<u8>,
    expiry_secs: Option<u32>,
    at: Instant,
}

impl Guest {
    fn named(name: &'static str) -> Self {
        Self { name, session_secs: LONG_SECS, will_delay_secs: None }
    }

    fn for_secs(self, session_secs: u32) -> Self {
        Self { session_secs, ..self }
    }

    fn with_will(self, delay_secs: u32) -> Self {
        Self { will_delay_secs: Some(delay_secs), ..self }
    }

    /// Connects, and says whether there was a session.
    fn connect(self, port: u16) -> io::Result<(Wire, bool)> {
        let topic = format!("deadlines/will/{}", self.name);
        let will = self.will_delay_secs.map(|delay_secs| Will {
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: &topic,
            payload: self.name.as_bytes(),
            properties: WillProperties {
                delay_interval_secs: Some(delay_secs),
                ..Default::default()
            },
        });
        let session_expiry_interval = Some(self.session_secs);
        let mut wire = Wire::open(port, Version::V5)?;
        wire.send(&Packet::Connect(Connect {
            version: Version::V5,
            clean_start: false,
            keep_alive_secs: 0,
            client_id: self.name,
            will,
            user_name: None,
            password: None,
            properties: ConnectProperties { session_expiry_interval, ..Default::default() },
        }))?;
        let session_present = wire.wait_for(PATIENCE, |packet| match packet {
            Incoming::ConnAck { session_present, reason } if !reason.is_error() => {
                Some(*session_present)
            }
            _ => None,
        })?;
        Ok((wire, session_present))
    }
}

fn leave(mut wire: Wire) -> io::Result<()> {
    wire.send(&Packet::Disconnect(Disconnect::default()))
}

fn subscribe(wire: &mut Wire, filter: &str) -> io::Result<()> {
    let filters = [(filter, SubscriptionOptions::new(QoS::AtLeastOnce))];
    wire.send(&Packet::Subscribe(Subscribe {
        packet_id: PacketId::MIN,
        properties: SubscribeProperties::default(),
        filters: SubscribeFilters::new(&filters),
    }))?;
    wire.wait_for(PATIENCE, |packet| matches!(packet, Incoming::SubAck { .. }).then_some(()))
}

fn publish(wire: &mut Wire, payload: &[u8], expiry_secs: u32) -> io::Result<()> {
    wire.send(&Packet::Publish(Publish {
        dup: false,
        delivery: Delivery::AtLeastOnce(PacketId::MIN),
        retain: false,
        topic: "deadlines/news",
        properties: PublishProperties {
            message_expiry_interval: Some(expiry_secs),
            ..Default::default()
        },
        payload,
    }))?;
    wire.wait_for(PATIENCE, |packet| {
        let is_ack = matches!(packet, Incoming::Ack { packet_type: PacketType::PubAck, .. });
        is_ack.then_some(())
    })
}

/// Receives and acknowledges until this moment.
fn receive_until(wire: &mut Wire, end: Instant) -> io::Result<Vec<Arrival>> {
    let mut arrivals = Vec::new();
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        let packet = wire.receive(left)?;
        let Some(Incoming::Publish { packet_id, payload, expiry_secs, .. }) = packet else {
            continue;
        };
        if let Some(packet_id) = packet_id {
            wire.queue_ack(PacketType::PubAck, packet_id)?;
            wire.flush()?;
        }
        arrivals.push(Arrival { payload, expiry_secs, at: Instant::now() });
    }
    Ok(arrivals)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(text: &str, expiry_secs: Option<u32>, at: Instant) -> Arrival {
        Arrival { payload: text.as_bytes().to_vec(), expiry_secs, at }
    }

    #[test]
    fn expired_news_are_wrong() {
        let now = Instant::now();
        let (fresh, stale) = (arrival("fresh", Some(590), now), arrival("stale", Some(1), now));
        assert_eq!(wrong_news(std::slice::from_ref(&fresh)), [""; 0]);
        assert_eq!(wrong_news(&[fresh, stale]).len(), 1);
        assert_eq!(wrong_news(&[arrival("fresh", Some(600), now)]).len(), 1);
        assert_eq!(wrong_news(&[]).len(), 1);
    }

    #[test]
    fn wills_come_when_they_are_due() {
        let back = Instant::now();
        let will = |name, secs| arrival(name, None, back + Duration::from_secs(secs));
        assert_eq!(wrong_wills(&[will("drops", 0), will("stays", 2)], back), [""; 0]);
        assert_eq!(wrong_wills(&[will("drops", 3), will("stays", 2)], back).len(), 1);
        assert_eq!(wrong_wills(&[will("drops", 0)], back).len(), 1);
        let early = [will("drops", 0), will("stays", 2), will("returns", 0)];
        assert_eq!(wrong_wills(&early, back).len(), 1);
    }
}
