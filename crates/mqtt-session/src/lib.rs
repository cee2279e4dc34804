//! MQTT delivery state machines for both roles, without I/O.
