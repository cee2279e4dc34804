//! Criterion benchmarks of the hot paths; see the files beside this one.

#![expect(clippy::unwrap_used, reason = "no input but our own")]

use bytes::BytesMut;
use mqtt_packet::{Connect, ConnectProperties, Version};
use mqtt_session::{Accept, ServerConfig, ServerEndpoint, ServerEvent, Time};

/// An endpoint whose client has connected, without properties and without a Keep Alive.
///
/// # Panics
/// Where the endpoint does not take the CONNECT.
#[must_use]
pub fn opened(version: Version) -> ServerEndpoint {
    let mut endpoint = ServerEndpoint::new(ServerConfig::default(), Time::ZERO);
    let connect = Connect {
        version,
        clean_start: true,
        keep_alive_secs: 0,
        client_id: "bench",
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    };
    let mut bytes = BytesMut::new();
    connect.encode(&mut bytes).unwrap();
    endpoint.handle_input(&mut bytes, Time::ZERO);
    assert!(matches!(endpoint.poll_event(Time::ZERO), Some(ServerEvent::Connect(_))));
    endpoint.accept(Accept::default(), Time::ZERO);
    endpoint.advance_output(endpoint.output().len());
    endpoint
}
