//! Between CONNECT and its answer: enhanced authentication.

use bytes::BytesMut;
use mqtt_packet::{Packet, ReasonCode, frame};

use super::{ServerEvent, answer::check_method};
use crate::{negotiated::Negotiated, output::Output, time::Time, violation::Violation};

/// CONNECT came, the answer is not decided.
#[derive(Debug)]
pub(super) struct Connecting {
    pub(super) deadline: Time,
    pub(super) negotiated: Negotiated,
    pub(super) method: Option<String>,
    /// A challenge was sent: the next packet is AUTH.
    pub(super) awaits_auth: bool,
    pub(super) auth: Option<ServerEvent>,
    pub(super) out: Output,
}

impl Connecting {
    pub(super) fn handle_auth(&mut self, buf: &mut BytesMut) -> Result<(), Violation> {
        let Some(header) = frame::peek(buf, 16 * 1024)? else { return Ok(()) };
        if buf.len() < header.total_len() {
            return Ok(());
        }
        let packet = buf.split_to(header.total_len());
        let body = packet.get(header.header_len..).unwrap_or_default();
        self.awaits_auth = false;
        let parsed = Packet::parse(header.first, body, self.negotiated.version);
        match parsed.inspect_err(|_| self.awaits_auth = true)? {
            Packet::Auth(auth) if auth.reason == ReasonCode::CONTINUE_AUTHENTICATION => {
                check_method(&auth, self.method.as_deref())
                    .inspect_err(|_| self.awaits_auth = true)?;
                let data = auth.properties.authentication_data.unwrap_or_default().to_vec();
                self.auth = Some(ServerEvent::Auth { again: false, data });
                Ok(())
            }
            _ => {
                self.awaits_auth = true;
                let what = "something else than AUTH during authentication";
                Err(Violation::protocol("MQTT-3.1.2-30", what))
            }
        }
    }
}
