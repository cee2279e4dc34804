//! `%j` and `%J`: a message as JSON, with the names that mosquitto_sub uses.

use std::fmt::Display;

use mqtt_packet::PublishProperties;
use serde::de::IgnoredAny;

use super::{NotJson, Printable, append, calendar::Moment};

/// Appends the message as an object. Texts that are not UTF-8 get U+FFFD where they are not.
///
/// # Errors
/// `payload_is_json`, but it is not; something may have been appended.
pub(super) fn print(
    message: &Printable<'_>,
    moment: &Moment,
    payload_is_json: bool,
    out: &mut Vec<u8>,
) -> Result<(), NotJson> {
    let mut object = Object::open(out);
    object.text("tst", moment.iso_with_microseconds().as_bytes());
    object.text("topic", message.topic.as_bytes());
    object.number("qos", message.qos.bits());
    object.number("retain", u8::from(message.retain));
    object.number("payloadlen", message.payload.len());
    if let Some(id) = message.packet_id {
        object.number("mid", id);
    }
    if message.properties != PublishProperties::default() {
        print_properties(&message.properties, object.member("properties"));
    }
    if payload_is_json {
        serde_json::from_slice::<IgnoredAny>(message.payload).map_err(|_| NotJson)?;
        object.member("payload").extend_from_slice(message.payload.trim_ascii());
    } else {
        object.text("payload", message.payload);
    }
    object.close();
    Ok(())
}

fn print_properties(properties: &PublishProperties<'_>, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    print_subscription_identifiers(properties, &mut object);
    if !properties.user_properties.is_empty() {
        let mut pairs = Object::open(object.member("user-properties"));
        for (name, value) in properties.user_properties.iter() {
            pairs.text(name, value.as_bytes());
        }
        pairs.close();
    }
    let texts = [
        ("content-type", properties.content_type.map(str::as_bytes)),
        ("correlation-data", properties.correlation_data),
    ];
    for (name, text) in texts {
        text.into_iter().for_each(|text| object.text(name, text));
    }
    if let Some(flag) = properties.payload_format_indicator {
        object.number("payload-format-indicator", u8::from(flag));
    }
    if let Some(topic) = properties.response_topic {
        object.text("response-topic", topic.as_bytes());
    }
    if let Some(secs) = properties.message_expiry_interval {
        object.number("message-expiry-interval", secs);
    }
    if let Some(alias) = properties.topic_alias {
        object.number("topic-alias", alias);
    }
    object.close();
}

/// A number, or a list if the message came for several subscriptions.
fn print_subscription_identifiers(properties: &PublishProperties<'_>, object: &mut Object<'_>) {
    let ids: Vec<_> = properties.subscription_identifiers.iter().collect();
    match ids.as_slice() {
        [] => {}
        [id] => object.number("subscription-identifier", id),
        ids => append(object.member("subscription-identifier"), format_args!("{ids:?}")),
    }
}

/// An object that is being written.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    fn close(self) {
        self.out.push(b'}');
    }

    fn number(&mut self, name: &str, value: impl Display) {
        append(self.member(name), format_args!("{value}"));
    }

    fn text(&mut self, name: &str, text: &[u8]) {
        push_text(self.member(name), &String::from_utf8_lossy(text));
    }

    /// Writes the name; the value is to follow.
    fn member(&mut self, name: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        push_text(self.out, name);
        self.out.push(b':');
        self.out
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    // Writing a text into memory does not fail.
    drop(serde_json::to_writer(out, text));
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use mqtt_packet::{QoS, SubscriptionIdentifiers};

    use super::*;

    fn print_payload(payload: &[u8], payload_is_json: bool) -> String {
        let message = Printable {
            topic: "t",
            payload,
            qos: QoS::AtMostOnce,
            retain: false,
            packet_id: None,
            properties: PublishProperties {
                subscription_identifiers: SubscriptionIdentifiers::Ids(&[1, 2]),
                ..PublishProperties::default()
            },
            at: UNIX_EPOCH,
        };
        let mut out = Vec::new();
        print(&message, &Moment::new(message.at), payload_is_json, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_output_is_json_whatever_the_payload_is() {
        for payload in [&b"\x00\xff\"\\\n"[..], "\u{2028}é".as_bytes(), b""] {
            let text = print_payload(payload, false);
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["payload"], *String::from_utf8_lossy(payload), "{text}");
            assert_eq!(value["payloadlen"], payload.len());
            assert_eq!(value["properties"]["subscription-identifier"], serde_json::json!([1, 2]));
        }
    }

    #[test]
    fn a_payload_in_json_is_not_changed() {
        let text = print_payload(b" [1.10, 12345678901234567890123] ", true);
        assert!(text.ends_with("\"payload\":[1.10, 12345678901234567890123]}"), "{text}");
    }
}
