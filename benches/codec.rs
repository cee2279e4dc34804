//! The codec: what every message and every connection pays.

#![expect(missing_docs, reason = "criterion's macro makes a public function")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "no input but our own")]

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mqtt_packet::{
    Ack, Connect, ConnectProperties, Delivery, Packet, PacketId, PacketType, Publish,
    PublishProperties, QoS, RawPublish, ReasonCode, UserProperties, Version, Will, WillProperties,
    ack, frame,
};

const MAX_PACKET_SIZE: u32 = 1 << 20;
const READ_LEN: usize = 64 * 1024;

criterion_group!(benches, split, publishes, acks, connects);
criterion_main!(benches);

/// One read of 64 KiB, full of small messages: find where each ends, take it apart.
fn split(c: &mut Criterion) {
    let mut group = c.benchmark_group("split a read of 64 KiB");
    for version in [Version::V311, Version::V5] {
        for qos in [Delivery::AtMostOnce, Delivery::AtLeastOnce(PacketId::MAX)] {
            let (read, count) = read_of_publishes(version, qos);
            group.throughput(Throughput::Elements(count));
            group.bench_function(format!("{version}, {}", qos.qos()), |b| {
                b.iter(|| each_publish(black_box(&read), version));
            });
        }
    }
    group.finish();
}

/// A whole PUBLISH, every byte of it checked; and back.
fn publishes(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish");
    group.throughput(Throughput::Elements(1));
    let rich =
        Publish { properties: properties(), ..publish(Delivery::AtLeastOnce(PacketId::MAX)) };
    let plain = publish(Delivery::AtMostOnce);
    for (name, publish) in [("plain", plain), ("with properties", rich)] {
        let mut bytes = BytesMut::new();
        publish.encode(Version::V5, &mut bytes).unwrap();
        let header = frame::peek(&bytes, MAX_PACKET_SIZE).unwrap().unwrap();
        let body = &bytes[header.header_len..];
        group.bench_function(format!("parse, {name}"), |b| {
            b.iter(|| Publish::parse(header.first, black_box(body), Version::V5).unwrap());
        });
        let mut out = BytesMut::with_capacity(READ_LEN);
        group.bench_function(format!("encode, {name}"), |b| {
            b.iter(|| {
                out.clear();
                black_box(&publish).encode(Version::V5, &mut out).unwrap();
            });
        });
        let raw = RawPublish::split(header.first, body, Version::V5).unwrap();
        group.bench_function(format!("encode raw, {name}"), |b| {
            b.iter(|| {
                out.clear();
                black_box(&raw).encode(&[], Version::V5, &mut out).unwrap();
            });
        });
    }
    group.finish();
}

fn acks(c: &mut Criterion) {
    let mut group = c.benchmark_group("ack");
    group.throughput(Throughput::Elements(1));
    group.bench_function("parse PUBACK", |b| {
        b.iter(|| Ack::parse(0x40, black_box(&[0x12, 0x34]), Version::V5).unwrap());
    });
    let mut out = BytesMut::with_capacity(READ_LEN);
    group.bench_function("encode PUBACK", |b| {
        b.iter(|| {
            out.clear();
            let (id, reason) = black_box((PacketId::MAX, ReasonCode::SUCCESS));
            ack::encode_short(PacketType::PubAck, id, reason, Version::V5, &mut out);
        });
    });
    group.finish();
}

fn connects(c: &mut Criterion) {
    let mut group = c.benchmark_group("connect");
    for version in [Version::V311, Version::V5] {
        let packet = Packet::Connect(connect(version));
        let mut bytes = BytesMut::new();
        packet.encode(version, &mut bytes).unwrap();
        group.bench_function(format!("parse, {version}"), |b| {
            b.iter(|| Connect::parse(0x10, black_box(&bytes[2..])).unwrap());
        });
        let mut out = BytesMut::with_capacity(READ_LEN);
        group.bench_function(format!("encode, {version}"), |b| {
            b.iter(|| {
                out.clear();
                black_box(&packet).encode(version, &mut out).unwrap();
            });
        });
    }
    group.finish();
}

/// What a connection does with what it has read; the sum keeps the compiler from leaving it out.
fn each_publish(mut read: &[u8], version: Version) -> usize {
    let mut payload_bytes = 0;
    while let Some(header) = frame::peek(read, MAX_PACKET_SIZE).unwrap() {
        let Some((packet, rest)) = read.split_at_checked(header.total_len()) else { break };
        let publish = RawPublish::split(header.first, &packet[header.header_len..], version);
        payload_bytes += publish.unwrap().payload.len();
        read = rest;
    }
    payload_bytes
}

/// As many messages of 64 bytes as fit into a read.
fn read_of_publishes(version: Version, delivery: Delivery) -> (BytesMut, u64) {
    let mut read = BytesMut::new();
    let mut count = 0;
    let publish = publish(delivery);
    while read.len() + publish.encoded_len(version).unwrap() <= READ_LEN {
        publish.encode(version, &mut read).unwrap();
        count += 1;
    }
    (read, count)
}

fn publish(delivery: Delivery) -> Publish<'static> {
    Publish {
        dup: false,
        delivery,
        retain: false,
        topic: "site/7/pump/42/pressure",
        properties: PublishProperties::default(),
        payload: &[b'x'; 64],
    }
}

fn properties() -> PublishProperties<'static> {
    PublishProperties {
        payload_format_indicator: Some(true),
        message_expiry_interval: Some(3600),
        content_type: Some("application/json"),
        response_topic: Some("site/7/answers"),
        correlation_data: Some(&[1, 2, 3, 4, 5, 6, 7, 8]),
        user_properties: UserProperties::Pairs(&[("unit", "bar"), ("source", "gateway-3")]),
        ..PublishProperties::default()
    }
}

fn connect(version: Version) -> Connect<'static> {
    Connect {
        version,
        clean_start: true,
        keep_alive_secs: 60,
        client_id: "pump-42",
        will: Some(Will {
            qos: QoS::AtLeastOnce,
            retain: true,
            topic: "site/7/pump/42/state",
            payload: b"gone",
            properties: WillProperties::default(),
        }),
        user_name: Some("pump"),
        password: Some(b"secret"),
        properties: ConnectProperties {
            session_expiry_interval: Some(3600),
            receive_maximum: Some(100),
            ..ConnectProperties::default()
        },
    }
}
