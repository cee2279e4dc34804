//! What is a topic filter, and what it says about names and other filters.

use mqtt_topics::{MAX_LEVELS, TopicError, TopicFilter, TopicFilterRef, TopicNameRef};
use proptest::prelude::*;

use crate::naive;

fn filter(text: &str) -> TopicFilterRef<'_> {
    TopicFilterRef::new(text).unwrap()
}

fn topic(text: &str) -> TopicNameRef<'_> {
    TopicNameRef::new(text).unwrap()
}

#[test]
fn filters_that_are_fine() {
    let cases = [
        ("a", false),
        ("/", false),
        ("$SYS/x", false),
        ("#", true),
        ("+", true),
        ("/#", true),
        ("/+", true),
        ("+/+", true),
        ("a/+/b", true),
        ("+/a/#", true),
        ("//#", true),
        ("é/#", true),
    ];
    for (text, has_wildcards) in cases {
        let filter = TopicFilterRef::new(text).unwrap();
        assert_eq!((filter.as_str(), filter.has_wildcards()), (text, has_wildcards));
        assert_eq!(TopicFilter::new(text).unwrap(), filter.to_owned());
    }
}

#[test]
fn filters_that_are_not() {
    let cases = [
        ("", TopicError::Empty, "MQTT-4.7.3-1"),
        ("a#", TopicError::MisplacedHash { at: 1 }, "MQTT-4.7.1-1"),
        ("a/#/b", TopicError::MisplacedHash { at: 2 }, "MQTT-4.7.1-1"),
        ("#/", TopicError::MisplacedHash { at: 0 }, "MQTT-4.7.1-1"),
        ("##", TopicError::MisplacedHash { at: 0 }, "MQTT-4.7.1-1"),
        ("a/b#", TopicError::MisplacedHash { at: 3 }, "MQTT-4.7.1-1"),
        ("#+", TopicError::MisplacedHash { at: 0 }, "MQTT-4.7.1-1"),
        ("a+", TopicError::MisplacedPlus { at: 1 }, "MQTT-4.7.1-2"),
        ("+a", TopicError::MisplacedPlus { at: 0 }, "MQTT-4.7.1-2"),
        ("a/+b", TopicError::MisplacedPlus { at: 2 }, "MQTT-4.7.1-2"),
        ("+#", TopicError::MisplacedPlus { at: 0 }, "MQTT-4.7.1-2"),
        ("é/x+", TopicError::MisplacedPlus { at: 4 }, "MQTT-4.7.1-2"),
        ("#/\0", TopicError::Nul { at: 2 }, "MQTT-4.7.3-2"),
    ];
    for (text, error, statement) in cases {
        assert_eq!(TopicFilterRef::new(text), Err(error), "{text}");
        assert_eq!(TopicFilter::new(text), Err(error), "{text}");
        assert_eq!(error.statement(), statement, "{text}");
    }
}

#[test]
fn levels_are_limited() {
    let deep = "+/".repeat(32_767);
    assert_eq!(TopicFilterRef::new(&deep), Err(TopicError::TooManyLevels { limit: MAX_LEVELS }));
    assert!(TopicFilterRef::with_limit(&deep, 32_768).is_ok());
    assert!(TopicFilterRef::with_limit("a/#", 2).is_ok());
    assert!(TopicFilterRef::with_limit("a/#", 1).is_err());
}

#[test]
fn one_pair_of_the_standard() {
    let cases = [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/tennis/player1/#", "sport/tennis/player10", false),
        ("sport/#", "sport", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("#", "$SYS/x", false),
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("$SYS/#", "$SYS/x", true),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ("a/+", "a/$x", true),
        ("ACCOUNTS", "Accounts", false),
        ("\u{e9}", "e\u{301}", false),
        ("a", "a/", false),
    ];
    for (text, name, expected) in cases {
        assert_eq!(filter(text).matches(topic(name)), expected, "{text} {name}");
        assert_eq!(naive::matches(text, name), expected, "naive {text} {name}");
    }
}

#[test]
fn no_topic_is_empty() {
    assert!(filter("+/#").covers(filter("#")) && filter("#").covers(filter("+/#")));
    assert!(filter("/+/#").covers(filter("/#")) && filter("/#").covers(filter("/+/#")));
    assert!(!filter("+").overlaps(filter("/#")));
    assert!(!filter("a/+/#").covers(filter("a/#")) && filter("a/#").covers(filter("a/+/#")));
}

#[test]
fn dollar_topics_are_out_of_reach_of_leading_wildcards() {
    assert!(!filter("#").covers(filter("$SYS/#")) && !filter("#").overlaps(filter("$SYS/#")));
    assert!(filter("$SYS/+").overlaps(filter("$SYS/#")));
    assert!(!filter("+").overlaps(filter("$x")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn one_pair_is_what_the_standard_says(text in naive::filter(), name in naive::topic()) {
        prop_assert_eq!(filter(&text).matches(topic(&name)), naive::matches(&text, &name));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The filters have up to four levels and a `#`, so that five levels and a letter that no
    /// filter names tell everything.
    #[test]
    fn overlaps_and_covers_are_what_enumeration_says(ours in naive::filter(), theirs in naive::filter()) {
        let (mut overlaps, mut covers) = (false, true);
        for name in naive::all_topics(5) {
            let their = naive::matches(&theirs, &name);
            let our = naive::matches(&ours, &name);
            overlaps |= our && their;
            covers &= our || !their;
        }
        prop_assert_eq!(filter(&ours).overlaps(filter(&theirs)), overlaps);
        prop_assert_eq!(filter(&ours).covers(filter(&theirs)), covers);
        prop_assert!(filter(&ours).covers(filter(&ours)));
    }
}
