//! Sections 3.8 and 3.9: SUBSCRIBE and SUBACK.

use crate::harness::prelude::*;
use crate::shared::{delivery, framing, ids, subscribe, text};

pub(super) const TESTS: &[Test] = &[
    test("MQTT-3.8.1-1", mqtt5_3_8_1_1),
    test("MQTT-3.8.3-1", mqtt5_3_8_3_1),
    test("MQTT-3.8.3-2", mqtt5_3_8_3_2),
    test("MQTT-3.8.3-3", mqtt5_3_8_3_3),
    test("MQTT-3.8.3-4", mqtt5_3_8_3_4),
    test("MQTT-3.8.3-5", mqtt5_3_8_3_5),
    test("MQTT-3.8.4-1", mqtt5_3_8_4_1),
    test("MQTT-3.8.4-2", mqtt5_3_8_4_2),
    test("MQTT-3.8.4-3", mqtt5_3_8_4_3),
    test("MQTT-3.8.4-4", mqtt5_3_8_4_4).slow(),
    test("MQTT-3.8.4-5", mqtt5_3_8_4_5),
    test("MQTT-3.8.4-6", mqtt5_3_8_4_6),
    test("MQTT-3.8.4-7", mqtt5_3_8_4_7).with(Profile::Acl),
    test("MQTT-3.8.4-8", mqtt5_3_8_4_8),
    test("MQTT-3.9.3-1", mqtt5_3_9_3_1).with(Profile::Acl),
    test("MQTT-3.9.3-2", mqtt5_3_9_3_2).passive(),
];

/// [MQTT-3.8.1-1] SUBSCRIBE flags are 0010, else malformed and close.
fn mqtt5_3_8_1_1(t: &Story) -> Done {
    framing::subscribe_flags(t)
}

/// [MQTT-3.8.3-1] Filters are UTF-8.
fn mqtt5_3_8_3_1(t: &Story) -> Done {
    subscribe::bad_text(t)?;
    text::no_nul_in_topics(t)
}

/// [MQTT-3.8.3-2] At least one filter/options pair.
fn mqtt5_3_8_3_2(t: &Story) -> Done {
    subscribe::no_filter(t)
}

/// [MQTT-3.8.3-3] No Local 1: own messages are not sent back to the same client id.
fn mqtt5_3_8_3_3(t: &Story) -> Done {
    let topic = t.topic("own");
    let mut peer = t.durable("c")?;
    peer.listen(&topic, NO_LOCAL | 1)?;
    peer.say(&topic, "own")?;
    peer.quiet()?;
    t.say(&topic, "other")?;
    peer.takes("other")?;
    peer.disconnect();
    let mut peer = t.connect(&t.hello("c").durable())?;
    peer.say(&topic, "own")?;
    peer.quiet()
}

/// [MQTT-3.8.3-4] No Local on a shared subscription is a Protocol Error.
fn mqtt5_3_8_3_4(t: &Story) -> Done {
    t.client("n")?.needs(prop::SHARED_AVAILABLE, "shared subscriptions")?;
    let filter = format!("$share/g/{}", t.topic("a"));
    let packet = subscribe(t.version, 1, &Props::new(), &[(&filter, NO_LOCAL)]);
    t.offend(&packet, PROTOCOL_ERROR)
}

/// [MQTT-3.8.3-5] Reserved option bits non-zero: malformed.
fn mqtt5_3_8_3_5(t: &Story) -> Done {
    subscribe::bad_options(t, &[0x40, 0x80, 0xC0, 0x03, 0x30])
}

/// [MQTT-3.8.4-1] SUBSCRIBE is answered with SUBACK.
fn mqtt5_3_8_4_1(t: &Story) -> Done {
    subscribe::always_answered(t)
}

/// [MQTT-3.8.4-2] Same packet id.
fn mqtt5_3_8_4_2(t: &Story) -> Done {
    ids::subacks_carry_it(t)
}

/// [MQTT-3.8.4-3] Identical non-shared filter replaces the subscription.
fn mqtt5_3_8_4_3(t: &Story) -> Done {
    subscribe::replaces(t)?;
    let topic = t.topic("replaced");
    let mut peer = t.client("r")?;
    let options = [(NO_LOCAL | 1, 7), (AS_PUBLISHED | 2, 8)];
    for (options, id) in options {
        peer.subscribe_all(&Props::new().var(prop::SUBSCRIPTION_ID, id), &[(&topic, options)])?;
    }
    peer.say(&topic, "own")?;
    same!(peer.takes("own")?.props.number(prop::SUBSCRIPTION_ID), Some(8), "the identifier");
    t.tell(Publish::new(&topic, "kept").qos(2).retain())?;
    let got = peer.takes("kept")?;
    same!((got.qos, got.retain), (2, true), "QoS and RETAIN under the new options");
    peer.listen(&topic, NO_LOCAL)?;
    let again = peer.takes("kept")?;
    same!(again.props.number(prop::SUBSCRIPTION_ID), None, "the identifier without one");
    peer.say(&topic, "own")?;
    peer.quiet()?;
    t.tell(Publish::new(&topic, "").retain())
}

/// [MQTT-3.8.4-4] Retain Handling 0 on replacement re-sends retained; no messages lost.
fn mqtt5_3_8_4_4(t: &Story) -> Done {
    subscribe::replaces_without_a_gap(t)
}

/// [MQTT-3.8.4-5] Many filters behave like many SUBSCRIBEs with one SUBACK.
fn mqtt5_3_8_4_5(t: &Story) -> Done {
    subscribe::many_filters(t)
}

/// [MQTT-3.8.4-6] One reason per filter.
fn mqtt5_3_8_4_6(t: &Story) -> Done {
    subscribe::codes_in_order(t)
}

/// [MQTT-3.8.4-7] Reason shows granted QoS or failure.
fn mqtt5_3_8_4_7(t: &Story) -> Done {
    subscribe::denied_filters(t)
}

/// [MQTT-3.8.4-8] Delivered QoS = min(published, granted).
fn mqtt5_3_8_4_8(t: &Story) -> Done {
    subscribe::lower_qos(t)
}

/// [MQTT-3.9.3-1] Reasons in filter order.
fn mqtt5_3_9_3_1(t: &Story) -> Done {
    subscribe::codes_in_order(t)?;
    subscribe::denied_filters(t)
}

/// [MQTT-3.9.3-2] SUBACK reasons come from the table.
fn mqtt5_3_9_3_2(t: &Story) -> Done {
    delivery::passive(t)
}

/// The subscription options of section 3.8.3.1.
const NO_LOCAL: u8 = 0x04;
const AS_PUBLISHED: u8 = 0x08;
