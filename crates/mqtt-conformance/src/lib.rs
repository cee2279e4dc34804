//! A black-box conformance suite for MQTT brokers: one test per normative statement.
//!
//! The suite opens raw TCP sockets, builds and reads its bytes itself, and knows nothing of the
//! broker's code, so that a mistake in our own codec cannot hide itself. Every test is registered
//! under the id of the statement that it proves (`MQTT-3.1.2-8`, `U5-072`, `D31-04`, `B14`) and
//! ends in one of four verdicts: pass, fail, not supported, not run.
//!
//! - [`Options`] says which broker is tested and which tests run;
//! - [`run`] runs them and answers with a [`Report`];
//! - [`Report`] prints itself as a table or as JSON.
//!
//! - [`compare`] plays the same operations on two brokers and answers with a [`Comparison`].
//!
//! Everything that the broker sends in any test is also watched by passive checks (fixed header
//! flags, reason codes, packet ids, limits), each reported under its own statement id.
//!
//! After every test a control client must still go through a round trip: a broker that closes every
//! connection, or never sends anything, passes nothing.
//!
//! Where the standard leaves freedom, each permitted behaviour is accepted: a reason code is
//! checked only if one is sent, the close is what must happen. A DISCONNECT before the CONNACK is
//! never accepted.

mod bad_inputs;
mod catalogue;
mod differential;
mod harness;
mod shared;
mod stories;
mod unnumbered;
mod v31;
mod v311;
mod v5;
mod websocket;

pub use differential::{Comparison, compare};
pub use harness::options::{Broker, Options};
pub use harness::report::{Report, Row};
pub use harness::runner::run;
