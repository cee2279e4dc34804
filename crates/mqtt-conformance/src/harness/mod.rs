//! What every test stands on: sockets, bytes, brokers, verdicts.

pub(crate) mod broker;
pub(crate) mod bytes;
pub(crate) mod connect;
pub(crate) mod control;
pub(crate) mod memory;
pub(crate) mod options;
pub(crate) mod packet;
pub(crate) mod passive;
pub(crate) mod peer;
pub(crate) mod private;
pub(crate) mod profile;
pub(crate) mod property;
pub(crate) mod publish;
pub(crate) mod report;
pub(crate) mod requests;
pub(crate) mod runner;
pub(crate) mod story;
pub(crate) mod test;
pub(crate) mod verdict;
pub(crate) mod version;

/// What a test file imports.
pub(crate) mod prelude {
    pub(crate) use super::bytes::Body;
    pub(crate) use super::connect::{Connect, Will};
    pub(crate) use super::packet::Content;
    pub(crate) use super::peer::{Event, Peer};
    pub(crate) use super::profile::Profile;
    pub(crate) use super::property::{Props, Value, prop};
    pub(crate) use super::publish::Publish;
    pub(crate) use super::requests::{acknowledgement, subscribe, unsubscribe};
    pub(crate) use super::story::{EITHER, MALFORMED, PROTOCOL_ERROR, Story, seconds};
    pub(crate) use super::test::{Test, test};
    pub(crate) use super::verdict::{Done, Stop, ensure, fail, same};
    pub(crate) use super::version::Version;
}
