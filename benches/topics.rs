//! Topics: matching among many subscriptions, subscribing, and the replay of retained messages.
//!
//! The topics of a match are taken in turn from 20,000 that are scattered over all
//! subscriptions, so that a large tree shows what it costs to be larger than the caches.

#![expect(missing_docs, reason = "criterion's macro makes a public function")]
#![expect(clippy::unwrap_used, reason = "the topics of a benchmark are known to be good")]

use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use mqtt_topics::{
    RetainedTree, SubscriptionTree, TopicFilter, TopicFilterRef, TopicName, TopicNameRef,
};

const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];
const TOPICS_MAX: usize = 20_000;

/// A name for a kind of filter, and the filter of one device.
type Kind = (&'static str, fn(usize) -> String);

const KINDS: [Kind; 3] = [
    ("exact", topic),
    ("plus", |device| format!("site/+/device/{device:07}/state")),
    ("hash", |device| format!("site/{:03}/device/{device:07}/#", device % 1_000)),
];

fn topic(device: usize) -> String {
    format!("site/{:03}/device/{device:07}/state", device % 1_000)
}

/// The step is a prime, so that all numbers are met before one is met twice.
fn scattered(size: usize) -> impl Iterator<Item = usize> {
    (0..size).map(move |index| index * 7_368_787 % size)
}

fn names(size: usize) -> Vec<TopicName> {
    scattered(size).take(TOPICS_MAX).map(|device| TopicName::new(topic(device)).unwrap()).collect()
}

fn subscriptions(size: usize, filter: fn(usize) -> String) -> SubscriptionTree<u64, u64> {
    let mut tree = SubscriptionTree::new();
    for device in scattered(size) {
        tree.insert(TopicFilterRef::new(&filter(device)).unwrap(), device as u64, 0);
    }
    tree
}

fn matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("match");
    for (kind, filter) in KINDS {
        for size in SIZES {
            let tree = subscriptions(size, filter);
            let names = names(size);
            let mut turn = names.iter().cycle();
            group.bench_function(BenchmarkId::new(kind, size), |bencher| {
                bencher.iter(|| {
                    let topic = turn.next().unwrap().as_ref();
                    tree.matches(topic, &mut |key, _| {
                        black_box(key);
                    });
                });
            });
        }
    }
}

fn subscribing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("insert and remove");
    for (kind, filter) in KINDS {
        let mut tree = subscriptions(100_000, filter);
        let filters: Vec<_> =
            (100_000..101_000).map(|device| TopicFilter::new(filter(device)).unwrap()).collect();
        let mut turn = filters.iter().cycle();
        group.bench_function(kind, |bencher| {
            bencher.iter(|| {
                let filter = turn.next().unwrap().as_ref();
                tree.insert(filter, 7, 0);
                tree.remove(filter, &7)
            });
        });
    }
}

fn retained(criterion: &mut Criterion) {
    let size = 100_000;
    let mut tree = RetainedTree::new();
    for device in scattered(size) {
        tree.insert(TopicNameRef::new(&topic(device)).unwrap(), [0_u64; 5]);
    }
    let names = names(size);
    let mut turn = names.iter().cycle();
    let mut group = criterion.benchmark_group("retained");
    group.bench_function("replace", |bencher| {
        bencher.iter(|| tree.insert(turn.next().unwrap().as_ref(), [1; 5]));
    });
    let filters =
        ["#", "site/+/device/+/state", "site/007/#", "site/007/device/0000007/+", "+/+/x"];
    for filter in filters {
        let filter = TopicFilterRef::new(filter).unwrap();
        let found = scan(&tree, filter).max(1);
        group.throughput(Throughput::Elements(found));
        group.bench_function(BenchmarkId::new("scan", filter), |bencher| {
            bencher.iter(|| scan(&tree, filter));
        });
    }
}

fn scan(tree: &RetainedTree<[u64; 5]>, filter: TopicFilterRef<'_>) -> u64 {
    let mut found = 0;
    tree.scan(filter, None, &mut |topic, value| {
        black_box((topic, value));
        found += 1;
        ControlFlow::Continue(())
    });
    found
}

criterion_group!(benches, matching, subscribing, retained);
criterion_main!(benches);
