//! Section 3.3: PUBLISH.

use crate::harness::prelude::*;
use crate::shared::{ids, publish, retain, topics};

pub(super) const TESTS: &[Test] = &[
    test("MQTT-3.3.1-1", mqtt311_3_3_1_1),
    test("MQTT-3.3.1-2", mqtt311_3_3_1_2),
    test("MQTT-3.3.1-3", mqtt311_3_3_1_3),
    test("MQTT-3.3.1-4", mqtt311_3_3_1_4),
    test("MQTT-3.3.1-5", mqtt311_3_3_1_5),
    test("MQTT-3.3.1-6", mqtt311_3_3_1_6),
    test("MQTT-3.3.1-7", mqtt311_3_3_1_7),
    test("MQTT-3.3.1-8", mqtt311_3_3_1_8),
    test("MQTT-3.3.1-9", mqtt311_3_3_1_9),
    test("MQTT-3.3.1-10", mqtt311_3_3_1_10),
    test("MQTT-3.3.1-12", mqtt311_3_3_1_12),
    test("MQTT-3.3.2-1", mqtt311_3_3_2_1),
    test("MQTT-3.3.2-2", mqtt311_3_3_2_2),
    test("MQTT-3.3.2-3", mqtt311_3_3_2_3).slow(),
    test("MQTT-3.3.4-1", mqtt311_3_3_4_1),
    test("MQTT-3.3.5-1", mqtt311_3_3_5_1),
    test("MQTT-3.3.5-2", mqtt311_3_3_5_2).with(Profile::Acl),
];

/// [MQTT-3.3.1-1] DUP is 1 on a re-delivery attempt.
fn mqtt311_3_3_1_1(t: &Story) -> Done {
    ids::of_the_server(t)
}

/// [MQTT-3.3.1-2] DUP is 0 for QoS 0.
fn mqtt311_3_3_1_2(t: &Story) -> Done {
    publish::dup_at_qos_0(t)
}

/// [MQTT-3.3.1-3] The outgoing DUP depends only on whether this outgoing packet is a
/// retransmission.
fn mqtt311_3_3_1_3(t: &Story) -> Done {
    publish::dup_is_not_passed_on(t)
}

/// [MQTT-3.3.1-4] QoS bits 11 are illegal; receiving them closes the connection.
fn mqtt311_3_3_1_4(t: &Story) -> Done {
    publish::qos_3(t)
}

/// [MQTT-3.3.1-5] RETAIN 1: store message and QoS for later matching subscribers.
fn mqtt311_3_3_1_5(t: &Story) -> Done {
    retain::stored_with_qos(t)
}

/// [MQTT-3.3.1-6] A new subscription gets the last retained message of every matching topic.
fn mqtt311_3_3_1_6(t: &Story) -> Done {
    retain::last_of_each_topic(t)
}

/// [MQTT-3.3.1-7] A QoS 0 retained message displaces the former retained message (and may itself
/// be dropped later).
fn mqtt311_3_3_1_7(t: &Story) -> Done {
    retain::qos_0_displaces(t)
}

/// [MQTT-3.3.1-8] RETAIN 1 on messages sent because of a new subscription.
fn mqtt311_3_3_1_8(t: &Story) -> Done {
    retain::stored_with_qos(t)
}

/// [MQTT-3.3.1-9] RETAIN 0 on messages sent to established subscriptions.
fn mqtt311_3_3_1_9(t: &Story) -> Done {
    retain::live_copy_is_plain(t)
}

/// [MQTT-3.3.1-10] An empty retained PUBLISH is delivered as normal and deletes the retained
/// message of its topic.
fn mqtt311_3_3_1_10(t: &Story) -> Done {
    retain::empty_deletes(t)
}

/// [MQTT-3.3.1-12] RETAIN 0 neither stores nor changes the retained message.
fn mqtt311_3_3_1_12(t: &Story) -> Done {
    retain::plain_does_not_store(t)
}

/// [MQTT-3.3.2-1] The topic name is the first field of the PUBLISH variable header and is UTF-8.
fn mqtt311_3_3_2_1(t: &Story) -> Done {
    publish::bad_topic_field(t)
}

/// [MQTT-3.3.2-2] A topic name holds no wildcard.
fn mqtt311_3_3_2_2(t: &Story) -> Done {
    publish::wildcards(t)
}

/// [MQTT-3.3.2-3] The topic of a delivered message matches the subscription's filter.
fn mqtt311_3_3_2_3(t: &Story) -> Done {
    topics::against_reference(t)
}

/// [MQTT-3.3.4-1] The receiver answers by QoS: nothing, PUBACK or PUBREC.
fn mqtt311_3_3_4_1(t: &Story) -> Done {
    publish::answered_by_qos(t)
}

/// [MQTT-3.3.5-1] With overlapping subscriptions delivery respects the highest QoS of the
/// matching ones (one or several copies are allowed).
fn mqtt311_3_3_5_1(t: &Story) -> Done {
    publish::overlapping(t)
}

/// [MQTT-3.3.5-2] A forbidden PUBLISH is either acknowledged as usual or the connection is
/// closed.
fn mqtt311_3_3_5_2(t: &Story) -> Done {
    publish::denied(t)
}
