//! What a client says when it leaves.

use mqtt_packet::{Disconnect, DisconnectProperties, ReasonCode, UserProperties};

/// The fields of a DISCONNECT. Before 5.0 none of them is sent, so all have to be left alone.
#[derive(Clone, Eq, PartialEq, Debug, Default)]
pub struct DisconnectOptions {
    /// Why; [`ReasonCode::DISCONNECT_WITH_WILL`] asks for the will to be published.
    pub reason: ReasonCode,
    /// A new Session Expiry Interval, in seconds.
    pub session_expiry_secs: Option<u32>,
    /// The reason, for people to read.
    pub reason_string: Option<String>,
    /// Names and values for people.
    pub user_properties: Vec<(String, String)>,
}

impl DisconnectOptions {
    pub(crate) fn packet<'a>(
        &'a self,
        user_properties: &'a [(&'a str, &'a str)],
    ) -> Disconnect<'a> {
        Disconnect {
            reason: self.reason,
            properties: DisconnectProperties {
                session_expiry_interval: self.session_expiry_secs,
                reason_string: self.reason_string.as_deref(),
                user_properties: UserProperties::Pairs(user_properties),
                ..DisconnectProperties::default()
            },
        }
    }

    pub(crate) fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}
