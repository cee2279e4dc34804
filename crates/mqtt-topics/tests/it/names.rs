//! What is a topic name.

use mqtt_topics::{MAX_LEVELS, TopicError, TopicName, TopicNameRef};

#[test]
fn names_that_are_fine() {
    let long = "x".repeat(65_535);
    for topic in ["a", "/", "//", "a/b", " ", "$SYS/x", "$", "$share/g/t", "é/日本", "a b/c", &long]
    {
        let name = TopicNameRef::new(topic).unwrap();
        assert_eq!(name.as_str(), topic);
        assert_eq!(TopicName::new(topic).unwrap(), name.to_owned());
    }
}

#[test]
fn names_that_are_not() {
    let long = "x".repeat(65_536);
    let cases = [
        ("", TopicError::Empty, "MQTT-4.7.3-1"),
        (&long, TopicError::TooLong { len: 65_536 }, "MQTT-4.7.3-3"),
        ("a/\0", TopicError::Nul { at: 2 }, "MQTT-4.7.3-2"),
        ("+\0", TopicError::Nul { at: 1 }, "MQTT-4.7.3-2"),
        ("a/+/b", TopicError::WildcardInName { at: 2 }, "MQTT-4.7.0-1"),
        ("ab#", TopicError::WildcardInName { at: 2 }, "MQTT-4.7.0-1"),
    ];
    for (topic, error, statement) in cases {
        assert_eq!(TopicNameRef::new(topic), Err(error), "{topic:.20}");
        assert_eq!(TopicName::new(topic), Err(error), "{topic:.20}");
        assert_eq!(error.statement(), statement);
    }
}

#[test]
fn levels_are_what_stands_between_slashes() {
    let levels = |topic| TopicNameRef::new(topic).unwrap().levels().collect::<Vec<_>>();
    assert_eq!(levels("a"), ["a"]);
    assert_eq!(levels("/"), ["", ""]);
    assert_eq!(levels("/a//b/"), ["", "a", "", "b", ""]);
}

#[test]
fn levels_are_limited() {
    let fits = vec!["x"; MAX_LEVELS].join("/");
    let too_many = vec!["x"; MAX_LEVELS + 1].join("/");
    assert!(TopicNameRef::new(&fits).is_ok());
    assert_eq!(TopicNameRef::new(&too_many), Err(TopicError::TooManyLevels { limit: MAX_LEVELS }));
    assert!(TopicNameRef::with_limit(&too_many, MAX_LEVELS + 1).is_ok());
    assert!(TopicName::with_limit("a/b", 1).is_err());
    assert!(TopicNameRef::with_limit("a", 0).is_err());
    assert!(TopicNameRef::new(&"/".repeat(65_535)).is_err());
}

#[test]
fn dollar_counts_at_the_start_only() {
    let is_dollar = |topic| TopicNameRef::new(topic).unwrap().is_dollar();
    assert!(is_dollar("$SYS/x") && is_dollar("$"));
    assert!(!is_dollar("a/$SYS") && !is_dollar("/$SYS"));
}
