//! Lines of text, each tried as a filter and as a topic: the trees, the pairwise matching and
//! a matcher that a child could write must agree about every pair.

#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use mqtt_topics::{
    RetainedTree, SubscriptionFilter, SubscriptionTree, TopicFilterRef, TopicNameRef,
};

/// More lines only make runs slower: every pair of two is tried.
const LINES_MAX: usize = 16;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines: Vec<&str> = text.split('\n').take(LINES_MAX).collect();
    let filters: Vec<_> = lines.iter().filter_map(|line| TopicFilterRef::new(line).ok()).collect();
    let topics: Vec<_> = lines.iter().filter_map(|line| TopicNameRef::new(line).ok()).collect();
    every_topic_is_a_filter(&topics);
    shares_wrap_filters(&lines);
    pairs_agree(&filters, &topics);
    subscriptions_agree(&filters, &topics);
    retained_topics_agree(&filters, &topics);
});

/// Level by level, section 4.7, without any regard to speed.
fn naive(filter: &str, topic: &str) -> bool {
    let hidden = topic.starts_with('$') && filter.starts_with(['+', '#']);
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    !hidden && naive_levels(&filter, &topic)
}

fn naive_levels(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) => true,
        ([], []) => true,
        ([level, filter @ ..], [name, topic @ ..]) => {
            (*level == "+" || level == name) && naive_levels(filter, topic)
        }
        _ => false,
    }
}

fn every_topic_is_a_filter(topics: &[TopicNameRef<'_>]) {
    for topic in topics {
        let filter = TopicFilterRef::new(topic.as_str()).expect("a name is a filter");
        assert!(filter.matches(*topic) && !filter.has_wildcards());
    }
}

fn shares_wrap_filters(lines: &[&str]) {
    for line in lines {
        if let Ok(SubscriptionFilter { share: Some(share), filter }) =
            SubscriptionFilter::parse(line)
        {
            assert_eq!(format!("$share/{}/{}", share.as_str(), filter.as_str()), *line);
        }
    }
}

fn pairs_agree(filters: &[TopicFilterRef<'_>], topics: &[TopicNameRef<'_>]) {
    for filter in filters {
        for topic in topics {
            let expected = naive(filter.as_str(), topic.as_str());
            assert_eq!(filter.matches(*topic), expected, "{filter:?} and {topic:?}");
        }
        for other in filters {
            relations_agree(*filter, *other, topics);
        }
    }
}

/// What two filters say about each other holds for every topic at hand.
fn relations_agree(a: TopicFilterRef<'_>, b: TopicFilterRef<'_>, topics: &[TopicNameRef<'_>]) {
    for topic in topics {
        if a.matches(*topic) && b.matches(*topic) {
            assert!(a.overlaps(b), "{a:?} and {b:?} on {topic:?}");
        }
        if a.covers(b) && b.matches(*topic) {
            assert!(a.matches(*topic), "{a:?} covers {b:?}, but not {topic:?}");
        }
    }
}

fn subscriptions_agree(filters: &[TopicFilterRef<'_>], topics: &[TopicNameRef<'_>]) {
    let mut tree = SubscriptionTree::new();
    for (i, filter) in filters.iter().enumerate() {
        tree.insert(*filter, i, ());
    }
    for topic in topics {
        let mut found = Vec::new();
        tree.matches(*topic, &mut |i, ()| found.push(*i));
        found.sort_unstable();
        let matching = |i: &usize| naive(filters[*i].as_str(), topic.as_str());
        let expected: Vec<usize> = (0..filters.len()).filter(matching).collect();
        assert_eq!(found, expected, "{filters:?} on {topic:?}");
    }
    for (i, filter) in filters.iter().enumerate() {
        assert_eq!(tree.remove(*filter, &i), Some(()));
    }
    assert!(tree.is_empty() && tree.node_count() == 0, "nothing is left behind");
}

fn retained_topics_agree(filters: &[TopicFilterRef<'_>], topics: &[TopicNameRef<'_>]) {
    let mut tree = RetainedTree::new();
    for topic in topics {
        tree.insert(*topic, ());
    }
    for filter in filters {
        let mut found = Vec::new();
        tree.scan(*filter, None, &mut |topic, ()| {
            found.push(topic.to_owned());
            ControlFlow::Continue(())
        });
        found.sort_unstable();
        let mut expected: Vec<&str> = topics.iter().map(|topic| topic.as_str()).collect();
        expected.retain(|topic| naive(filter.as_str(), topic));
        expected.sort_unstable();
        expected.dedup();
        assert_eq!(found, expected, "{filter:?} on {topics:?}");
    }
    for topic in topics {
        tree.remove(*topic);
    }
    assert!(tree.is_empty() && tree.node_count() == 0, "nothing is left behind");
}
