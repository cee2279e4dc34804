//! Sections 3.6 to 3.14: PUBREL, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT.

use crate::harness::prelude::*;
use crate::shared::{delivery, framing, ids, retain, subscribe, text, unsubscribe, will};

pub(super) const TESTS: &[Test] = &[
    test("MQTT-3.6.1-1", mqtt311_3_6_1_1),
    test("MQTT-3.8.1-1", mqtt311_3_8_1_1),
    test("MQTT-3.8.3-1", mqtt311_3_8_3_1),
    test("MQTT-3.8.3-2", mqtt311_3_8_3_2).with(Profile::NoWildcards),
    test("MQTT-3.8.3-3", mqtt311_3_8_3_3),
    test("MQTT-3-8.3-4", mqtt311_3_8_3_4),
    test("MQTT-3.8.4-1", mqtt311_3_8_4_1),
    test("MQTT-3.8.4-2", mqtt311_3_8_4_2),
    test("MQTT-3.8.4-3", mqtt311_3_8_4_3).slow(),
    test("MQTT-3.8.4-4", mqtt311_3_8_4_4),
    test("MQTT-3.8.4-5", mqtt311_3_8_4_5).with(Profile::Acl),
    test("MQTT-3.8.4-6", mqtt311_3_8_4_6),
    test("MQTT-3.9.3-1", mqtt311_3_9_3_1),
    test("MQTT-3.9.3-2", mqtt311_3_9_3_2).passive(),
    test("MQTT-3.10.1-1", mqtt311_3_10_1_1),
    test("MQTT-3.10.3-1", mqtt311_3_10_3_1),
    test("MQTT-3.10.3-2", mqtt311_3_10_3_2),
    test("MQTT-3.10.4-1", mqtt311_3_10_4_1),
    test("MQTT-3.10.4-2", mqtt311_3_10_4_2),
    test("MQTT-3.10.4-3", mqtt311_3_10_4_3),
    test("MQTT-3.10.4-4", mqtt311_3_10_4_4),
    test("MQTT-3.10.4-5", mqtt311_3_10_4_5),
    test("MQTT-3.10.4-6", mqtt311_3_10_4_6),
    test("MQTT-3.12.4-1", mqtt311_3_12_4_1),
    test("MQTT-3.14.1-1", mqtt311_3_14_1_1),
    test("MQTT-3.14.4-3", mqtt311_3_14_4_3),
];

/// [MQTT-3.6.1-1] PUBREL has flags 0010; anything else is malformed and closes the connection.
fn mqtt311_3_6_1_1(t: &Story) -> Done {
    framing::pubrel_flags(t)
}

/// [MQTT-3.8.1-1] SUBSCRIBE has flags 0010; anything else closes.
fn mqtt311_3_8_1_1(t: &Story) -> Done {
    framing::subscribe_flags(t)
}

/// [MQTT-3.8.3-1] Filters in SUBSCRIBE are UTF-8.
fn mqtt311_3_8_3_1(t: &Story) -> Done {
    subscribe::bad_text(t)
}

/// [MQTT-3.8.3-2] A server without wildcard support refuses filters with wildcards.
fn mqtt311_3_8_3_2(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    for filter in ["#", "+", &t.topic("+"), &t.topic("#")] {
        same!(peer.subscribe(filter, 0)?, 0x80, "the code for '{filter}'");
    }
    same!(peer.subscribe(&t.topic("a"), 0)?, 0, "the code for a filter without wildcard");
    Ok(())
}

/// [MQTT-3.8.3-3] SUBSCRIBE has at least one filter/QoS pair; an empty payload is a violation.
fn mqtt311_3_8_3_3(t: &Story) -> Done {
    subscribe::no_filter(t)
}

/// [MQTT-3-8.3-4] Reserved bits in the QoS byte or QoS 3 make SUBSCRIBE malformed: close. (Id
/// printed with a dash in the standard.).
fn mqtt311_3_8_3_4(t: &Story) -> Done {
    subscribe::bad_options(t, &[0x03, 0x04, 0x40, 0x80, 0xFC])
}

/// [MQTT-3.8.4-1] Every SUBSCRIBE is answered with SUBACK.
fn mqtt311_3_8_4_1(t: &Story) -> Done {
    subscribe::always_answered(t)
}

/// [MQTT-3.8.4-2] SUBACK has the id of the SUBSCRIBE.
fn mqtt311_3_8_4_2(t: &Story) -> Done {
    ids::subacks_carry_it(t)
}

/// [MQTT-3.8.4-3] An identical filter replaces the subscription; retained messages are sent
/// again; no message is lost meanwhile.
fn mqtt311_3_8_4_3(t: &Story) -> Done {
    subscribe::replaces(t)?;
    retain::again_at_each_subscribe(t)?;
    subscribe::replaces_without_a_gap(t)
}

/// [MQTT-3.8.4-4] Many filters in one SUBSCRIBE act like many SUBSCRIBEs with a single SUBACK.
fn mqtt311_3_8_4_4(t: &Story) -> Done {
    subscribe::many_filters(t)
}

/// [MQTT-3.8.4-5] One return code per filter: granted QoS or failure.
fn mqtt311_3_8_4_5(t: &Story) -> Done {
    subscribe::denied_filters(t)
}

/// [MQTT-3.8.4-6] Delivered QoS is the lower of published QoS and granted QoS.
fn mqtt311_3_8_4_6(t: &Story) -> Done {
    subscribe::lower_qos(t)
}

/// [MQTT-3.9.3-1] Return codes are in filter order.
fn mqtt311_3_9_3_1(t: &Story) -> Done {
    subscribe::codes_in_order(t)
}

/// [MQTT-3.9.3-2] Only 0x00, 0x01, 0x02, 0x80 appear in SUBACK.
fn mqtt311_3_9_3_2(t: &Story) -> Done {
    delivery::passive(t)
}

/// [MQTT-3.10.1-1] UNSUBSCRIBE has flags 0010; anything else closes.
fn mqtt311_3_10_1_1(t: &Story) -> Done {
    framing::unsubscribe_flags(t)
}

/// [MQTT-3.10.3-1] UNSUBSCRIBE filters are UTF-8, packed one after another.
fn mqtt311_3_10_3_1(t: &Story) -> Done {
    subscribe::bad_text(t)?;
    text::no_nul_in_topics(t)
}

/// [MQTT-3.10.3-2] UNSUBSCRIBE has at least one filter.
fn mqtt311_3_10_3_2(t: &Story) -> Done {
    unsubscribe::no_filter(t)
}

/// [MQTT-3.10.4-1] Filters are compared character by character with those held; exact match
/// removes it, else nothing happens.
fn mqtt311_3_10_4_1(t: &Story) -> Done {
    unsubscribe::exact_match(t)
}

/// [MQTT-3.10.4-2] After removal no new messages are queued for the client.
fn mqtt311_3_10_4_2(t: &Story) -> Done {
    unsubscribe::nothing_new(t)
}

/// [MQTT-3.10.4-3] QoS 1/2 deliveries already begun are completed after removal.
fn mqtt311_3_10_4_3(t: &Story) -> Done {
    unsubscribe::begun_is_completed(t)
}

/// [MQTT-3.10.4-4] UNSUBACK is sent with the request's id.
fn mqtt311_3_10_4_4(t: &Story) -> Done {
    ids::subacks_carry_it(t)
}

/// [MQTT-3.10.4-5] UNSUBACK comes even if nothing was removed.
fn mqtt311_3_10_4_5(t: &Story) -> Done {
    unsubscribe::always_answered(t)
}

/// [MQTT-3.10.4-6] Many filters in one UNSUBSCRIBE act like many, with a single UNSUBACK.
fn mqtt311_3_10_4_6(t: &Story) -> Done {
    unsubscribe::many_filters(t)
}

/// [MQTT-3.12.4-1] PINGREQ is answered with PINGRESP.
fn mqtt311_3_12_4_1(t: &Story) -> Done {
    framing::pings(t)
}

/// [MQTT-3.14.1-1] DISCONNECT flags are checked to be zero, else disconnect.
fn mqtt311_3_14_1_1(t: &Story) -> Done {
    framing::disconnect_flags(t)
}

/// [MQTT-3.14.4-3] DISCONNECT drops the will without publishing it.
fn mqtt311_3_14_4_3(t: &Story) -> Done {
    will::not_after_disconnect(t)
}
