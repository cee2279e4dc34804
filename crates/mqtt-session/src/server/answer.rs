//! What the server announces, and the packets of the handshake.

use mqtt_packet::{
    Auth, AuthProperties, ConnAck, ConnAckProperties, Connect, DecodeErrorKind, Packet, QoS,
    ReasonCode, Version, frame,
};

use super::{Accept, ConnectRequest, ServerConfig};
use crate::{negotiated::Negotiated, output::Output, violation::Violation};

/// A larger Maximum Packet Size is not announced: it is hardly a limit, as no packet has more than five
/// bytes more, and clients refuse it as too large (paho).
const ANNOUNCED_SIZE_MAX: u32 = 268_435_455;

impl ServerConfig {
    pub(super) fn negotiate(&self, request: &ConnectRequest) -> Negotiated {
        Negotiated {
            version: request.version,
            send_window: request.receive_maximum.min(self.send_window_max).max(1),
            maximum_packet_size: request.maximum_packet_size,
            topic_alias_maximum: request.topic_alias_maximum,
            problem_information: request.request_problem_information,
            // An older client cannot be told: it keeps to its own.
            keep_alive_secs: self
                .server_keep_alive_secs
                .filter(|_| request.version.is_v5())
                .unwrap_or(request.keep_alive_secs),
        }
    }

    /// What CONNACK says; what is not said has the standard's default.
    pub(super) fn announce<'a>(
        &self,
        accept: &Accept<'a>,
        method: Option<&'a str>,
    ) -> ConnAckProperties<'a> {
        let expiry_changed = accept.session_expiry_secs != accept.requested_session_expiry_secs;
        ConnAckProperties {
            session_expiry_interval: expiry_changed.then_some(accept.session_expiry_secs),
            receive_maximum: Some(self.receive_maximum),
            maximum_qos: (self.maximum_qos < QoS::ExactlyOnce).then_some(self.maximum_qos),
            retain_available: (!self.retain_available).then_some(false),
            maximum_packet_size: Some(self.maximum_packet_size)
                .filter(|size| *size <= ANNOUNCED_SIZE_MAX),
            assigned_client_identifier: accept.assigned_client_id,
            topic_alias_maximum: Some(self.topic_alias_maximum),
            wildcard_subscription_available: (!self.wildcards_available).then_some(false),
            subscription_identifier_available: (!self.subscription_identifiers_available)
                .then_some(false),
            shared_subscription_available: (!self.shared_subscriptions_available).then_some(false),
            server_keep_alive: self.server_keep_alive_secs,
            response_information: accept.response_information,
            authentication_method: method,
            authentication_data: accept.authentication_data,
            ..ConnAckProperties::default()
        }
    }

    pub(super) fn check_publish(&self, qos: QoS, retain: bool) -> Result<(), Violation> {
        if qos > self.maximum_qos {
            let what = "PUBLISH above the maximum QoS";
            return Err(Violation::new(ReasonCode::QOS_NOT_SUPPORTED, "MQTT-3.2.2-11", what));
        }
        if retain && !self.retain_available {
            let what = "RETAIN, but retained messages are switched off";
            return Err(Violation::new(ReasonCode::RETAIN_NOT_SUPPORTED, "MQTT-3.2.2-14", what));
        }
        Ok(())
    }
}

/// CONNACK with a refusal, if it fits [MQTT-3.2.2-7]; with the words as its Reason String for a
/// client that asked for some, if that fits too [MQTT-3.2.2-19].
pub(super) fn refuse(out: &mut Output, negotiated: &Negotiated, why: &Violation) {
    let Negotiated { version, maximum_packet_size: limit, .. } = *negotiated;
    let reason = match why.reason {
        // 3.1.1 gives return code 4 to credentials that are malformed, and 5 to wrong ones.
        ReasonCode::BAD_USER_NAME_OR_PASSWORD if version == Version::V311 => {
            ReasonCode::NOT_AUTHORIZED
        }
        reason => reason,
    };
    for reason_string in [Some(why.what).filter(|_| negotiated.wants_words()), None] {
        let properties = ConnAckProperties { reason_string, ..ConnAckProperties::default() };
        let connack = ConnAck { session_present: false, reason, properties };
        if connack.encoded_len(version).is_ok_and(|len| len <= limit as usize) {
            // Encoding writes nothing when it fails, and this packet does not.
            let _ = connack.encode(version, out.tail());
            return;
        }
    }
}

/// What SUBACK and UNSUBACK say in words: why the first filter of those refused was.
pub(super) fn words_for(reasons: &[u8]) -> Option<&'static str> {
    reasons.iter().map(|&code| ReasonCode(code)).find(|code| code.is_error()).map(ReasonCode::name)
}

/// Writes AUTH, unless it is too large for the client [MQTT-3.1.2-24]; whether it did. It holds
/// neither Reason String nor User Properties, so none can be too many [MQTT-3.15.2-2],
/// [MQTT-3.15.2-3].
#[must_use]
pub(super) fn write_auth(
    out: &mut Output,
    negotiated: &Negotiated,
    reason: ReasonCode,
    method: Option<&str>,
    data: &[u8],
) -> bool {
    let properties = AuthProperties {
        authentication_method: method,
        authentication_data: Some(data).filter(|data| !data.is_empty()),
        ..AuthProperties::default()
    };
    let auth = Packet::Auth(Auth { reason, properties });
    let len = auth.encoded_len(negotiated.version);
    let fits = len.is_ok_and(|len| len <= negotiated.maximum_packet_size as usize);
    fits && auth.encode(negotiated.version, out.tail()).is_ok()
}

/// AUTH repeats the method of the CONNECT [MQTT-4.12.0-5], and is not sent without one
/// [MQTT-4.12.0-7].
pub(super) fn check_method(auth: &Auth<'_>, method: Option<&str>) -> Result<(), Violation> {
    match (auth.properties.authentication_method, method) {
        (_, None) => Err(Violation::protocol("MQTT-4.12.0-7", "AUTH without a method in CONNECT")),
        (given, Some(_)) if given == method => Ok(()),
        _ => Err(Violation::protocol("MQTT-4.12.0-5", "AUTH with another method than CONNECT")),
    }
}

/// The version that the CONNECT in `buf` names, or why it names none; `None` if it is not there.
pub(super) fn connect_version(buf: &[u8]) -> Option<Result<Version, DecodeErrorKind>> {
    let is_connect = buf.first()? >> 4 == 1;
    let header = frame::peek(buf, u32::MAX).ok()??;
    let body = buf.get(header.header_len..)?;
    is_connect.then(|| Connect::peek_version(body).map_err(|error| error.kind))
}

/// What a client whose CONNECT is in `buf` wants of a refusal, as far as that can be read.
pub(super) fn connect_wishes(buf: &[u8]) -> Negotiated {
    let header = frame::peek(buf, u32::MAX).ok().flatten();
    let connect = header.and_then(|header| {
        let body = buf.get(header.header_len..)?;
        Connect::parse(header.first, body).ok()
    });
    let asked = connect.map(|connect| connect.properties).unwrap_or_default();
    Negotiated {
        maximum_packet_size: asked.maximum_packet_size.unwrap_or(u32::MAX),
        problem_information: asked.request_problem_information == Some(true),
        ..Negotiated::new(Version::V311)
    }
}
