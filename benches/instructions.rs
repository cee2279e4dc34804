//! The hot paths without a clock: `cargo xtask instructions` runs this under callgrind and compares
//! how many instructions a message costs with the figures that are committed.
//!
//! `instructions NAME ROUNDS` does the work of one name so often; without arguments the names and
//! the messages of one round are printed.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "no input but our own")]

use std::{collections::VecDeque, env, hint::black_box, num::NonZeroU32};

use benches::opened;
use bytes::BytesMut;
use mqtt_packet::{
    PacketId, PacketType, Publish, PublishProperties, QoS, RawPublish, ReasonCode, UserProperties,
    Version, ack, frame,
};
use mqtt_session::{Delivery, Inbox, InboxLimits, MessageParts, Run, ServerEvent, Time};
use mqtt_topics::{SubscriptionTree, TopicFilter, TopicName};

/// Messages in one round.
const BATCH: u16 = 256;

/// Subscriptions that a match is searched among.
const SUBSCRIPTIONS: u32 = 10_000;

/// A name, and what is done so many rounds for it.
type Work = (&'static str, fn(u32));

const WORKS: [Work; 10] = [
    ("frames of a read", split),
    ("publish with properties, parsed and written", publish),
    ("session, in, qos 0", |rounds| take_in(QoS::AtMostOnce, 1, rounds)),
    ("session, in, qos 0, fifty topics", |rounds| take_in(QoS::AtMostOnce, 50, rounds)),
    ("session, in, qos 1", |rounds| take_in(QoS::AtLeastOnce, 1, rounds)),
    ("session, out, qos 1", |rounds| give_out(QoS::AtLeastOnce, rounds)),
    ("session, out, qos 2", |rounds| give_out(QoS::ExactlyOnce, rounds)),
    ("inbox, qos 0", inbox),
    ("match, exact", |rounds| find(|device| format!("site/device/{device}/state"), rounds)),
    ("match, wildcards", |rounds| find(|device| format!("+/device/{device}/#"), rounds)),
];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [name, rounds] = arguments.as_slice() else {
        WORKS.iter().for_each(|(name, _)| println!("{BATCH} {name}"));
        return;
    };
    let (_, work) = WORKS.iter().find(|(known, _)| known == name).unwrap();
    work(rounds.parse().unwrap());
}

/// Finds where each message of a read ends, and takes it apart.
fn split(rounds: u32) {
    let read = messages(QoS::AtLeastOnce, 1);
    for _ in 0..rounds {
        let mut rest = black_box(&read[..]);
        while let Some(header) = frame::peek(rest, u32::MAX).unwrap() {
            let body = &rest[header.header_len..header.total_len()];
            black_box(RawPublish::split(header.first, body, Version::V311).unwrap());
            rest = &rest[header.total_len()..];
        }
    }
}

/// Every property of a PUBLISH is checked, and written again.
fn publish(rounds: u32) {
    let publish = Publish {
        dup: false,
        delivery: mqtt_packet::Delivery::AtLeastOnce(PacketId::MAX),
        retain: false,
        topic: "site/7/pump/42/pressure",
        properties: PublishProperties {
            message_expiry_interval: Some(3600),
            content_type: Some("application/json"),
            correlation_data: Some(&[1, 2, 3, 4, 5, 6, 7, 8]),
            user_properties: UserProperties::Pairs(&[("unit", "bar"), ("source", "gateway-3")]),
            ..PublishProperties::default()
        },
        payload: &[b'x'; 64],
    };
    let mut packet = BytesMut::new();
    publish.encode(Version::V5, &mut packet).unwrap();
    let header = frame::peek(&packet, u32::MAX).unwrap().unwrap();
    let mut out = BytesMut::with_capacity(1024);
    for _ in 0..rounds * u32::from(BATCH) {
        let body = black_box(&packet[header.header_len..]);
        let parsed = Publish::parse(header.first, body, Version::V5).unwrap();
        out.clear();
        parsed.encode(Version::V5, &mut out).unwrap();
    }
}

/// A read full of messages becomes runs, and they are acknowledged. All topics have the same
/// receivers.
fn take_in(qos: QoS, topics: u16, rounds: u32) {
    let mut endpoint = opened(Version::V311);
    for _ in 0..rounds {
        let mut read = messages(qos, topics);
        endpoint.handle_input(&mut read, Time::ZERO);
        while let Some(event) = endpoint.poll_event(Time::ZERO) {
            let ServerEvent::Span(span) = event else { continue };
            if span.class().is_none() {
                endpoint.classify(&span, NonZeroU32::MIN);
            }
            let run = endpoint.run(&span).unwrap();
            endpoint.acknowledge(&run, ReasonCode::SUCCESS);
            black_box(run);
        }
        endpoint.advance_output(endpoint.output().len());
    }
}

/// A run goes to a receiver, which acknowledges every message.
fn give_out(qos: QoS, rounds: u32) {
    let mut endpoint = opened(Version::V311);
    let mut publisher = opened(Version::V311);
    let mut read = messages(qos, 1);
    publisher.handle_input(&mut read, Time::ZERO);
    let Some(ServerEvent::Span(span)) = publisher.poll_event(Time::ZERO) else { return };
    let run = publisher.run(&span).unwrap();
    let delivery =
        Delivery { run, granted: qos, retain: false, identifiers: None, mark: 0, seq: None };
    let mut next = 0;
    for _ in 0..rounds {
        endpoint.deliver(delivery.clone(), Time::ZERO);
        let steps: &[PacketType] = match qos {
            QoS::ExactlyOnce => &[PacketType::PubRec, PacketType::PubComp],
            _ => &[PacketType::PubAck],
        };
        for packet in steps {
            endpoint.advance_output(endpoint.output().len());
            let mut acks = BytesMut::new();
            for number in next..next + u32::from(BATCH) {
                let id = PacketId::new(u16::try_from(number % 65_535 + 1).unwrap()).unwrap();
                ack::encode_short(*packet, id, ReasonCode::SUCCESS, Version::V311, &mut acks);
            }
            endpoint.handle_input(&mut acks, Time::ZERO);
            assert!(endpoint.poll_event(Time::ZERO).is_none());
        }
        next += u32::from(BATCH);
        assert_eq!(endpoint.held().messages, 0);
        endpoint.take_done();
    }
}

/// Publishers leave messages one by one, the owner takes all of them.
fn inbox(rounds: u32) {
    let mut inbox = Inbox::new(InboxLimits::default());
    inbox.go_online();
    let run = Run::from_message(&MessageParts {
        topic: "site/7/pump/42/pressure",
        payload: &[b'x'; 64],
        properties: &[],
        qos: QoS::AtMostOnce,
        retain: false,
        packet_id: None,
        expires_at: None,
    });
    let granted = QoS::AtMostOnce;
    let delivery = Delivery {
        run: run.unwrap(),
        granted,
        retain: false,
        identifiers: None,
        mark: 0,
        seq: None,
    };
    let mut taken = VecDeque::new();
    for _ in 0..rounds {
        for _ in 0..BATCH {
            inbox.push(delivery.clone(), Time::ZERO);
        }
        inbox.drain(&mut taken, usize::MAX);
        taken.clear();
    }
}

/// Finds the one subscriber of a topic.
fn find(filter: fn(u32) -> String, rounds: u32) {
    let mut tree = SubscriptionTree::new();
    for device in 0..SUBSCRIPTIONS {
        tree.insert(TopicFilter::new(filter(device)).unwrap().as_ref(), device, ());
    }
    let names = (0..u32::from(BATCH)).map(|number| {
        let device = number * 7_919 % SUBSCRIPTIONS;
        TopicName::new(format!("site/device/{device}/state")).unwrap()
    });
    let names: Vec<TopicName> = names.collect();
    let mut found = 0;
    for name in (0..rounds).flat_map(|_| &names) {
        tree.matches(black_box(name.as_ref()), &mut |_, ()| found += 1);
    }
    assert_eq!(found, rounds * u32::from(BATCH));
}

/// A batch of PUBLISH packets that go round so many topics.
fn messages(qos: QoS, topics: u16) -> BytesMut {
    let topics: Vec<String> =
        (0..topics).map(|number| format!("site/7/pump/{number:02}/pressure")).collect();
    let mut bytes = BytesMut::new();
    for (id, topic) in (1..=BATCH).zip(topics.iter().cycle()) {
        let publish = RawPublish {
            dup: false,
            qos,
            retain: false,
            packet_id: PacketId::new(id).filter(|_| qos > QoS::AtMostOnce),
            topic: topic.as_bytes(),
            properties: &[],
            payload: &[b'x'; 64],
        };
        publish.encode(&[], Version::V311, &mut bytes).unwrap();
    }
    bytes
}
