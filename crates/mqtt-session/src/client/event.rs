//! What a server did, as its client is told.

#[cfg(doc)]
use crate::{client::ClientEndpoint, delivery::Delivery};
use crate::{
    client::{Answer, Connected, Disconnected, Refused},
    link::RunSpan,
    run::Run,
    sender::{Acknowledged, Lost},
    violation::Violation,
};

/// What a server did.
#[derive(Debug)]
pub enum ClientEvent {
    /// It accepted the connection.
    Connected(Box<Connected>),
    /// It refused the connection, which is closed already.
    Refused(Box<Refused>),
    /// It goes on with enhanced authentication: answer with [`ClientEndpoint::authenticate`].
    Auth {
        /// The server's data.
        data: Vec<u8>,
    },
    /// The re-authentication that [`ClientEndpoint::reauthenticate`] began succeeded.
    Reauthenticated {
        /// The server's last data.
        data: Vec<u8>,
    },
    /// It sent messages to one topic, plain and of one QoS: make a [`Run`] of them with
    /// [`ClientEndpoint::run`], and acknowledge the run.
    Span(RunSpan),
    /// It sent a message: acknowledge it. The run holds all that came, but for a topic alias,
    /// which is resolved: the expiry interval and the subscription identifiers are still in its
    /// properties.
    Message(Run),
    /// It finally answered a message of QoS 1 or 2.
    Acknowledged(Acknowledged),
    /// A message was given up, and will not be answered.
    Lost(Lost),
    /// It answered a SUBSCRIBE.
    SubAck(Box<Answer>),
    /// It answered an UNSUBSCRIBE.
    UnsubAck(Box<Answer>),
    /// It ended the connection, which is closed already.
    Disconnected(Box<Disconnected>),
    /// It broke the protocol, or was silent for too long. The connection is closed already.
    Failed(Violation),
}
