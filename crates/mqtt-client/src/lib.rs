//! An async MQTT client: 3.1, 3.1.1 and 5.0, on tokio.
//!
//! ```no_run
//! use mqtt_client::{Client, QoS};
//!
//! # async fn example() -> Result<(), mqtt_client::Error> {
//! let client = Client::connect("mqtt://127.0.0.1:1883").await?;
//!
//! let mut readings = client.subscribe("sensors/+/temperature", QoS::AtLeastOnce).await?;
//! client.publish("sensors/kitchen/temperature", "21.5").qos(QoS::ExactlyOnce).await?;
//!
//! while let Some(message) = readings.recv().await {
//!     println!("{}: {:?}", message.topic(), message.payload());
//! }
//! client.disconnect().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Rules
//! - Awaiting a [`Publish`] waits for the server's last word on the message: PUBACK at QoS 1,
//!   PUBCOMP at QoS 2. [`Publish::send`] gives a [`Receipt`] instead, so that many messages can be
//!   on their way at once. Their order is the order of the calls.
//! - What the server announced is kept to: a message above its Maximum QoS or its Maximum Packet
//!   Size is an [`Error::Request`], and is not sent. Nothing is ever cut to fit.
//! - A message of QoS 1 or 2 is acknowledged when its stream has room for it, in the order in which
//!   messages came [MQTT-4.6.0-2]. A reader that is behind so slows the server down.
//! - A message goes to the streams whose subscription identifier it carries; without identifiers,
//!   to each stream with a filter that matches; without such a stream to [`Client::messages`].
//! - When the connection is lost, operations end with [`Error::ConnectionLost`] and streams end
//!   after what had come. The client does not connect again by itself:
//!   [`Client::session`] and [`Options::resume`] carry unfinished messages over, and QoS 2
//!   stays exactly once.
//!
//! # Limits
//! - A stream holds 1,024 messages or 16 MiB for its reader ([`Options::stream_capacity`]), and
//!   at most the receive maximum, 1,024, on top. Messages of QoS 0 for a full stream stop the
//!   reading; after 2 s the stream loses them instead ([`Stats::dropped_slow`]).
//! - Towards the server, 1 MiB of packets and unacknowledged messages may wait; then publishers do.
//! - 65,535 packet identifiers, of which 1,024 are in flight at once ([`Options::send_window`]).
//! - TCP and WebSocket; any other transport through [`Options::connect_with`].

mod bell;
mod client;
mod command;
mod connect;
mod connection;
mod driver;
mod error;
mod message;
mod options;
mod publish;
mod queue;
mod router;
mod session_state;
mod shared;
mod subscribe;
mod subscription;
mod unmatched;
mod unsubscribe;
mod url;
mod websocket;

pub use mqtt_packet::{
    PacketId, PublishProperties, QoS, ReasonCode, RetainHandling, SubscriptionOptions, Version,
};
pub use mqtt_session::{
    Connected, DisconnectOptions, Disconnected, Refused, RequestError, ServerLimits, Violation,
    WillOptions,
};

pub use crate::{
    client::{Client, Stats},
    error::{Error, Loss, UrlError},
    message::Message,
    options::Options,
    publish::{Publish, Receipt},
    session_state::SessionState,
    subscribe::{IntoFilters, Subscribe},
    subscription::{Messages, Subscription},
    unsubscribe::Unsubscribe,
};
