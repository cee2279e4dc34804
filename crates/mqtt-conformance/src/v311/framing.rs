//! Section 2: fixed headers and packet identifiers.

use crate::harness::prelude::*;
use crate::shared::{delivery, framing, ids};

pub(super) const TESTS: &[Test] = &[
    test("MQTT-2.2.2-1", mqtt311_2_2_2_1).passive(),
    test("MQTT-2.2.2-2", mqtt311_2_2_2_2),
    test("MQTT-2.3.1-1", mqtt311_2_3_1_1),
    test("MQTT-2.3.1-4", mqtt311_2_3_1_4),
    test("MQTT-2.3.1-5", mqtt311_2_3_1_5),
    test("MQTT-2.3.1-6", mqtt311_2_3_1_6),
    test("MQTT-2.3.1-7", mqtt311_2_3_1_7),
];

/// [MQTT-2.2.2-1] The flag nibble of each packet type is set to the fixed value of the flag
/// table.
fn mqtt311_2_2_2_1(t: &Story) -> Done {
    delivery::passive(t)
}

/// [MQTT-2.2.2-2] A wrong flag nibble makes the receiver close the connection.
fn mqtt311_2_2_2_2(t: &Story) -> Done {
    framing::wrong_flags(t)
}

/// [MQTT-2.3.1-1] SUBSCRIBE, UNSUBSCRIBE and PUBLISH with QoS above 0 carry a packet id other
/// than zero.
fn mqtt311_2_3_1_1(t: &Story) -> Done {
    ids::zero(t)
}

/// [MQTT-2.3.1-4] The same id rules hold for PUBLISH with QoS above 0 sent by the server.
fn mqtt311_2_3_1_4(t: &Story) -> Done {
    ids::of_the_server(t)
}

/// [MQTT-2.3.1-5] A QoS 0 PUBLISH has no packet id.
fn mqtt311_2_3_1_5(t: &Story) -> Done {
    delivery::qos_0_has_no_id(t)
}

/// [MQTT-2.3.1-6] PUBACK, PUBREC, PUBREL carry the id of the PUBLISH they belong to.
fn mqtt311_2_3_1_6(t: &Story) -> Done {
    ids::acks_carry_it(t)
}

/// [MQTT-2.3.1-7] SUBACK and UNSUBACK carry the id of their request.
fn mqtt311_2_3_1_7(t: &Story) -> Done {
    ids::subacks_carry_it(t)
}
