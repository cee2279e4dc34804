//! What the standard says, done the slow way, and small alphabets to ask about it.

use proptest::prelude::*;

/// Does the filter match the topic? Written from section 4.7, with no regard to speed.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#')) {
        return false;
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    levels_match(&filter, &topic)
}

fn levels_match(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) | ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => levels_match(filter, topic),
        ([level, filter @ ..], [name, topic @ ..]) => level == name && levels_match(filter, topic),
        _ => false,
    }
}

/// All topics of up to `depth` levels over an alphabet that has a letter no filter names.
pub(crate) fn all_topics(depth: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut longest = vec![String::new()];
    for level in 0..depth {
        let mut longer = Vec::new();
        for start in &longest {
            for name in ["", "a", "b", "$x", "other"] {
                let slash = if level > 0 { "/" } else { "" };
                longer.push(format!("{start}{slash}{name}"));
            }
        }
        all.extend(longer.iter().filter(|topic| !topic.is_empty()).cloned());
        longest = longer;
    }
    all
}

/// Topics that collide often.
pub(crate) fn topic() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["", "a", "b", "c", "$x", "a level of some length"]);
    prop::collection::vec(level, 1..=4).prop_map(|levels| not_empty(&levels))
}

/// Filters that collide often.
pub(crate) fn filter() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["", "a", "b", "$x", "+", "+"]);
    (prop::collection::vec(level, 0..=4), any::<bool>()).prop_map(|(mut levels, has_rest)| {
        if has_rest {
            levels.push("#");
        }
        not_empty(&levels)
    })
}

/// The levels joined; but no topic and no filter is empty.
fn not_empty(levels: &[&str]) -> String {
    match levels {
        [] | [""] => "a".into(),
        levels => levels.join("/"),
    }
}
