//! What a peer did wrong, or why it is not served.

use mqtt_packet::{DecodeError, DecodeErrorKind, ReasonCode};
use thiserror::Error;

/// Why a connection has to close: the peer broke the protocol, sent bad bytes or went over a limit,
/// or is not served for another reason that a statement permits.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Error)]
#[error("{what} ({reason}, {statement})")]
pub struct Violation {
    /// The reason code that a 5.0 peer is told.
    pub reason: ReasonCode,
    /// The statement of the standard that was broken, or the rule's number in the project's tables.
    pub statement: &'static str,
    /// What happened, in a few words.
    pub what: &'static str,
}

impl Violation {
    /// A Protocol Error: reason code 0x82.
    #[must_use]
    pub const fn protocol(statement: &'static str, what: &'static str) -> Self {
        Self { reason: ReasonCode::PROTOCOL_ERROR, statement, what }
    }

    /// A violation that is answered with `reason`.
    #[must_use]
    pub const fn new(reason: ReasonCode, statement: &'static str, what: &'static str) -> Self {
        Self { reason, statement, what }
    }
}

impl From<DecodeError> for Violation {
    fn from(error: DecodeError) -> Self {
        let what = match error.kind {
            DecodeErrorKind::PacketTooLarge { .. } => "a packet above the maximum size",
            _ => "a packet that cannot be read",
        };
        Self { reason: error.reason(), statement: error.statement(), what }
    }
}
