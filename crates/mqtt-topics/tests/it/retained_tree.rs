//! The retained tree against a sorted map that is searched from end to end.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use mqtt_topics::{RetainedTree, ScanEnd, TopicFilterRef, TopicName, TopicNameRef};
use proptest::prelude::*;

use crate::naive;

fn topic(text: &str) -> TopicNameRef<'_> {
    TopicNameRef::with_limit(text, usize::MAX).unwrap()
}

fn filter(text: &str) -> TopicFilterRef<'_> {
    TopicFilterRef::with_limit(text, usize::MAX).unwrap()
}

/// The topics of one page.
fn page<V>(tree: &RetainedTree<V>, text: &str, after: Option<&str>, len: usize) -> Vec<String> {
    let mut page = Vec::new();
    tree.scan(filter(text), after.map(topic), &mut |topic, _| {
        page.push(topic.to_string());
        if page.len() < len { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    page
}

fn all<V>(tree: &RetainedTree<V>, text: &str) -> Vec<String> {
    page(tree, text, None, usize::MAX)
}

fn tree_of(topics: &[&str]) -> RetainedTree<usize> {
    let mut tree = RetainedTree::new();
    for (value, text) in topics.iter().enumerate() {
        tree.insert(topic(text), value);
    }
    tree
}

#[test]
fn the_order_goes_level_by_level() {
    let tree = tree_of(&["b", "a!", "a/c", "a", "/", "a//x", "a/b", "$x", "é"]);
    assert_eq!(all(&tree, "#"), ["/", "a", "a//x", "a/b", "a/c", "a!", "b", "é"]);
    assert_eq!(all(&tree, "a/#"), ["a", "a//x", "a/b", "a/c"]);
    assert_eq!(all(&tree, "a/+"), ["a/b", "a/c"]);
    assert_eq!(all(&tree, "+"), ["a", "a!", "b", "é"]);
    assert_eq!(all(&tree, "$x/#"), ["$x"]);
    assert_eq!(all(&tree, "+/#"), all(&tree, "#"));
    assert_eq!(all(&tree, "a/c"), ["a/c"]);
}

#[test]
fn values_are_set_changed_and_taken() {
    let mut tree = tree_of(&["a", "a/b"]);
    assert_eq!(tree.insert(topic("a"), 7), Some(0));
    *tree.get_mut(topic("a/b")).unwrap() += 10;
    assert_eq!((tree.get(topic("a")), tree.get(topic("a/b"))), (Some(&7), Some(&11)));
    assert_eq!((tree.get(topic("a/")), tree.get(topic("b"))), (None, None));
    assert_eq!((tree.remove(topic("a")), tree.remove(topic("a"))), (Some(7), None));
    assert_eq!((tree.len(), tree.node_count()), (1, 2));
    assert_eq!(tree.remove(topic("a/b")), Some(11));
    assert_eq!((tree.len(), tree.node_count()), (0, 0));
    assert!(tree.is_empty());
}

#[test]
fn removing_what_is_not_there_leaves_no_trace() {
    let mut tree = tree_of(&["a/b/c"]);
    for text in ["a", "a/b", "a/b/c/d", "x/y"] {
        assert_eq!(tree.remove(topic(text)), None);
    }
    assert_eq!((tree.len(), tree.node_count()), (1, 3));
}

#[test]
fn depth_costs_no_stack() {
    let deep = "/".repeat(65_535);
    let mut tree = tree_of(&[&deep]);
    assert_eq!(all(&tree, "#").join(","), deep);
    assert_eq!(all(&tree, &("+/".repeat(32_767) + "#")).join(","), deep);
    assert_eq!(page(&tree, "#", Some(&deep), 1), [""; 0]);
    tree.remove(topic(&deep));
    assert_eq!(tree.node_count(), 0);
}

/// Wide nodes keep their children in runs, which split and join.
#[test]
fn thousands_of_siblings_come_and_go_in_any_order() {
    let mut tree = RetainedTree::new();
    let text = |number: usize| format!("a/{number:05}");
    // 7,919 and 10,007 have no common factor, so that each number comes once.
    let mixed = (0..10_007_usize).map(|number| number * 7_919 % 10_007);
    for number in mixed.clone() {
        tree.insert(topic(&text(number)), number);
    }
    let expected: Vec<_> = (0..10_007).map(text).collect();
    assert_eq!(all(&tree, "a/+"), expected);
    assert_eq!(page(&tree, "a/+", Some("a/05000"), 2), ["a/05001", "a/05002"]);
    for number in mixed.filter(|number| number % 100 != 0) {
        assert_eq!(tree.remove(topic(&text(number))), Some(number));
    }
    let expected: Vec<_> = (0..10_007).step_by(100).map(text).collect();
    assert_eq!(all(&tree, "#"), expected);
    for number in (0..10_007).step_by(100) {
        assert_eq!(tree.remove(topic(&text(number))), Some(number));
    }
    assert_eq!(tree.node_count(), 0);
}

/// Runs that become empty vanish, though their neighbours are full.
#[test]
fn siblings_in_a_row_come_and_go() {
    let mut tree = RetainedTree::new();
    let text = |number: usize| format!("{number:05}");
    let fill = |tree: &mut RetainedTree<usize>, from, to| {
        (from..to).for_each(|number| assert_eq!(tree.insert(topic(&text(number)), number), None));
    };
    fill(&mut tree, 0, 3_000);
    for (from, to) in [(700, 1_400), (0, 600), (2_300, 3_000), (256, 2_816), (0, 3_000)] {
        for number in from..to {
            assert_eq!(tree.remove(topic(&text(number))), Some(number));
        }
        let expected: Vec<_> = (0..from).chain(to..3_000).map(text).collect();
        assert_eq!(all(&tree, "+"), expected);
        fill(&mut tree, from, to);
        assert_eq!(all(&tree, "+"), (0..3_000).map(text).collect::<Vec<_>>());
    }
}

/// Pages of three with changes in between, the cursor's topic among them.
#[test]
fn a_topic_that_stays_is_met_exactly_once() {
    let mut tree = RetainedTree::new();
    for number in 0..300 {
        tree.insert(topic(&format!("a/{}/{number}", number % 7)), number);
    }
    let mut met = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = page(&tree, "a/+/#", cursor.as_deref(), 3);
        let Some(last) = page.last().cloned() else { break };
        // A topic that goes is odd, or the cursor itself and then comes back.
        let number = met.len() * 2 % 300 + 1;
        tree.remove(topic(&format!("a/{}/{number}", number % 7)));
        let value = tree.remove(topic(&last));
        if let Some(value) = value.filter(|value| value % 4 == 0) {
            tree.insert(topic(&last), value);
        }
        tree.insert(topic(&format!("a/{}/{}", number % 9, number + 1_000)), 0);
        met.extend(page);
        cursor = Some(last);
    }
    for number in (0..300).step_by(2) {
        let text = format!("a/{}/{number}", number % 7);
        assert_eq!(met.iter().filter(|met| **met == text).count(), 1, "{text}");
    }
    met.sort();
    let len = met.len();
    met.dedup();
    assert_eq!(met.len(), len);
}

#[test]
fn a_bounded_scan_ends_though_nothing_matches() {
    let mut tree = RetainedTree::new();
    for number in 0..1_000 {
        tree.insert(topic(&format!("{number:04}/x")), number);
    }
    let mut after: Option<TopicName> = None;
    let mut pauses = 0;
    loop {
        let cursor = after.as_ref().map(TopicName::as_ref);
        let none = &mut |met: &str, _: &usize| panic!("{met} was met");
        match tree.scan_bounded(filter("+/y"), cursor, 100, none) {
            ScanEnd::Paused(at) => after = Some(at),
            end => break assert_eq!(end, ScanEnd::Complete),
        }
        pauses += 1;
    }
    assert!((9..=11).contains(&pauses), "{pauses}");
}

#[derive(Clone, Debug)]
enum Change {
    Insert(String, u32),
    Remove(String),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (naive::topic(), any::<u32>()).prop_map(|(topic, value)| Change::Insert(topic, value)),
        1 => naive::topic().prop_map(Change::Remove),
    ]
}

/// A key that sorts as the tree does.
fn levels(text: &str) -> Vec<&str> {
    text.split('/').collect()
}

/// Everything from `after` on, in steps of `visits_max` nodes.
fn bounded(
    tree: &RetainedTree<u32>,
    text: &str,
    after: Option<&str>,
    visits_max: usize,
) -> Vec<(String, u32)> {
    let mut met = Vec::new();
    let mut after = after.map(|after| topic(after).to_owned());
    loop {
        let cursor = after.as_ref().map(TopicName::as_ref);
        let end = tree.scan_bounded(filter(text), cursor, visits_max, &mut |topic, value| {
            met.push((topic.to_string(), *value));
            ControlFlow::Continue(())
        });
        match end {
            ScanEnd::Paused(at) => after = Some(at),
            ScanEnd::Complete | ScanEnd::Stopped => return met,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn it_says_what_the_map_says(
        changes in prop::collection::vec(change(), 1..80),
        text in naive::filter(),
        after in prop::option::of(naive::topic()),
        visits_max in 0..6_usize,
    ) {
        let mut tree = RetainedTree::new();
        let mut map = BTreeMap::new();
        for change in changes {
            match change {
                Change::Insert(name, value) => {
                    prop_assert_eq!(tree.insert(topic(&name), value), map.insert(name, value));
                }
                Change::Remove(name) => {
                    prop_assert_eq!(tree.remove(topic(&name)), map.remove(&name));
                }
            }
            prop_assert_eq!(tree.len(), map.len());
        }
        let is_behind = |name: &str| after.as_ref().is_none_or(|after| levels(name) > levels(after));
        let mut expected: Vec<_> = map.iter().map(|(name, value)| (name.clone(), *value)).collect();
        expected.retain(|(name, _)| naive::matches(&text, name) && is_behind(name));
        expected.sort_by(|a, b| levels(&a.0).cmp(&levels(&b.0)));
        prop_assert_eq!(bounded(&tree, &text, after.as_deref(), usize::MAX), expected.clone());
        prop_assert_eq!(bounded(&tree, &text, after.as_deref(), visits_max), expected);
        for (name, value) in map {
            prop_assert_eq!(tree.get(topic(&name)), Some(&value));
            prop_assert_eq!(tree.remove(topic(&name)), Some(value));
        }
        prop_assert_eq!(tree.node_count(), 0);
    }
}
