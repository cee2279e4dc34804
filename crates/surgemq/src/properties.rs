//! MQTT 5.0 properties as the command line gives them: `-D PACKET PROPERTY VALUE`.

use mqtt_packet::property::{Owner, PropertyId};

/// All properties of a command line, by the packet that carries them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Properties {
    /// For the CONNECT.
    pub(crate) connect: ConnectProperties,
    /// For every PUBLISH.
    pub(crate) publish: MessageProperties,
    /// For the will.
    pub(crate) will: MessageProperties,
    /// For every SUBSCRIBE.
    pub(crate) subscribe: SubscribeProperties,
    /// For every UNSUBSCRIBE.
    pub(crate) unsubscribe: UserProperties,
    /// For the DISCONNECT.
    pub(crate) disconnect: DisconnectProperties,
}

/// Names and values for the application, in order.
pub(crate) type UserProperties = Vec<(String, String)>;

/// The properties of a CONNECT (section 3.1.2.11).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConnectProperties {
    /// In seconds; `u32::MAX` for ever.
    pub(crate) session_expiry_secs: Option<u32>,
    pub(crate) receive_maximum: Option<u16>,
    /// In bytes.
    pub(crate) maximum_packet_size: Option<u32>,
    pub(crate) topic_alias_maximum: Option<u16>,
    pub(crate) request_response_information: Option<bool>,
    pub(crate) request_problem_information: Option<bool>,
    pub(crate) authentication_method: Option<String>,
    pub(crate) authentication_data: Option<Vec<u8>>,
    pub(crate) user: UserProperties,
}

/// The properties of a PUBLISH (section 3.3.2.3) or of a will (section 3.1.3.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MessageProperties {
    /// Whether the payload is UTF-8.
    pub(crate) payload_format_indicator: Option<bool>,
    /// In seconds.
    pub(crate) expiry_secs: Option<u32>,
    pub(crate) content_type: Option<String>,
    pub(crate) response_topic: Option<String>,
    pub(crate) correlation_data: Option<Vec<u8>>,
    /// In seconds; only of a will.
    pub(crate) delay_secs: Option<u32>,
    pub(crate) user: UserProperties,
}

/// The properties of a SUBSCRIBE (section 3.8.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SubscribeProperties {
    /// 1 to 268,435,455.
    pub(crate) subscription_identifier: Option<u32>,
    pub(crate) user: UserProperties,
}

/// The properties of a DISCONNECT (section 3.14.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DisconnectProperties {
    /// In seconds; `u32::MAX` for ever.
    pub(crate) session_expiry_secs: Option<u32>,
    pub(crate) user: UserProperties,
}

impl Properties {
    /// Takes the words of one `-D`: packet, property, and one value or a name and a value.
    ///
    /// # Errors
    /// What is wrong, as one line for the user.
    pub(crate) fn add(&mut self, words: &[String]) -> Result<(), String> {
        let [packet, property, values @ ..] = words else {
            return Err(
                "-D takes PACKET PROPERTY VALUE, such as -D publish content-type text".into()
            );
        };
        let owner = owner(packet)?;
        let id = property_id(property)?;
        if !id.allowed_in(owner) {
            return Err(format!("-D: {packet} has no property {property}"));
        }
        match (id, values) {
            (PropertyId::UserProperty, [name, value]) => {
                self.user_properties(owner).push((name.clone(), value.clone()));
                Ok(())
            }
            (PropertyId::UserProperty, _) => {
                Err(format!("-D {packet} user-property takes a name and a value"))
            }
            (_, [value]) => {
                let set = self.set(owner, id, value);
                set.map_err(|expected| {
                    format!("-D {packet} {property} is {expected}, not {value:?}")
                })
            }
            _ => Err(format!("-D {packet} {property} takes one value")),
        }
    }

    /// Whether anything was given.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn user_properties(&mut self, owner: Owner) -> &mut UserProperties {
        match owner {
            Owner::Connect => &mut self.connect.user,
            Owner::Will => &mut self.will.user,
            Owner::Subscribe => &mut self.subscribe.user,
            Owner::Unsubscribe => &mut self.unsubscribe,
            Owner::Disconnect => &mut self.disconnect.user,
            _ => &mut self.publish.user,
        }
    }

    /// Sets one value; the error says what it should have been.
    fn set(&mut self, owner: Owner, id: PropertyId, value: &str) -> Result<(), &'static str> {
        match owner {
            Owner::Connect => self.connect.set(id, value),
            Owner::Will => self.will.set(id, value),
            Owner::Publish => self.publish.set(id, value),
            Owner::Subscribe => {
                self.subscribe.subscription_identifier = Some(subscription_identifier(value)?);
                Ok(())
            }
            _ => {
                self.disconnect.session_expiry_secs = Some(four_bytes(value)?);
                Ok(())
            }
        }
    }
}

impl ConnectProperties {
    fn set(&mut self, id: PropertyId, value: &str) -> Result<(), &'static str> {
        match id {
            PropertyId::SessionExpiryInterval => {
                self.session_expiry_secs = Some(four_bytes(value)?);
            }
            PropertyId::ReceiveMaximum => self.receive_maximum = Some(non_zero(two_bytes(value)?)?),
            PropertyId::MaximumPacketSize => {
                self.maximum_packet_size = Some(non_zero(four_bytes(value)?)?);
            }
            PropertyId::TopicAliasMaximum => self.topic_alias_maximum = Some(two_bytes(value)?),
            PropertyId::RequestResponseInformation => {
                self.request_response_information = Some(flag(value)?);
            }
            PropertyId::RequestProblemInformation => {
                self.request_problem_information = Some(flag(value)?);
            }
            PropertyId::AuthenticationMethod => self.authentication_method = Some(value.to_owned()),
            _ => self.authentication_data = Some(value.as_bytes().to_vec()),
        }
        Ok(())
    }
}

impl MessageProperties {
    fn set(&mut self, id: PropertyId, value: &str) -> Result<(), &'static str> {
        match id {
            PropertyId::PayloadFormatIndicator => {
                self.payload_format_indicator = Some(flag(value)?);
            }
            PropertyId::MessageExpiryInterval => self.expiry_secs = Some(four_bytes(value)?),
            PropertyId::ContentType => self.content_type = Some(value.to_owned()),
            PropertyId::ResponseTopic => self.response_topic = Some(value.to_owned()),
            PropertyId::CorrelationData => self.correlation_data = Some(value.as_bytes().to_vec()),
            PropertyId::WillDelayInterval => self.delay_secs = Some(four_bytes(value)?),
            // An alias belongs to a connection; a subscription identifier is the server's to send
            // [MQTT-3.3.4-6].
            _ => return Err("chosen by the program and the server"),
        }
        Ok(())
    }
}

fn owner(packet: &str) -> Result<Owner, String> {
    Ok(match packet.to_ascii_lowercase().as_str() {
        "connect" => Owner::Connect,
        "publish" => Owner::Publish,
        "will" => Owner::Will,
        "subscribe" => Owner::Subscribe,
        "unsubscribe" => Owner::Unsubscribe,
        "disconnect" => Owner::Disconnect,
        _ => {
            return Err(format!(
                "-D {packet}: properties can be given to connect, publish, will, subscribe, \
                 unsubscribe and disconnect"
            ));
        }
    })
}

/// The property whose name in the standard reads like this in lower case with dashes.
fn property_id(property: &str) -> Result<PropertyId, String> {
    PropertyId::ALL
        .into_iter()
        .find(|id| {
            id.name().to_ascii_lowercase().replace(' ', "-") == property.to_ascii_lowercase()
        })
        .ok_or_else(|| format!("-D: there is no property {property}; an example is content-type"))
}

fn two_bytes(value: &str) -> Result<u16, &'static str> {
    value.parse().map_err(|_| "a number up to 65535")
}

fn four_bytes(value: &str) -> Result<u32, &'static str> {
    value.parse().map_err(|_| "a number up to 4294967295")
}

fn non_zero<N: Default + PartialEq>(value: N) -> Result<N, &'static str> {
    if value == N::default() { Err("a number above 0") } else { Ok(value) }
}

fn subscription_identifier(value: &str) -> Result<u32, &'static str> {
    let id = value.parse().ok().filter(|id| (1..=268_435_455).contains(id));
    id.ok_or("a number from 1 to 268435455")
}

fn flag(value: &str) -> Result<bool, &'static str> {
    match value {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err("0 or 1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(properties: &mut Properties, line: &str) -> Result<(), String> {
        properties.add(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_property_goes_to_the_packet_that_it_is_for() {
        let mut properties = Properties::default();
        for line in [
            "publish user-property k v",
            "PUBLISH content-type text",
            "will will-delay-interval 5",
            "connect receive-maximum 3",
            "subscribe subscription-identifier 268435455",
            "unsubscribe user-property a b",
            "disconnect session-expiry-interval 4294967295",
        ] {
            assert_eq!(add(&mut properties, line), Ok(()), "{line}");
        }
        assert_eq!(properties.publish.user, [("k".to_owned(), "v".to_owned())]);
        assert_eq!(properties.publish.content_type.as_deref(), Some("text"));
        assert_eq!(properties.will.delay_secs, Some(5));
        assert_eq!(properties.connect.receive_maximum, Some(3));
        assert_eq!(properties.subscribe.subscription_identifier, Some(268_435_455));
        assert_eq!(properties.unsubscribe, [("a".to_owned(), "b".to_owned())]);
        assert_eq!(properties.disconnect.session_expiry_secs, Some(u32::MAX));
    }

    #[test]
    fn a_property_that_makes_no_sense_is_explained() {
        for (line, expected) in [
            ("publish", "-D takes PACKET PROPERTY VALUE"),
            ("puback user-property k v", "properties can be given to connect"),
            ("publish colour red", "there is no property colour"),
            ("publish receive-maximum 3", "publish has no property receive-maximum"),
            ("publish user-property k", "takes a name and a value"),
            ("publish content-type a b", "takes one value"),
            ("publish payload-format-indicator 2", "is 0 or 1, not \"2\""),
            ("publish topic-alias 1", "chosen by the program"),
            ("connect receive-maximum 0", "is a number above 0"),
            ("connect receive-maximum 65536", "is a number up to 65535"),
            ("subscribe subscription-identifier 0", "is a number from 1 to 268435455"),
            ("disconnect session-expiry-interval soon", "is a number up to 4294967295"),
        ] {
            let error = add(&mut Properties::default(), line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
