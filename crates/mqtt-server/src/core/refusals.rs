//! Connections that were refused, counted by reason: for `$SYS`, and a kind of log line for each.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a connection did not get as far as a session.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub(crate) enum Refused {
    /// There are as many connections as there may be.
    Connections,
    /// It was not let in yet, and made room for another connection.
    MadeRoom,
    /// Its first bytes are those of another protocol.
    OtherProtocol,
    /// The WebSocket below MQTT did not come about.
    WebSocket,
    /// What it sent is not a CONNECT that can be served.
    Protocol,
    /// No CONNECT came in time, or the login took too long.
    Timeout,
    /// The client identifier is empty or too long.
    ClientId,
    /// The authentication method is not known.
    AuthMethod,
    /// The user name or the password is wrong.
    BadCredentials,
    /// The authenticator does not let the client in, whoever it is.
    NotAuthorized,
    /// The client is banned.
    Banned,
    /// The client may not publish its own will.
    Will,
    /// The client identifier belongs to somebody else.
    Identity,
    /// There are as many sessions as there may be.
    Sessions,
    /// There is no memory for more.
    Memory,
    /// The store cannot take or give the session.
    Store,
    /// The server or the authenticator is not able to serve anybody.
    Unavailable,
}

impl Refused {
    /// All of them, in the order of the counters.
    pub(crate) const ALL: [Self; 17] = [
        Self::Connections,
        Self::MadeRoom,
        Self::OtherProtocol,
        Self::WebSocket,
        Self::Protocol,
        Self::Timeout,
        Self::ClientId,
        Self::AuthMethod,
        Self::BadCredentials,
        Self::NotAuthorized,
        Self::Banned,
        Self::Will,
        Self::Identity,
        Self::Sessions,
        Self::Memory,
        Self::Store,
        Self::Unavailable,
    ];

    /// The last level of its topic under `$SYS/broker/connections/refused`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connections => "too-many-connections",
            Self::MadeRoom => "made-room",
            Self::OtherProtocol => "other-protocol",
            Self::WebSocket => "websocket",
            Self::Protocol => "protocol",
            Self::Timeout => "timeout",
            Self::ClientId => "client-id",
            Self::AuthMethod => "auth-method",
            Self::BadCredentials => "bad-credentials",
            Self::NotAuthorized => "not-authorized",
            Self::Banned => "banned",
            Self::Will => "will",
            Self::Identity => "identity",
            Self::Sessions => "too-many-sessions",
            Self::Memory => "memory",
            Self::Store => "store",
            Self::Unavailable => "unavailable",
        }
    }
}

/// How many connections were refused, for each reason.
#[derive(Default)]
pub(crate) struct Refusals([AtomicU64; Refused::ALL.len()]);

impl Refusals {
    pub(crate) fn count(&self, reason: Refused) {
        // A discriminant is its place among the counters.
        if let Some(counter) = self.0.get(reason as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each reason with its number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Refused, u64)> {
        let numbers = self.0.iter().map(|counter| counter.load(Ordering::Relaxed));
        Refused::ALL.into_iter().zip(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_counter_of_its_own() {
        let refusals = Refusals::default();
        for (place, reason) in Refused::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
            (0..=place).for_each(|_| refusals.count(reason));
        }
        let counted: Vec<_> = refusals.iter().map(|(_, number)| number).collect();
        assert_eq!(counted, (1..=17).collect::<Vec<_>>());
    }
}
