//! Sections 3.1.3 and 3.1.4: the payload of CONNECT and what is done with it.

use std::collections::BTreeSet;

use crate::harness::prelude::*;
use crate::shared::{connect, session, text};

pub(super) const TESTS: &[Test] = &[
    test("MQTT-3.1.3-1", mqtt5_3_1_3_1),
    test("MQTT-3.1.3-2", mqtt5_3_1_3_2),
    test("MQTT-3.1.3-3", mqtt5_3_1_3_3),
    test("MQTT-3.1.3-4", mqtt5_3_1_3_4),
    test("MQTT-3.1.3-5", mqtt5_3_1_3_5),
    test("MQTT-3.1.3-6", mqtt5_3_1_3_6),
    test("MQTT-3.1.3-7", mqtt5_3_1_3_7),
    test("MQTT-3.1.3-8", mqtt5_3_1_3_8).with(Profile::ShortClientIds),
    test("MQTT-3.1.3-11", mqtt5_3_1_3_11),
    test("MQTT-3.1.3-12", mqtt5_3_1_3_12),
    test("MQTT-3.1.4-1", mqtt5_3_1_4_1),
    test("MQTT-3.1.4-2", mqtt5_3_1_4_2).with(Profile::Password),
    test("MQTT-3.1.4-3", mqtt5_3_1_4_3),
    test("MQTT-3.1.4-4", mqtt5_3_1_4_4),
    test("MQTT-3.1.4-5", mqtt5_3_1_4_5),
    test("MQTT-3.1.4-6", mqtt5_3_1_4_6).with(Profile::Password),
    test("MQTT-3.2.2-16", mqtt5_3_2_2_16).slow(),
];

/// [MQTT-3.1.3-1] Payload order: client id, will properties, will topic, will payload, user name,
/// password. (Appendix B has an older wording.).
fn mqtt5_3_1_3_1(t: &Story) -> Done {
    connect::payload_order(t)
}

/// [MQTT-3.1.3-2] Client id keys the session.
fn mqtt5_3_1_3_2(t: &Story) -> Done {
    session::keyed_by_id(t)
}

/// [MQTT-3.1.3-3] Client id field always first and present.
fn mqtt5_3_1_3_3(t: &Story) -> Done {
    connect::no_payload(t)
}

/// [MQTT-3.1.3-4] Client id is UTF-8.
fn mqtt5_3_1_3_4(t: &Story) -> Done {
    let mut connect = t.hello("");
    connect.client_id = vec![0xFF, 0xFE];
    t.refuse(&connect, &[0x81, 0x82, 0x85])
}

/// [MQTT-3.1.3-5] Ids of 1-23 bytes out of 0-9a-zA-Z are accepted.
fn mqtt5_3_1_3_5(t: &Story) -> Done {
    connect::plain_ids(t)
}

/// [MQTT-3.1.3-6] If an empty id is permitted a unique id is assigned.
fn mqtt5_3_1_3_6(t: &Story) -> Done {
    let (one, two) = (t.connect(&nameless(t))?, t.connect(&nameless(t))?);
    let (first, second) = (assigned(&one)?, assigned(&two)?);
    ensure!(first != second, "the same id was assigned twice");
    Ok(())
}

/// [MQTT-3.1.3-7] The assigned id is used and returned in CONNACK.
fn mqtt5_3_1_3_7(t: &Story) -> Done {
    let mut connect = nameless(t).expiry(60);
    let peer = t.connect(&connect)?;
    connect.client_id = assigned(&peer)?;
    connect.clean = false;
    peer.disconnect();
    let peer = t.connect(&connect)?;
    ensure!(peer.session_present, "the assigned id does not resume its session");
    Ok(())
}

/// [MQTT-3.1.3-8] A refused id: CONNACK 0x85 permitted, then close.
fn mqtt5_3_1_3_8(t: &Story) -> Done {
    connect::long_id(t, 0x85)
}

/// [MQTT-3.1.3-11] Will topic is UTF-8.
fn mqtt5_3_1_3_11(t: &Story) -> Done {
    let mut observer = t.observer("o", &t.topic("#"))?;
    let topic = text::spoiled(&t.topic("w"), &[0xED, 0xA0, 0x80]);
    t.refuse(&t.hello("w").will(Will::new(topic, "x")), &[0x81, 0x82, 0x90])?;
    observer.quiet()
}

/// [MQTT-3.1.3-12] User name is UTF-8.
fn mqtt5_3_1_3_12(t: &Story) -> Done {
    t.refuse(&t.hello("u").user([0xC3, 0x28]), EITHER)
}

/// [MQTT-3.1.4-1] CONNECT is checked against the format; close if it fails.
fn mqtt5_3_1_4_1(t: &Story) -> Done {
    connect::cut_or_longer(t)?;
    let twice = t.hello("c").expiry(1).with(Props::twice);
    let foreign = t.hello("c").with(|p| p.two(prop::TOPIC_ALIAS, 1));
    let unknown = t.hello("c").with(|p| p.byte(0x7F, 1));
    let range = t.hello("c").with(|p| p.byte(prop::REQUEST_PROBLEM_INFO, 2));
    [twice, foreign, unknown, range].iter().try_for_each(|connect| t.refuse(connect, EITHER))
}

/// [MQTT-3.1.4-2] If further checks (authentication, authorisation, limits) fail: close.
fn mqtt5_3_1_4_2(t: &Story) -> Done {
    connect::bad_password(t)
}

/// [MQTT-3.1.4-3] A second connection with the id ends the first (DISCONNECT 0x8E, close).
fn mqtt5_3_1_4_3(t: &Story) -> Done {
    session::takeover(t)
}

/// [MQTT-3.1.4-4] Clean Start is processed.
fn mqtt5_3_1_4_4(t: &Story) -> Done {
    session::present_flag(t)
}

/// [MQTT-3.1.4-5] A good CONNECT gets CONNACK 0x00.
fn mqtt5_3_1_4_5(t: &Story) -> Done {
    connect::accepted(t)
}

/// [MQTT-3.1.4-6] After refusing, data behind CONNECT is not processed (AUTH excepted).
fn mqtt5_3_1_4_6(t: &Story) -> Done {
    connect::nothing_after_refusal(t)
}

/// [MQTT-3.2.2-16] Empty client id: a fresh id not used by any session is returned.
fn mqtt5_3_2_2_16(t: &Story) -> Done {
    let mut ids = BTreeSet::new();
    for _ in 0..200 {
        let peer = t.connect(&nameless(t))?;
        let id = assigned(&peer)?;
        ensure!(!id.is_empty(), "the assigned id is empty");
        ensure!(ids.insert(id), "an id was assigned twice");
    }
    Ok(())
}

/// A CONNECT without a client id.
fn nameless(t: &Story) -> Connect {
    let mut connect = t.hello("");
    connect.client_id.clear();
    connect
}

/// The Assigned Client Identifier of the CONNACK.
fn assigned(peer: &Peer) -> Done<Vec<u8>> {
    match peer.props.string(prop::ASSIGNED_CLIENT_ID) {
        Some(id) => Ok(id.to_vec()),
        None => fail!("no Assigned Client Identifier for an empty client id"),
    }
}
