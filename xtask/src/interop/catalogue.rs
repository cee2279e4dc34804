//! Which client speaks which versions and tells which stories.

use std::fmt;

use clap::ValueEnum;

use super::{broker::Broker, mosquitto, scripts, tally::Tally, workplace::Workplace};
use crate::failure::Failure;

/// What every client tells in every version.
pub(super) const OF_ALL_VERSIONS: &[&str] = &[
    "qos 0",
    "qos 1",
    "qos 2",
    "retained",
    "will",
    "offline queue qos 1",
    "offline queue qos 2",
    REDELIVERY,
    "wildcards",
];

/// What MQTT 5.0 alone can tell.
pub(super) const OF_VERSION_5: &[&str] = &["shared subscription", "properties"];

/// The programs of mosquitto always acknowledge, so they cannot tell this one.
const REDELIVERY: &str = "redelivery";

/// A real client.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Client {
    /// paho-mqtt for Python.
    Paho,
    /// MQTT.js.
    Mqttjs,
    /// rumqttc, in Rust.
    Rumqttc,
    /// mosquitto_pub and mosquitto_sub.
    Mosquitto,
}

impl Client {
    /// Every client there is.
    pub(super) const ALL: &[Self] = &[Self::Paho, Self::Mqttjs, Self::Rumqttc, Self::Mosquitto];

    /// Installs what is missing.
    pub(super) fn install(self, workplace: &Workplace) -> Result<(), Failure> {
        match self {
            Self::Paho => scripts::install_paho(workplace),
            Self::Mqttjs => scripts::install_mqttjs(workplace),
            Self::Rumqttc => Ok(()), // Cargo has built it.
            Self::Mosquitto => mosquitto::install(),
        }
    }

    /// Tells every story.
    pub(super) fn tell(
        self,
        broker: &Broker,
        workplace: &Workplace,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        match self {
            Self::Paho => scripts::tell(&mut scripts::paho(workplace), broker, tally),
            Self::Mqttjs => scripts::tell(&mut scripts::mqttjs(workplace), broker, tally),
            Self::Rumqttc => scripts::tell(&mut scripts::rumqttc(workplace), broker, tally),
            Self::Mosquitto => {
                mosquitto::tell(broker, tally);
                Ok(())
            }
        }
    }

    fn versions(self) -> &'static [&'static str] {
        match self {
            Self::Rumqttc => &["3.1.1", "5.0"],
            Self::Paho | Self::Mqttjs | Self::Mosquitto => &["3.1", "3.1.1", "5.0"],
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Paho => "paho",
            Self::Mqttjs => "MQTT.js",
            Self::Rumqttc => "rumqttc",
            Self::Mosquitto => "mosquitto",
        })
    }
}

/// The full name of a story.
pub(super) fn full_name(client: Client, version: &str, story: &str) -> String {
    format!("{client} {version}: {story}")
}

/// The full names of all stories that these clients should tell; `is_ours` adds those about the
/// limit of the packet size, which every broker sets in a way of its own.
pub(super) fn expected(clients: &[Client], is_ours: bool) -> Vec<String> {
    let mut names = Vec::new();
    for client in clients {
        for version in client.versions() {
            let stories = stories(*client, version, is_ours).into_iter();
            names.extend(stories.map(|story| full_name(*client, version, story)));
        }
    }
    names
}

fn stories(client: Client, version: &str, is_ours: bool) -> Vec<&'static str> {
    let mut stories = OF_ALL_VERSIONS.to_vec();
    if version == "5.0" {
        stories.extend(OF_VERSION_5);
    }
    if client == Client::Mosquitto {
        stories.retain(|story| *story != REDELIVERY);
        stories.extend(mosquitto::SMALL_PAYLOADS.iter().map(|(name, _)| *name));
        if is_ours {
            stories.extend([mosquitto::LARGE_PAYLOAD, mosquitto::REFUSED_PAYLOAD]);
        }
    }
    stories
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_version_cannot_express_is_not_expected() {
        let names = expected(&[Client::Rumqttc, Client::Mosquitto], false);
        assert!(names.contains(&"rumqttc 5.0: properties".to_owned()));
        assert!(!names.iter().any(|name| name.starts_with("rumqttc 3.1:")));
        assert!(!names.contains(&"rumqttc 3.1.1: properties".to_owned()));
        assert!(!names.contains(&"mosquitto 5.0: redelivery".to_owned()));
    }

    #[test]
    fn limits_are_expected_of_our_own_broker_alone() {
        let large = "mosquitto 5.0: payload of 20 MB".to_owned();
        assert!(expected(&[Client::Mosquitto], true).contains(&large));
        assert!(!expected(&[Client::Mosquitto], false).contains(&large));
    }
}
