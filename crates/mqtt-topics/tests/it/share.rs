//! What a SUBSCRIBE may name: `$share`.

use mqtt_topics::{MAX_LEVELS, ShareName, SubscriptionFilter, TopicError};

#[test]
fn shared_and_plain() {
    let cases = [
        ("t", None, "t"),
        ("#", None, "#"),
        ("$SYS/#", None, "$SYS/#"),
        ("$SHARE/g/t", None, "$SHARE/g/t"),
        ("$shared/g/t", None, "$shared/g/t"),
        ("a/$share/g/t", None, "a/$share/g/t"),
        ("$share/g/t", Some("g"), "t"),
        ("$share/g/#", Some("g"), "#"),
        ("$share/g//", Some("g"), "/"),
        ("$share/a b/+/x/#", Some("a b"), "+/x/#"),
        ("$share/$share/$share/x/y", Some("$share"), "$share/x/y"),
    ];
    for (text, share, filter) in cases {
        let parsed = SubscriptionFilter::parse(text).unwrap();
        assert_eq!(parsed.share.map(ShareName::as_str), share, "{text}");
        assert_eq!(parsed.filter.as_str(), filter, "{text}");
        assert_eq!(parsed.to_string(), text);
    }
}

#[test]
fn bad_shares() {
    let cases = [
        ("$share", TopicError::EmptyShareName { at: 6 }, "MQTT-4.8.2-1"),
        ("$share/", TopicError::EmptyShareName { at: 7 }, "MQTT-4.8.2-1"),
        ("$share//t", TopicError::EmptyShareName { at: 7 }, "MQTT-4.8.2-1"),
        ("$share/g", TopicError::ShareWithoutFilter { at: 8 }, "MQTT-4.8.2-2"),
        ("$share/g/", TopicError::ShareWithoutFilter { at: 9 }, "MQTT-4.8.2-2"),
        ("$share/+/t", TopicError::BadShareName { at: 7 }, "MQTT-4.8.2-2"),
        ("$share/g+/t", TopicError::BadShareName { at: 8 }, "MQTT-4.8.2-2"),
        ("$share/#", TopicError::BadShareName { at: 7 }, "MQTT-4.8.2-2"),
        ("$share/#/t", TopicError::BadShareName { at: 7 }, "MQTT-4.8.2-2"),
        ("$share/g\0/t", TopicError::Nul { at: 8 }, "MQTT-4.7.3-2"),
        ("$share/g/t\0", TopicError::Nul { at: 10 }, "MQTT-4.7.3-2"),
        ("$share/g/t+", TopicError::MisplacedPlus { at: 10 }, "MQTT-4.7.1-2"),
        ("$share/g/#/t", TopicError::MisplacedHash { at: 9 }, "MQTT-4.7.1-1"),
        ("", TopicError::Empty, "MQTT-4.7.3-1"),
    ];
    for (text, error, statement) in cases {
        assert_eq!(SubscriptionFilter::parse(text), Err(error), "{text}");
        assert_eq!(error.statement(), statement, "{text}");
    }
}

#[test]
fn the_limit_of_length_is_that_of_the_whole_string() {
    let fits = format!("$share/g/{}", "x".repeat(65_535 - 9));
    assert!(SubscriptionFilter::parse(&fits).is_ok());
    let too_long = fits + "x";
    assert_eq!(SubscriptionFilter::parse(&too_long), Err(TopicError::TooLong { len: 65_536 }));
}

#[test]
fn the_limit_of_levels_is_that_of_the_filter() {
    let filter = vec!["+"; MAX_LEVELS].join("/");
    assert!(SubscriptionFilter::parse(&format!("$share/g/{filter}")).is_ok());
    assert!(SubscriptionFilter::parse(&format!("$share/g/{filter}/+")).is_err());
    assert!(SubscriptionFilter::parse_with_limit("$share/g/a/b", 1).is_err());
}
