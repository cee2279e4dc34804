//! Sections 3.1.3 to 3.2: the payload of CONNECT, and CONNACK.

use crate::harness::prelude::*;
use crate::shared::{connect, session, text};

pub(super) const TESTS: &[Test] = &[
    test("MQTT-3.1.3-1", mqtt311_3_1_3_1),
    test("MQTT-3.1.3-2", mqtt311_3_1_3_2),
    test("MQTT-3.1.3-3", mqtt311_3_1_3_3),
    test("MQTT-3.1.3-4", mqtt311_3_1_3_4),
    test("MQTT-3.1.3-5", mqtt311_3_1_3_5),
    test("MQTT-3.1.3-6", mqtt311_3_1_3_6),
    test("MQTT-3.1.3-8", mqtt311_3_1_3_8),
    test("MQTT-3.1.3-9", mqtt311_3_1_3_9).with(Profile::ShortClientIds),
    test("MQTT-3.1.3-10", mqtt311_3_1_3_10),
    test("MQTT-3.1.3-11", mqtt311_3_1_3_11),
    test("MQTT-3.1.4-1", mqtt311_3_1_4_1),
    test("MQTT-3.1.4-2", mqtt311_3_1_4_2),
    test("MQTT-3.1.4-3", mqtt311_3_1_4_3),
    test("MQTT-3.1.4-4", mqtt311_3_1_4_4),
    test("MQTT-3.1.4-5", mqtt311_3_1_4_5).with(Profile::Password),
    test("MQTT-3.2.0-1", mqtt311_3_2_0_1),
    test("MQTT-3.2.2-1", mqtt311_3_2_2_1),
    test("MQTT-3.2.2-2", mqtt311_3_2_2_2),
    test("MQTT-3.2.2-3", mqtt311_3_2_2_3),
    test("MQTT-3.2.2-4", mqtt311_3_2_2_4).with(Profile::Password),
    test("MQTT-3.2.2-5", mqtt311_3_2_2_5).with(Profile::Password),
    test("MQTT-3.2.2-6", mqtt311_3_2_2_6),
];

/// [MQTT-3.1.3-1] Payload fields come in the order client id, will topic, will message, user
/// name, password.
fn mqtt311_3_1_3_1(t: &Story) -> Done {
    connect::payload_order(t)
}

/// [MQTT-3.1.3-2] The client id is the key of the session state on both sides.
fn mqtt311_3_1_3_2(t: &Story) -> Done {
    session::keyed_by_id(t)
}

/// [MQTT-3.1.3-3] The client id is always the first payload field.
fn mqtt311_3_1_3_3(t: &Story) -> Done {
    connect::no_payload(t)
}

/// [MQTT-3.1.3-4] The client id is a UTF-8 string.
fn mqtt311_3_1_3_4(t: &Story) -> Done {
    let mut connect = t.hello("");
    connect.client_id = vec![0xFF, 0xFE];
    t.refuse_broken(&connect, &[])
}

/// [MQTT-3.1.3-5] Ids of 1 to 23 bytes out of 0-9a-zA-Z are accepted.
fn mqtt311_3_1_3_5(t: &Story) -> Done {
    connect::plain_ids(t)
}

/// [MQTT-3.1.3-6] If an empty id is permitted, a unique id is assigned and processing goes on
/// with it.
fn mqtt311_3_1_3_6(t: &Story) -> Done {
    connect::empty_ids(t)
}

/// [MQTT-3.1.3-8] Empty id with CleanSession 0: return code 0x02 then close.
fn mqtt311_3_1_3_8(t: &Story) -> Done {
    let mut connect = t.hello("").resume();
    connect.client_id.clear();
    let mut peer = t.attempt(&connect)?;
    same!(peer.next()?.raw, vec![0x20, 2, 0, 2], "the answer to an empty id");
    peer.closed(&[])
}

/// [MQTT-3.1.3-9] A refused client id gets return code 0x02 then close.
fn mqtt311_3_1_3_9(t: &Story) -> Done {
    connect::long_id(t, 0x02)
}

/// [MQTT-3.1.3-10] The will topic is a UTF-8 string.
fn mqtt311_3_1_3_10(t: &Story) -> Done {
    let mut observer = t.observer("o", &t.topic("#"))?;
    let topic = text::spoiled(&t.topic("w"), &[0xED, 0xA0, 0x80]);
    t.refuse_broken(&t.hello("w").will(Will::new(topic, "x")), &[])?;
    observer.quiet()
}

/// [MQTT-3.1.3-11] The user name is a UTF-8 string.
fn mqtt311_3_1_3_11(t: &Story) -> Done {
    t.refuse_broken(&t.hello("u").user([0xC3, 0x28]), &[])
}

/// [MQTT-3.1.4-1] A CONNECT that breaks the format is answered by closing without a CONNACK.
fn mqtt311_3_1_4_1(t: &Story) -> Done {
    connect::cut_or_longer(t)
}

/// [MQTT-3.1.4-2] A client already connected under the same id is disconnected.
fn mqtt311_3_1_4_2(t: &Story) -> Done {
    session::takeover(t)
}

/// [MQTT-3.1.4-3] CleanSession processing is done on a valid CONNECT.
fn mqtt311_3_1_4_3(t: &Story) -> Done {
    session::resumes(t)?;
    session::clean_start(&Story { unique: t.client_id("x"), ..t.clone() })
}

/// [MQTT-3.1.4-4] A valid CONNECT is acknowledged with return code 0.
fn mqtt311_3_1_4_4(t: &Story) -> Done {
    connect::accepted(t)
}

/// [MQTT-3.1.4-5] Data following a refused CONNECT is not processed.
fn mqtt311_3_1_4_5(t: &Story) -> Done {
    connect::nothing_after_refusal(t)
}

/// [MQTT-3.2.0-1] CONNACK is the first packet from the server.
fn mqtt311_3_2_0_1(t: &Story) -> Done {
    connect::connack_first(t)
}

/// [MQTT-3.2.2-1] CleanSession 1 accepted: session present is 0.
fn mqtt311_3_2_2_1(t: &Story) -> Done {
    session::clean_is_not_present(t)
}

/// [MQTT-3.2.2-2] CleanSession 0 and stored state: session present is 1.
fn mqtt311_3_2_2_2(t: &Story) -> Done {
    t.durable("c")?.disconnect();
    let mut peer = t.attempt(&t.hello("c").durable())?;
    same!(peer.next()?.raw, vec![0x20, 2, 1, 0], "the CONNACK");
    Ok(())
}

/// [MQTT-3.2.2-3] No stored state: session present is 0.
fn mqtt311_3_2_2_3(t: &Story) -> Done {
    let mut peer = t.attempt(&t.hello("c").durable())?;
    same!(peer.next()?.raw, vec![0x20, 2, 0, 0], "the CONNACK");
    Ok(())
}

/// [MQTT-3.2.2-4] A non-zero return code goes with session present 0.
fn mqtt311_3_2_2_4(t: &Story) -> Done {
    connect::refusal_hides_the_session(t)
}

/// [MQTT-3.2.2-5] After a non-zero return code the server closes.
fn mqtt311_3_2_2_5(t: &Story) -> Done {
    connect::bad_password(t)
}

/// [MQTT-3.2.2-6] If no return code fits, close without CONNACK.
fn mqtt311_3_2_2_6(t: &Story) -> Done {
    connect::will_missing(t)?;
    connect::no_payload(t)
}
