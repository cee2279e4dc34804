//! MQTT delivery without I/O: what two peers keep for each other, and what they owe each other.
//!
//! The crate holds the state machines of both roles for MQTT 3.1, 3.1.1 and 5.0. It reads no clock,
//! starts no thread and opens no socket: bytes, time and sessions are handed in, bytes and events
//! come out.

pub mod client;
pub mod delivery;
pub mod inbox;
pub mod ledger;
pub mod negotiated;
pub mod output;
pub mod packed;
pub mod run;
pub mod server;
pub mod session;
pub mod store;
pub mod time;
pub mod violation;

mod alias;
mod flights;
mod link;
mod past;
mod reason_string;
mod receiver;
mod sender;
mod transmit;

pub use crate::{
    client::{
        Answer, ClientConfig, ClientEndpoint, ClientEvent, ConnectOptions, Connected,
        DisconnectOptions, Disconnected, Refused, RequestError, ServerLimits, WillOptions,
    },
    delivery::Delivery,
    inbox::{Held, Inbox, InboxLimits, Pressure, Pushed, QueueFull},
    ledger::{DropReason, Ledger},
    link::{Gate, RunSpan},
    negotiated::Negotiated,
    output::Output,
    packed::PackedMessage,
    run::{MessageParts, Run, Wire},
    sender::{Acknowledged, Lost},
    server::{Accept, ConnectRequest, ServerConfig, ServerEndpoint, ServerEvent, WillRequest},
    session::Session,
    store::{
        Change, FinishedEntry, Level, MemoryStore, Progress, QueuePlace, QueuedMessage,
        SessionNumber, SessionStore, Settled, StoreError, StoreErrorKind, Stored, StoredMessage,
        StoredSession, StoredSubscription, StoredWill,
    },
    time::{BootMark, ClockMark, Time, WallClock},
    violation::Violation,
};
