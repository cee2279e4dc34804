//! An MQTT 3.1, 3.1.1 and 5.0 broker to embed.
//!
//! It runs on whatever tokio runtime it is started in, one task for each connection. A task moves up
//! to a quarter of a megabyte before it lets others run, so a runtime of its own should look at its
//! sockets more often than tokio's does by default (`Builder::event_interval(4)` in place of 61),
//! or quiet clients wait behind those that never pause. On two cores one worker thread is faster than
//! two.

pub mod builder;
pub mod durability;
pub mod limits;
pub mod local;
pub mod memory_limit;
pub mod retained;
pub mod routing;
pub mod server;

mod core;
mod entropy;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod net;

pub use crate::{
    builder::{BindError, ServerBuilder},
    core::{
        broker::Totals,
        memory::{MemoryLevel, MemoryState},
        traffic::Traffic,
    },
    durability::Durability,
    limits::Limits,
    local::{LocalClient, LocalError, LocalMessage},
    memory_limit::MemoryLimit,
    retained::{MemoryRetained, Retained, RetainedCount, RetainedFull, ScanPage},
    routing::{GroupMatch, Matches, MemoryRouting, Routing, SubscriberId, Subscription},
    server::{Server, ServerHandle, ShutdownReport, VitalTask},
};
pub use mqtt_packet::{QoS, ReasonCode};
pub use mqtt_session::{
    DropReason, InboxLimits, Ledger, Level, MemoryStore, QueueFull, ServerConfig, SessionStore,
    StoreError,
};
