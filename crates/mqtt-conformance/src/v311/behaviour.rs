//! Section 4 and what follows: sessions, QoS, order, topics, errors.

use crate::harness::prelude::*;
use crate::shared::{delivery, framing, order, qos, session, text, topics, will};

pub(super) const TESTS: &[Test] = &[
    test("MQTT-4.1.0-1", mqtt311_4_1_0_1),
    test("MQTT-4.1.0-2", mqtt311_4_1_0_2).slow(),
    test("MQTT-4.3.1-1", mqtt311_4_3_1_1).passive(),
    test("MQTT-4.3.2-1", mqtt311_4_3_2_1),
    test("MQTT-4.3.2-2", mqtt311_4_3_2_2),
    test("MQTT-4.3.3-1", mqtt311_4_3_3_1),
    test("MQTT-4.3.3-2", mqtt311_4_3_3_2),
    test("MQTT-4.4.0-1", mqtt311_4_4_0_1),
    test("MQTT-4.5.0-1", mqtt311_4_5_0_1),
    test("MQTT-4.6.0-1", mqtt311_4_6_0_1),
    test("MQTT-4.6.0-4", mqtt311_4_6_0_4),
    test("MQTT-4.6.0-5", mqtt311_4_6_0_5),
    test("MQTT-4.6.0-6", mqtt311_4_6_0_6),
    test("MQTT-4.7.1-1", mqtt311_4_7_1_1),
    test("MQTT-4.7.1-2", mqtt311_4_7_1_2),
    test("MQTT-4.7.1-3", mqtt311_4_7_1_3),
    test("MQTT-4.7.2-1", mqtt311_4_7_2_1),
    test("MQTT-4.7.3-1", mqtt311_4_7_3_1),
    test("MQTT-4.7.3-2", mqtt311_4_7_3_2),
    test("MQTT-4.7.3-3", mqtt311_4_7_3_3),
    test("MQTT-4.7.3-4", mqtt311_4_7_3_4),
    test("MQTT-4.8.0-1", mqtt311_4_8_0_1),
    test("MQTT-7.0.0-2", mqtt311_7_0_0_2),
    test("MQTT-7.1.1-1", mqtt311_7_1_1_1),
];

/// [MQTT-4.1.0-1] Session state is kept for as long as the session lasts.
fn mqtt311_4_1_0_1(t: &Story) -> Done {
    session::survives(t)
}

/// [MQTT-4.1.0-2] A session lasts at least as long as its connection.
fn mqtt311_4_1_0_2(t: &Story) -> Done {
    session::lasts_while_connected(t)
}

/// [MQTT-4.3.1-1] QoS 0 is sent with QoS 0 and DUP 0.
fn mqtt311_4_3_1_1(t: &Story) -> Done {
    delivery::passive(t)
}

/// [MQTT-4.3.2-1] QoS 1 sender: (a) unused id per new message, (b) QoS 1 and DUP 0 at first, (c)
/// unacknowledged until PUBACK.
fn mqtt311_4_3_2_1(t: &Story) -> Done {
    qos::sender_1(t)
}

/// [MQTT-4.3.2-2] QoS 1 receiver: (a) PUBACK with the id once it owns the message, (b) after that
/// the same id is a new message whatever DUP says.
fn mqtt311_4_3_2_2(t: &Story) -> Done {
    qos::receiver_1(t)
}

/// [MQTT-4.3.3-1] QoS 2 sender: (a) unused id, (b) QoS 2 DUP 0, (c) unacked until PUBREC, (d)
/// PUBREL with the id on PUBREC, (e) PUBREL unacked until PUBCOMP, (f) no PUBLISH once PUBREL was
/// sent.
fn mqtt311_4_3_3_1(t: &Story) -> Done {
    qos::sender_2(t)
}

/// [MQTT-4.3.3-2] QoS 2 receiver: (a) PUBREC once it owns the message, (b) repeats before PUBREL
/// get PUBREC and no second delivery, (c) PUBCOMP for PUBREL, (d) after PUBCOMP the id is new.
fn mqtt311_4_3_3_2(t: &Story) -> Done {
    qos::receiver_2(t)
}

/// [MQTT-4.4.0-1] Reconnect with CleanSession 0: both sides re-send unacknowledged PUBLISH (QoS
/// above 0) and PUBREL with the original ids.
fn mqtt311_4_4_0_1(t: &Story) -> Done {
    qos::resends_all(t)
}

/// [MQTT-4.5.0-1] A message the server owns is added to the state of every matching client.
fn mqtt311_4_5_0_1(t: &Story) -> Done {
    session::every_subscriber(t)
}

/// [MQTT-4.6.0-1] Re-sent PUBLISH packets keep their original order.
fn mqtt311_4_6_0_1(t: &Story) -> Done {
    order::of_resends(t)
}

/// [MQTT-4.6.0-4] PUBRELs leave in the order of the PUBRECs.
fn mqtt311_4_6_0_4(t: &Story) -> Done {
    order::of_pubrels(t)
}

/// [MQTT-4.6.0-5] Every topic is ordered by default.
fn mqtt311_4_6_0_5(t: &Story) -> Done {
    order::of_delivery(t)
}

/// [MQTT-4.6.0-6] Per publisher, topic and QoS the order of delivery is the order of receipt.
fn mqtt311_4_6_0_6(t: &Story) -> Done {
    order::of_delivery(t)?;
    order::of_acks(t, 1, 4)
}

/// [MQTT-4.7.1-1] Wildcards occur in filters only, not in names.
fn mqtt311_4_7_1_1(t: &Story) -> Done {
    crate::shared::publish::wildcards(t)?;
    will::bad_topic(t, &t.topic("+"), &[1, 2, 3, 4, 5])?;
    will::bad_topic(t, &t.topic("#"), &[1, 2, 3, 4, 5])
}

/// [MQTT-4.7.1-2] '#' stands alone or after '/', and last.
fn mqtt311_4_7_1_2(t: &Story) -> Done {
    topics::multi_level(t)
}

/// [MQTT-4.7.1-3] '+' fills a whole level.
fn mqtt311_4_7_1_3(t: &Story) -> Done {
    topics::single_level(t)
}

/// [MQTT-4.7.2-1] Filters starting with a wildcard never match topics starting with '$'.
fn mqtt311_4_7_2_1(t: &Story) -> Done {
    topics::dollar(t)
}

/// [MQTT-4.7.3-1] Names and filters have at least one character.
fn mqtt311_4_7_3_1(t: &Story) -> Done {
    topics::empty(t)
}

/// [MQTT-4.7.3-2] No U+0000 in names and filters.
fn mqtt311_4_7_3_2(t: &Story) -> Done {
    text::no_nul_in_topics(t)
}

/// [MQTT-4.7.3-3] At most 65,535 encoded bytes.
fn mqtt311_4_7_3_3(t: &Story) -> Done {
    topics::longest(t)
}

/// [MQTT-4.7.3-4] No normalisation or substitution when matching.
fn mqtt311_4_7_3_4(t: &Story) -> Done {
    text::no_normalisation(t)
}

/// [MQTT-4.8.0-1] A protocol violation closes the connection it came on, unless stated otherwise.
fn mqtt311_4_8_0_1(t: &Story) -> Done {
    framing::violations(t)?;
    // A PUBREL for an unknown id is none.
    let mut peer = t.client("c")?;
    peer.release(99)?;
    peer.ping()
}

/// [MQTT-7.0.0-2] No extension outside the standard is needed to interoperate.
fn mqtt311_7_0_0_2(t: &Story) -> Done {
    delivery::traffic(t)
}

/// [MQTT-7.1.1-1] The server supports at least one ordered, lossless, two-way byte stream
/// transport.
fn mqtt311_7_1_1_1(t: &Story) -> Done {
    connect_over_tcp(t)
}

fn connect_over_tcp(t: &Story) -> Done {
    t.client("c")?.ping()
}
