//! How single values are written on the command line.

use mqtt_packet::{QoS, Version};
use mqtt_server::{Level, QueueFull};
use mqtt_topics::TopicFilter;

/// A protocol version: `5`, `mqttv5`, `311`, `mqttv311`, `31`, `mqttv31`, or with dots.
pub(crate) fn version(text: &str) -> Result<Version, String> {
    let text = text.to_ascii_lowercase();
    match text.strip_prefix("mqttv").unwrap_or(&text) {
        "5" | "50" | "5.0" => Ok(Version::V5),
        "311" | "3.1.1" => Ok(Version::V311),
        "31" | "3.1" => Ok(Version::V31),
        _ => Err("expected mqttv31, mqttv311 or mqttv5".into()),
    }
}

/// How safe something is before it is acknowledged: `memory`, `os` or `disk`.
pub(crate) fn level(text: &str) -> Result<Level, String> {
    match text {
        "memory" => Ok(Level::Memory),
        "os" => Ok(Level::Os),
        "disk" => Ok(Level::Disk),
        _ => Err("expected memory, os or disk".into()),
    }
}

/// What becomes of a message for a full queue: `drop-newest`, `drop-oldest` or `refuse`.
pub(crate) fn queue_full(text: &str) -> Result<QueueFull, String> {
    match text {
        "drop-newest" => Ok(QueueFull::DropNewest),
        "drop-oldest" => Ok(QueueFull::DropOldest),
        "refuse" => Ok(QueueFull::Refuse),
        _ => Err("expected drop-newest, drop-oldest or refuse".into()),
    }
}

/// A topic filter and a level, such as `sensors/#=os`.
pub(crate) fn topic_level(text: &str) -> Result<(TopicFilter, Level), String> {
    let (filter, name) = text.rsplit_once('=').ok_or("expected FILTER=LEVEL")?;
    let filter = TopicFilter::new(filter).map_err(|error| error.to_string())?;
    Ok((filter, level(name)?))
}

/// A level of delivery: 0, 1 or 2.
pub(crate) fn qos(text: &str) -> Result<QoS, String> {
    let bits = text.parse().ok();
    bits.and_then(QoS::from_bits).ok_or_else(|| "expected 0, 1 or 2".into())
}

/// Seconds, or `-1`, `∞` or 4294967295 for ever.
pub(crate) fn session_expiry(text: &str) -> Result<u32, String> {
    match text {
        "-1" | "∞" => Ok(u32::MAX),
        _ => text.parse().map_err(|_| "expected seconds, or -1 or ∞ for ever".into()),
    }
}

/// Seconds with a fraction.
pub(crate) fn seconds(text: &str) -> Result<std::time::Duration, String> {
    let secs = text.parse().ok();
    secs.and_then(|secs| std::time::Duration::try_from_secs_f64(secs).ok())
        .ok_or_else(|| "expected seconds, such as 0.5".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_stands_behind_the_last_equals_sign() {
        let (filter, level) = topic_level("a=b/#=os").unwrap();
        assert_eq!((filter.as_str(), level), ("a=b/#", Level::Os));
        assert!(topic_level("a/#").is_err() && topic_level("a/#/b=os").is_err());
        assert!(topic_level("a=ram").unwrap_err().contains("memory, os or disk"));
    }

    #[test]
    fn versions_have_short_and_long_names() {
        for (text, expected) in [
            ("mqttv5", Version::V5),
            ("5", Version::V5),
            ("MQTTV311", Version::V311),
            ("311", Version::V311),
            ("31", Version::V31),
        ] {
            assert_eq!(version(text), Ok(expected), "{text}");
        }
        for text in ["", "4", "mqtt", "mqttv"] {
            assert!(version(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_session_may_last_for_ever() {
        for text in ["-1", "∞", "4294967295"] {
            assert_eq!(session_expiry(text), Ok(u32::MAX), "{text}");
        }
        assert_eq!(session_expiry("0"), Ok(0));
        assert!(session_expiry("-2").is_err());
        assert!(session_expiry("4294967296").is_err());
    }

    #[test]
    fn seconds_have_a_sign_and_an_end() {
        assert_eq!(seconds("0.25"), Ok(std::time::Duration::from_millis(250)));
        for text in ["-1", "nan", "inf", "soon"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn there_are_three_levels_of_delivery() {
        assert_eq!(qos("2"), Ok(QoS::ExactlyOnce));
        assert!(qos("3").is_err());
        assert!(qos("x").is_err());
    }
}
