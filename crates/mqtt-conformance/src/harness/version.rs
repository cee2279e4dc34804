//! The protocol version that a test speaks.

/// A version of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Version {
    /// MQTT 3.1: `MQIsdp`, level 3.
    V31,
    /// MQTT 3.1.1: `MQTT`, level 4.
    V311,
    /// MQTT 5.0: `MQTT`, level 5.
    V5,
}

impl Version {
    /// The protocol name of CONNECT.
    pub(crate) fn protocol_name(self) -> &'static [u8] {
        match self {
            Self::V31 => b"MQIsdp",
            Self::V311 | Self::V5 => b"MQTT",
        }
    }

    /// The protocol level of CONNECT.
    pub(crate) fn level(self) -> u8 {
        match self {
            Self::V31 => 3,
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }

    /// Whether packets carry properties and reason codes.
    pub(crate) fn is_v5(self) -> bool {
        self == Self::V5
    }

    /// As people write it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::V31 => "3.1",
            Self::V311 => "3.1.1",
            Self::V5 => "5.0",
        }
    }
}
