//! What can go wrong: what, why, and what to do.

use std::{io, sync::Arc};

use mqtt_packet::ReasonCode;
use mqtt_session::{Disconnected, Refused, RequestError, Violation};
use thiserror::Error;

/// Why an operation did not succeed.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL cannot be used.
    #[error("the URL cannot be used: {0}")]
    Url(#[from] UrlError),
    /// No connection to the server.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Where to.
        address: String,
        /// What the operating system says.
        source: Arc<io::Error>,
    },
    /// The server did not accept the connection within the connect timeout.
    #[error("no answer within {millis} ms: is this an MQTT server, and is it reachable?")]
    ConnectTimeout {
        /// The timeout, in milliseconds.
        millis: u64,
    },
    /// The server refused the connection.
    #[error("the server refused the connection: {}{}", .0.reason, because(.0.reason, .0.reason_string.as_deref()))]
    Refused(Arc<Refused>),
    /// The request breaks the protocol or what the server announced; nothing was sent.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The server did not take the message.
    #[error("the server did not take the message: {reason}")]
    PublishRefused {
        /// The reason code of PUBACK or PUBREC, 0x80 or more.
        reason: ReasonCode,
    },
    /// The server granted none of the subscriptions.
    #[error("the server granted no subscription: {}", list(.reasons))]
    SubscribeRefused {
        /// One reason for each filter, in order.
        reasons: Vec<ReasonCode>,
    },
    /// The message waited for the server until its Message Expiry Interval ran out.
    #[error("the message expired before it could be sent")]
    Expired,
    /// The message became too large for the server, which announced a smaller limit when the
    /// session was resumed.
    #[error("the message is too large for this server")]
    TooLarge,
    /// The session to resume is still with a connection: wait for its end.
    #[error("the session is in use: wait until the connection that has it is closed")]
    SessionInUse,
    /// The connection is over. What was not acknowledged stays in the session: it goes out again
    /// if the session is resumed.
    #[error("the connection is over: {0}")]
    ConnectionLost(Loss),
}

/// Why a connection is over.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Loss {
    /// This client left.
    #[error("this client disconnected")]
    Local,
    /// The server said why it left.
    #[error("the server disconnected: {}{}", .0.reason, because(.0.reason, .0.reason_string.as_deref()))]
    Server(Arc<Disconnected>),
    /// The server closed without a word.
    #[error("the server closed the connection")]
    Closed,
    /// The transport failed.
    #[error("{0}")]
    Io(Arc<io::Error>),
    /// The server broke the protocol, or was silent for too long.
    #[error("{0}")]
    Violation(Violation),
    /// The runtime stopped the connection's task.
    #[error("the connection's task was stopped")]
    Stopped,
}

/// What is wrong with a URL.
#[derive(Clone, Eq, PartialEq, Debug, Error)]
#[non_exhaustive]
pub enum UrlError {
    /// None of `mqtt://`, `tcp://` and `ws://`.
    #[error("it has to begin with mqtt://, tcp:// or ws://")]
    Scheme,
    /// No host.
    #[error("there is no host")]
    Host,
    /// The port is no number from 1 to 65,535.
    #[error("the port {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// Something behind the host, other than the path of a WebSocket.
    #[error("{0:?} behind the host has no meaning here")]
    Path(String),
    /// A parameter that does not exist.
    #[error("there is no parameter {0:?}; there is version=3.1, 3.1.1 or 5")]
    Parameter(String),
    /// A `%` without two hexadecimal digits, or what they stand for is not UTF-8.
    #[error("a % stands for no text")]
    Percent,
}

/// What the server says beyond the name of the reason.
fn because(reason: ReasonCode, words: Option<&str>) -> String {
    let words = words.filter(|words| *words != reason.name());
    words.map(|words| format!(" ({words})")).unwrap_or_default()
}

fn list(reasons: &[ReasonCode]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
