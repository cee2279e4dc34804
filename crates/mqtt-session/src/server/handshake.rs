//! How a connection begins: from CONNECT to CONNACK, and enhanced authentication.

use bytes::BytesMut;
use mqtt_packet::{ConnAck, Connect, DecodeError, DecodeErrorKind, ReasonCode, Version, frame};

use super::{
    Accept, ConnectRequest, ServerEndpoint, ServerEvent, State,
    answer::{connect_version, connect_wishes, refuse, write_auth},
    connecting::Connecting,
    life::Life,
    open::Open,
};
use crate::{
    link::{Link, LinkOptions, Role},
    negotiated::Negotiated,
    output::Output,
    time::Time,
    violation::Violation,
};

impl ServerEndpoint {
    pub(super) fn handle_connect(&mut self, buf: &mut BytesMut) -> Result<(), Violation> {
        let limit = self.config.connect_bytes_max.min(self.config.maximum_packet_size);
        let State::AwaitConnect { request, .. } = &mut self.state else { return Ok(()) };
        let first = buf.first().copied().unwrap_or(0x10);
        if first >> 4 != 1 {
            let what = "the first packet is not CONNECT";
            return Err(Violation::protocol("MQTT-3.1.0-1", what));
        }
        let header = match frame::peek(buf, limit) {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(()),
            Err(error) if is_too_large(&error) => {
                // The refusal takes its form from the version, which stands right behind the header.
                if awaits_version(buf) {
                    return Ok(());
                }
                let what = "a CONNECT above the maximum size";
                return Err(Violation { what, ..error.into() });
            }
            Err(error) => return Err(error.into()),
        };
        if buf.len() < header.total_len() {
            return Ok(());
        }
        let packet = buf.split_to(header.total_len());
        let body = packet.get(header.header_len..).unwrap_or_default();
        let parsed = Connect::parse(header.first, body).map_err(Violation::from);
        let checked = parsed.and_then(|connect| {
            let mut request = ConnectRequest::new(&connect, self.config.topic_levels_max)?;
            request.is_bridge = Connect::is_from_bridge(body);
            request.check_will(self.config.maximum_qos, self.config.retain_available)?;
            Ok(request)
        });
        match checked {
            Ok(checked) => *request = Some(Box::new(checked)),
            Err(violation) => {
                // The refusal takes its form from the version that the packet names.
                let mut whole = packet;
                std::mem::swap(buf, &mut whole);
                return Err(violation);
            }
        }
        Ok(())
    }

    /// A CONNECT that cannot be taken is refused in the form of its version, as far as that is
    /// known and permitted [MQTT-3.1.4-1].
    pub(super) fn refuse_violation(&mut self, buf: &mut BytesMut, violation: Violation) {
        let (version, asked) = (connect_version(buf), connect_wishes(buf));
        buf.clear();
        let mut out = Output::default();
        let form = |version| Negotiated { version, ..asked };
        match version {
            Some(Ok(Version::V5)) => refuse(&mut out, &form(Version::V5), &violation),
            // 3.1.1 has a return code for few things; for the others the close must do. A CONNECT
            // that is too large is not malformed: the server cannot take it (code 3).
            Some(Ok(version))
                if violation.reason == ReasonCode::CLIENT_IDENTIFIER_NOT_VALID
                    || violation.reason == ReasonCode::PACKET_TOO_LARGE =>
            {
                refuse(&mut out, &form(version), &violation);
            }
            // Return code 1 in the form of 3.1.1, which both standards permit.
            Some(Err(DecodeErrorKind::UnsupportedProtocolLevel { .. })) => {
                let reason = ReasonCode::UNSUPPORTED_PROTOCOL_VERSION;
                refuse(&mut out, &form(Version::V311), &Violation { reason, ..violation });
            }
            _ => {}
        }
        self.state = State::Connecting(Box::new(Connecting {
            deadline: Time::ZERO,
            negotiated: Negotiated::new(Version::V311),
            method: None,
            awaits_auth: false,
            auth: Some(ServerEvent::Failed(violation)),
            out,
        }));
    }

    /// Accepts the connection: CONNACK, then what the session left unacknowledged.
    pub fn accept(&mut self, accept: Accept<'_>, now: Time) {
        let State::Connecting(connecting) = &mut self.state else { return };
        let negotiated = connecting.negotiated;
        let mut out = std::mem::take(&mut connecting.out);
        let method = connecting.method.take().map(String::into_boxed_str);
        let connack = ConnAck {
            session_present: accept.session_present,
            reason: ReasonCode::SUCCESS,
            properties: self.config.announce(&accept, method.as_deref()),
        };
        let Ok(len) = connack.encoded_len(negotiated.version) else { return };
        if len > negotiated.maximum_packet_size as usize
            || connack.encode(negotiated.version, out.tail()).is_err()
        {
            // Not even the CONNACK fits: there is no way to talk to this client.
            self.close(Output::default());
            return;
        }
        let options = LinkOptions {
            maximum_packet_size: self.config.maximum_packet_size,
            receive_maximum: negotiated.version.is_v5().then_some(self.config.receive_maximum),
            topic_alias_maximum: self.config.topic_alias_maximum,
            topic_levels_max: self.config.topic_levels_max,
            role: Role::Server,
            takes_problem_information: true,
            gate: accept.gate,
        };
        let mut link = Link::new(negotiated, accept.session, &options);
        link.out = out;
        link.resume(now);
        self.state = State::Open(Box::new(Open {
            link,
            method: method.map(Box::new),
            life: Life::new(now),
            session_expiry_secs: accept.session_expiry_secs,
        }));
    }

    /// Refuses the connection with a 5.0 reason code, which older versions get as the return code
    /// that comes nearest.
    pub fn refuse(&mut self, why: Violation) {
        if let State::Connecting(connecting) = &mut self.state {
            let mut out = std::mem::take(&mut connecting.out);
            let negotiated = &connecting.negotiated;
            refuse(&mut out, negotiated, &why);
            self.close(out);
        }
    }

    /// Goes on with enhanced authentication: AUTH 0x18 [MQTT-4.12.0-2].
    pub fn challenge(&mut self, data: &[u8]) {
        self.auth(ReasonCode::CONTINUE_AUTHENTICATION, data);
    }

    /// A re-authentication succeeded: AUTH 0x00.
    pub fn reauthenticated(&mut self, data: &[u8]) {
        self.auth(ReasonCode::SUCCESS, data);
    }

    /// Writes AUTH. A client that cannot take it cannot be authenticated, and is told so.
    fn auth(&mut self, reason: ReasonCode, data: &[u8]) {
        let written = match &mut self.state {
            State::Connecting(connecting) => {
                connecting.awaits_auth = true;
                let Connecting { out, negotiated, method, .. } = &mut **connecting;
                write_auth(out, negotiated, reason, method.as_deref(), data)
            }
            State::Open(open) => open.auth(reason, data),
            _ => true,
        };
        if !written {
            let what = "an AUTH that the client does not take";
            let why = Violation::new(ReasonCode::PACKET_TOO_LARGE, "MQTT-3.1.2-24", what);
            self.disconnect(why);
        }
    }
}

const fn is_too_large(error: &DecodeError) -> bool {
    matches!(error.kind, DecodeErrorKind::PacketTooLarge { .. })
}

/// Whether so little of a CONNECT is there that its version may not be.
fn awaits_version(buf: &[u8]) -> bool {
    // The longest name is `MQIsdp`, with its length before and the level behind.
    const VERSION_BYTES: usize = 2 + 6 + 1;
    let header = frame::peek(buf, u32::MAX).ok().flatten();
    header.is_some_and(|header| buf.len() < header.header_len + VERSION_BYTES)
}
