//! What the log says about connections. Refusals and violations are warnings, as they may be an
//! attack; what every client does is for the level info. Names that a peer chose are cut, and
//! written in quotes with everything escaped that is no plain text: a field of type `str` is.

use std::{borrow::Cow, fmt::Display};

use mqtt_packet::ReasonCode;
use mqtt_session::{Time, Violation};

use super::{
    broker::Broker,
    cause::Cause,
    connection::{Connection, Stage},
    log_limit::LineKind,
    login::Peer,
    refusals::Refused,
};

/// So many bytes of a name that a peer chose are shown.
const NAME_BYTES_MAX: usize = 128;

impl Broker {
    /// Counts and says that a connection is refused.
    pub(crate) fn note_refused(
        &self,
        reason: Refused,
        why: &dyn Display,
        peer: &Peer,
        names: Names<'_>,
        now: Time,
    ) {
        self.refusals.count(reason);
        if !self.log_limit.permits(LineKind::Refused(reason), peer.address, now) {
            return;
        }
        let (client_id, user) = (names.client_id.map(shown), names.user.map(shown));
        tracing::warn!(
            reason = %reason.name(), peer = peer.address.map(tracing::field::display),
            listener = %peer.listener, client_id = client_id.as_deref(), user = user.as_deref(), %why,
            "refused a connection"
        );
    }
}

/// Who a peer says that it is.
#[derive(Copy, Clone, Default)]
pub(crate) struct Names<'a> {
    pub(crate) client_id: Option<&'a str>,
    pub(crate) user: Option<&'a str>,
}

impl Connection {
    /// The names of a client, as far as it has told them.
    fn names(&self) -> Names<'_> {
        let credentials = match &self.stage {
            Stage::LoggingIn(logging_in) => &logging_in.credentials,
            Stage::Arriving(arriving) => &arriving.credentials,
            Stage::Open(client) => {
                let user = client.slot.identity.user_name();
                return Names { client_id: Some(&client.slot.client_id), user };
            }
            _ => return Names::default(),
        };
        let user = credentials.user_name.as_deref();
        Names { client_id: Some(&credentials.client_id), user }
    }

    /// The client is refused before it has a session.
    pub(super) fn note_refused(&self, reason: Refused, why: &dyn Display) {
        self.note_refused_as(reason, why, self.names());
    }

    pub(super) fn note_refused_as(&self, reason: Refused, why: &dyn Display, names: Names<'_>) {
        self.broker.note_refused(reason, why, &self.peer, names, self.now);
    }

    /// The client broke the protocol.
    pub(super) fn note_violation(&self, why: &dyn Display) {
        let Stage::Open(client) = &self.stage else {
            return self.note_refused(Refused::Protocol, why);
        };
        if client.opening.is_some() {
            return self.note_refused(Refused::Protocol, why);
        }
        if self.broker.log_limit.permits(LineKind::Violation, self.peer.address, self.now) {
            self.warn_closed(why);
        }
    }

    /// The endpoint ended the connection.
    pub(super) fn note_failed(&self, violation: &Violation) {
        if violation.reason != ReasonCode::PACKET_TOO_LARGE {
            return self.note_violation(violation);
        }
        // Not a fault of the client, and before 5.0 it is told nothing: whoever runs the server is.
        let protocol = &self.broker.limits.protocol;
        let (limit, option) = match &self.stage {
            Stage::Open(_) => (protocol.maximum_packet_size, "--max-packet-size"),
            _ => {
                let limit = protocol.connect_bytes_max.min(protocol.maximum_packet_size);
                (limit, "--max-connect-bytes")
            }
        };
        self.note_violation(&format_args!("{violation}: more than {limit} bytes; see {option}"));
    }

    fn warn_closed(&self, why: &dyn Display) {
        let names = self.names();
        let (client_id, user) = (names.client_id.map(shown), names.user.map(shown));
        tracing::warn!(
            peer = self.peer.address.map(tracing::field::display), listener = %self.peer.listener,
            client_id = client_id.as_deref(), user = user.as_deref(), %why,
            "closed a connection"
        );
    }

    /// A timer ran out: of the handshake, or the client's Keep Alive.
    pub(super) fn note_timeout(&self, why: &Violation) {
        match &self.stage {
            Stage::Open(client) if client.opening.is_none() => self.note_disconnected(why),
            _ => self.note_refused(Refused::Timeout, why),
        }
    }

    /// The server ends the connection of a client that has a session.
    pub(super) fn note_leave(&self, cause: Cause) {
        match cause {
            Cause::TakenOver => {
                self.note_info(LineKind::TakenOver, &"another connection has its session");
            }
            Cause::Stopping => self.note_disconnected(&cause.why()),
            _ => self.note_violation(&cause.why()),
        }
    }

    pub(super) fn note_disconnected(&self, why: &dyn Display) {
        self.note_info(LineKind::Disconnected, why);
    }

    /// The client is let in.
    pub(super) fn note_connected(&self, session_present: bool) {
        if !self.may_inform(LineKind::Connected) {
            return;
        }
        let names = self.names();
        let (client_id, user) = (names.client_id.map(shown), names.user.map(shown));
        let version = self.endpoint.negotiated().map(|negotiated| negotiated.version);
        tracing::info!(
            peer = self.peer.address.map(tracing::field::display), listener = %self.peer.listener,
            client_id = client_id.as_deref(), user = user.as_deref(),
            version = version.map(tracing::field::debug), session_present,
            "connected"
        );
    }

    fn note_info(&self, kind: LineKind, why: &dyn Display) {
        if !self.may_inform(kind) {
            return;
        }
        let names = self.names();
        let (client_id, user) = (names.client_id.map(shown), names.user.map(shown));
        let event = if kind == LineKind::TakenOver { "taken over" } else { "disconnected" };
        tracing::info!(
            peer = self.peer.address.map(tracing::field::display), listener = %self.peer.listener,
            client_id = client_id.as_deref(), user = user.as_deref(), %why,
            "{event}"
        );
    }

    fn may_inform(&self, kind: LineKind) -> bool {
        // Most servers do not log this: then nothing is counted either.
        tracing::enabled!(tracing::Level::INFO)
            && self.broker.log_limit.permits(kind, self.peer.address, self.now)
    }
}

fn shown(name: &str) -> Cow<'_, str> {
    match name.get(..name.floor_char_boundary(NAME_BYTES_MAX)) {
        Some(beginning) if beginning.len() < name.len() => {
            let more = name.len() - beginning.len();
            Cow::Owned(format!("{beginning}... and {more} more bytes"))
        }
        _ => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(shown("short"), "short");
        let long = format!("{}\u{e4}\u{e4}", "x".repeat(NAME_BYTES_MAX - 1));
        let expected = format!("{}... and 4 more bytes", "x".repeat(NAME_BYTES_MAX - 1));
        assert_eq!(shown(&long), expected);
    }
}
