//! An open connection: the packets that are the server's role alone.

use bytes::Bytes;
use mqtt_packet::{AckProperties, Disconnect, DisconnectProperties, Packet, ReasonCode};

use super::{
    ServerEvent,
    answer::{check_method, write_auth},
    life::Life,
};
use crate::{link::Link, reason_string::reason_string, time::Time, violation::Violation};

#[derive(Debug)]
pub(super) struct Open {
    pub(super) link: Link,
    /// Few clients have one, so it takes one word.
    pub(super) method: Option<Box<Box<str>>>,
    pub(super) life: Life,
    pub(super) session_expiry_secs: u32,
}

impl Open {
    /// A packet that is neither PUBLISH nor one of its acknowledgements.
    pub(super) fn control(
        &mut self,
        first: u8,
        body: Bytes,
    ) -> Result<Option<ServerEvent>, Violation> {
        let version = self.link.version();
        match Packet::parse(first, &body, version)? {
            Packet::PingReq => {
                self.write(&Packet::PingResp);
                Ok(None)
            }
            Packet::Subscribe(subscribe) => {
                check_filters(subscribe.filters.iter().map(|(filter, _)| filter))?;
                Ok(Some(ServerEvent::Subscribe(body)))
            }
            Packet::Unsubscribe(unsubscribe) => {
                check_filters(unsubscribe.filters.iter())?;
                Ok(Some(ServerEvent::Unsubscribe(body)))
            }
            Packet::Disconnect(disconnect) => self.left(&disconnect).map(Some),
            Packet::Auth(auth) => {
                check_method(&auth, self.method())?;
                let again = auth.reason == ReasonCode::RE_AUTHENTICATE;
                if auth.reason == ReasonCode::SUCCESS {
                    return Err(Violation::protocol("MQTT-3.15.2-1", "AUTH 0x00 from a client"));
                }
                let data = auth.properties.authentication_data.unwrap_or_default().to_vec();
                Ok(Some(ServerEvent::Auth { again, data }))
            }
            Packet::Connect(_) => Err(Violation::protocol("MQTT-3.1.0-2", "a second CONNECT")),
            _ => Err(Violation::protocol("MQTT-4.13.1-1", "a packet that only servers send")),
        }
    }

    fn method(&self) -> Option<&str> {
        self.method.as_deref().map(|method| &**method)
    }

    pub(super) fn left(&self, disconnect: &Disconnect<'_>) -> Result<ServerEvent, Violation> {
        let session_expiry_secs = disconnect.properties.session_expiry_interval;
        if self.session_expiry_secs == 0 && session_expiry_secs.is_some_and(|secs| secs > 0) {
            return Err(Violation::protocol("U5-072", "DISCONNECT raises a session expiry of 0"));
        }
        if !is_for_clients(disconnect.reason) {
            return Err(Violation::protocol("MQTT-3.14.2-1", "a reason that only servers give"));
        }
        Ok(ServerEvent::Disconnect { reason: disconnect.reason, session_expiry_secs })
    }

    /// Writes AUTH; false if it is too large for the client.
    #[must_use]
    pub(super) fn auth(&mut self, reason: ReasonCode, data: &[u8]) -> bool {
        let Link { out, negotiated, .. } = &mut self.link;
        let method = self.method.as_deref().map(|method| &**method);
        write_auth(out, negotiated, reason, method, data)
    }

    /// Writes an answer with words as its Reason String, or without any if the client wants none
    /// [MQTT-3.1.2-29] or they make it too large [MQTT-3.9.2-1], [MQTT-3.11.2-1].
    pub(super) fn answer<'a>(
        &mut self,
        words: Option<&'a str>,
        packet: impl Fn(AckProperties<'a>) -> Packet<'a>,
    ) {
        let words = words.filter(|_| self.link.negotiated.wants_words());
        let written = words.is_some() && self.write(&packet(reason_string(words)));
        if !written {
            self.write(&packet(reason_string(None)));
        }
    }

    /// Writes a packet, unless it is too large for the client [MQTT-3.1.2-24]; whether it did.
    pub(super) fn write(&mut self, packet: &Packet<'_>) -> bool {
        let negotiated = &self.link.negotiated;
        let fits = packet
            .encoded_len(negotiated.version)
            .is_ok_and(|len| len <= negotiated.maximum_packet_size as usize);
        fits && packet.encode(negotiated.version, self.link.out.tail()).is_ok()
    }

    /// DISCONNECT, with words as its Reason String for a client that asked for some, if they fit
    /// [MQTT-3.14.2-3].
    pub(super) fn disconnect(&mut self, why: &Violation) {
        if !self.link.version().is_v5() {
            return;
        }
        let words = Some(why.what).filter(|_| self.link.negotiated.wants_words());
        let properties = DisconnectProperties { reason_string: words, ..Default::default() };
        let reason = why.reason;
        if !self.write(&Packet::Disconnect(Disconnect { reason, properties })) {
            self.write(&Packet::Disconnect(Disconnect::new(reason)));
        }
    }

    /// When the client is given up.
    pub(super) fn deadline(&self, packet_timeout_millis: u64) -> Option<Time> {
        self.life.deadline(self.link.negotiated.keep_alive_secs, packet_timeout_millis)
    }

    /// Why the client is given up, at its deadline.
    pub(super) fn timed_out(&self, packet_timeout_millis: u64, now: Time) -> Violation {
        let part = self.life.part_deadline(packet_timeout_millis);
        if part.is_some_and(|deadline| deadline <= now) {
            let what = "less than 1 KiB of a packet within the packet timeout";
            return Violation::new(
                ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR,
                "MQTT-4.13.2-1",
                what,
            );
        }
        let what = "no packet within 1.5 times the keep-alive";
        Violation::new(ReasonCode::KEEP_ALIVE_TIMEOUT, "MQTT-3.1.2-22", what)
    }
}

/// A packet with an empty filter is malformed [MQTT-4.7.3-1]: nothing of it is done.
fn check_filters<'a>(mut filters: impl Iterator<Item = &'a str>) -> Result<(), Violation> {
    if filters.any(str::is_empty) {
        let what = "an empty topic filter";
        return Err(Violation::new(ReasonCode::MALFORMED_PACKET, "MQTT-4.7.3-1", what));
    }
    Ok(())
}

/// The reasons that a client may give in DISCONNECT; the others are the server's (section 3.14.2.1).
const fn is_for_clients(reason: ReasonCode) -> bool {
    matches!(reason.0, 0x00 | 0x04 | 0x80..=0x83 | 0x90 | 0x93..=0x99)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_connection_is_small() {
        // There is one for each client; the next size of an allocation is 512.
        assert!(size_of::<Open>() <= 448, "{}", size_of::<Open>());
        assert!(size_of::<crate::ServerEndpoint>() <= 48);
    }
}
