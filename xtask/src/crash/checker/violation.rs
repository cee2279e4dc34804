//! What must not have happened.

use std::fmt;

use crate::crash::{history::Client, message::Message};

/// A promise that was broken.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(in crate::crash) struct Violation {
    pub(in crate::crash) kind: Kind,
    /// Who saw it.
    pub(in crate::crash) client: String,
    /// The message that it is about, if it is about one.
    pub(in crate::crash) message: Option<Message>,
    /// What exactly, for people to read.
    pub(in crate::crash) detail: String,
}

/// The promises, by how they are broken.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Debug)]
pub(in crate::crash) enum Kind {
    /// An acknowledged message did not come.
    Lost,
    /// A QoS 2 message came twice.
    Twice,
    /// A repetition came without DUP, and its publisher had not repeated it.
    Unmarked,
    /// DUP on a connection that resumed nothing.
    MarkedAtFirst,
    /// A message came again although the broker knew that it was acknowledged.
    Needless,
    /// A message overtook another of the same publisher and topic.
    Order,
    /// Something came that was not sent, or not yet, or was not asked for.
    Unknown,
    /// A message came with another QoS than agreed.
    WrongQos,
    /// A packet identifier was given to another message before PUBCOMP.
    Identifier,
    /// CONNACK said something else about the session than the truth.
    SessionPresent,
    /// A retained message is older than the last acknowledged one, or is not there.
    Retained,
    /// The broker does not do what it should: start, refuse, recover.
    Broker,
}

impl Violation {
    /// A violation that this client saw.
    pub(in crate::crash) fn new(kind: Kind, client: &Client, detail: impl Into<String>) -> Self {
        Self { kind, client: client.name.clone(), message: None, detail: detail.into() }
    }

    /// A violation of the broker as a whole.
    pub(in crate::crash) fn of_broker(detail: impl Into<String>) -> Self {
        let client = "broker".to_owned();
        Self { kind: Kind::Broker, client, message: None, detail: detail.into() }
    }

    /// The same, about this message.
    pub(in crate::crash) fn about(mut self, message: Message) -> Self {
        self.message = Some(message);
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, client, message, detail } = self;
        write!(formatter, "{kind}: {client}: ")?;
        if let Some(message) = message {
            write!(formatter, "{message}: ")?;
        }
        formatter.write_str(detail)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Lost => "acknowledged message lost",
            Self::Twice => "QoS 2 message delivered twice",
            Self::Unmarked => "duplicate without DUP",
            Self::MarkedAtFirst => "DUP without a resumed session",
            Self::Needless => "acknowledged delivery repeated",
            Self::Order => "out of order",
            Self::Unknown => "unknown message",
            Self::WrongQos => "wrong QoS",
            Self::Identifier => "packet identifier in use",
            Self::SessionPresent => "untrue Session Present",
            Self::Retained => "retained message too old",
            Self::Broker => "broker",
        })
    }
}
