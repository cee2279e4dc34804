//! The subscription tree against a list that is searched from end to end.

use std::collections::BTreeMap;

use mqtt_topics::{SubscriptionTree, TopicFilterRef, TopicNameRef};
use proptest::prelude::*;

use crate::naive;

fn filter(text: &str) -> TopicFilterRef<'_> {
    TopicFilterRef::with_limit(text, usize::MAX).unwrap()
}

fn found<V: Copy + Ord>(tree: &SubscriptionTree<u32, V>, topic: &str) -> Vec<(u32, V)> {
    let topic = TopicNameRef::with_limit(topic, usize::MAX).unwrap();
    let mut found = Vec::new();
    tree.matches(topic, &mut |key, value| found.push((*key, *value)));
    found.sort_unstable();
    found
}

#[test]
fn a_second_subscription_replaces_the_first() {
    let mut tree = SubscriptionTree::new();
    for text in ["a/b", "a/+", "a/#"] {
        assert_eq!(tree.insert(filter(text), 1, "old"), None);
        assert_eq!(tree.insert(filter(text), 1, "new"), Some("old"));
        assert_eq!(tree.insert(filter(text), 2, "other"), None);
        assert_eq!(tree.get(filter(text), &1), Some(&"new"));
        *tree.get_mut(filter(text), &1).unwrap() = "newer";
        assert_eq!(tree.get(filter(text), &1), Some(&"newer"));
        assert_eq!(tree.get(filter(text), &3), None);
    }
    assert_eq!(tree.len(), 6);
    assert_eq!(found(&tree, "a/b").len(), 6);
}

#[test]
fn one_subscriber_is_met_once_per_filter() {
    let mut tree = SubscriptionTree::new();
    for (value, text) in ["a/b", "a/+", "+/b", "+/+", "a/#", "a/b/#", "#"].iter().enumerate() {
        tree.insert(filter(text), 1, value);
    }
    assert_eq!(found(&tree, "a/b"), (0..7).map(|value| (1, value)).collect::<Vec<_>>());
    assert_eq!(found(&tree, "$a/b"), []);
}

#[test]
fn removal_frees_every_node() {
    let mut tree = SubscriptionTree::new();
    let texts = ["a/b", "a/+/c", "a/+/#", "+/+/+", "#", "/", "/#", "a/+/c/d/e/f/#"];
    tree.insert(filter("a/+"), 0, ());
    let base = tree.node_count();
    for text in texts {
        tree.insert(filter(text), 1, ());
    }
    assert_eq!(tree.remove(filter("a/+/c/d"), &1), None);
    assert_eq!(tree.remove(filter("a/b"), &2), None);
    for text in texts {
        assert_eq!(tree.remove(filter(text), &1), Some(()));
        assert_eq!(tree.remove(filter(text), &1), None);
    }
    assert_eq!((tree.node_count(), tree.len()), (base, 1));
    tree.remove(filter("a/+"), &0);
    assert_eq!((tree.node_count(), tree.len()), (0, 0));
    assert!(tree.is_empty());
}

#[test]
fn the_last_node_takes_no_other_filter_along() {
    let mut tree = SubscriptionTree::new();
    tree.insert(filter("#"), 1, ());
    tree.insert(filter("a/+"), 1, ());
    tree.remove(filter("a/+"), &1);
    assert_eq!(found(&tree, "a/b"), [(1, ())]);
    assert_eq!(tree.remove(filter("#"), &1), Some(()));
    assert!(tree.is_empty());
}

#[test]
fn depth_costs_no_stack() {
    let deep = "+/".repeat(32_767);
    let mut tree = SubscriptionTree::new();
    tree.insert(filter(&deep), 1, ());
    tree.insert(filter(&(deep.clone() + "#")), 2, ());
    assert_eq!(found(&tree, &"/".repeat(32_767)), [(1, ()), (2, ())]);
    tree.remove(filter(&deep), &1);
    tree.remove(filter(&(deep + "#")), &2);
    assert_eq!(tree.node_count(), 0);
}

/// All filters of ten levels of `a` and `+`, but for the last level: 2^11 - 2 nodes, and
/// 2^10 matches. The walk visits each node once, not each way to it.
#[test]
fn a_thousand_overlapping_filters_are_met_once_each() {
    let mut tree = SubscriptionTree::new();
    for bits in 0..1_u32 << 10 {
        let level = |bit: u32| if bits >> bit & 1 == 1 { "+" } else { "a" };
        let text = (0..10).map(level).collect::<Vec<_>>().join("/");
        tree.insert(filter(&text), bits, ());
    }
    let topic = ["a"; 10].join("/");
    assert_eq!(found(&tree, &topic).len(), 1 << 10);
    assert!(tree.node_count() < 1 << 11);
}

#[test]
fn looking_ahead_changes_no_answer() {
    let mut tree = SubscriptionTree::new();
    for number in 0..6_000_u32 {
        for text in [format!("a/{number}"), format!("+/{number}/+"), format!("a/{number}/#")] {
            tree.insert(filter(&text), number, text.len());
        }
    }
    let many = "/".repeat(40);
    let topics = ["a/17", "a/17/x", "$a/17/x", "b/5999/", "a/6000/x", "", "/", &many, "a"];
    let bytes: Vec<&[u8]> = topics
        .iter()
        .map(|topic| topic.as_bytes())
        .chain([&b"a/\xFF\x00"[..], b"+", b"#"])
        .collect();
    for topics_at_once in [1, 2, 5, bytes.len()] {
        bytes.chunks(topics_at_once).for_each(|topics| tree.look_ahead(topics));
        for (topic, matches) in topics.iter().zip([2, 2, 0, 1, 0]) {
            assert_eq!(found(&tree, topic).len(), matches, "{topic}");
        }
    }
}

#[test]
fn many_subscribers_of_one_filter() {
    let mut tree = SubscriptionTree::new();
    for key in 0..5_000 {
        tree.insert(filter("a/+"), key, key);
        tree.insert(filter("a/b"), key, key);
    }
    for key in (0..5_000).filter(|key| key % 10 != 0) {
        assert_eq!(tree.remove(filter("a/+"), &key), Some(key));
        assert_eq!(tree.remove(filter("a/b"), &key), Some(key));
    }
    let expected: Vec<_> = (0..5_000).step_by(10).flat_map(|key| [(key, key); 2]).collect();
    assert_eq!(found(&tree, "a/b"), expected);
}

#[derive(Clone, Debug)]
enum Change {
    Insert(String, u32, u32),
    Remove(String, u32),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => (naive::filter(), 0..4_u32, any::<u32>()).prop_map(|(f, k, v)| Change::Insert(f, k, v)),
        1 => (naive::filter(), 0..4_u32).prop_map(|(f, k)| Change::Remove(f, k)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn it_says_what_the_list_says(
        changes in prop::collection::vec(change(), 1..80),
        topics in prop::collection::vec(naive::topic(), 20),
    ) {
        let mut tree = SubscriptionTree::new();
        let mut list = BTreeMap::new();
        for change in changes {
            match change {
                Change::Insert(text, key, value) => {
                    let old = list.insert((text.clone(), key), value);
                    prop_assert_eq!(tree.insert(filter(&text), key, value), old);
                }
                Change::Remove(text, key) => {
                    let old = list.remove(&(text.clone(), key));
                    prop_assert_eq!(tree.remove(filter(&text), &key), old);
                }
            }
            prop_assert_eq!(tree.len(), list.len());
        }
        let mut fresh = SubscriptionTree::new();
        for ((text, key), value) in &list {
            fresh.insert(filter(text), *key, *value);
        }
        prop_assert_eq!(tree.node_count(), fresh.node_count());
        for topic in topics {
            let is_match = |((text, _), _): &(&(String, u32), &u32)| naive::matches(text, &topic);
            let met = list.iter().filter(is_match);
            let mut expected: Vec<_> = met.map(|((_, key), value)| (*key, *value)).collect();
            expected.sort_unstable();
            prop_assert_eq!(found(&tree, &topic), expected);
        }
        for ((text, key), value) in list {
            prop_assert_eq!(tree.get(filter(&text), &key), Some(&value));
            prop_assert_eq!(tree.remove(filter(&text), &key), Some(value));
        }
        prop_assert_eq!(tree.node_count(), 0);
    }
}
