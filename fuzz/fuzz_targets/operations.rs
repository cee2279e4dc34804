//! Operations of several clients on a broker without I/O, under the model of its own tests.
//!
//! `mqtt-server` says what the bytes stand for and what must hold:
//! `crates/mqtt-server/src/core/tests/operations.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| mqtt_server::fuzzing::run(data));
