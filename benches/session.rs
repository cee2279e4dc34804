//! The server's endpoint: messages in, messages out, and the acknowledgements of both.
//!
//! One iteration is one read of 64 KiB, or one batch of deliveries.

#![expect(missing_docs, reason = "criterion's macro makes a public function")]
#![expect(clippy::unwrap_used, reason = "the packets of a benchmark are known to be good")]

use std::{cell::Cell, hint::black_box};

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use benches::opened;
use mqtt_packet::{PacketId, QoS, RawPublish, Version};
use mqtt_session::{Delivery, MessageParts, Run, ServerEndpoint, ServerEvent, Time};

const READ_BYTES: usize = 64 * 1024;
const BATCH: u32 = 256;

/// One read full of PUBLISH packets to so many topics in turn, and how many there are.
fn read(version: Version, qos: QoS, topics: u32, payload: usize) -> (Bytes, u64) {
    let payload = vec![b'x'; payload];
    let mut bytes = BytesMut::new();
    let mut count = 0;
    while bytes.len() < READ_BYTES {
        let topic = format!("site/7/device/{:04}/state", count % topics);
        let id = PacketId::new(u16::try_from(count % 65_535 + 1).unwrap());
        let publish = RawPublish {
            dup: false,
            qos,
            retain: false,
            packet_id: id.filter(|_| qos > QoS::AtMostOnce),
            topic: topic.as_bytes(),
            properties: &[],
            payload: &payload,
        };
        publish.encode(&[], version, &mut bytes).unwrap();
        count += 1;
    }
    (bytes.freeze(), u64::from(count))
}

/// Reads one buffer, makes runs of it, and acknowledges them.
fn take_in(endpoint: &mut ServerEndpoint, buf: &mut BytesMut) {
    endpoint.handle_input(buf, Time::ZERO);
    while let Some(event) = endpoint.poll_event(Time::ZERO) {
        let ServerEvent::Span(span) = event else { continue };
        let run = endpoint.run(&span).unwrap();
        endpoint.acknowledge(&run, mqtt_packet::ReasonCode::SUCCESS);
        black_box(run);
    }
    endpoint.advance_output(endpoint.output().len());
}

fn incoming(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session in");
    for (qos, name) in [(QoS::AtMostOnce, "qos 0"), (QoS::AtLeastOnce, "qos 1")] {
        for (topics, payload) in [(1, 64), (100, 64), (1, 1024)] {
            // 3.1.1 has no Receive Maximum that a read full of messages could exceed.
            let (bytes, count) = read(Version::V311, qos, topics, payload);
            let mut endpoint = opened(Version::V311);
            group.throughput(Throughput::Elements(count));
            let id = BenchmarkId::new(name, format!("{topics} topics, {payload} B"));
            group.bench_function(id, |bencher| {
                bencher.iter_batched_ref(
                    || BytesMut::from(&bytes[..]),
                    |buf| take_in(&mut endpoint, buf),
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

fn delivery(qos: QoS, payload: usize) -> Delivery {
    let run = Run::from_message(&MessageParts {
        topic: "site/7/device/0007/state",
        payload: &vec![b'x'; payload],
        properties: &[],
        qos,
        retain: false,
        packet_id: None,
        expires_at: None,
    });
    let run = run.unwrap();
    Delivery { run, granted: qos, retain: false, identifiers: None, mark: 0, seq: None }
}

fn outgoing_qos_0(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session out, qos 0");
    group.throughput(Throughput::Elements(u64::from(BATCH)));
    for (version, name) in [(Version::V5, "same bytes"), (Version::V311, "other version")] {
        let mut endpoint = opened(version);
        let delivery = delivery(QoS::AtMostOnce, 64);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for _ in 0..BATCH {
                    endpoint.deliver(delivery.clone(), Time::ZERO);
                }
                let len = endpoint.output().len();
                endpoint.advance_output(black_box(len));
            });
        });
    }
    group.finish();
}

fn outgoing_qos_1(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session out, qos 1, acks in");
    group.throughput(Throughput::Elements(u64::from(BATCH)));
    for payload in [64, 4096] {
        let mut endpoint = opened(Version::V5);
        let delivery = delivery(QoS::AtLeastOnce, payload);
        let next = Cell::new(0);
        group.bench_function(format!("{payload} B"), |bencher| {
            bencher.iter_batched_ref(
                || acks(&next),
                |acks| {
                    for _ in 0..BATCH {
                        endpoint.deliver(delivery.clone(), Time::ZERO);
                    }
                    endpoint.advance_output(endpoint.output().len());
                    endpoint.handle_input(acks, Time::ZERO);
                    assert!(endpoint.poll_event(Time::ZERO).is_none());
                    debug_assert_eq!(endpoint.held().messages, 0);
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// PUBACKs for the next batch: identifiers are given out in sequence.
fn acks(next: &Cell<u32>) -> BytesMut {
    let mut bytes = BytesMut::new();
    for _ in 0..BATCH {
        let id = u16::try_from(next.get() % 65_535 + 1).unwrap();
        bytes.extend_from_slice(&[0x40, 2]);
        bytes.extend_from_slice(&id.to_be_bytes());
        next.set(next.get() + 1);
    }
    bytes
}

criterion_group!(benches, incoming, outgoing_qos_0, outgoing_qos_1);
criterion_main!(benches);
